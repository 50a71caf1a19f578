//! A PostgreSQL server of our own, for tests: made, started, stopped and removed by whoever holds it.
//!
//! It listens on a Unix socket in its own folder and nowhere else, and syncs to the disk as a real one does. A guard
//! keeps it, in a process of its own, and removes it when the holder is dropped or the test's process ends in
//! whatever way. Beside the guard nothing is forked: a child would hold the files that are locked in other tests.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A server.
pub struct Cluster {
    folder: PathBuf,
    guard: Child,
    orders: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
}

/// Where the books of one gateway, or of several, are.
pub struct Books {
    /// Their schema.
    pub name: String,
    /// What `[store] url` says.
    pub address: String,
}

/// What is enough for tests, and gentle on the machine.
const SETTINGS: [&str; 9] = [
    "listen_addresses = ''",
    "max_connections = 120",
    "shared_buffers = '32MB'",
    "max_wal_size = '256MB'",
    "fsync = on",
    "recovery_init_sync_method = syncfs",
    "full_page_writes = on",
    "synchronous_commit = on",
    "log_min_messages = 'warning'",
];

impl Cluster {
    /// Makes one and starts it.
    pub fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("filmgate-pg-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&folder).unwrap();
        let mut guard = Command::new("sh")
            .args(["-c", include_str!("guard.sh"), "guard"])
            .args(SETTINGS)
            .arg(format!("unix_socket_directories = '{}'", folder.display()))
            .env("FOLDER", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let orders = guard.stdin.take().zip(guard.stdout.take().map(BufReader::new));
        let cluster = Self { folder, guard, orders: Mutex::new(orders) };
        cluster.heard();
        cluster
    }

    /// Starts a server that was stopped, and waits until it takes connections.
    #[allow(dead_code, reason = "not everybody who includes this file stops it")]
    pub fn start_again(&self) {
        self.order("start");
    }

    /// Stops the server as a power cut would: no farewell, no checkpoint.
    #[allow(dead_code, reason = "not everybody who includes this file stops it")]
    pub fn stop_at_once(&self) {
        self.order("stop");
    }

    #[allow(dead_code, reason = "not everybody who includes this file stops it")]
    fn order(&self, order: &str) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(orders.as_mut().unwrap().0, "{order}").unwrap();
        drop(orders);
        self.heard();
    }

    /// Waits until the guard has done what it was told.
    fn heard(&self) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = String::new();
        orders.as_mut().unwrap().1.read_line(&mut answer).unwrap();
        let said = |name| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        assert_eq!(
            answer,
            "done\n",
            "PostgreSQL does not start or stop; is it installed (`apt-get install postgresql`)?\n{}{}{}",
            said("guard.log"),
            said("initdb.log"),
            said("log")
        );
    }

    /// Makes empty books: a schema, which is made in a tenth of the time of a database.
    pub fn books(&self) -> Books {
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        self.sql(&format!("CREATE SCHEMA {name}"));
        let address = format!("{}?application_name={name}&options=-c%20search_path%3D{name}", self.address());
        Books { name, address }
    }

    /// The address of the server, and of its only database.
    pub fn address(&self) -> String {
        format!("postgres://filmgate@{}/postgres", self.folder.to_string_lossy().replace('/', "%2F"))
    }

    /// How many are connected to some books.
    #[allow(dead_code, reason = "not everybody who includes this file opens books twice")]
    pub fn connected(&self, books: &Books) -> usize {
        let rows = self.sql(&format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{}'", books.name));
        rows[0][0].parse().unwrap()
    }

    /// Removes some books.
    fn remove(&self, books: &Books) {
        self.sql(&format!("DROP SCHEMA {} CASCADE", books.name));
    }

    /// The rows that a statement answers, as text.
    pub fn sql(&self, statement: &str) -> Vec<Vec<String>> {
        query(&self.address(), statement)
    }
}

/// The rows that a statement answers at an address, as text; nothing is an empty text.
pub fn query(address: &str, statement: &str) -> Vec<Vec<String>> {
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(address, NoTls).await.unwrap();
            tokio::select! {
                ended = connection => panic!("{statement}: {ended:?}"),
                rows = rows(&client, statement) => rows,
            }
        })
    };
    // A thread of its own, since the caller's may be at somebody else's future.
    std::thread::scope(|scope| scope.spawn(ask).join()).unwrap()
}

async fn rows(client: &Client, statement: &str) -> Vec<Vec<String>> {
    let messages = client.simple_query(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|column| row.get(column).unwrap_or_default().to_owned()).collect()),
        _ => None,
    });
    rows.collect()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.orders.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        drop(self.guard.wait());
    }
}

/// Empty books on the server that all tests of a program share while any of them needs one; removed when dropped.
pub struct Emptied {
    /// Where they are.
    pub books: Books,
    /// The server.
    pub cluster: Arc<Cluster>,
}

impl Emptied {
    /// New ones; the first in a while wait until the server has started.
    pub fn new() -> Self {
        static SHARED: OnceLock<Mutex<Weak<Cluster>>> = OnceLock::new();
        let mut shared = SHARED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = shared.upgrade().unwrap_or_else(|| Arc::new(Cluster::start()));
        *shared = Arc::downgrade(&cluster);
        drop(shared);
        Self::on(cluster)
    }

    /// New ones on that server.
    #[allow(dead_code, reason = "not everybody who includes this file has a server to itself")]
    pub fn on(cluster: Arc<Cluster>) -> Self {
        Self { books: cluster.books(), cluster }
    }
}

impl Drop for Emptied {
    fn drop(&mut self) {
        // Whose gateways still live may be in the way, and the server goes with its last user.
        if !std::thread::panicking() {
            self.cluster.remove(&self.books);
        }
    }
}
