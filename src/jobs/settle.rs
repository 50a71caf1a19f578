//! What an answer about a job means, and writing it down: the one way from an upstream's word to a step,
//! wherever the word was said.
//!
//! Only evidence ends a job. What brings no news writes nothing here; the caller puts such jobs off
//! together.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::watch::Watch;
use super::{archiving, schedule};
use crate::clock::Timestamp;
use crate::crash;
use crate::gateway::Gateway;
use crate::health::Question;
use crate::job::{Event, IllegalStep, State, Step, step};
use crate::metrics::PollOutcome;
use crate::owing;
use crate::policy::Route;
use crate::provider::{AskError, Phase, Progress, is_known_status};
use crate::store::{ApplyError, Facts, Job, JobError};

/// Progress that is less than this many percent ahead of what is written down is not worth a write.
const PROGRESS_STEP: u8 = 10;

/// What was learnt about a job.
#[derive(Clone, Debug)]
pub enum Answer {
    /// What its upstream says of it, asked or in a list.
    Told(Progress),
    /// Its upstream has denied it for long, whichever way it was asked.
    Denied,
    /// Nothing that says how it stands.
    Silent(AskError),
}

/// What became of a job that was asked about.
#[derive(Debug)]
pub enum After {
    /// It has moved, and that is written down.
    Moved,
    /// Nothing new; it is to be asked about again then.
    Same(Timestamp),
    /// Somebody else knew more, and has written it down.
    Overtaken,
}

/// Why a job stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum Stuck {
    /// It is polled, and has no upstream id.
    #[error("it has no upstream id")]
    NoUpstreamId,
    /// The table has no such edge.
    #[error(transparent)]
    Illegal(#[from] IllegalStep),
    /// The books did not take it.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// Has an answer count: the job moves, or is left for later.
pub async fn settle(gw: &Arc<Gateway>, watch: &Arc<Watch>, route: &Route, job: &Job, answer: Answer) -> Result<After, Stuck> {
    let now = gw.clock.now();
    note(gw, watch, route, job, &answer, now);
    if !matches!(answer, Answer::Denied | Answer::Silent(AskError::NotFound)) {
        watch.found(job.id);
    }
    let event = event(job, route, &answer);
    let due_at = due_at(job, route, &answer, now);
    let (event, facts) = archiving::kept_first(gw, watch, job, event, facts(answer)).await;
    let step = step(job.state, event)?;
    if !is_news(job, step, &facts) {
        return Ok(After::Same(due_at));
    }
    let facts = Facts { due_at: Some(due_at).filter(|_| step.to.is_in_flight()), ..facts };
    let job = match owing::apply(gw, job, step, facts).await {
        Ok(job) => job,
        Err(ApplyError::Moved) => {
            debug!(job.id = %job.id, "overtaken");
            return Ok(After::Overtaken);
        }
        Err(why) => return Err(why.into()),
    };
    if job.state.is_final() {
        ended(gw, watch, &job);
    }
    Ok(After::Moved)
}

/// The last step of a job was written by us.
pub(super) fn ended(gw: &Gateway, watch: &Watch, job: &Job) {
    crash::point("after_settle");
    watch.forget(job.id);
    gw.archive.copies.forget(job.id);
    gw.metrics.ended(job);
    if job.state == State::Completed {
        gw.traffic.made(job);
    }
    info!(job.id = %job.id, route.name = %job.route, job.state = %job.state, cost_microusd = job.cost.map(|c| c.get()), "ended");
}

/// What an answer means for the job. Only evidence ends one.
fn event(job: &Job, route: &Route, answer: &Answer) -> Event {
    // What a job says of itself that tells nothing new.
    let as_before = if job.state == State::Running { Event::Running } else { Event::Queued };
    match answer {
        Answer::Told(progress) => match progress.phase {
            Phase::Queued => as_before,
            Phase::Running => Event::Running,
            Phase::Completed => Event::Finished,
            Phase::Failed { .. } if route.bills_failed => Event::FailedBilled,
            Phase::Failed { .. } => Event::Failed,
        },
        Answer::Denied => Event::Vanished,
        Answer::Silent(_) => as_before,
    }
}

fn due_at(job: &Job, route: &Route, answer: &Answer, now: Timestamp) -> Timestamp {
    match answer {
        Answer::Silent(AskError::RateLimited { retry_after_secs: Some(secs) }) => {
            now.after(schedule::jittered(Duration::from_secs(*secs), job.id, now))
        }
        _ => schedule::next(job, route, now),
    }
}

/// What is written down with it.
fn facts(answer: Answer) -> Facts {
    match answer {
        Answer::Told(Progress { phase, percent, result_url, expires_at, reported_cost, .. }) => {
            let error = match phase {
                Phase::Failed { code, message } => Some(JobError { code, message }),
                _ => None,
            };
            Facts { progress: percent, result_url, expires_at, error, reported_cost, ..Facts::default() }
        }
        Answer::Denied => {
            let message = "The provider took this video and does not know it any more.".to_owned();
            Facts { error: Some(JobError { code: "upstream_job_lost".to_owned(), message }), ..Facts::default() }
        }
        Answer::Silent(_) => Facts::default(),
    }
}

/// Whether it is worth a write: clients see progress in steps, and everything else at once.
fn is_news(job: &Job, step: Step, facts: &Facts) -> bool {
    let further = facts.progress.is_some_and(|percent| percent >= job.progress.saturating_add(PROGRESS_STEP));
    let elsewhere = facts.result_url.is_some() && facts.result_url != job.result_url;
    let until = facts.expires_at.is_some() && facts.expires_at != job.expires_at;
    step.to != job.state || further || elsewhere || until
}

/// Tells health, metrics and the log how a poll went.
fn note(gw: &Gateway, watch: &Watch, route: &Route, job: &Job, answer: &Answer, now: Timestamp) {
    let said = match answer {
        Answer::Told(progress) => Ok(progress),
        Answer::Denied => Err(&AskError::NotFound),
        Answer::Silent(why) => Err(why),
    };
    gw.metrics.poll(&job.route, PollOutcome::of(said));
    match answer {
        Answer::Silent(why @ AskError::Credential) => {
            gw.health.refused_key(route, Question::Poll, None, now);
            warn!(job.id = %job.id, route.name = %job.route, ?why, "polls are refused: check the key")
        }
        Answer::Silent(AskError::Transient(why)) => {
            gw.health.failed(route, &job.model, Question::Poll, now);
            warn!(job.id = %job.id, route.name = %job.route, why, "a poll was not answered");
        }
        Answer::Silent(AskError::RateLimited { .. } | AskError::NotFound | AskError::Refused(_)) | Answer::Denied => {}
        Answer::Told(progress) => {
            gw.health.answered(route, &job.model, Question::Poll, now);
            if !is_known_status(&progress.raw_status) {
                gw.metrics.unknown_status(&job.route);
                warn!(job.id = %job.id, route.name = %job.route, status = progress.raw_status, "a status nobody knows; taken for being at work");
            }
        }
    }
    if schedule::is_overdue(job, now) && watch.is_newly_overdue(job.id) {
        gw.metrics.overdue(&job.route, &job.model);
    }
}
