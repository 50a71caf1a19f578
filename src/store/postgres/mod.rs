//! The store in PostgreSQL, for one gateway or several.
//!
//! Each fact is a transaction of its own at `READ COMMITTED`, which takes the locks of what it moves first:
//! the job's row, then its accounts in the order of their names. That makes money exact whatever the
//! number of replicas. Every answer of a writing method is on the server's disk; when the server is away,
//! everything says so within five seconds. Knows nothing of files: see [`crate::store::Sqlite`].

mod address;
mod books;
mod connections;
mod corrections;
mod fault;
mod halts;
mod migrate;
mod money;
mod notices;
mod polls;
mod presence;
mod queue;
mod read;
mod reconcile;
mod report;
mod rows;
mod session;
mod transaction;
mod wishes;
mod write;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use self::connections::Connections;
use self::fault::Fault;
use self::presence::Presence;
use self::session::Session;
use self::transaction::{ANSWER_WITHIN, Written};
use crate::budget::{Account, Booking};
use crate::clock::Timestamp;
use crate::id::{AttemptId, CharacterId, Home, JobId, NoticeId, RouteName, TenantName};
use crate::job::{State, Step};
use crate::money::MicroUsd;
use crate::notice::{Addressee, NewNotice};
use crate::store::{
    ApplyError, Attempt, Balance, Booked, Character, Correction, CorrectionError, Delivery, Due, Facts, Halt, InLine, Inhabited, Job, Jobs,
    Keyed, Leased, LedgerEntry, Line, NewAttempt, NewJob, NewPlace, Notice, NoticesIn, OpenError, Overview, Page, Payers, Postponed,
    Removed, Report, ReportQuery, Standing, Store, StoreError, Unexplained,
};

/// How long the first connection is waited for, and a migration by others.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How long the books may take to be added up.
const AUDIT_WITHIN: Duration = Duration::from_secs(120);

/// A store in a PostgreSQL database.
pub struct Postgres {
    connections: Connections,
    signing_key: [u8; 32],
    /// Nobody's, if it is open for looking only.
    presence: Option<Presence>,
}

impl Postgres {
    /// Opens the database at `url`, and brings its schema up to date. Refuses one of a newer gateway, and a
    /// server that may lose what it said was written.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let connections = Connections::new(address::read(url)?, false)?;
        let deadline = Instant::now() + START_WITHIN;
        let session = connections.session(deadline).await?;
        migrate::migrate(&session).await?;
        let (identity, signing_key) = Self::know(&connections, &session).await?;
        session.is_done();
        // Two books may share one server, and their gateways must not take each other for their own.
        let kind = identity.first_chunk().map_or(0, |bytes| i32::from_be_bytes(*bytes));
        let presence = Presence::begin(address::read(url)?, kind).await?;
        Ok(Self { connections, signing_key, presence: Some(presence) })
    }

    /// Opens the database at `url` for looking only, beside the gateways that are at it.
    pub async fn open_to_read(url: &str) -> Result<Self, StoreError> {
        let connections = Connections::new(address::read(url)?, true)?;
        let session = connections.session(Instant::now() + ANSWER_WITHIN).await?;
        migrate::is_up_to_date(&session).await?;
        let (_, signing_key) = Self::know(&connections, &session).await?;
        session.is_done();
        Ok(Self { connections, signing_key, presence: None })
    }

    /// Remembers which database this is, and answers that with its secret.
    async fn know(connections: &Connections, session: &Session) -> Result<(Vec<u8>, [u8; 32]), StoreError> {
        let identity = migrate::meta(session, "identity").await?;
        connections.expect(identity.clone());
        let secret = migrate::meta(session, "signing_key").await?;
        let secret = secret.try_into().map_err(|_| StoreError::Damaged("its signing_key is not 32 bytes long".to_owned()))?;
        Ok((identity, secret))
    }

    /// Whose attempts ours are; 0 is nobody.
    fn replica(&self) -> i32 {
        self.presence.as_ref().map_or(0, |presence| presence.number)
    }

    /// Looks something up.
    async fn read<T, F, Fut>(&self, query: F) -> Result<T, StoreError>
    where
        F: Fn(Arc<Session>) -> Fut,
        Fut: Future<Output = Result<T, Fault>>,
    {
        transaction::read(&self.connections, ANSWER_WITHIN, query).await
    }

    /// Looks several things up that belong to one moment.
    async fn read_moment<T, F, Fut>(&self, within: Duration, query: F) -> Result<T, StoreError>
    where
        F: Fn(Arc<Session>) -> Fut,
        Fut: Future<Output = Result<T, Fault>>,
    {
        let query = &query;
        let begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}", within.as_millis());
        let begin = &begin;
        let query = |session: Arc<Session>| async move {
            session.run(begin).await?;
            let found = query(Arc::clone(&session)).await?;
            session.run("COMMIT").await?;
            Ok(found)
        };
        transaction::read(&self.connections, within, query).await
    }

    /// Writes a fact; if nobody answered its commit, says that nobody knows. For facts that may be brought again.
    async fn write<T, E, F, Fut>(&self, fact: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: Fn(Arc<Session>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        match transaction::write(&self.connections, fact).await? {
            Written::Surely(told) => Ok(told),
            Written::Perhaps(_) => {
                Err(StoreError::Unavailable("the connection ended while it was being written; look before you do it again".to_owned())
                    .into())
            }
        }
    }
}

