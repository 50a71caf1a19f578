//! Binding: what is learnt late of an attempt, by whatever way, is written where it belongs.
//!
//! A reply may outlive the attempt it answers: in the emergency journal, in a callback, in a list that lags.
//! An attempt that is still open is adopted. One that was ended meanwhile is never opened again: where its
//! money was given back, the charge goes into suspense, for a person; where it was counted as spent, the
//! charge is explained, and only the id is written to it.

use std::sync::Arc;

use tracing::{error, info};

use crate::clock::Timestamp;
use crate::id::{AttemptId, JobId, RouteName};
use crate::job::{Event, State, step};
use crate::money::MicroUsd;
use crate::store::{ApplyError, Attempt, Change, Correction, CorrectionError, Facts, Job, Store, StoreError, Unexplained};

/// How often a job may move on under our hands before that is left to another time.
const TRIES: u32 = 5;

/// What an upstream calls an attempt of ours, and how we know.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Whose id it is.
    pub route: &'a RouteName,
    /// The id.
    pub upstream_id: &'a str,
    /// For people: where the id was found.
    pub how: &'static str,
}

/// What came of the evidence. All of it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The attempt was open: its job goes on.
    Adopted(Arc<Job>),
    /// It was known already, or is now, and changes nothing.
    Known,
    /// The attempt had ended: the charge is in suspense.
    Suspended,
    /// The books have no such attempt.
    NoSuchAttempt,
}

/// Writes evidence about an attempt where it belongs.
pub async fn bind(store: &dyn Store, evidence: Evidence<'_>, now: Timestamp) -> Result<Bound, StoreError> {
    let Some(id) = store.job_of_attempt(evidence.attempt).await? else { return Ok(Bound::NoSuchAttempt) };
    for _ in 0..TRIES {
        let Some((job, attempts, _)) = store.job_file(id).await? else { return Ok(Bound::NoSuchAttempt) };
        let name = evidence.attempt.to_string();
        let Some(attempt) = attempts.into_iter().find(|attempt| attempt.id == name) else { return Ok(Bound::NoSuchAttempt) };
        if attempt.upstream_id.as_deref() == Some(evidence.upstream_id) {
            return Ok(Bound::Known);
        }
        let is_open = job.attempt == evidence.attempt && matches!(job.state, State::Submitting | State::Unknown);
        let written = if is_open { adopt(store, &job, evidence, now).await? } else { late(store, &job, &attempt, evidence, now).await? };
        if let Some(bound) = written {
            return Ok(bound);
        }
    }
    Err(StoreError::Unavailable(format!("{id} moves on too fast")))
}

/// Gives an open attempt its id; `None` if somebody was faster.
async fn adopt(store: &dyn Store, job: &Job, evidence: Evidence<'_>, now: Timestamp) -> Result<Option<Bound>, StoreError> {
    let step = step(job.state, Event::Accepted).map_err(|illegal| StoreError::Damaged(illegal.to_string()))?;
    let facts =
        Facts { upstream_id: Some(evidence.upstream_id.to_owned()), outcome: Some("adopted"), due_at: Some(now), ..Facts::default() };
    match store.apply(job, step, facts, now).await {
        Ok(job) => {
            info!(job.id = %job.id, route.name = %evidence.route, upstream.id = evidence.upstream_id, how = evidence.how, "adopted");
            Ok(Some(Bound::Adopted(job)))
        }
        Err(ApplyError::Moved) => Ok(None),
        Err(ApplyError::Duplicate(_)) => {
            belongs_to_another(job.id, evidence);
            Ok(Some(Bound::Known))
        }
        Err(ApplyError::Store(why)) => Err(why),
    }
}

/// Writes down a charge of an attempt that has ended.
async fn late(
    store: &dyn Store,
    job: &Job,
    attempt: &Attempt,
    evidence: Evidence<'_>,
    now: Timestamp,
) -> Result<Option<Bound>, StoreError> {
    let counted_as_spent =
        job.attempt == evidence.attempt && attempt.upstream_id.is_none() && job.cost.is_some_and(|cost| cost > MicroUsd::ZERO);
    if counted_as_spent {
        let (upstream_id, note) = (Some(evidence.upstream_id.to_owned()), format!("counted as spent, and found: {}", evidence.how));
        return match store.correct(Correction { job: job.id, change: Change::By(MicroUsd::ZERO), upstream_id, note, at: now }).await {
            Ok(_) => Ok(Some(Bound::Known)),
            Err(CorrectionError::Store(why)) => Err(why),
            Err(_) => {
                belongs_to_another(job.id, evidence);
                Ok(Some(Bound::Known))
            }
        };
    }
    let (route, upstream_id) = (evidence.route.clone(), evidence.upstream_id.to_owned());
    let note = format!("{} of {}, which is {}: {}", evidence.attempt, job.id, job.state, evidence.how);
    if store.suspend(Unexplained { route, upstream_id, amount: attempt.price, note, at: now }).await? {
        error!(
            job.id = %job.id, route.name = %evidence.route, upstream.id = evidence.upstream_id, amount_microusd = attempt.price.get(),
            how = evidence.how, "an attempt was accepted after all, after it had ended; what it costs is in suspense"
        );
    }
    Ok(Some(Bound::Suspended))
}

fn belongs_to_another(job: JobId, evidence: Evidence<'_>) {
    error!(job.id = %job, route.name = %evidence.route, upstream.id = evidence.upstream_id, how = evidence.how, "the upstream gave one id to two jobs");
}
