//! Write-off by hand: a person ends what has no evidence before the route's policy does, or what a provider has that
//! nobody can ask any more.

use std::sync::Arc;

use tracing::warn;

use super::{Declined, apply, job, reason};
use crate::gateway::Gateway;
use crate::id::JobId;
use crate::job::{Event, State};
use crate::provider::{AskError, Handle};
use crate::store::{Facts, Job, JobError};

/// What it counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOff {
    /// The provider charged for it.
    Spent,
    /// The provider did not.
    Free,
}

/// Ends an unknown attempt, a lost job, or one about which its provider says nothing; answers it as it ended.
pub async fn write_off(gw: &Gateway, id: JobId, counts_as: WriteOff, note: &str) -> Result<Arc<Job>, Declined> {
    let note = reason(note)?;
    let job = job(gw, id).await?;
    if let Some(why) = awaits(gw, &job).await {
        return Err(Declined::Unfit(format!("{id} is {} and is not written off: {why}", job.state)));
    }
    let event = match counts_as {
        WriteOff::Spent => Event::WrittenOffSpent,
        WriteOff::Free => Event::WrittenOffFree,
    };
    let from = job.state;
    let error = job.error.clone().unwrap_or_else(|| told(from));
    let facts = Facts { error: Some(error), note: Some(format!("written off by the operator: {note}")), ..Facts::default() };
    let job = apply(gw, &job, event, facts).await?;
    warn!(audit = "write_off", job.id = %id, route.name = %job.route, %from, ?counts_as, cost_microusd = job.cost.map(|c| c.get()), note, "by hand");
    Ok(job)
}

/// What its client is told of it.
fn told(from: State) -> JobError {
    let (code, message) = match from {
        State::Accepted | State::Running => ("upstream_job_lost", "The provider took this video and cannot be asked about it any more."),
        _ => ("upstream_outcome_unknown", "Whether this video was made could not be found out."),
    };
    JobError { code: code.to_owned(), message: message.to_owned() }
}

/// Why a job is not written off, and what is done instead; `None` if it may be.
async fn awaits(gw: &Gateway, job: &Job) -> Option<String> {
    Some(match job.state {
        State::Unknown | State::Lost => return None,
        State::Reserved | State::Waiting => "nothing is being sent for it; its hold is given back by itself".to_owned(),
        State::Submitting => "its submission is under way; wait until its outcome is known or unknown".to_owned(),
        State::Accepted | State::Running => return provider_says(gw, job).await,
        State::Completed | State::Failed | State::Released => {
            let cost = job.cost.unwrap_or_default();
            format!("it has ended and cost {cost}; if {} made it all the same, adopt what it made there", job.route)
        }
    })
}

/// What its provider says of a job when it is asked once more, for free; `None` if it says nothing, or nobody can ask.
async fn provider_says(gw: &Gateway, job: &Job) -> Option<String> {
    let way = gw.accounts.way(&gw.policy.snapshot(), &job.home())?;
    let handle = Handle { upstream_id: job.upstream_id.as_deref()?, result_url: job.result_url.as_deref() };
    match gw.upstream.progress(way.route(), handle).await {
        Ok(progress) => Some(format!("{} says that it is {}; it ends when that says so", job.route, progress.raw_status)),
        Err(AskError::RateLimited { .. }) => Some(format!("{} wants to be asked later; try again in a minute", job.route)),
        Err(AskError::NotFound | AskError::Credential | AskError::Refused(_) | AskError::Transient(_)) => None,
    }
}
