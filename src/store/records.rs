//! What is read out of the books.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::id::{AccountId, AttemptId, CharacterId, Home, JobId, ModelName, RouteName, TenantName};
use crate::job::State;
use crate::money::MicroUsd;
use crate::store::OwedNotices;
use crate::video::{Extras, Seconds, Size};

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
    /// Whether it has a picture, characters or a source, which its row does not tell.
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
    /// What was said beyond the protocol.
    pub extras: Extras,
    /// By which of its tenant's keys it was ordered, where that is known.
    pub key_name: Option<String>,
    /// To which account its latest attempt was sent, where that is known.
    pub account: Option<AccountId>,
}

impl Job {
    /// Where its latest attempt is.
    pub fn home(&self) -> Home {
        Home { route: self.route.clone(), account: self.account.clone() }
    }

    /// Whether something that it was made from cannot be seen in an upstream's list, so that another job
    /// may look the same there and be another one.
    pub fn has_unseen_inputs(&self) -> bool {
        self.hidden_inputs || !self.extras.is_empty()
    }
}

/// Why a job was not made, as the public `error` object says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
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
    /// In which account of that route's, where that is known.
    pub account: Option<AccountId>,
}

/// What an account has in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Whose, as [`crate::budget::Account`] prints it.
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

impl Balance {
    /// What counts against a cap: what is held and what is spent.
    pub fn used(&self) -> MicroUsd {
        self.held.plus(self.spent).unwrap_or(MicroUsd::MAX)
    }
}

/// How things stand, for metrics and the operator's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// How many jobs are in each state that is not final, by tenant, route, model and account.
    pub open: Vec<OpenJobs>,
    /// What each account has in the period that it counts in, but for keys and end users: of these there may be any number.
    pub balances: Vec<Balance>,
    /// Suspense: what a provider took that no job explains.
    pub suspense: MicroUsd,
    /// Overrun: what providers took above the hold.
    pub overrun: MicroUsd,
    /// Notices that are owed or dead, by kind.
    pub notices: Vec<OwedNotices>,
}

/// Jobs that have not ended and share tenant, route, model, account and state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenJobs {
    /// Whose.
    pub tenant: String,
    /// On which route.
    pub route: String,
    /// The public model name.
    pub model: String,
    /// In which account of the route, if that is known.
    pub account: Option<AccountId>,
    /// Their state.
    pub state: State,
    /// How many.
    pub count: u64,
    /// When the oldest of them was made.
    pub oldest_at: Timestamp,
}

impl OpenJobs {
    /// Where they are.
    pub fn home(&self) -> Home {
        Home { route: RouteName::new(self.route.as_str()), account: self.account.clone() }
    }
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
    /// To which account it was sent, where that is known.
    pub account: Option<AccountId>,
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

/// What the books say of an attempt that its route may have charged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked {
    /// Whose attempt.
    pub job: JobId,
    /// Where that job is in its life.
    pub state: State,
    /// What the route calls it, if that is known.
    pub upstream_id: Option<String>,
    /// What it costs there if it is made.
    pub price: MicroUsd,
    /// What the route took for it by our books, corrections and what is above the hold included; once it has ended.
    pub cost: Option<MicroUsd>,
    /// When it was written down.
    pub at: Timestamp,
    /// Whether its tenant deleted it.
    pub deleted: bool,
    /// To which account it was sent, where that is known.
    pub account: Option<AccountId>,
}

/// A time in which nothing was bought because an operator said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// When it began.
    pub at: Timestamp,
    /// Who said so.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Who ended it.
    pub ended_by: Option<String>,
}

/// A tenant's jobs that wait for the same routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whose.
    pub tenant: TenantName,
    /// Which of the tenant's lines.
    pub lane: String,
    /// How many stand there.
    pub jobs: u32,
}

/// A job that stands in line, with all that it takes to send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InLine {
    /// The job.
    pub job: Arc<Job>,
    /// Until when it may wait.
    pub until: Timestamp,
    /// What its row does not say of its wish.
    pub wish: String,
    /// Whether a file goes with it.
    pub has_upload: bool,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which job.
    pub id: JobId,
    /// Whose.
    pub tenant: TenantName,
    /// In which of the tenant's lines.
    pub lane: String,
    /// How long its clip will be.
    pub seconds: Seconds,
    /// And how large.
    pub size: Size,
}

/// A job that was found by its idempotency key, and the fingerprint of its wish.
pub type Keyed = ([u8; 32], Arc<Job>);

/// Jobs with a provider that have not ended, by where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inhabited {
    /// Where.
    pub home: Home,
    /// How many there are.
    pub jobs: u64,
}

/// Jobs of one account of a route that are due and that nobody has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Where.
    pub home: Home,
    /// How many there are.
    pub jobs: u64,
    /// Since when the first of them is.
    pub since: Timestamp,
}

/// Jobs that were claimed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// Those that have waited longest first.
    pub jobs: Vec<Arc<Job>>,
    /// Until when nobody else gets them; also what tells this claim from a later one.
    pub until: Timestamp,
}

/// A job about which nothing new was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Postponed {
    /// Which job.
    pub id: JobId,
    /// As of which version that holds.
    pub version: i64,
    /// The end of the claim under which it was asked about; `None` if it was seen without one.
    pub claim: Option<Timestamp>,
    /// When to look again.
    pub due_at: Timestamp,
}
