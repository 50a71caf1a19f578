//! What the books take in after the fact: charges that no job explains, and corrections.

use crate::clock::Timestamp;
use crate::id::{JobId, RouteName};
use crate::money::MicroUsd;
use crate::store::StoreError;

/// What a route charged for a job of its own that no job of ours explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexplained {
    /// Whose charge.
    pub route: RouteName,
    /// What it calls the job.
    pub upstream_id: String,
    /// How much.
    pub amount: MicroUsd,
    /// How we know, for a person.
    pub note: String,
    /// When it was written down.
    pub at: Timestamp,
}

/// A correction of a job that has ended: what it cost was more or less than its end says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// Which job.
    pub job: JobId,
    /// What becomes of its cost.
    pub change: Change,
    /// What its route calls the job, if that was found out only now, or is to be written beside the line. A suspense line for it is taken back.
    pub upstream_id: Option<String>,
    /// Why, for a person.
    pub note: String,
    /// The moment.
    pub at: Timestamp,
}

/// How a correction changes what a job cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// So much is added; less than zero takes some back.
    By(MicroUsd),
    /// It cost so much, whatever was corrected before: the same again adds nothing.
    To(MicroUsd),
}

impl Change {
    /// What is added to a cost; `None` if it would then be less than nothing, or past the end of the range.
    pub fn of(self, cost: MicroUsd) -> Option<MicroUsd> {
        let amount = match self {
            Self::By(amount) => amount,
            Self::To(corrected) => corrected.minus(cost)?,
        };
        cost.plus(amount).filter(|corrected| !corrected.is_negative()).map(|_| amount)
    }
}

/// Why a correction was not written. Nothing was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorrectionError {
    /// There is no such job.
    #[error("there is no job {0}")]
    NoSuchJob(JobId),
    /// Its hold has not ended: it is moved by a step, not corrected.
    #[error("{0} has not ended")]
    NotEnded(JobId),
    /// It would then have cost less than nothing.
    #[error("{job} cost {cost}, which is less than is to be taken back")]
    BelowZero {
        /// Which job.
        job: JobId,
        /// What it cost so far, corrections included.
        cost: MicroUsd,
    },
    /// The upstream id belongs to another attempt, or the attempt has another.
    #[error("upstream id {0} belongs to another attempt, or the attempt has another")]
    Duplicate(String),
    /// The database did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}
