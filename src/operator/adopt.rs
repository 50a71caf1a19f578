//! Adoption by hand: a person says which job of its upstream a job of ours is.
//!
//! A free question at the route comes first: whether it knows that id, and, where its list shows it,
//! whether what it shows is what was wished for. A wrong adoption hands one tenant another's video, so
//! whatever differs, or cannot be compared, is adopted only if the person insists.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::walk::walk;
use super::{Declined, apply, job, reason};
use crate::accounts::REMEDY;
use crate::gateway::Gateway;
use crate::id::JobId;
use crate::job::{Event, State};
use crate::money::MicroUsd;
use crate::policy::{Policy, Route};
use crate::provider::{AskError, Handle, ListedJob, Phase, Progress};
use crate::store::{Change, Correction, Facts, Job};

/// Clocks and replies may differ by this much.
const SLACK: Duration = Duration::from_secs(120);
/// Longest upstream id, bytes.
const ID_BYTES_MAX: usize = 512;

/// What a person says.
#[derive(Clone, Debug)]
pub struct Adoption {
    /// Which job of ours.
    pub id: JobId,
    /// What its route calls it.
    pub upstream_id: String,
    /// Why, if it needs saying.
    pub note: Option<String>,
    /// Whether to go on where evidence is against it, or missing.
    pub force: bool,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// The job as it is now.
    pub job: Arc<Job>,
    /// What was added to the cost of a job that had ended; less than zero if it was taken back.
    pub corrected: Option<MicroUsd>,
    /// What the upstream says of it, in its own word.
    pub upstream_status: Option<String>,
    /// What speaks against it, and was overruled.
    pub overruled: Vec<String>,
}

/// What the upstream says.
struct Evidence {
    progress: Option<Progress>,
    doubts: Vec<String>,
}

/// Binds a job to what its route calls it: an open one goes on from there, of one that has ended the cost is corrected.
pub async fn adopt(gw: &Gateway, adoption: &Adoption) -> Result<Adopted, Declined> {
    let Adoption { id, upstream_id, note, force } = adoption;
    if upstream_id.is_empty() || upstream_id.len() > ID_BYTES_MAX || !upstream_id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Declined::Invalid(format!("an upstream id is 1 to {ID_BYTES_MAX} visible characters")));
    }
    let note = note.as_deref().map(reason).transpose()?;
    let job = job(gw, *id).await?;
    if !is_fit(&job, upstream_id) {
        return Err(Declined::Unfit(unfit(&job)));
    }
    let policy = gw.policy.snapshot();
    let way = gw.accounts.way(&policy, &job.home()).ok_or_else(|| Declined::Unfit(unreachable(&policy, &job)))?;
    let route = way.route();
    let known = gw.store.known_upstream_ids(&job.home(), std::slice::from_ref(upstream_id)).await?;
    if !known.is_empty() && job.upstream_id.as_ref() != Some(upstream_id) {
        return Err(Declined::Unfit(format!("another job already is {upstream_id} on {}", job.route)));
    }
    let Evidence { progress, mut doubts } = look(gw, route, &job, upstream_id).await;
    if way.own().is_none() {
        doubts.push(format!("{} has another key now than it was sent with, which may be another account's", job.route));
    }
    if !doubts.is_empty() && !force {
        return Err(Declined::Unfit(format!("{}; if it is the job all the same, insist on it (force)", doubts.join("; "))));
    }

    let note = format!("adopted by the operator as {upstream_id}{}", note.map(|note| format!(": {note}")).unwrap_or_default());
    let (job, corrected) = if job.state.is_final() {
        let change = Change::To(owed(route, &job, progress.as_ref(), *force)?);
        let correction = Correction { job: *id, change, upstream_id: Some(upstream_id.clone()), note: note.clone(), at: gw.clock.now() };
        let amount = gw.store.correct(correction).await?;
        (job, Some(amount))
    } else {
        let facts = Facts {
            upstream_id: Some(upstream_id.clone()),
            outcome: Some("adopted"),
            due_at: Some(gw.clock.now()),
            note: Some(note.clone()),
            ..Facts::default()
        };
        (apply(gw, &job, Event::Accepted, facts).await?, None)
    };
    gw.due.notify_one();
    warn!(
        audit = "adopt", job.id = %id, route.name = %job.route, upstream.id = upstream_id, state = %job.state,
        corrected_microusd = corrected.map(MicroUsd::get), overruled = ?doubts, note, "by hand"
    );
    Ok(Adopted { job, corrected, upstream_status: progress.map(|progress| progress.raw_status), overruled: doubts })
}

