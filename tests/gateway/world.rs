//! The world that the tests take place in: tenants who wish, a provider who fails and keeps a bill, a
//! policy file that can be edited, and a clock.
//!
//! What must *always* hold is asserted when a world ends: the books add up, the provider's bill is what
//! the books say, no error was logged that nobody expected, and no key or prompt was logged at all. A
//! world that is dropped without having ended fails its test, so no test can forget.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use filmgate::simulator::{self, Faults, Outcome, Simulator};
use filmgate::{Running, Settings};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;

use crate::books::Books;
use crate::client::{Answer, Client};

/// Clips of 4 s are then made in less than a tenth of a second.
const FAST: u32 = 1_000;
/// How long anything here may take to come about.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(20);
/// In every prompt of [`Tenant::made`] and in every log that tells what it must not.
const NOT_FOR_LOGS: [&str; 3] = ["whale", "-key-of-this-test", "sk-test-"];

/// A gateway, its provider and its policy file.
pub struct World {
    gateway: Option<Running>,
    pub simulator: Simulator,
    folder: Folder,
    books: Books,
    log: Log,
    expected_errors: Vec<&'static str>,
    bills_failed: bool,
    suspense: i64,
    others: i64,
    _capture: DefaultGuard,
}

impl World {
    /// A gateway with this policy, and a provider that makes clips about at once.
    pub async fn start(policy: &[String]) -> Self {
        Self::at_speed(FAST, policy).await
    }

    /// Likewise, with a provider that many times faster than life: at 1, only [`World::turn_clock`] ends a clip.
    pub async fn at_speed(speed: u32, policy: &[String]) -> Self {
        Self::with_provider(simulator::Settings { speed, ..simulator::Settings::default() }, policy).await
    }

