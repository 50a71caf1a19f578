//! The gateway as an operator has it: a process of its own that is started, signalled and killed, and
//! of which nothing is known but what it says and what it leaves on disk.
//!
//! The provider lives in the test's process, so that it outlives every gateway and its bill with it. The
//! books are a file, or on the PostgreSQL server that all tests of this binary share: then any number of
//! gateways may be at them at once, each a replica with a policy file of its own.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use filmgate::simulator::{self, Simulator};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::books::rows_of;
use crate::client::Client;
use crate::cluster::Emptied;
use crate::cluster::query;
use crate::world::{Folder, key_of};

/// How long anything here may take to come about, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(20);

/// Where gateways run: a policy file, books, and a provider.
pub struct Site {
    pub simulator: Simulator,
    /// If the books are in PostgreSQL.
    pub server: Option<Emptied>,
    folder: Folder,
}

impl Site {
    /// With a provider that many times faster than life, whose clips have at least so many bytes.
    pub async fn new(speed: u32, clip_bytes_min: u64, policy: &[String]) -> Self {
        Self::with(speed, clip_bytes_min, policy, None).await
    }

    /// Likewise, with books in PostgreSQL, for as many replicas as one likes; see [`Site::replicas`].
    pub async fn on_postgres(speed: u32, clip_bytes_min: u64, policy: &[String]) -> Self {
        let server = tokio::task::spawn_blocking(Emptied::new).await.unwrap();
        Self::with(speed, clip_bytes_min, policy, Some(server)).await
    }

    /// Likewise, with books in PostgreSQL if there are some.
    pub async fn with(speed: u32, clip_bytes_min: u64, policy: &[String], server: Option<Emptied>) -> Self {
        let simulator = simulator::start(simulator::Settings { speed, clip_bytes_min, ..simulator::Settings::default() }).await.unwrap();
        let site = Self { simulator, server, folder: Folder::new() };
        std::fs::write(site.policy_file(), site.policy(policy)).unwrap();
        site
    }

    /// The text of a policy of these parts.
    pub fn policy(&self, parts: &[String]) -> String {
        self.policy_with(&self.store(0), parts)
    }

    /// `[store]` of a replica, by which the server knows its connections and the machine its journal.
    fn store(&self, replica: usize) -> String {
        match &self.server {
            None => {
                let books = self.path("books/books.db");
                std::fs::create_dir_all(books.parent().unwrap()).unwrap();
                format!("url = \"sqlite:{}\"", books.display())
            }
            Some(server) => {
                let called = |name: &str| format!("application_name={name}");
                let url = server.books.address.replace(&called(&server.books.name), &called(&self.name_of(replica)));
                let journal = self.path(&format!("replica-{replica}.emergency.jsonl"));
                format!("url = \"{url}\"\njournal = \"{}\"", journal.display())
            }
        }
    }

    /// What the server calls the connections of a replica.
    fn name_of(&self, replica: usize) -> String {
        format!("{}-{replica}", self.server.as_ref().unwrap().books.name)
    }

    fn policy_with(&self, store: &str, parts: &[String]) -> String {
        let text = format!("[server]\ndrain = \"20s\"\n[store]\n{store}\n{}\n", parts.join("\n"));
        let text = text.replace("{folder}", &self.folder.0.display().to_string());
        text.replace("{simulator}", &format!("http://{}", self.simulator.addr()))
    }

