//! The store: whole business facts, each one transaction.
//!
//! Not `get` and `update`, and never a transaction passed around: a caller cannot forget half of a
//! fact that has one name. Knows SQL (below this file, and nowhere else); knows nothing of HTTP,
//! providers or policy files. Invariants, kept by every backend and shown by one contract suite:
//! money moves only together with a job's state; `spent + held ≤ cap` at every admission; a hold ends
//! once; a job's row moves only by compare-and-set on its version.

mod corrections;
mod extras;
mod facts;
mod moves;
mod notices;
mod payers;
mod postgres;
mod records;
mod report;
mod sqlite;

#[cfg(test)]
mod contract;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::budget::{Account, Booking};
use crate::clock::Timestamp;
use crate::id::{AttemptId, CharacterId, Home, JobId, NoticeId, RouteName, TenantName};
use crate::job::{State, Step};
use crate::money::MicroUsd;
use crate::notice::{Addressee, NewNotice};

pub use self::corrections::{Change, Correction, CorrectionError, Unexplained};
pub use self::facts::{ApplyError, Facts, NewAttempt, NewJob, NewPlace, OpenError, StoreError};
pub use self::notices::{Delivery, Notice, NoticesIn, OwedNotices};
pub use self::payers::Payers;
pub use self::postgres::Postgres;
pub use self::records::{
    Attempt, Balance, Booked, Character, Due, Halt, InLine, Inhabited, Job, JobError, Jobs, Keyed, Leased, LedgerEntry, Line, OpenJobs,
    Overview, Page, Postponed, Removed, Standing,
};
pub use self::report::{Figures, Report, ReportBy, ReportQuery, ReportRow};
pub use self::sqlite::Sqlite;

/// Everything durable. One implementation per database; `contract` holds them equal.
#[async_trait]
pub trait Store: Send + Sync {
    /// Holds the ceiling against every booking, writes the job down with its first attempt
    /// (`reserved`, then `submitting`), or does nothing of it.
    async fn open_job(&self, job: NewJob, attempt: NewAttempt) -> Result<Arc<Job>, OpenError>;

    /// Writes down another attempt of a job that is `reserved` again, or that stands in line.
    async fn open_attempt(&self, job: &Job, attempt: NewAttempt) -> Result<Arc<Job>, OpenError>;

    /// Holds the ceiling as [`Store::open_job`] does and has the job stand in line, or does nothing of it. Nothing is
    /// held against a route, and `first` is no attempt: it says whom the job would be sent to as things are.
    async fn line_up(&self, job: NewJob, first: NewAttempt, place: NewPlace) -> Result<Arc<Job>, OpenError>;

    /// Has a job that is `reserved` again stand in line. One that stood there gets its old place back, whatever
    /// `place` says; without a `place` only such a one can.
    async fn stand(&self, job: &Job, place: Option<NewPlace>) -> Result<Arc<Job>, OpenError>;

    /// Every line in which somebody stands.
    async fn lines(&self) -> Result<Vec<Line>, StoreError>;

    /// The first `n` of a line behind `after`.
    async fn heads(&self, tenant: &TenantName, lane: &str, after: Option<JobId>, n: u32) -> Result<Vec<InLine>, StoreError>;

    /// The file that was sent along with a job that has been in line.
    async fn upload(&self, id: JobId) -> Result<Option<Bytes>, StoreError>;

    /// The jobs that have stood in line for as long as they may, up to `n`.
    async fn out_of_time(&self, now: Timestamp, n: u32) -> Result<Vec<Arc<Job>>, StoreError>;

    /// Who stands in line, oldest first, up to `n`.
    async fn standing(&self, n: u32) -> Result<Vec<Standing>, StoreError>;

    /// Forgets what some jobs needed while they stood in line and that do not come back to it. How many.
    async fn forget_places(&self) -> Result<u64, StoreError>;

    /// Writes one step: state, money, what was learnt, when to look again.
    async fn apply(&self, job: &Job, step: Step, facts: Facts, at: Timestamp) -> Result<Arc<Job>, ApplyError>;

    /// The tenant's job under an idempotency key, and the fingerprint of its wish. A job that was released
    /// without ever being accepted or having stood in line leaves its key free; one that was deleted keeps it.
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

    /// Which of these jobs their tenants have deleted.
    async fn deleted_among(&self, ids: &[JobId]) -> Result<HashSet<JobId>, StoreError>;

    /// Where jobs are that are with a provider and have not ended, and how many, by route and account.
    async fn inhabited(&self) -> Result<Vec<Inhabited>, StoreError>;

    /// Which accounts of which routes have jobs that are due and that nobody has claimed, how many, and since when.
    async fn due(&self, now: Timestamp) -> Result<Vec<Due>, StoreError>;

