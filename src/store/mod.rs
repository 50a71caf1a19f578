//! The store: whole business facts, each one transaction.
//!
//! Not `get` and `update`, and never a transaction passed around: a caller cannot forget half of a
//! fact that has one name. Knows SQL (below this file, and nowhere else); knows nothing of HTTP,
//! providers or policy files. Invariants, kept by every backend and shown by one contract suite:
//! money moves only together with a job's state; `spent + held ≤ cap` at every admission; a hold ends
//! once; a job's row moves only by compare-and-set on its version.

mod corrections;
mod sqlite;

#[cfg(test)]
mod contract;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::budget::{Account, Booking};
use crate::clock::Timestamp;
use crate::id::{AttemptId, CharacterId, JobId, ModelName, RouteName, TenantName};
use crate::job::{State, Step};
use crate::money::MicroUsd;
use crate::video::{Seconds, Size};

pub use self::corrections::{Correction, CorrectionError, Unexplained};
pub use self::sqlite::Sqlite;

/// A job as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The public id.
    pub id: JobId,
    /// Who pays.
    pub tenant: TenantName,
    /// Where it is in its life.
    pub state: State,
    /// Counts the writes; the compare-and-set goes by it.
    pub version: i64,
    /// `create`, `remix`, `edit` or `extend`.
    pub operation: String,
    /// The public model name.
    pub model: ModelName,
    /// What it shall show.
    pub prompt: String,
    /// The length of its latest attempt: what is really being made.
    pub seconds: Seconds,
    /// The size of its latest attempt.
    pub size: Size,
    /// The tenant's job that it was made from.
    pub source: Option<JobId>,
    /// Whether its picture, characters or source cannot be seen in an upstream's list.
    pub hidden_inputs: bool,
    /// The client's own word for who asked.
    pub end_user: Option<String>,
    /// Where it may be processed.
    pub residency: Option<String>,
    /// What is held.
    pub ceiling: MicroUsd,
    /// The price of its latest attempt: what it costs if that one makes it.
    pub price: MicroUsd,
    /// What it did cost, once that is known.
    pub cost: Option<MicroUsd>,
    /// What the tenant is charged for it if it is made.
    pub charge: Option<MicroUsd>,
    /// How many attempts there were.
    pub attempts: u32,
    /// Its latest attempt.
    pub attempt: AttemptId,
    /// The route of its latest attempt.
    pub route: RouteName,
    /// What that route calls the model.
    pub upstream_model: String,
    /// What that route calls the job.
    pub upstream_id: Option<String>,
    /// Where the bytes are, if the upstream told.
    pub result_url: Option<String>,
    /// 0 to 100.
    pub progress: u8,
    /// Why it was not made.
    pub error: Option<JobError>,
    /// When the wish was taken.
    pub created_at: Timestamp,
    /// When its latest attempt was written down.
    pub attempted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Until when the bytes can be had.
    pub expires_at: Option<Timestamp>,
    /// When its tenant deleted it; it is then gone for the tenant and stays for the books.
    pub deleted_at: Option<Timestamp>,
}

/// Why a job was not made, as the public `error` object says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A wish that is about to become a job.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The public id, minted by the caller.
    pub id: JobId,
    /// Who pays.
    pub tenant: TenantName,
    /// `create`, `remix`, `edit` or `extend`.
    pub operation: &'static str,
    /// The public model name.
    pub model: ModelName,
    /// What it shall show.
    pub prompt: String,
    /// The tenant's job that it is made from.
    pub source: Option<JobId>,
    /// Whether its picture, characters or source cannot be seen in an upstream's list.
    pub hidden_inputs: bool,
    /// The client's own word for who asked.
    pub end_user: Option<String>,
    /// Where it may be processed.
    pub residency: Option<String>,
    /// What to hold: the dearest price over its plan.
    pub ceiling: MicroUsd,
    /// Whom to hold it against: the gateway and the tenant, in this order.
    pub bookings: Vec<Booking>,
    /// How many jobs the tenant may have in flight.
    pub tenant_in_flight_max: Option<u32>,
    /// What the tenant is charged for it if it is made.
    pub charge: Option<MicroUsd>,
    /// By which the same wish is known again.
    pub fingerprint: [u8; 32],
    /// The client's own name for this wish; a tenant's second job under one name is refused.
    pub idempotency_key: Option<String>,
    /// The moment.
    pub at: Timestamp,
}

