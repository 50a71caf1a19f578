//! The report: what is asked of the books as a whole, and what they answer.
//!
//! The invariant: the sums of all groups are the total, to the micro-dollar, whatever is summed by. A job
//! that was ordered by a key without a name, or for nobody in particular, is in a group of its own.

use crate::clock::Timestamp;
use crate::id::TenantName;
use crate::money::MicroUsd;

/// What jobs are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReportBy {
    /// Who paid.
    Tenant,
    /// The name of the tenant's key by which it was ordered; unknown of jobs from before that was written down.
    Key,
    /// The tenant's end user for whom it was made.
    User,
    /// Which route made it.
    Route,
    /// The public model name.
    Model,
    /// The day (UTC) on which the job was created: `2026-11-23`.
    Day,
}

/// Which jobs are summed up, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportQuery {
    /// Jobs created at this moment and later,
    pub from: Timestamp,
    /// and before this one.
    pub until: Timestamp,
    /// Only this tenant's.
    pub tenant: Option<TenantName>,
    /// By what, each once.
    pub by: Vec<ReportBy>,
    /// At most so many groups: those that spent and hold most.
    pub limit: u32,
}

/// What jobs of one kind came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
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

/// One group of jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRow {
    /// What they share, as it was asked for; `None` for no key's or nobody's.
    pub names: Vec<Option<String>>,
    /// What they came to.
    pub figures: Figures,
}

/// The sums of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The dearest groups first.
    pub rows: Vec<ReportRow>,
    /// How many groups there are.
    pub groups: u64,
    /// What all of them came to, whether or not they are among the rows.
    pub total: Figures,
}
