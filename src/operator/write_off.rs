//! Write-off by hand: a person ends what has no evidence before the route's policy does.

use std::sync::Arc;

use tracing::warn;

use super::{Declined, apply, job, reason};
use crate::gateway::Gateway;
use crate::id::JobId;
use crate::job::{Event, State};
use crate::store::{Facts, Job, JobError};

/// What it counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOff {
    /// The provider charged for it.
    Spent,
    /// The provider did not.
    Free,
}

/// Ends an unknown attempt or a lost job; answers it as it ended.
pub async fn write_off(gw: &Gateway, id: JobId, counts_as: WriteOff, note: &str) -> Result<Arc<Job>, Declined> {
    let note = reason(note)?;
    let job = job(gw, id).await?;
    if !matches!(job.state, State::Unknown | State::Lost) {
        return Err(Declined::Unfit(unfit(&job)));
    }
    let event = match counts_as {
        WriteOff::Spent => Event::WrittenOffSpent,
        WriteOff::Free => Event::WrittenOffFree,
    };
    let from = job.state;
    let error = job.error.clone().unwrap_or_else(|| JobError {
        code: "upstream_outcome_unknown".to_owned(),
        message: "Whether this video was made could not be found out.".to_owned(),
    });
    let facts = Facts { error: Some(error), note: Some(format!("written off by the operator: {note}")), ..Facts::default() };
    let job = apply(gw, &job, event, facts).await?;
    warn!(audit = "write_off", job.id = %id, route.name = %job.route, %from, ?counts_as, cost_microusd = job.cost.map(|c| c.get()), note, "by hand");
    Ok(job)
}

/// Why a job in this state is not written off, and what is done instead.
fn unfit(job: &Job) -> String {
    let id = job.id;
    let why = match job.state {
        State::Reserved | State::Waiting => "nothing is being sent for it; its hold is given back by itself".to_owned(),
        State::Submitting => "its submission is under way; wait until its outcome is known or unknown".to_owned(),
        State::Accepted | State::Running => {
            format!("{} has it as {}; it ends when that says so", job.route, job.upstream_id.as_deref().unwrap_or("something"))
        }
        State::Completed | State::Failed | State::Released => {
            let cost = job.cost.unwrap_or_default();
            format!("it has ended and cost {cost}; if {} made it all the same, adopt what it made there", job.route)
        }
        State::Unknown | State::Lost => "it can be".to_owned(),
    };
    format!("{id} is {}, and only unknown and lost jobs are written off: {why}", job.state)
}