/// An attempt that is about to be sent.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// Minted by the caller.
    pub id: AttemptId,
    /// To which route.
    pub route: RouteName,
    /// What the route calls the model.
    pub upstream_model: String,
    /// The length it will be asked for.
    pub seconds: Seconds,
    /// The size it will be asked for.
    pub size: Size,
    /// What it will cost there.
    pub price: MicroUsd,
    /// The route's account; `price` is held against it.
    pub booking: Booking,
    /// How many jobs the route may have in flight.
    pub in_flight_max: Option<u32>,
    /// The moment.
    pub at: Timestamp,
    /// When the poller should look, should nobody else move the job on.
    pub due_at: Timestamp,
}

/// Why a job or an attempt was not written down. Nothing was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The tenant has as many jobs in flight as it may.
    #[error("the tenant has {in_flight} jobs in flight")]
    TenantFull {
        /// How many there are.
        in_flight: u32,
    },
    /// The route has as many jobs in flight as it may: another may have room.
    #[error("route {route} has {in_flight} jobs in flight")]
    RouteFull {
        /// Which route.
        route: RouteName,
        /// How many there are.
        in_flight: u32,
    },
    /// The tenant has a job under this idempotency key already.
    #[error("the idempotency key is taken")]
    KeyTaken,
    /// The hold does not fit under a cap.
    #[error("{} has {left} left of its cap for {}", booking.account, booking.period.key)]
    OverBudget {
        /// Whose cap.
        booking: Box<Booking>,
        /// What is left of it.
        left: MicroUsd,
    },
    /// The job is not in a state for it, or somebody else moved it.
    #[error("the job has moved on")]
    Moved,
    /// The database did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an event told us, to be written with the step it caused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The upstream's id.
    pub upstream_id: Option<String>,
    /// 0 to 100; never written backwards.
    pub progress: Option<u8>,
    /// Where the bytes are.
    pub result_url: Option<String>,
    /// Until when they can be had.
    pub expires_at: Option<Timestamp>,
    /// Why it was not made.
    pub error: Option<JobError>,
    /// What the upstream says it cost; settled instead of the price if it is not above the ceiling.
    pub reported_cost: Option<MicroUsd>,
    /// How the attempt went, in one of the words of `attempts.outcome`.
    pub outcome: Option<&'static str>,
    /// When to look again.
    pub due_at: Option<Timestamp>,
}

/// Why a step was not written. Nothing was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else moved the job since it was read: read it again.
    #[error("the job has moved on")]
    Moved,
    /// Another job already has this upstream id on this route.
    #[error("another job already has upstream id {0}")]
    Duplicate(String),
    /// The database did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The database did not do what was asked. Money: fail closed. Reads: say so and go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It may work later: the disk is full, the connection is gone, it is stopping.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// It will not: what is stored is not what we wrote.
    #[error("the database is damaged: {0}")]
    Damaged(String),
}

/// A stretch of a tenant's jobs, by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only what comes after this text in the order asked for. Any text is a position.
    pub after: Option<String>,
    /// At most this many.
    pub limit: u32,
    /// Newest first, or oldest first.
    pub newest_first: bool,
}

/// Some jobs, and whether there are more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jobs {
    /// In the order asked for.
    pub jobs: Vec<Arc<Job>>,
    /// Whether the next page has any.
    pub has_more: bool,
}

/// What became of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone for its tenant.
    Gone(Arc<Job>),
    /// It has not ended, and so cannot be.
    StillRunning,
    /// The tenant has no such job.
    Unknown,
}