#[async_trait]
impl Store for Postgres {
    async fn open_job(&self, job: NewJob, attempt: NewAttempt) -> Result<Arc<Job>, OpenError> {
        let (job, attempt, replica) = (&job, &attempt, self.replica());
        let fact = |tx: Arc<Session>| async move { write::open_job(&tx, replica, job, attempt).await };
        match transaction::write_in_turn(&self.connections, fact).await? {
            Written::Surely(job) => Ok(job),
            Written::Perhaps(job) => {
                let job = &job;
                self.write(|tx| async move { write::find_opened(&tx, job).await }).await
            }
        }
    }

    async fn open_attempt(&self, job: &Job, attempt: NewAttempt) -> Result<Arc<Job>, OpenError> {
        let (id, version, attempt, replica) = (job.id, job.version, &attempt, self.replica());
        let fact = |tx: Arc<Session>| async move { write::open_attempt(&tx, replica, id, version, attempt).await };
        match transaction::write_in_turn(&self.connections, fact).await? {
            Written::Surely(job) => Ok(job),
            Written::Perhaps(job) => self.find_moved(&job).await?.map_err(|_| OpenError::Moved),
        }
    }

    async fn line_up(&self, job: NewJob, first: NewAttempt, place: NewPlace) -> Result<Arc<Job>, OpenError> {
        let (job, first, place) = (&job, &first, &place);
        let fact = |tx: Arc<Session>| async move { queue::line_up(&tx, job, first, place).await };
        match transaction::write_in_turn(&self.connections, fact).await? {
            Written::Surely(job) => Ok(job),
            Written::Perhaps(job) => {
                let job = &job;
                self.write(|tx| async move { write::find_opened(&tx, job).await }).await
            }
        }
    }

    async fn stand(&self, job: &Job, place: Option<NewPlace>) -> Result<Arc<Job>, OpenError> {
        let (id, version, place) = (job.id, job.version, place.as_ref());
        let fact = |tx: Arc<Session>| async move { queue::stand(&tx, id, version, place).await };
        match transaction::write_in_turn(&self.connections, fact).await? {
            Written::Surely(job) => Ok(job),
            Written::Perhaps(job) => self.find_moved(&job).await?.map_err(|_| OpenError::Moved),
        }
    }

    async fn lines(&self) -> Result<Vec<Line>, StoreError> {
        self.read(|session| async move { queue::lines(&session).await }).await
    }

    async fn heads(&self, tenant: &TenantName, lane: &str, after: Option<JobId>, n: u32) -> Result<Vec<InLine>, StoreError> {
        self.read(|session| async move { queue::heads(&session, tenant, lane, after, n).await }).await
    }

    async fn upload(&self, id: JobId) -> Result<Option<Bytes>, StoreError> {
        self.read(|session| async move { queue::upload(&session, id).await }).await
    }

