//! Spine two: move one leased job forward by one step.
//!
//! A crash anywhere in here costs a repeated question, never a repeated charge: the step, the money and
//! the next due time are written together or not at all.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::watch::Watch;
use crate::clock::Timestamp;
use crate::eta;
use crate::gateway::Gateway;
use crate::id::JobId;
use crate::job::{Event, IllegalStep, State, step};
use crate::metrics::{PollOutcome, UpstreamCall};
use crate::policy::Route;
use crate::provider::{AskError, Handle, Phase, Progress, is_known_status};
use crate::store::{ApplyError, Facts, Job, JobError};

/// How long the schedule's first, quicker part lasts.
const EARLY_FOR: Duration = Duration::from_secs(60);
/// How much slower an overdue job is asked about.
const OVERDUE_SLOWER: u32 = 4;

/// Why a job stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum Stuck {
    /// Nobody knows how to reach its route any more.
    #[error("its route {0} is not in the policy; put it back, with `enabled = false` if nothing new shall go there")]
    NoRoute(String),
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

/// Moves one leased job forward by one step.
pub async fn advance(gw: &Gateway, watch: &Watch, job: &Job) -> Result<(), Stuck> {
    let policy = gw.policy.snapshot();
    let route = policy.route_of(&job.route).ok_or_else(|| Stuck::NoRoute(job.route.to_string()))?;
    let upstream_id = job.upstream_id.as_deref().ok_or(Stuck::NoUpstreamId)?;

    let asked = Instant::now();
    let answer = gw.upstream.progress(route, Handle { upstream_id, result_url: job.result_url.as_deref() }).await;
    let now = gw.clock.now();
    gw.metrics.upstream(&job.route, UpstreamCall::Progress, asked.elapsed());
    note(gw, watch, job, &answer);
    let event = event(job, route, watch, &answer, now);
    let facts = facts(job, route, event, answer, now);

    let step = step(job.state, event)?;
    let job = gw.store.apply(job, step, facts, now).await?;
    if job.state.is_final() {
        watch.forget(job.id);
        gw.metrics.ended(&job);
        info!(job.id = %job.id, route.name = %route.name, job.state = %job.state, cost_microusd = job.cost.map(|c| c.get()), "ended");
    }
    Ok(())
}

/// What an answer means for the job. Only evidence ends one.
fn event(job: &Job, route: &Route, watch: &Watch, answer: &Result<Progress, AskError>, now: Timestamp) -> Event {
    if !matches!(answer, Err(AskError::NotFound)) {
        watch.found(job.id);
    }
    // What a job says of itself that tells nothing new.
    let as_before = if job.state == State::Running { Event::Running } else { Event::Queued };
    match answer {
        Ok(progress) => match progress.phase {
            Phase::Queued => as_before,
            Phase::Running => Event::Running,
            Phase::Completed => Event::Finished,
            Phase::Failed { .. } if route.bills_failed => Event::FailedBilled,
            Phase::Failed { .. } => Event::Failed,
        },
        Err(AskError::NotFound) if watch.is_lost(job.id, now) => Event::Vanished,
        Err(_) => as_before,
    }
}

/// What is written down with it.
fn facts(job: &Job, route: &Route, event: Event, answer: Result<Progress, AskError>, now: Timestamp) -> Facts {
    let wait = match &answer {
        Err(AskError::RateLimited { retry_after_secs: Some(secs) }) => Duration::from_secs(*secs),
        _ => interval(job, route, now),
    };
    let due_at = Some(now.after(jittered(wait, job.id, now)));
    match answer {
        Ok(Progress { phase, percent, result_url, expires_at, reported_cost, .. }) => {
            let error = match phase {
                Phase::Failed { code, message } => Some(JobError { code, message }),
                _ => None,
            };
            Facts { progress: percent, result_url, expires_at, error, reported_cost, due_at, ..Facts::default() }
        }
        Err(_) if event == Event::Vanished => {
            let message = "The provider took this video and does not know it any more.".to_owned();
            Facts { error: Some(JobError { code: "upstream_job_lost".to_owned(), message }), ..Facts::default() }
        }
        Err(_) => Facts { due_at, ..Facts::default() },
    }
}

/// The published schedule: often in the first minute, then less, and less again once overdue.
fn interval(job: &Job, route: &Route, now: Timestamp) -> Duration {
    let age = now.since(job.attempted_at);
    if age < EARLY_FOR {
        route.poll.early
    } else if is_overdue(job, now) {
        route.poll.late * OVERDUE_SLOWER
    } else {
        route.poll.late
    }
}

fn is_overdue(job: &Job, now: Timestamp) -> bool {
    let most = eta::expected(job.seconds, job.size).most_secs;
    now.since(job.attempted_at) > Duration::from_secs(u64::from(most))
}

/// The interval, a tenth more or less, so that jobs that were made together are not asked about together.
fn jittered(wait: Duration, id: JobId, now: Timestamp) -> Duration {
    let lot = (id.seed() ^ u64::from_ne_bytes(now.as_ms().to_ne_bytes())).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    // 0 to 1,023 of the lot onto 90 to 110 percent.
    wait * (900 + u32::try_from(lot * 200 / 1023).unwrap_or(100)) / 1000
}

/// Tells health, metrics and the log how a poll went.
fn note(gw: &Gateway, watch: &Watch, job: &Job, answer: &Result<Progress, AskError>) {
    gw.metrics.poll(&job.route, PollOutcome::of(answer));
    match answer {
        Err(why @ AskError::Credential) => warn!(job.id = %job.id, route.name = %job.route, ?why, "polls are refused: check the key"),
        Err(AskError::Transient(why)) => {
            gw.health.failed(&job.route);
            warn!(job.id = %job.id, route.name = %job.route, why, "a poll was not answered");
        }
        Err(AskError::RateLimited { .. } | AskError::NotFound | AskError::Refused(_)) => {}
        Ok(progress) => {
            gw.health.answered(&job.route);
            if !is_known_status(&progress.raw_status) {
                gw.metrics.unknown_status(&job.route);
                warn!(job.id = %job.id, route.name = %job.route, status = progress.raw_status, "a status nobody knows; taken for being at work");
            }
        }
    }
    if is_overdue(job, gw.clock.now()) && watch.is_newly_overdue(job.id) {
        gw.metrics.overdue(&job.route, &job.model);
    }
}
