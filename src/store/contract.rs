//! What every store must do, written once against the trait and run for each database.
//!
//! A case is a function that is handed a world with an empty database. After each, the world is
//! closed and opened again, everything that was answered must still be there, and the books must add
//! up. To add a case: write it and add its line. To add a database: add its line to [`DATABASES`].

mod accounts;
mod caps;
#[path = "../../tests/cluster/mod.rs"]
pub mod cluster;
mod corrections;
mod halts;
mod history;
mod life;
mod lists;
mod money;
mod notices;
mod polls;
mod queue;
mod reconcile;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use futures_util::future::BoxFuture;

pub use self::cluster::Emptied;
use super::{Balance, Facts, Job, NewAttempt, NewJob, OpenError, Postgres, Sqlite, Store};
use crate::budget::{Account, Booking, Period};
use crate::clock::Timestamp;
use crate::id::{AccountId, AttemptId, Home, JobId, ModelName, RouteName, TenantName};
use crate::job::{Event, step};
use crate::money::MicroUsd;
use crate::video::{Extras, Seconds, Size};

/// A database that the suite is run for: it can be opened, and opened again after it was closed.
pub trait Database: Send + Sync {
    /// Opens it; the first time it is empty.
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>>;
}

/// Makes an empty database, which is gone when it is dropped.
type Fresh = fn() -> Box<dyn Database>;

/// Every database there is.
const DATABASES: &[(&str, Fresh)] = &[("sqlite", || Box::new(Folder::new())), ("postgres", || Box::new(Emptied::new()))];

type Case = fn(World) -> BoxFuture<'static, ()>;