    async fn out_of_time(&self, now: Timestamp, n: u32) -> Result<Vec<Arc<Job>>, StoreError> {
        self.read(|session| async move { queue::out_of_time(&session, now, n).await }).await
    }

    async fn standing(&self, n: u32) -> Result<Vec<Standing>, StoreError> {
        self.read(|session| async move { queue::standing(&session, n).await }).await
    }

    async fn forget_places(&self) -> Result<u64, StoreError> {
        self.write(|tx| async move { queue::forget_places(&tx).await }).await
    }

    async fn apply(&self, job: &Job, step: Step, facts: Facts, at: Timestamp) -> Result<Arc<Job>, ApplyError> {
        let (id, version, facts) = (job.id, job.version, &facts);
        let fact = |tx: Arc<Session>| async move { write::apply(&tx, id, version, step, facts.clone(), at).await };
        match transaction::write_in_turn(&self.connections, fact).await? {
            Written::Surely(job) => Ok(job),
            Written::Perhaps(job) => self.find_moved(&job).await?.map_err(|_| ApplyError::Moved),
        }
    }

    async fn keyed_job(&self, tenant: &TenantName, key: &str) -> Result<Option<Keyed>, StoreError> {
        self.read(|session| async move { wishes::keyed_job(&session, tenant, key).await }).await
    }

    async fn alike(&self, tenant: &TenantName, fingerprint: &[u8; 32], resend: u32, since: Timestamp) -> Result<Vec<Arc<Job>>, StoreError> {
        self.read(|session| async move { wishes::alike(&session, tenant, fingerprint, resend, since).await }).await
    }

    async fn claim(&self, id: JobId, resend: u32) -> Result<bool, StoreError> {
        self.write(|tx| async move { wishes::claim(&tx, id, resend).await }).await
    }

    async fn job(&self, tenant: &TenantName, id: JobId) -> Result<Option<Arc<Job>>, StoreError> {
        self.read(|session| async move { read::job_of(&session, tenant, id).await }).await
    }

    async fn jobs(&self, tenant: &TenantName, page: Page) -> Result<Jobs, StoreError> {
        let page = &page;
        self.read(|session| async move { read::jobs(&session, tenant, page).await }).await
    }

    async fn remove(&self, tenant: &TenantName, id: JobId, at: Timestamp) -> Result<Removed, StoreError> {
        self.write(|tx| async move { write::remove(&tx, tenant, id, at).await }).await
    }

    async fn inhabited(&self) -> Result<Vec<Inhabited>, StoreError> {
        self.read(|session| async move { polls::inhabited(&session).await }).await
    }

    async fn due(&self, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        self.read(|session| async move { polls::due(&session, now).await }).await
    }

    async fn lease_due(&self, home: &Home, now: Timestamp, lease: Duration, n: u32) -> Result<Leased, StoreError> {
        self.write(|tx| async move { polls::lease_due(&tx, home, now, lease, n).await }).await
    }

    async fn postpone(&self, jobs: Vec<Postponed>, at: Timestamp) -> Result<(), StoreError> {
        let jobs = &jobs;
        self.write(|tx| async move { polls::postpone(&tx, jobs, at).await }).await
    }

    async fn of_upstream(&self, home: &Home, ids: &[String]) -> Result<Vec<Arc<Job>>, StoreError> {
        self.read(|session| async move { polls::of_upstream(&session, home, ids).await }).await
    }

    async fn hasten(&self, route: &RouteName, upstream_id: &str, at: Timestamp) -> Result<bool, StoreError> {
        self.write(|tx| async move { polls::hasten(&tx, route, upstream_id, at).await }).await
    }

    async fn in_state(&self, state: State, route: &RouteName) -> Result<Vec<Arc<Job>>, StoreError> {
        self.read(|session| async move { read::in_state(&session, state, route).await }).await
    }

    async fn known_upstream_ids(&self, home: &Home, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        self.read(|session| async move { read::known_upstream_ids(&session, home, ids).await }).await
    }

    async fn deleted_among(&self, ids: &[JobId]) -> Result<HashSet<JobId>, StoreError> {
        self.read(|session| async move { read::deleted_among(&session, ids).await }).await
    }