    pub fn policy_file(&self) -> PathBuf {
        self.path("gateway.toml")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    /// So many gateways on the same books, from 1; each follows [`Site::replica_file`] of its number.
    pub async fn replicas(&self, count: usize, policy: &[String]) -> Vec<Gateway> {
        let begun = (1..=count).map(|number| {
            self.edit_replica(number, policy);
            self.replica(number)
        });
        futures_util::future::join_all(begun.collect::<Vec<_>>()).await
    }

    /// Starts a replica on the policy that it was given, as after a crash.
    pub async fn replica(&self, number: usize) -> Gateway {
        self.gateway_of(&self.serve_by(&self.replica_file(number))).await
    }

    pub fn replica_file(&self, number: usize) -> PathBuf {
        self.path(&format!("replica-{number}.toml"))
    }

    /// Writes a replica's policy, and leaves it to the gateway to notice.
    pub fn edit_replica(&self, number: usize, policy: &[String]) {
        let beside = self.path(&format!("replica-{number}.toml.new"));
        std::fs::write(&beside, self.policy_with(&self.store(number), policy)).unwrap();
        std::fs::rename(beside, self.replica_file(number)).unwrap();
    }

    /// Cuts every connection of a replica to the server, as a network does.
    pub fn cut_off(&self, number: usize) {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name =";
        let count = self.number(&format!("{cut} '{}'", self.name_of(number)));
        assert!(count > 0, "replica {number} had no connections");
    }

    /// A gateway that serves.
    pub async fn gateway(&self) -> Gateway {
        self.gateway_of(&self.serve()).await
    }

    /// Likewise, started by this command line.
    pub async fn gateway_of(&self, command: &[String]) -> Gateway {
        let process = Process::start(command);
        let mut at = None;
        eventually("the gateway serves", || {
            at = process.serving_at();
            at.is_some() || process.has_ended()
        })
        .await;
        let Some((address, admin)) = at else { panic!("the gateway did not start:\n{}", process.log()) };
        Gateway { process, address, admin }
    }

    /// The command line of a gateway on free ports.
    pub fn serve(&self) -> Vec<String> {
        self.serve_by(&self.policy_file())
    }

    fn serve_by(&self, policy_file: &std::path::Path) -> Vec<String> {
        let anywhere = "127.0.0.1:0";
        let config = policy_file.display().to_string();
        [BINARY, "serve", "--config", &config, "--listen", anywhere, "--admin", anywhere].map(str::to_owned).to_vec()
    }

    /// Runs a command of the binary to its end, in this site's folder.
    pub fn run(&self, args: &[&str]) -> Output {
        run_in(&self.folder.0, args)
    }

    /// The database file, for looking only.
    pub fn books(&self) -> Connection {
        Connection::open_with_flags(self.path("books/books.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
    }

    /// The database file that a dead gateway left: what it was doing has to be rolled back to be read. The
    /// log stays where it is, for the next gateway.
    pub fn books_left_behind(&self) -> Connection {
        let books = Connection::open_with_flags(self.path("books/books.db"), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        books.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        books
    }

    /// Whether no gateway has come to making books yet.
    pub fn has_no_books(&self) -> bool {
        match &self.server {
            None => !self.path("books/books.db").exists(),
            Some(_) => self.rows("SELECT to_regclass('ledger')") == [[""]],
        }
    }

    /// What the books answer that a dead gateway left.
    pub fn rows_left_behind(&self, select: &str) -> Vec<Vec<String>> {
        if self.server.is_some() { self.rows(select) } else { rows_of(&self.books_left_behind(), select) }
    }

    /// What became of the jobs of an intent, for who has to find out what went wrong.
    pub fn jobs_of(&self, intent: &str) -> Vec<String> {
        let select = format!(
            "SELECT concat_ws(' ', id, state, route, attempts, upstream_id, error_code, attempted_at_ms, ended_at_ms)
            FROM jobs WHERE prompt LIKE '%#intent:{intent}'"
        );
        self.rows_left_behind(&select).concat()
    }

    /// The rows that `SELECT` answers, as text; nothing is an empty text.
    pub fn rows(&self, select: &str) -> Vec<Vec<String>> {
        if let Some(server) = &self.server {
            return query(&server.books.address, select);
        }
        rows_of(&self.books(), select)
    }

    /// What `SELECT` answers in its one number.
    pub fn number(&self, select: &str) -> i64 {
        let rows = self.rows(select);
        rows.first().and_then(|row| row.first()?.parse().ok()).unwrap_or_else(|| panic!("{select}: {rows:?}"))
    }

    /// Waits until every job has ended.
    pub async fn until_quiet(&self) {
        self.until_quiet_for(PATIENCE).await;
    }

    /// Likewise, for so long.
    pub async fn until_quiet_for(&self, patience: Duration) {
        let open = "SELECT count(*) FROM jobs WHERE ended_at_ms IS NULL";
        let began = Instant::now();
        while self.number(open) > 0 {
            assert!(began.elapsed() < patience, "these never end: {:?}", self.open_jobs());
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// How many jobs have not ended, by their state.
    fn open_jobs(&self) -> Vec<Vec<String>> {
        self.rows("SELECT state, count(*) FROM jobs WHERE ended_at_ms IS NULL GROUP BY state")
    }

    /// The provider's bill is what the books say was spent or is held, to the micro-dollar and line by
    /// line; and nobody's wish was ordered twice.
    pub fn settle_up(&self) {
        self.settle_up_for(|_| 1);
    }

    /// Likewise, where a wish may have been wished for more than once.
    pub fn settle_up_for(&self, wished: impl Fn(&str) -> usize) {
        let bill = self.simulator.bill();
        let mut lines: HashMap<&str, i64> = bill.jobs.iter().map(|job| (job.upstream_id.as_str(), job.microusd)).collect();
        let select = "SELECT upstream_id, coalesce((SELECT amount_microusd FROM ledger WHERE job_id = jobs.id AND kind = 'settle'),
            CASE WHEN ended_at_ms IS NULL THEN price_microusd ELSE 0 END) FROM jobs";
        let mut booked = 0;
        for row in self.rows(select) {
            let (upstream_id, amount): (_, i64) = (&row[0], row[1].parse().unwrap());
            booked += amount;
            let billed = if upstream_id.is_empty() { Some(0) } else { lines.remove(upstream_id.as_str()) };
            assert_eq!(billed, Some(amount), "{upstream_id:?} on the bill, and in the books");
        }
        assert_eq!(lines, HashMap::new(), "billed, and in nobody's books");
        assert_eq!(booked, bill.total_microusd);
        let mut intents: HashMap<&str, usize> = HashMap::new();
        for intent in bill.jobs.iter().filter_map(|job| job.intent.as_deref()) {
            *intents.entry(intent).or_default() += 1;
        }
        let twice = intents.into_iter().find(|(intent, ordered)| *ordered > wished(intent));
        assert_eq!(twice, None, "ordered more often than it was wished for");
    }

    /// A gateway on the same books whose clock can be turned.
    pub async fn gateway_in_this_process(&self) -> filmgate::Running {
        let anywhere = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let settings = filmgate::Settings { config: self.policy_file(), listen: anywhere, admin: anywhere, reconcile_only: false };
        filmgate::start(settings).await.unwrap_or_else(|why| panic!("{why:?}"))
    }
}

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_filmgate");

/// Runs a command of the binary to its end.
pub fn run_in(folder: &std::path::Path, args: &[&str]) -> Output {
    Command::new(BINARY).args(args).current_dir(folder).env("FILMGATE_LOG", "info").output().unwrap()
}

/// A process, and what it says to standard error; killed when dropped.
pub struct Process {
    child: Mutex<Child>,
    said: Arc<Mutex<String>>,
    /// Who listens to it, until it has said everything.
    listener: Mutex<Option<JoinHandle<()>>>,
}

impl Process {
    /// Starts a program.
    pub fn start(command: &[String]) -> Self {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .env("FILMGATE_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|why| panic!("{command:?}: {why}"));
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, all) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&said));
        let listener = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                all.lock().unwrap_or_else(PoisonError::into_inner).push_str(&(line + "\n"));
            }
        });
        Self { child: Mutex::new(child), said, listener: Mutex::new(Some(listener)) }
    }