/// Every case there is, by what it shows.
const CASES: &[(&str, Case)] = &[
    ("a cap for fifty jobs takes exactly fifty of two hundred at once", |w| Box::pin(money::exact_cap(w))),
    ("the cap of every account counts, in order", |w| Box::pin(money::refusals_in_order(w))),
    ("a refusal leaves nothing behind", |w| Box::pin(money::refusal_leaves_nothing(w))),
    ("a key's and an end user's cap count with their tenant's, or nothing is booked", |w| Box::pin(caps::all_or_nothing(w))),
    ("an end user's cap takes exactly what fits of two hundred at once", |w| Box::pin(caps::exact(w))),
    ("a cap that is passed takes nothing, not even what costs nothing", |w| Box::pin(caps::passed(w))),
    ("a new cap of a key or an end user knows what was spent before it", |w| Box::pin(caps::newer_than_its_jobs(w))),
    ("who has used most of a cap is told first", |w| Box::pin(caps::fullest(w))),
    ("any name of an end user is an account of its own", |w| Box::pin(caps::any_name(w))),
    ("a lowered cap lets what is held stand", |w| Box::pin(money::lowered_cap(w))),
    ("places in flight are exact", |w| Box::pin(money::places(w))),
    ("a hold ends once, whoever races for it", |w| Box::pin(money::ends_once(w))),
    ("the end books to the period of the hold", |w| Box::pin(money::period_of_the_hold(w))),
    ("a reported cost is settled up to the hold", |w| Box::pin(money::reported_cost(w))),
    ("a failover moves the hold to the next route", |w| Box::pin(money::failover(w))),
    ("a release gives everything back", |w| Box::pin(money::release(w))),
    ("amounts at the end of the range are refused", |w| Box::pin(money::overflow(w))),
    ("a job reads back as it was written", |w| Box::pin(life::reads_back(w))),
    ("only the latest version of a job moves on", |w| Box::pin(life::compare_and_set(w))),
    ("progress never goes backwards", |w| Box::pin(life::progress(w))),
    ("an upstream id belongs to one job of a route", |w| Box::pin(life::duplicate(w))),
    ("a lease is exclusive until it lapses", |w| Box::pin(polls::exclusive(w))),
    ("a step ends the lease and sets the next look", |w| Box::pin(polls::step_ends_claim(w))),
    ("what is due is told and claimed route by route", |w| Box::pin(polls::by_route(w))),
    ("jobs without news are put off together", |w| Box::pin(polls::postpone(w))),
    ("a job that was seen in passing is put off unless it is claimed", |w| Box::pin(polls::postpone_unclaimed(w))),
    ("jobs are found by what their route calls them", |w| Box::pin(polls::of_upstream(w))),
    ("a bell during a question is not lost", |w| Box::pin(polls::bell_during_question(w))),
    ("a budget that was changed shows at once what its period has cost", |w| Box::pin(money::followed_budget(w))),
    ("a budget of another kind of period knows what was spent in it", |w| Box::pin(money::other_period(w))),
    ("a key makes one job until that is released", |w| Box::pin(life::keys(w))),
    ("a resend claims what was wished for alike", |w| Box::pin(life::claims(w))),
    ("a hastened job is due at once", |w| Box::pin(polls::hasten(w))),
    ("what was being sent when we died is unknown", |w| Box::pin(life::recover(w))),
    ("nobody waits for a time that is far ahead", |w| Box::pin(polls::waits_end(w))),
    ("the ledger's times only ascend", |w| Box::pin(money::ledger_ascends(w))),
    ("a late reply finds its job", |w| Box::pin(life::late_reply(w))),
    ("an attempt leads to its job", |w| Box::pin(life::of_attempt(w))),
    ("a job has a file of its attempts and its money", |w| Box::pin(life::file(w))),
    ("lists page in both directions without a gap", |w| Box::pin(lists::pages(w))),
    ("any text is a position in a list", |w| Box::pin(lists::any_cursor(w))),
    ("a deleted job is gone for its tenant and stays in the books", |w| Box::pin(lists::remove(w))),
    ("of many jobs, the deleted ones are told", |w| Box::pin(lists::deleted_among(w))),
    ("a foreign tenant sees nothing", |w| Box::pin(lists::foreign_tenant(w))),
    ("characters are a tenant's own", |w| Box::pin(lists::characters(w))),
    ("the report adds up by day and route", |w| Box::pin(lists::report(w))),
    ("the report tells keys and end users apart, and whoever is none of them", |w| Box::pin(lists::report_by_payer(w))),
    ("the overview counts what is open", |w| Box::pin(lists::overview(w))),
    ("the overview tells the periods that run", |w| Box::pin(lists::overview_of_running_periods(w))),
    ("a lost job holds its money until policy ends it", |w| Box::pin(corrections::lost(w))),
    ("what nobody can explain is in suspense once", |w| Box::pin(corrections::unexplained(w))),
    ("a correction is a line of its own", |w| Box::pin(corrections::corrections(w))),
    ("a released job that was made after all is paid for", |w| Box::pin(corrections::found_after_all(w))),
    ("a job that counts as spent may turn up", |w| Box::pin(corrections::given_up(w))),
    ("what a person decides is noted in the ledger", |w| Box::pin(corrections::notes(w))),
    ("a job that is found takes its charge out of suspense", |w| Box::pin(corrections::found_in_suspense(w))),
    ("books from a backup say so until somebody has looked", |w| Box::pin(reconcile::mode(w))),
    ("a route's attempts are told with what they cost", |w| Box::pin(reconcile::booked(w))),
    ("a halt goes on until somebody ends it", |w| Box::pin(halts::life(w))),
    ("of many who halt or resume at once, one does", |w| Box::pin(halts::once(w))),
    ("a step owes its notice, or neither is written", |w| Box::pin(notices::of_a_step(w))),
    ("the use of a cap is told once for each mark", |w| Box::pin(notices::of_a_cap(w))),
    ("claims of notices go round the addressees", |w| Box::pin(notices::round(w))),
    ("a notice is tried until it is taken or dead", |w| Box::pin(notices::life(w))),
    ("what was told is forgotten in time", |w| Box::pin(notices::forgotten(w))),
    ("who waits holds money and no place", |w| Box::pin(queue::holds_money_and_no_place(w))),
    ("one takes a job out of the line, and it comes back to its place", |w| Box::pin(queue::out_and_back(w))),
    ("who was turned away may wait", |w| Box::pin(queue::after_an_attempt(w))),
    ("as many wait as may, exactly", |w| Box::pin(queue::bounded(w))),
    ("waiting ends, and gives everything back", |w| Box::pin(queue::ends(w))),
    ("an attempt says to which account it was sent", |w| Box::pin(accounts::written_down(w))),
    ("what is due in two accounts of a route is claimed apart", |w| Box::pin(accounts::due_apart(w))),
    ("two accounts of a route may call two jobs the same", |w| Box::pin(accounts::same_id(w))),
    ("a new account of a route has places of its own", |w| Box::pin(accounts::places(w))),
    ("the signing key outlives a restart", |w| Box::pin(lists::signing_key(w))),
];