    /// Likewise, with a provider that is set up like this.
    pub async fn with_provider(settings: simulator::Settings, policy: &[String]) -> Self {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::DEBUG).with_ansi(false).with_writer(log.clone()).finish();
        let capture = tracing::subscriber::set_default(subscriber);
        let simulator = simulator::start(settings).await.unwrap();
        let folder = Folder::new();
        let mut world = Self {
            gateway: None,
            simulator,
            books: Books::new(folder.0.join("books.db")),
            folder,
            log,
            expected_errors: Vec::new(),
            bills_failed: false,
            suspense: 0,
            others: 0,
            _capture: capture,
        };
        world.write_policy(policy);
        world.boot().await;
        world
    }

    async fn boot(&mut self) {
        let anywhere = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let settings = Settings { config: self.policy_file(), listen: anywhere, admin: anywhere, reconcile_only: false };
        self.gateway = Some(filmgate::start(settings).await.unwrap_or_else(|why| panic!("{why:?}")));
    }

    pub fn gateway(&self) -> &Running {
        self.gateway.as_ref().expect("it runs between boot and end")
    }

    /// Stops the gateway, which must end by itself, and starts it again on the same books and policy.
    pub async fn restart(&mut self) {
        let clean = self.gateway.take().expect("it runs").stop().await;
        assert!(clean, "the gateway did not stop by itself");
        self.boot().await;
    }

    // ── Whom one meets ──

    pub fn tenant(&self, name: &str) -> Tenant {
        Tenant { client: self.stranger().bearer(&key_of(name)) }
    }

    /// Somebody without a key.
    pub fn stranger(&self) -> Client {
        Client::new(self.gateway().address)
    }

    pub fn operator(&self) -> Client {
        Client::new(self.gateway().admin)
    }

    /// What the provider does wrong from now on.
    pub fn misbehave(&self, faults: Faults) {
        self.simulator.set_faults(faults);
    }

    /// Time passes, for the gateway and for the provider.
    pub fn turn_clock(&self, span: Duration) {
        self.simulator.turn_clock(span);
        self.gateway().turn_clock(span);
    }

    /// Turns both clocks to the next noon, when a day's cap has hours before it begins anew.
    pub fn turn_to_noon(&self) {
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
        self.turn_clock(Duration::from_secs((43_200 + 86_400 - now % 86_400) % 86_400));
    }

    /// The provider's clock is wrong, or righted.
    pub fn turn_providers_clock(&self, span: Duration) {
        self.simulator.turn_clock(span);
    }

    /// The gateway's is.
    pub fn turn_gateways_clock(&self, span: Duration) {
        self.gateway().turn_clock(span);
    }

    // ── What the operator sees ──

    /// How a model stands on a route, as the operator's JSON has it: `closed`, `open`, `half_open`, `gone` or `key_refused`.
    pub async fn standing(&self, route: &str, model: &str) -> String {
        let status = self.route_status(route).await;
        let offers = status["offers"].as_array().unwrap();
        let offer = offers.iter().find(|offer| offer["model"] == *model).unwrap_or_else(|| panic!("{route} has no {model}"));
        offer["state"].as_str().unwrap().to_owned()
    }

    /// What the operator's JSON says of a route.
    pub async fn route_status(&self, route: &str) -> Value {
        let status = self.operator().get("/api/status").await.ok().json();
        let routes = status["routes"].as_array().unwrap();
        routes.iter().find(|shown| shown["name"] == *route).unwrap_or_else(|| panic!("there is no {route}")).clone()
    }

    /// Waits until a model stands like this on a route.
    pub async fn until_standing(&self, route: &str, model: &str, state: &str) {
        let began = Instant::now();
        loop {
            let stands = self.standing(route, model).await;
            if stands == state {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{model} on {route} is {stands} and never {state}");
            tokio::time::sleep(GLANCE).await;
        }
    }

    // ── The policy ──

    pub fn policy_file(&self) -> PathBuf {
        self.path("gateway.toml")
    }

    /// Where this world keeps its files; `{folder}` in a policy.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    /// Writes the file, and leaves it to the gateway to notice.
    pub fn write_policy(&self, policy: &[String]) {
        // What is for the server goes into the one table that there is of it.
        let (server, rest): (Vec<_>, Vec<_>) = policy.iter().partition(|part| part.starts_with("[server]\n"));
        let server: String = server.iter().map(|part| &part["[server]\n".len()..]).collect();
        let mut text = format!("[server]\ndrain = \"10s\"\n{server}\n{}", self.books.policy(&self.folder.0));
        for part in rest {
            writeln!(text, "{part}").unwrap();
        }
        text = text.replace("{folder}", &self.folder.0.display().to_string());
        self.write_file(&text.replace("{simulator}", &format!("http://{}", self.simulator.addr())));
    }

    /// Writes this very text.
    pub fn write_file(&self, text: &str) {
        let beside = self.folder.0.join("gateway.toml.new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, self.policy_file()).unwrap();
    }

    /// Writes the file and has it put in force at once.
    pub async fn edit_policy(&self, policy: &[String]) {
        self.write_policy(policy);
        self.gateway().reload().await;
    }

    // ── The books ──

    /// The books.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// What `SELECT` answers in its one number.
    pub fn number(&self, select: &str) -> i64 {
        self.books.number(select)
    }

    /// Micro-dollars that an account (`tenant:acme`, `route:openai`, `gateway`) has spent, over all periods.
    pub fn spent(&self, account: &str) -> i64 {
        self.number(&format!("SELECT coalesce(sum(spent_microusd), 0) FROM balances WHERE account = '{account}'"))
    }

    /// Micro-dollars that are held for it.
    pub fn held(&self, account: &str) -> i64 {
        self.number(&format!("SELECT coalesce(sum(held_microusd), 0) FROM balances WHERE account = '{account}'"))
    }

    /// Jobs in a state.
    pub fn jobs_in(&self, state: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM jobs WHERE state = '{state}'"))
    }

    /// Orders that the provider has seen so far, of every kind.
    pub fn orders(&self) -> u64 {
        let stats = self.simulator.stats();
        ["create", "remix", "edit", "extend", "make_character"].iter().map(|operation| stats.count(operation)).sum()
    }

    /// What the provider charges as of now.
    pub fn bill(&self) -> i64 {
        self.simulator.bill().total_microusd
    }

    // ── The end ──

    /// The log must have an error that contains this.
    pub fn expect_error(&mut self, text: &'static str) {
        self.expected_errors.push(text);
    }

    /// The provider, unlike the simulator's bill, charges for what fails.
    pub fn bill_failures(&mut self) {
        self.bills_failed = true;
    }

    /// So many micro-dollars on the bill are for nobody's job, and the books say so.
    pub fn expect_suspense(&mut self, microusd: i64) {
        self.suspense = microusd;
        self.expect_error("that no job explains");
    }

    /// So many micro-dollars on the bill are somebody else's, who orders on the same account.
    pub fn expect_others(&mut self, microusd: i64) {
        self.others = microusd;
    }

    /// Everything that was logged on this test's thread.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lines()).into_owned()
    }

    /// Lets what is under way end, stops, and asserts what must always hold.
    pub async fn end(mut self) {
        self.misbehave(Faults::default());
        self.simulator.turn_clock(Duration::from_secs(3_600));
        let known = "SELECT count(*) FROM jobs WHERE state IN ('submitting', 'accepted', 'running')";
        let lost = self.simulator.bill().jobs.iter().filter(|job| job.lost).count();
        eventually("every job that can end has ended", || self.number(known) <= i64::try_from(lost).unwrap_or(0)).await;
        assert_eq!(self.gateway().audit().await, Vec::<String>::new(), "the books do not add up");
        self.compare_bill_with_books();
        let gateway = self.gateway.take().expect("it runs");
        assert!(gateway.stop().await, "the gateway did not stop by itself");
        self.read_log();
    }

    /// The provider's bill, line by line, is what the books say was spent or is still held.
    fn compare_bill_with_books(&self) {
        let bill = self.simulator.bill();
        let mut unexplained: HashMap<&str, i64> = bill.jobs.iter().map(|line| (line.upstream_id.as_str(), line.microusd)).collect();
        let (mut booked, mut unknown, mut written_off) = (0, 0, 0);
        for entry in self.entries() {
            let Some(upstream_id) = &entry.upstream_id else {
                written_off += entry.settled.unwrap_or(0);
                unknown += if entry.state == "unknown" { entry.price } else { 0 };
                continue;
            };
            let line = bill.jobs.iter().find(|line| &line.upstream_id == upstream_id);
            let line = line.unwrap_or_else(|| panic!("{} says that it is {upstream_id}, which nobody bills", entry.id));
            let expected = entry.settled.unwrap_or(if line.outcome == Outcome::Failed { 0 } else { entry.price });
            let failed_and_billed = self.bills_failed && line.outcome == Outcome::Failed && entry.state == "failed";
            let expected = if failed_and_billed { expected - entry.price } else { expected };
            assert_eq!(line.microusd, expected, "{} is {} and has {:?} settled", entry.id, entry.state, entry.settled);
            booked += expected;
            unexplained.remove(upstream_id.as_str());
        }
        let unexplained: i64 = unexplained.values().sum();
        assert_eq!(bill.total_microusd, booked + unexplained);
        assert!(
            (written_off..=written_off + unknown).contains(&(unexplained - self.suspense - self.others)),
            "{unexplained} on the bill belongs to no job of ours; {written_off} was written off and {unknown} is held for unknown outcomes"
        );
        assert_eq!(self.number("SELECT coalesce(sum(amount_microusd), 0) FROM ledger WHERE job_id IS NULL"), self.suspense);
        assert_eq!(self.number("SELECT count(*) FROM ledger WHERE kind = 'overrun'"), 0);
    }

    fn entries(&self) -> Vec<Entry> {
        let select = "SELECT id, state, (SELECT upstream_id FROM attempts WHERE attempts.id = jobs.attempt), price_microusd,
            (SELECT sum(amount_microusd) FROM ledger WHERE job_id = jobs.id AND kind IN ('settle', 'adjust') AND ended_at_ms IS NOT NULL),
            (SELECT count(*) FROM ledger WHERE job_id = jobs.id AND kind = 'release') FROM jobs";
        self.books.rows(select).iter().map(|row| Entry::read(row)).collect()
    }

    fn read_log(&self) {
        let log = self.log();
        for secret in NOT_FOR_LOGS {
            let told = log.lines().find(|line| line.contains(secret));
            assert_eq!(told, None, "the log tells what it must not");
        }
        let errors: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
        for expected in &self.expected_errors {
            assert!(errors.iter().any(|line| line.contains(expected)), "no error says {expected:?}: {errors:#?}");
        }
        let surprise = errors.iter().find(|line| !self.expected_errors.iter().any(|expected| line.contains(expected)));
        assert_eq!(surprise, None, "an error that nobody expected");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.gateway.is_some() && !std::thread::panicking() {
            panic!("a world that has not ended was not checked: call `end`");
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// A job, as the comparison with the bill needs it.
struct Entry {
    id: String,
    state: String,
    upstream_id: Option<String>,
    price: i64,
    /// What its end cost, once it has one.
    settled: Option<i64>,
}

impl Entry {
    fn read(row: &[String]) -> Self {
        let upstream_id = Some(row[2].clone()).filter(|id| !id.is_empty());
        let settled = row[4].parse().ok().or((row[5] != "0").then_some(0));
        Self { id: row[0].clone(), state: row[1].clone(), upstream_id, price: row[3].parse().unwrap(), settled }
    }
}

// ── Tenants ──

/// Somebody who wishes for clips.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub client: Client,
}

impl Tenant {
    /// Wishes, and takes whatever answer comes.
    pub async fn wish(&self, wish: &Value) -> Answer {
        self.client.post("/v1/videos", wish).await
    }

    /// Wishes, and has the job accepted: the video as it is then.
    pub async fn ordered(&self, wish: &Value) -> Value {
        self.wish(wish).await.ok().json()
    }

    /// Wishes, and waits until the clip is made.
    pub async fn made(&self, wish: &Value) -> Value {
        let ordered = self.ordered(wish).await;
        let video = self.ended(id(&ordered)).await;
        assert_eq!(video["status"], "completed", "{video}");
        video
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.client.get(path).await
    }

    /// The video as it is now.
    pub async fn video(&self, id: &str) -> Value {
        self.get(&format!("/v1/videos/{id}")).await.ok().json()
    }

    /// The video once it has ended.
    pub async fn ended(&self, id: &str) -> Value {
        let began = Instant::now();
        loop {
            let video = self.video(id).await;
            if ["completed", "failed"].iter().any(|end| video["status"] == *end) {
                return video;
            }
            assert!(began.elapsed() < PATIENCE, "{video} never ends");
            tokio::time::sleep(GLANCE).await;
        }
    }
}

/// The id of a video.
pub fn id(video: &Value) -> &str {
    video["id"].as_str().unwrap_or_else(|| panic!("no id in {video}"))
}

/// The key of a tenant.
pub fn key_of(tenant: &str) -> String {
    format!("{tenant}-key-of-this-test")
}

/// Waits until it is so.
pub async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "it never came about that {what}");
        tokio::time::sleep(GLANCE).await;
    }
}

