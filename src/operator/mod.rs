//! The operator's desk: what a person does by hand where the gateway may not decide by itself.
//!
//! Knows no HTTP: `admin` hands an act in and says how it went. The invariants: money moves only by the
//! job's own table or by a correction that is a line of its own; nobody pays for anything here but for a
//! probe, which is a job like any other; every act is told to the log and noted in the ledger, with the reason that was given.

mod adopt;
mod explain;
mod halt;
pub mod probe;
mod readmit;
pub mod reconcile;
mod walk;
mod write_off;

pub use adopt::{Adoption, adopt};
pub use explain::explain;
pub use halt::{halt, resume};
pub use readmit::readmit;
pub use write_off::{WriteOff, write_off};

use std::sync::Arc;

use crate::gateway::Gateway;
use crate::id::JobId;
use crate::job::{Event, step};
use crate::owing;
use crate::store::{ApplyError, CorrectionError, Facts, Job, StoreError};

/// The longest reason that is kept, characters.
const NOTE_CHARS_MAX: usize = 500;

/// Why an act was not done. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// It makes no sense, whatever the job is.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// It does not fit what the books or the upstream say.
    #[error("{0}")]
    Unfit(String),
    /// The database did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CorrectionError> for Declined {
    fn from(error: CorrectionError) -> Self {
        match error {
            CorrectionError::Store(why) => Self::Store(why),
            CorrectionError::NoSuchJob(_) => Self::Unknown(error.to_string()),
            CorrectionError::NotEnded(_) | CorrectionError::BelowZero { .. } | CorrectionError::Duplicate(_) => {
                Self::Unfit(error.to_string())
            }
        }
    }
}

/// Starts what goes on at the desk by itself, in a task that a stop waits for.
pub fn start(gw: &Arc<Gateway>) {
    gw.tasks.spawn(reconcile::follow(gw.clone()));
    gw.tasks.spawn(halt::follow(gw.clone()));
}

/// A job of whichever tenant.
async fn job(gw: &Gateway, id: JobId) -> Result<Arc<Job>, Declined> {
    let found = gw.store.job_file(id).await?;
    found.map(|(job, _, _)| job).ok_or_else(|| Declined::Unknown(format!("there is no job {id}")))
}

/// The reason, fit to be kept: one line, not too long, not empty.
fn reason(note: &str) -> Result<String, Declined> {
    let note = note.trim();
    match note.chars().count() {
        0 => Err(Declined::Invalid("give the reason, for whoever reads the books later".to_owned())),
        1..=NOTE_CHARS_MAX => Ok(note.replace(char::is_control, " ")),
        _ => Err(Declined::Invalid(format!("give the reason in at most {NOTE_CHARS_MAX} characters"))),
    }
}

/// Moves a job by the table.
async fn apply(gw: &Gateway, job: &Job, event: Event, facts: Facts) -> Result<Arc<Job>, Declined> {
    let step = step(job.state, event).map_err(|illegal| Declined::Unfit(illegal.to_string()))?;
    match owing::apply(gw, job, step, facts).await {
        Ok(job) => {
            if job.state.is_final() {
                gw.metrics.ended(&job);
            }
            Ok(job)
        }
        Err(ApplyError::Moved) => Err(Declined::Unfit(format!("{} has just moved on; look at it again", job.id))),
        Err(ApplyError::Duplicate(upstream_id)) => Err(Declined::Unfit(format!("another job already is {upstream_id} on {}", job.route))),
        Err(ApplyError::Store(why)) => Err(why.into()),
    }
}