    async fn follow_budgets(&self, bookings: Vec<Booking>, at: Timestamp) -> Result<u64, StoreError> {
        let bookings = &bookings;
        let strayed = self.read(|session| async move { money::strayed(&session, bookings, at).await }).await?;
        let mut followed = 0;
        for booking in bookings.iter().filter(|booking| strayed.contains(&booking.account.to_string())) {
            self.write(|tx| async move { Ok::<_, StoreError>(money::enter(&tx, &[booking]).await.map(drop)?) }).await?;
            followed += 1;
        }
        Ok(followed)
    }

    async fn places_taken(&self, account: &Account) -> Result<u32, StoreError> {
        self.read(|session| async move { money::places_taken(&session, account).await }).await
    }

    async fn places_taken_in(&self, home: &Home) -> Result<u32, StoreError> {
        self.read(|session| async move { money::places_taken_in(&session, home).await }).await
    }

    async fn takes_writes(&self, at: Timestamp) -> Result<(), StoreError> {
        self.write(|tx| async move { write::wrote(&tx, at).await }).await
    }

    async fn latest_line_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|session| async move { money::latest_line(&session).await }).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn recover(&self, at: Timestamp) -> Result<u64, StoreError> {
        let (kind, replica) = self.presence.as_ref().map_or((0, 0), |presence| (presence.kind, presence.number));
        self.write(|tx| async move { write::recover(&tx, kind, replica, at).await }).await
    }

    async fn add_character(&self, character: Character) -> Result<(), StoreError> {
        let character = &character;
        self.write(|tx| async move { write::add_character(&tx, character).await }).await
    }

    async fn character(&self, tenant: &TenantName, id: CharacterId) -> Result<Option<Character>, StoreError> {
        self.read(|session| async move { read::character(&session, tenant, id).await }).await
    }

    async fn balance(&self, account: &Account, period: &str) -> Result<Option<Balance>, StoreError> {
        let account = &account.to_string();
        self.read(|session| async move { read::account_balance(&session, account, period).await }).await
    }

    async fn prospect(&self, booking: &Booking) -> Result<Balance, StoreError> {
        self.read(|session| async move { money::prospect(&session, booking).await }).await
    }

    async fn fullest(&self, of: Payers, tenant: Option<&TenantName>, now: Timestamp, n: u32) -> Result<Vec<Balance>, StoreError> {
        let accounts = of.range(tenant);
        let accounts = &accounts;
        self.read_moment(ANSWER_WITHIN, |session| async move { books::fullest(&session, accounts, now, n).await }).await
    }

    async fn overview(&self) -> Result<Overview, StoreError> {
        self.read_moment(ANSWER_WITHIN, |session| async move { books::overview(&session).await }).await
    }

    async fn report(&self, query: ReportQuery) -> Result<Report, StoreError> {
        let query = &query;
        self.read_moment(AUDIT_WITHIN, |session| async move { report::report(&session, query).await }).await
    }

    async fn latest_jobs(&self, tenant: Option<&TenantName>, state: Option<State>, limit: u32) -> Result<Vec<Arc<Job>>, StoreError> {
        self.read(|session| async move { read::latest_jobs(&session, tenant, state, limit).await }).await
    }

    async fn job_file(&self, id: JobId) -> Result<Option<(Arc<Job>, Vec<Attempt>, Vec<LedgerEntry>)>, StoreError> {
        self.read_moment(ANSWER_WITHIN, |session| async move { read::job_file(&session, id).await }).await
    }

    async fn job_of_attempt(&self, attempt: AttemptId) -> Result<Option<JobId>, StoreError> {
        self.read(|session| async move { read::job_of_attempt(&session, attempt).await }).await
    }

    async fn let_go(&self, route: &RouteName, since: Timestamp) -> Result<Vec<Arc<Job>>, StoreError> {
        self.read(|session| async move { read::let_go(&session, route, since).await }).await
    }

    async fn suspend(&self, charge: Unexplained) -> Result<bool, StoreError> {
        let charge = &charge;
        self.write(|tx| async move { corrections::suspend(&tx, charge).await }).await
    }

    async fn explain(&self, route: &RouteName, upstream_id: &str, note: &str, at: Timestamp) -> Result<bool, StoreError> {
        self.write(|tx| async move { Ok(corrections::explain(&tx, route.as_str(), upstream_id, note, at).await?) }).await
    }

    async fn unexplained(&self) -> Result<Vec<Unexplained>, StoreError> {
        self.read(|session| async move { corrections::unexplained(&session).await }).await
    }

    async fn owe(&self, notices: Vec<NewNotice>) -> Result<u64, StoreError> {
        let notices = &notices;
        self.write(|tx| async move { notices::owe_all(&tx, notices).await }).await
    }

    async fn lease_notices(&self, now: Timestamp, lease: Duration, n: u32, each: u32) -> Result<Vec<Notice>, StoreError> {
        self.write(|tx| async move { notices::lease(&tx, now, now.after(lease), n, each).await }).await
    }

    async fn note_delivery(&self, id: NoticeId, delivery: Delivery, at: Timestamp) -> Result<bool, StoreError> {
        let delivery = &delivery;
        self.write(|tx| async move { notices::note(&tx, id, delivery, at).await }).await
    }

    async fn notices(&self, wanted: NoticesIn, limit: u32) -> Result<Vec<Notice>, StoreError> {
        self.read(|session| async move { notices::list(&session, wanted, limit).await }).await
    }

    async fn revive_notice(&self, id: NoticeId, at: Timestamp) -> Result<bool, StoreError> {
        self.write(|tx| async move { notices::revive(&tx, id, at).await }).await
    }

    async fn revive_notices(&self, to: &Addressee, at: Timestamp) -> Result<u64, StoreError> {
        self.write(|tx| async move { notices::revive_all(&tx, to, at).await }).await
    }

    async fn forget_notices(&self, videos: Timestamp, others: Timestamp) -> Result<u64, StoreError> {
        self.write(|tx| async move { notices::forget(&tx, videos, others).await }).await
    }

    async fn charged(&self, route: &RouteName, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        self.read(|session| async move { corrections::charged(&session, route, ids).await }).await
    }

    async fn booked(&self, route: &RouteName, since: Timestamp) -> Result<Vec<Booked>, StoreError> {
        self.read(|session| async move { reconcile::booked(&session, route, since).await }).await
    }

    async fn reconciling(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|session| async move { reconcile::since(&session).await }).await
    }

    async fn reconcile_only(&self) -> Result<Timestamp, StoreError> {
        self.write(|tx| async move { reconcile::reconcile_only(&tx).await }).await
    }

    async fn reconciled(&self) -> Result<bool, StoreError> {
        self.write(|tx| async move { reconcile::reconciled(&tx).await }).await
    }

    async fn halt(&self, by: &str, reason: &str, at: Timestamp) -> Result<bool, StoreError> {
        self.write(|tx| async move { halts::begin(&tx, by, reason, at).await }).await
    }

    async fn resume(&self, by: &str, at: Timestamp) -> Result<bool, StoreError> {
        self.write(|tx| async move { halts::end(&tx, by, at).await }).await
    }

    async fn halted(&self) -> Result<Option<Halt>, StoreError> {
        self.read(|session| async move { halts::halted(&session).await }).await
    }

    async fn halts(&self, limit: u32) -> Result<Vec<Halt>, StoreError> {
        self.read(|session| async move { halts::halts(&session, limit).await }).await
    }

    async fn correct(&self, correction: Correction) -> Result<MicroUsd, CorrectionError> {
        let correction = &correction;
        self.write(|tx| async move { corrections::correct(&tx, correction).await }).await
    }

    async fn signing_key(&self) -> Result<[u8; 32], StoreError> {
        Ok(self.signing_key)
    }

    async fn audit(&self) -> Result<Vec<String>, StoreError> {
        self.read_moment(AUDIT_WITHIN, |session| async move { books::audit(&session).await }).await
    }
}

impl Postgres {
    /// What became of a job that was being moved when nobody answered the commit.
    async fn find_moved(&self, job: &Job) -> Result<Result<Arc<Job>, write::Moved>, StoreError> {
        self.write(|tx| async move { write::find_moved(&tx, job).await }).await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.connections.close();
    }
}

#[cfg(test)]
mod tests;