    /// Claims up to `n` jobs of one account of a route that are due, those that have waited longest first, until
    /// `now + lease`: nobody else gets them before then. A claim that lapses can be made again.
    async fn lease_due(&self, home: &Home, now: Timestamp, lease: Duration, n: u32) -> Result<Leased, StoreError>;

    /// Puts off, all together, jobs about which nothing new was learnt: they are due later and claimed by
    /// nobody, and their version stays. Leaves out whoever has moved, was claimed by somebody else or was
    /// hastened meanwhile: of those, more is known.
    async fn postpone(&self, jobs: Vec<Postponed>, at: Timestamp) -> Result<(), StoreError>;

    /// Makes the job that a route calls `upstream_id` due at `at` if it is due later than that, and ends the claim
    /// on it: whoever asked before does not know what this is about. Whether there is such a job that has not ended.
    async fn hasten(&self, route: &RouteName, upstream_id: &str, at: Timestamp) -> Result<bool, StoreError>;

    /// The jobs of a route that are in `state`, oldest first.
    async fn in_state(&self, state: State, route: &RouteName) -> Result<Vec<Arc<Job>>, StoreError>;

    /// The jobs of a route that were attempted since `since` and ended on a conclusion, not on an answer: their
    /// upstream may turn out to have made them. Those that count as spent have a cost. Oldest first.
    async fn let_go(&self, route: &RouteName, since: Timestamp) -> Result<Vec<Arc<Job>>, StoreError>;

    /// Which of these upstream ids already belong to an attempt on this route that was sent to the same address, with
    /// whatever credential, or whose account is not known.
    async fn known_upstream_ids(&self, home: &Home, ids: &[String]) -> Result<HashSet<String>, StoreError>;

    /// The jobs whose latest attempt is there and is one of these ids, open or ended, in any order.
    async fn of_upstream(&self, home: &Home, ids: &[String]) -> Result<Vec<Arc<Job>>, StoreError>;