/// A character a tenant made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Character {
    /// The public id.
    pub id: CharacterId,
    /// Whose.
    pub tenant: TenantName,
    /// Its name.
    pub name: String,
    /// Where it lives.
    pub route: RouteName,
    /// What that route calls it.
    pub upstream_id: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What an account has in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Whose, as [`Account`] prints it.
    pub account: String,
    /// Which period.
    pub period: String,
    /// What is reserved for jobs that have not ended.
    pub held: MicroUsd,
    /// What was paid for jobs that have.
    pub spent: MicroUsd,
    /// The cap at the latest hold.
    pub cap: Option<MicroUsd>,
}

/// How things stand, for metrics and the operator's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// How many jobs are in each state that is not final, by tenant, route and model.
    pub open: Vec<OpenJobs>,
    /// Every balance.
    pub balances: Vec<Balance>,
    /// Suspense: what a provider took that no job explains.
    pub suspense: MicroUsd,
    /// Overrun: what providers took above the hold.
    pub overrun: MicroUsd,
}

/// Jobs that have not ended and share tenant, route, model and state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenJobs {
    /// Whose.
    pub tenant: String,
    /// On which route.
    pub route: String,
    /// The public model name.
    pub model: String,
    /// Their state.
    pub state: State,
    /// How many.
    pub count: u64,
    /// When the oldest of them was made.
    pub oldest_at: Timestamp,
}

/// One line of the report: jobs that share tenant, route, model and day (UTC, of their creation).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRow {
    /// Who paid.
    pub tenant: String,
    /// Which route made them.
    pub route: String,
    /// The public model name.
    pub model: String,
    /// `2026-11-23`
    pub day: String,
    /// Jobs, however they ended.
    pub jobs: u64,
    /// Jobs that were made.
    pub completed: u64,
    /// Jobs that were not.
    pub failed: u64,
    /// Seconds of video made.
    pub seconds: u64,
    /// What was paid.
    pub spent: MicroUsd,
    /// What is still held.
    pub held: MicroUsd,
    /// Attempts after a job's first.
    pub retries: u64,
    /// What was paid for jobs that a later attempt than the first made.
    pub retry_cost: MicroUsd,
    /// What tenants are charged for what was made.
    pub charged: MicroUsd,
}

/// An attempt as the books have it, for `jobs show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: String,
    /// To which route.
    pub route: String,
    /// What it would have cost there.
    pub price: MicroUsd,
    /// How it went; `None` while nobody knows.
    pub outcome: Option<String>,
    /// What the route called it.
    pub upstream_id: Option<String>,
    /// When it was written down.
    pub at: Timestamp,
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// `hold`, `settle`, `release`, `overrun`, `suspense` or `adjust`.
    pub kind: String,
    /// How much.
    pub amount: MicroUsd,
    /// When.
    pub at: Timestamp,
    /// Why, if it was written after the fact.
    pub note: Option<String>,
}

/// A job that was found by its idempotency key, and the fingerprint of its wish.
pub type Keyed = ([u8; 32], Arc<Job>);

/// Everything durable. One implementation per database; `contract` holds them equal.
#[async_trait]
pub trait Store: Send + Sync {
    /// Holds the ceiling against every booking, writes the job down with its first attempt
    /// (`reserved`, then `submitting`), or does nothing of it.
    async fn open_job(&self, job: NewJob, attempt: NewAttempt) -> Result<Arc<Job>, OpenError>;

    /// Writes down another attempt of a job that is `reserved` again.
    async fn open_attempt(&self, job: &Job, attempt: NewAttempt) -> Result<Arc<Job>, OpenError>;

    /// Writes one step: state, money, what was learnt, when to look again.
    async fn apply(&self, job: &Job, step: Step, facts: Facts, at: Timestamp) -> Result<Arc<Job>, ApplyError>;

    /// The tenant's job under an idempotency key, and the fingerprint of its wish. A job that was released
    /// without ever being accepted, or that was deleted, leaves its key free.
    async fn keyed_job(&self, tenant: &TenantName, key: &str) -> Result<Option<Keyed>, StoreError>;

    /// The tenant's jobs since `since` that were wished for in the same words and have not been claimed
    /// by the `resend`-th sending of their request; those claimed most recently, then the oldest, first.
    async fn alike(&self, tenant: &TenantName, fingerprint: &[u8; 32], resend: u32, since: Timestamp) -> Result<Vec<Arc<Job>>, StoreError>;