#[test]
fn every_store_keeps_the_contract() {
    let mut failed = Vec::new();
    for (database, fresh) in DATABASES {
        for (name, case) in CASES {
            // A thread of its own, so that one case's panic does not hide the others.
            let run = move || {
                let database: Arc<dyn Database> = fresh().into();
                block_on(async { case(World::new(Arc::clone(&database)).await).await });
                block_on(adds_up(&*database));
            };
            if thread::spawn(run).join().is_err() {
                failed.push(format!("{database}: {name}"));
            }
        }
    }
    assert!(failed.is_empty(), "broken:\n{}", failed.join("\n"));
}

/// Opens a database again and has its books checked.
async fn adds_up(database: &dyn Database) {
    assert_eq!(database.open().await.audit().await, Ok(Vec::new()));
}

/// Runs a future on a thread that has nothing else to do.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A folder for a SQLite file, removed with everything in it.
pub struct Folder(pub PathBuf);

impl Folder {
    /// A new one.
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("filmgate-store-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Where the database is.
    pub fn file(&self) -> PathBuf {
        self.0.join("gateway.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Database for Folder {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        Box::pin(async { Arc::new(Sqlite::open(&self.file()).unwrap()) as Arc<dyn Store> })
    }
}

impl Database for Emptied {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        Box::pin(async {
            // Who closed it before may still be taking leave.
            while self.cluster.connected(&self.books) > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            Arc::new(Postgres::open(&self.books.address).await.unwrap()) as Arc<dyn Store>
        })
    }
}

/// A database that is open, and words to act on it with.
pub struct World {
    database: Arc<dyn Database>,
    /// The store under test.
    pub store: Arc<dyn Store>,
}

/// The moment at which nothing special happens: 2026-11-23T08:00:00Z.
pub const NOON: Timestamp = Timestamp::from_secs(1_795_420_800);

impl World {
    /// Opens a database.
    pub async fn new(database: Arc<dyn Database>) -> Self {
        Self { store: database.open().await, database }
    }

    /// Closes the database and opens it again.
    pub async fn restart(self) -> Self {
        let Self { database, store } = self;
        drop(store);
        Self::new(database).await
    }

    /// Opens a job as wished.
    pub async fn open(&self, wish: &Wish) -> Result<Arc<Job>, OpenError> {
        let (job, attempt) = wish.parts();
        self.store.open_job(job, attempt).await
    }

    /// What happened to a job, with nothing learnt.
    pub async fn see(&self, job: &Job, event: Event) -> Arc<Job> {
        self.learn(job, event, Facts::default()).await
    }

    /// What happened to a job, and what was learnt.
    pub async fn learn(&self, job: &Job, event: Event, facts: Facts) -> Arc<Job> {
        self.store.apply(job, step(job.state, event).unwrap(), facts, NOON).await.unwrap()
    }

    /// A job that the upstream has and is at work on.
    pub async fn running(&self, wish: &Wish, upstream_id: &str) -> Arc<Job> {
        let job = self.open(wish).await.unwrap();
        let facts = Facts { upstream_id: Some(upstream_id.to_owned()), due_at: Some(NOON), ..Facts::default() };
        let job = self.learn(&job, Event::Accepted, facts).await;
        self.see(&job, Event::Running).await
    }

    /// What is held and spent on an account in a period.
    pub async fn balance(&self, account: &Account, period: &str) -> (i64, i64) {
        let found = self.store.balance(account, period).await.unwrap();
        found.map_or((0, 0), |Balance { held, spent, .. }| (held.get(), spent.get()))
    }