    /// The moment of the ledger's latest line, if it has any: time does not begin before it.
    async fn latest_line_at(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Which job an attempt is of.
    async fn job_of_attempt(&self, attempt: AttemptId) -> Result<Option<JobId>, StoreError>;

    /// Whether other gateways may be at work on the same books: if not, whatever an earlier one left is nobody's.
    fn is_shared(&self) -> bool;

    /// At start: what was being submitted when the process died has an unknown outcome. Answers how many there were.
    /// Nobody has to wait for a time that a clock put far ahead, nor for a claim of the dead.
    async fn recover(&self, at: Timestamp) -> Result<u64, StoreError>;

    /// Keeps a character.
    async fn add_character(&self, character: Character) -> Result<(), StoreError>;

    /// A tenant's character.
    async fn character(&self, tenant: &TenantName, id: CharacterId) -> Result<Option<Character>, StoreError>;

    /// What an account has in a period; nothing was ever booked there if `None`.
    async fn balance(&self, account: &Account, period: &str) -> Result<Option<Balance>, StoreError>;

    /// What an account has in a booking's period, or would have there once something is booked: a key or an end user whose
    /// cap is newer than its jobs begins with what those of the period hold and cost. For who asks how it would be, not for
    /// every wish: those jobs are summed up.
    async fn prospect(&self, booking: &Booking) -> Result<Balance, StoreError>;

    /// The balances of keys, or of end users, in the period that they count in at `now`: those that have used the largest
    /// share of their caps first, up to `n`. Of one tenant, or of all.
    async fn fullest(&self, of: Payers, tenant: Option<&TenantName>, now: Timestamp, n: u32) -> Result<Vec<Balance>, StoreError>;

    /// Has accounts count in their bookings' periods which count in another one that goes on at `at`: their budget was
    /// changed. Each begins with the jobs of that time that the account has already. How many there were.
    async fn follow_budgets(&self, bookings: Vec<Booking>, at: Timestamp) -> Result<u64, StoreError>;

    /// How many of its places in flight an account's jobs take.
    async fn places_taken(&self, account: &Account) -> Result<u32, StoreError>;

    /// How many of a route's places in flight count against what this account of it may have: all but those of jobs that
    /// are in another account, which the route had before.
    async fn places_taken_in(&self, home: &Home) -> Result<u32, StoreError>;

    /// How things stand.
    async fn overview(&self) -> Result<Overview, StoreError>;

    /// Sums up what jobs came to.
    async fn report(&self, query: ReportQuery) -> Result<Report, StoreError>;

    /// For the operator: the newest jobs of all tenants, deleted ones too.
    async fn latest_jobs(&self, tenant: Option<&TenantName>, state: Option<State>, limit: u32) -> Result<Vec<Arc<Job>>, StoreError>;

    /// For the operator: a job with its attempts and ledger lines.
    async fn job_file(&self, id: JobId) -> Result<Option<(Arc<Job>, Vec<Attempt>, Vec<LedgerEntry>)>, StoreError>;

    /// Writes down what a route charged and no job explains, once for each of its jobs. Whether it is new: an
    /// attempt that has that upstream id explains it.
    async fn suspend(&self, charge: Unexplained) -> Result<bool, StoreError>;

    /// Which of these upstream ids have been in suspense on this route, explained since or not.
    async fn charged(&self, route: &RouteName, ids: &[String]) -> Result<HashSet<String>, StoreError>;

    /// Takes a charge out of suspense, for the reason given. Whether it was there.
    async fn explain(&self, route: &RouteName, upstream_id: &str, note: &str, at: Timestamp) -> Result<bool, StoreError>;

    /// What is in suspense, oldest first.
    async fn unexplained(&self) -> Result<Vec<Unexplained>, StoreError>;

    /// Corrects what a job that has ended cost, by a line of its own in the ledger. May pass a cap: it is spent.
    /// Answers what was added to it.
    async fn correct(&self, correction: Correction) -> Result<MicroUsd, CorrectionError>;

    /// What the books say of a route's attempts for jobs created since `since`, newest first: all that the route may have charged for.
    async fn booked(&self, route: &RouteName, since: Timestamp) -> Result<Vec<Booked>, StoreError>;

    /// Whether the books may lack what was bought, because they come from a backup, and after which moment.
    async fn reconciling(&self) -> Result<Option<Timestamp>, StoreError>;

    /// From now on, until [`Store::reconciled`], restarts included, the books may lack what was bought after their
    /// last line. Answers when that was.
    async fn reconcile_only(&self) -> Result<Timestamp, StoreError>;

    /// Somebody has looked: the books are taken for complete again. Whether they were not.
    async fn reconciled(&self) -> Result<bool, StoreError>;

    /// From now on, until [`Store::resume`], restarts included, nothing may be bought by anybody on these books. Whether
    /// that is new: a halt that goes on keeps its reason.
    async fn halt(&self, by: &str, reason: &str, at: Timestamp) -> Result<bool, StoreError>;

    /// Ends the halt that goes on. Whether there was one.
    async fn resume(&self, by: &str, at: Timestamp) -> Result<bool, StoreError>;

    /// The halt that goes on.
    async fn halted(&self) -> Result<Option<Halt>, StoreError>;

    /// For the operator: the latest halts, newest first.
    async fn halts(&self, limit: u32) -> Result<Vec<Halt>, StoreError>;

    /// Owes notices by themselves; how many of them are new. What comes with a step or a hold is owed there.
    async fn owe(&self, notices: Vec<NewNotice>) -> Result<u64, StoreError>;

    /// Claims up to `n` notices that are due until `now + lease`, going round the addressees, of whom none
    /// has more than `each` claimed at a time. A claim that lapses can be made again.
    async fn lease_notices(&self, now: Timestamp, lease: Duration, n: u32, each: u32) -> Result<Vec<Notice>, StoreError>;

    /// Writes down how the sending of a notice went, and ends its claim. Whether it was still to be sent.
    async fn note_delivery(&self, id: NoticeId, delivery: Delivery, at: Timestamp) -> Result<bool, StoreError>;

    /// For the operator: notices that stand so; those owed by when they are due, the others newest first.
    async fn notices(&self, wanted: NoticesIn, limit: u32) -> Result<Vec<Notice>, StoreError>;

    /// Has a notice sent again from the beginning, whether or not it was taken. Whether there is such a one.
    async fn revive_notice(&self, id: NoticeId, at: Timestamp) -> Result<bool, StoreError>;

    /// Has every notice of an addressee's that was given up sent again; how many.
    async fn revive_notices(&self, to: &Addressee, at: Timestamp) -> Result<u64, StoreError>;

    /// Forgets some notices that were taken or given up: of videos before `videos`, of other things, which
    /// keep telling what was told already, before `others`. How many.
    async fn forget_notices(&self, videos: Timestamp, others: Timestamp) -> Result<u64, StoreError>;

    /// 32 random bytes that are this database's own, made at its first start: signs links.
    async fn signing_key(&self) -> Result<[u8; 32], StoreError>;

    /// Writes down that it could: the error is what whoever brings money would be told, or just was.
    async fn takes_writes(&self, at: Timestamp) -> Result<(), StoreError>;

    /// What does not add up in the books, said for a person; empty if everything does: balances are
    /// the sums of what is booked to them, a hold ended once or not at all, places are taken by jobs.
    async fn audit(&self) -> Result<Vec<String>, StoreError>;
}