    /// Claims a job for the `resend`-th sending of its request; `false` if somebody else has.
    async fn claim(&self, id: JobId, resend: u32) -> Result<bool, StoreError>;

    /// A tenant's job, unless it was deleted.
    async fn job(&self, tenant: &TenantName, id: JobId) -> Result<Option<Arc<Job>>, StoreError>;

    /// A tenant's jobs, by page, deleted ones left out.
    async fn jobs(&self, tenant: &TenantName, page: Page) -> Result<Jobs, StoreError>;

    /// Deletes a job that has ended, for its tenant.
    async fn remove(&self, tenant: &TenantName, id: JobId, at: Timestamp) -> Result<Removed, StoreError>;

    /// Claims up to `n` jobs that are due, oldest first, until `now + lease`: nobody else gets them
    /// before then. A claim that lapses can be made again.
    async fn lease_due(&self, now: Timestamp, lease: Duration, n: u32) -> Result<Vec<Arc<Job>>, StoreError>;

    /// Makes the job that a route calls `upstream_id` due at `at` if it is due later than that. Whether
    /// there is such a job that has not ended.
    async fn hasten(&self, route: &RouteName, upstream_id: &str, at: Timestamp) -> Result<bool, StoreError>;

    /// The jobs of a route that are in `state`, oldest first.
    async fn in_state(&self, state: State, route: &RouteName) -> Result<Vec<Arc<Job>>, StoreError>;

    /// Which of these upstream ids already belong to an attempt on this route.
    async fn known_upstream_ids(&self, route: &RouteName, ids: &[String]) -> Result<HashSet<String>, StoreError>;

    /// At start: what was being submitted when the process died has an unknown outcome. Answers how many there were.
    async fn recover(&self, at: Timestamp) -> Result<u64, StoreError>;

    /// Keeps a character.
    async fn add_character(&self, character: Character) -> Result<(), StoreError>;

    /// A tenant's character.
    async fn character(&self, tenant: &TenantName, id: CharacterId) -> Result<Option<Character>, StoreError>;

    /// What an account has in a period; nothing was ever booked there if `None`.
    async fn balance(&self, account: &Account, period: &str) -> Result<Option<Balance>, StoreError>;

    /// How things stand.
    async fn overview(&self) -> Result<Overview, StoreError>;

    /// The report over jobs created in `[from, until)`, ordered by day, tenant, route, model.
    async fn report(&self, from: Timestamp, until: Timestamp) -> Result<Vec<ReportRow>, StoreError>;

    /// For the operator: the newest jobs of all tenants, deleted ones too.
    async fn latest_jobs(&self, tenant: Option<&TenantName>, state: Option<State>, limit: u32) -> Result<Vec<Arc<Job>>, StoreError>;

    /// For the operator: a job with its attempts and ledger lines.
    async fn job_file(&self, id: JobId) -> Result<Option<(Arc<Job>, Vec<Attempt>, Vec<LedgerEntry>)>, StoreError>;

    /// Writes down what a route charged and no job explains, once for each of its jobs. Whether it is new: an
    /// attempt that has that upstream id explains it.
    async fn suspend(&self, charge: Unexplained) -> Result<bool, StoreError>;

    /// Takes a charge out of suspense, for the reason given. Whether it was there.
    async fn explain(&self, route: &RouteName, upstream_id: &str, note: &str, at: Timestamp) -> Result<bool, StoreError>;

    /// What is in suspense, oldest first.
    async fn unexplained(&self) -> Result<Vec<Unexplained>, StoreError>;

    /// Corrects what a job that has ended cost, by a line of its own in the ledger. May pass a cap: it is spent.
    async fn correct(&self, correction: Correction) -> Result<(), CorrectionError>;

    /// 32 random bytes that are this database's own, made at its first start: signs links.
    async fn signing_key(&self) -> Result<[u8; 32], StoreError>;

    /// What does not add up in the books, said for a person; empty if everything does: balances are
    /// the sums of what is booked to them, a hold ended once or not at all, places are taken by jobs.
    async fn audit(&self) -> Result<Vec<String>, StoreError>;
}