/// Why its account cannot be asked, and what is done about it.
fn unreachable(policy: &Policy, job: &Job) -> String {
    if policy.route_of(&job.route).is_some() {
        return format!("it was sent to a former account of {}, at another address; {REMEDY}", job.route);
    }
    format!("its route {} is not in the policy; put it back, with `enabled = false` if nothing new shall go there", job.route)
}

/// Whether a job of that kind can be what an upstream has: also one that has ended as failed and is called so already,
/// for it may have been written off.
fn is_fit(job: &Job, upstream_id: &str) -> bool {
    match job.state {
        State::Submitting | State::Unknown => true,
        State::Failed => job.upstream_id.as_deref().is_none_or(|known| known == upstream_id),
        state => state.is_final() && job.upstream_id.is_none(),
    }
}

/// Why it cannot, and what is done instead.
fn unfit(job: &Job) -> String {
    let has = job.upstream_id.as_deref().unwrap_or("nothing");
    let why = match job.state {
        State::Reserved | State::Waiting => "nothing has been sent that could have been accepted".to_owned(),
        State::Lost => format!("{} had it as {has} and does not know it any more: write it off", job.route),
        _ => format!("it is {has} on {} already", job.route),
    };
    format!("{} is {}: {why}", job.id, job.state)
}

/// Asks the route about that id, and compares what its list shows of it with the wish.
async fn look(gw: &Gateway, route: &Route, job: &Job, upstream_id: &str) -> Evidence {
    let mut doubts = Vec::new();
    let progress = match gw.upstream.progress(route, Handle { upstream_id, result_url: None }).await {
        Ok(progress) => Some(progress),
        Err(AskError::NotFound) => {
            doubts.push(format!("{} does not know {upstream_id}", route.name));
            None
        }
        Err(why) => {
            doubts.push(format!("{} did not say whether it knows {upstream_id}: {why:?}", route.name));
            None
        }
    };
    let since = job.attempted_at.before(SLACK * 2);
    let walked = walk(gw, route, since, |page| page.iter().any(|listed| listed.upstream_id == upstream_id)).await;
    match walked {
        None => doubts.push(format!("{} has no list, so it cannot be compared with the wish", route.name)),
        Some(walk) => match (walk.jobs.iter().find(|listed| listed.upstream_id == upstream_id), walk.stopped) {
            (Some(listed), _) => doubts.extend(differences(job, listed, route.submit_timeout)),
            (None, Some(why)) => doubts.push(format!("it cannot be compared with the wish: {why}")),
            (None, None) => {
                doubts.push(format!("{} does not list it since the attempt, so it cannot be compared with the wish", route.name))
            }
        },
    }
    if job.has_unseen_inputs() {
        doubts.push("it was made from a picture, a character, another clip or extras, which no list shows".to_owned());
    }
    Evidence { progress, doubts }
}

/// What a listed job has that the wish has not. The prompt itself is not told.
fn differences(job: &Job, listed: &ListedJob, timeout: Duration) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, ours: &dyn std::fmt::Display, theirs: Option<String>| match theirs {
        Some(theirs) if theirs == ours.to_string() => {}
        Some(theirs) => differences.push(format!("its {what} is {theirs} and not {ours}")),
        None => differences.push(format!("the list does not show its {what}")),
    };
    compare("length", &job.seconds, listed.seconds.map(|seconds| seconds.to_string()));
    compare("size", &job.size, listed.size.map(|size| size.to_string()));
    match &listed.prompt {
        Some(prompt) if *prompt == job.prompt => {}
        Some(_) => differences.push("its prompt is another one".to_owned()),
        None => differences.push("the list does not show its prompt".to_owned()),
    }
    let (earliest, latest) = (job.attempted_at.before(SLACK), job.attempted_at.after(timeout).after(SLACK));
    if listed.created_at < earliest || listed.created_at > latest {
        differences.push("it was not made at the time of the attempt".to_owned());
    }
    differences
}

/// What a job that has ended cost, as its upstream says.
fn owed(route: &Route, job: &Job, progress: Option<&Progress>, force: bool) -> Result<MicroUsd, Declined> {
    Ok(match progress {
        Some(Progress { phase: Phase::Completed, reported_cost, .. }) => reported_cost.unwrap_or(job.price),
        Some(Progress { phase: Phase::Failed { .. }, .. }) if !route.bills_failed => MicroUsd::ZERO,
        Some(Progress { phase: Phase::Failed { .. }, .. }) => job.price,
        Some(_) if !force => {
            return Err(Declined::Unfit(format!("{} is still at work on it; adopt it when that has ended, or insist (force)", route.name)));
        }
        Some(_) | None => job.price,
    })
}
