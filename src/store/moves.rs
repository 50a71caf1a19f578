//! What a fact makes of a job, before it is written: the same for every database. Pure.

use crate::clock::Timestamp;
use crate::job::{Event, State, Step, step};
use crate::money::MicroUsd;
use crate::store::{Facts, Job, NewAttempt, NewJob, OpenError};

/// The job that a wish and its first attempt make.
pub(super) fn opened(new: &NewJob, attempt: &NewAttempt) -> Result<Job, OpenError> {
    Ok(Job {
        id: new.id,
        tenant: new.tenant.clone(),
        state: attempted(State::Reserved)?,
        version: 1,
        operation: new.operation.to_owned(),
        model: new.model.clone(),
        prompt: new.prompt.clone(),
        seconds: attempt.seconds,
        size: attempt.size,
        source: new.source,
        hidden_inputs: new.hidden_inputs,
        end_user: new.end_user.clone(),
        residency: new.residency.clone(),
        ceiling: new.ceiling,
        price: attempt.price,
        cost: None,
        charge: new.charge,
        attempts: 1,
        attempt: attempt.id,
        route: attempt.route.clone(),
        upstream_model: attempt.upstream_model.clone(),
        upstream_id: None,
        result_url: None,
        progress: 0,
        error: None,
        created_at: new.at,
        attempted_at: attempt.at,
        ended_at: None,
        expires_at: None,
        deleted_at: None,
        extras: new.extras.clone(),
        key_name: new.key_name.clone(),
        account: Some(attempt.account.clone()),
    })
}

/// The job that a wish makes which has to wait: nothing was attempted, and `first` is whom it would be sent to.
pub(super) fn lined(new: &NewJob, first: &NewAttempt) -> Result<Job, OpenError> {
    let mut job = opened(new, first)?;
    (job.state, job.attempts) = (State::Reserved, 0);
    line_up(&mut job)?;
    job.version = 1;
    Ok(job)
}

/// Has a job that is between two routes stand in line.
pub(super) fn line_up(job: &mut Job) -> Result<(), OpenError> {
    job.state = step(job.state, Event::Lined).map_err(|_| OpenError::Moved)?.to;
    job.version += 1;
    Ok(())
}

/// Makes another attempt the job's latest.
pub(super) fn attempt_again(job: &mut Job, attempt: &NewAttempt) -> Result<(), OpenError> {
    job.state = attempted(job.state)?;
    job.version += 1;
    job.seconds = attempt.seconds;
    job.size = attempt.size;
    job.price = attempt.price;
    job.attempts += 1;
    job.attempt = attempt.id;
    job.route = attempt.route.clone();
    job.account = Some(attempt.account.clone());
    job.upstream_model.clone_from(&attempt.upstream_model);
    job.upstream_id = None;
    job.result_url = None;
    job.progress = 0;
    job.error = None;
    job.attempted_at = attempt.at;
    Ok(())
}

/// The table's own word for what an attempt makes of a job.
fn attempted(from: State) -> Result<State, OpenError> {
    step(from, Event::Attempted).map(|step| step.to).map_err(|_| OpenError::Moved)
}

/// How the latest attempt went, as far as the step and what was learnt with it tell.
pub(super) fn outcome(step: Step, facts: &Facts) -> Option<&'static str> {
    let usual = match step.to {
        State::Reserved => Some("turned_away"),
        State::Completed | State::Failed | State::Lost | State::Released if step.from.is_in_flight() || step.from == State::Lost => {
            Some(step.to.as_str())
        }
        _ => None,
    };
    facts.outcome.or(usual)
}

/// Moves the job and takes in what was learnt; what was not learnt stays as it is known.
pub(super) fn learn(job: &mut Job, step: Step, facts: Facts) {
    job.state = step.to;
    job.version += 1;
    job.upstream_id = facts.upstream_id.or(job.upstream_id.take());
    job.result_url = facts.result_url.or(job.result_url.take());
    job.expires_at = facts.expires_at.or(job.expires_at);
    job.error = facts.error.or(job.error.take());
    let progress = if step.to == State::Completed { 100 } else { facts.progress.unwrap_or(0).min(100) };
    job.progress = job.progress.max(progress);
}

/// What a job's hold is settled at, which is what the route says it cost, else its price; and what the route
/// took above the hold, which is nobody's to pay.
pub(super) fn settled(job: &Job, reported: Option<MicroUsd>) -> (MicroUsd, Option<MicroUsd>) {
    let asked = reported.filter(|cost| !cost.is_negative()).unwrap_or(job.price);
    let cost = asked.min(job.ceiling);
    (cost, asked.minus(cost).filter(|over| *over > MicroUsd::ZERO))
}

/// Ends the job's life at what it cost.
pub(super) fn end(job: &mut Job, cost: MicroUsd, at: Timestamp) {
    job.cost = Some(cost);
    job.ended_at = Some(at);
}