// ── Policies ──

const POLL: &str = "poll = { early = \"100ms\", late = \"100ms\", rate = 60000 }";

/// A tenant who may spend 100 dollars, unless `more` says otherwise.
pub fn tenant(name: &str, more: &str) -> String {
    let hash = Sha256::digest(key_of(name)).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let budget = if more.contains("budget") { "" } else { "budget = { cap = \"100.00\", per = \"month\" }" };
    format!("[tenants.{name}]\nkeys = [\"sha256:{hash}\"]\n{budget}\n{more}\n")
}

/// An account at the simulator in OpenAI's dialect, offering what the published list offers.
pub fn openai(name: &str, more: &str) -> String {
    route(name, "openai", "openai/v1", more, ["sora-2", "sora-2-pro"])
}

/// Likewise in Azure's dialect; `sora-2` is a deployment's name there too.
pub fn azure(name: &str, more: &str) -> String {
    route(name, "azure", "azure/openai/v1", more, ["sora-2", "sora-2-pro"])
}

/// Likewise in CometAPI's.
pub fn cometapi(name: &str, more: &str) -> String {
    route(name, "cometapi", "cometapi/v1", more, ["sora-2", "sora-2-pro"])
}

/// A route to the simulator; the names are what the route calls `sora-2` and `sora-2-pro`.
pub fn route(name: &str, provider: &str, path: &str, more: &str, models: [&str; 2]) -> String {
    let key = if more.contains("api_key") || more.contains("entra") { String::new() } else { format!("api_key = \"sk-test-{name}\"") };
    let poll = if more.contains("poll = ") { "" } else { POLL };
    let [basic, pro] = models;
    format!(
        "[routes.{name}]\nprovider = \"{provider}\"\nbase_url = \"{{simulator}}/{path}\"\n{key}\n{poll}\n{more}\n\
         [routes.{name}.models.sora-2]\nas = \"{basic}\"\nseconds = [4, 8, 12]\nprice = \"0.10\"\n\
         [routes.{name}.models.sora-2-pro]\nas = \"{pro}\"\nseconds = [10, 15, 25]\nprice = {{ \"720p\" = \"0.30\", \"1024p\" = \"0.50\" }}\n"
    )
}

// ── Things ──

/// Where one world keeps its files; gone with it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("world-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind is under `target`, and in nobody's way.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is logged, kept in memory.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