    pub fn id(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// What it said to standard error so far.
    pub fn log(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(sent.success(), "no {name} could be sent");
    }

    pub fn has_ended(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_some()
    }

    /// How it ended, if it does within that time; what it said at last is in its log then.
    pub async fn ends_within(&self, time: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        loop {
            let ended = self.child.lock().unwrap().try_wait().unwrap();
            if ended.is_some() {
                let listener = self.listener.lock().unwrap().take();
                listener.into_iter().for_each(|listener| listener.join().unwrap());
            }
            if ended.is_some() || began.elapsed() > time {
                return ended;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// The two addresses that it says it serves at, once it does.
    pub fn serving_at(&self) -> Option<(SocketAddr, SocketAddr)> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains(" serving "))?;
        let field = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok());
        Some((field("address=")?, field("admin=")?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the gateway said:\n{}", self.log());
        }
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A gateway that serves.
pub struct Gateway {
    pub process: Process,
    pub address: SocketAddr,
    pub admin: SocketAddr,
}

impl Gateway {
    pub fn tenant(&self, name: &str) -> Client {
        Client::new(self.address).bearer(&key_of(name))
    }

    pub fn operator(&self) -> Client {
        Client::new(self.admin)
    }

    /// Memory that the process has in use.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Waits until it is so.
pub async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "it never came about that {what}");
        tokio::time::sleep(GLANCE).await;
    }
}