    /// What is held and spent on every account of a wish, in the order gateway, tenant, route.
    pub async fn balances(&self, wish: &Wish) -> [(i64, i64); 3] {
        let key = &wish.period.key;
        [
            self.balance(&Account::Gateway, key).await,
            self.balance(&tenant(wish.tenant), key).await,
            self.balance(&route(wish.route), key).await,
        ]
    }
}

/// A tenant's account.
pub fn tenant(name: &str) -> Account {
    Account::Tenant(TenantName::new(name))
}

/// A route's account.
pub fn route(name: &str) -> Account {
    Account::Route(RouteName::new(name))
}

/// The account of one of a tenant's keys.
pub fn key(tenant: &str, name: &str) -> Account {
    Account::Key(TenantName::new(tenant), name.to_owned())
}

/// The account of one of a tenant's end users.
pub fn user(tenant: &str, name: &str) -> Account {
    Account::User(TenantName::new(tenant), Some(name.to_owned()))
}

/// What a case wishes for; amounts in micro-dollars.
#[derive(Clone)]
pub struct Wish {
    pub tenant: &'static str,
    pub route: &'static str,
    /// The account that the route has.
    pub account: &'static str,
    pub ceiling: i64,
    pub price: i64,
    pub period: Period,
    pub gateway_cap: Option<i64>,
    pub tenant_cap: Option<i64>,
    pub route_cap: Option<i64>,
    /// By which key it is ordered, and that key's cap.
    pub key: Option<(&'static str, Option<i64>)>,
    /// For which end user, and that one's cap.
    pub user: Option<(&'static str, Option<i64>)>,
    pub tenant_max: Option<u32>,
    pub route_max: Option<u32>,
    pub fingerprint: [u8; 32],
    pub idempotency_key: Option<&'static str>,
    pub marks: Option<&'static [u8]>,
    pub at: Timestamp,
}

impl Wish {
    /// Eighty cents, no caps, nothing special.
    pub fn plain() -> Self {
        Self {
            tenant: "acme",
            route: "north",
            account: "0123456789abcdef-fedcba9876543210",
            ceiling: 800_000,
            price: 800_000,
            period: Period::total(),
            gateway_cap: None,
            tenant_cap: None,
            route_cap: None,
            key: None,
            user: None,
            tenant_max: None,
            route_max: None,
            fingerprint: [0; 32],
            idempotency_key: None,
            marks: None,
            at: NOON,
        }
    }

    fn booking(&self, account: Account, cap: Option<i64>) -> Booking {
        Booking { account, period: self.period.clone(), cap: cap.map(MicroUsd::new), marks: self.marks.map(<[u8]>::to_vec) }
    }

    fn bookings(&self) -> Vec<Booking> {
        let mut bookings = vec![self.booking(Account::Gateway, self.gateway_cap), self.booking(tenant(self.tenant), self.tenant_cap)];
        let capped = |named: Option<(&'static str, Option<i64>)>| named.and_then(|(name, cap)| Some((name, cap?)));
        bookings.extend(capped(self.key).map(|(name, cap)| self.booking(key(self.tenant, name), Some(cap))));
        bookings.extend(capped(self.user).map(|(name, cap)| self.booking(user(self.tenant, name), Some(cap))));
        bookings
    }

    /// The wish as the store takes it.
    pub fn parts(&self) -> (NewJob, NewAttempt) {
        let job = NewJob {
            id: JobId::mint(),
            tenant: TenantName::new(self.tenant),
            operation: "create",
            model: ModelName::new("sora-2"),
            prompt: "a fox in the snow".to_owned(),
            source: None,
            hidden_inputs: false,
            extras: Extras::new(),
            end_user: self.user.map(|(user, _)| user.to_owned()),
            residency: None,
            key_name: self.key.map(|(key, _)| key.to_owned()),
            ceiling: MicroUsd::new(self.ceiling),
            bookings: self.bookings(),
            tenant_in_flight_max: self.tenant_max,
            charge: None,
            fingerprint: self.fingerprint,
            idempotency_key: self.idempotency_key.map(str::to_owned),
            at: self.at,
        };
        (job, self.attempt())
    }

    /// Where an attempt at it is.
    pub fn home(&self) -> Home {
        Home { route: RouteName::new(self.route), account: Some(AccountId::new(self.account)) }
    }

    /// Another attempt at the wish.
    pub fn attempt(&self) -> NewAttempt {
        NewAttempt {
            id: AttemptId::mint(),
            route: RouteName::new(self.route),
            account: AccountId::new(self.account),
            upstream_model: "sora-2".to_owned(),
            seconds: Seconds::new(8).unwrap(),
            size: Size::DEFAULT,
            price: MicroUsd::new(self.price),
            booking: self.booking(route(self.route), self.route_cap),
            in_flight_max: self.route_max,
            tenant_in_flight_max: self.tenant_max,
            at: self.at,
            due_at: self.at,
        }
    }
}

/// A month's period; its ends do not matter here.
pub fn month(key: &str) -> Period {
    Period { key: format!("month:{key}"), from: NOON, until: Some(NOON) }
}
