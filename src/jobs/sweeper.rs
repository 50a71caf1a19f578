//! The sweeper: what became of attempts whose outcome nobody knows or nobody could write down, and of holds
//! that nobody uses.
//!
//! Where the upstream lists its jobs, a lost reply is found there and adopted; an attempt that is not
//! there counts as never accepted only after the grace, and only if the list is fresh enough to show
//! something that was made after it. What has no evidence ends by the route's written policy.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tracing::{error, info, warn};

use super::adopt::adopt;
use super::replay::replay;
use super::resubmit::resubmit;
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::job::{Event, State, step};
use crate::policy::Route;
use crate::provider::{ListedJob, Listing};
use crate::store::{ApplyError, Facts, Job, JobError, StoreError};

/// The longest pause between two sweeps; shorter where a route's jobs are asked about more often than that.
const EVERY: Duration = Duration::from_secs(5);
/// Pages of an upstream's list that a sweep reads.
const PAGES_MAX: usize = 10;
/// A job that was never sent and that nobody is sending gives its hold back after this long.
const RESERVED_FOR: Duration = Duration::from_secs(15 * 60);
/// After its time-out an attempt's outcome is held on to for half a minute; past this nobody follows it.
const FOLLOWED_FOR: Duration = Duration::from_secs(60);

/// Clocks that differ by no more than this show the same time.
const CLOCKS_AGREE: Duration = Duration::from_secs(5);

/// Runs until the gateway stops.
pub async fn run(gw: Arc<Gateway>) {
    loop {
        let policy = gw.policy.snapshot();
        if let Err(why) = replay(&*gw.store, &gw.emergency, gw.clock.now()).await {
            warn!(%why, "the emergency journal waits");
        }
        // All at once: a route whose upstream hangs does not keep the others waiting.
        join_all(policy.routes.values().chain(policy.retired.values()).map(|route| visit(&gw, route))).await;
        let pause = policy.routes.values().map(|route| route.poll.early).fold(EVERY, Duration::min);
        tokio::select! {
            () = gw.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn visit(gw: &Gateway, route: &Route) {
    if gw.health.is_failing(&route.name) && gw.upstream.ping(route).await.is_ok() {
        info!(route.name = %route.name, "answers again");
        gw.health.answered(&route.name);
    }
    if let Err(why) = resubmit(gw, route).await {
        warn!(route.name = %route.name, %why, "not sent again");
    }
    if let Err(why) = sweep(gw, route).await {
        warn!(route.name = %route.name, %why, "not swept");
    }
}

async fn sweep(gw: &Gateway, route: &Route) -> Result<(), StoreError> {
    for job in gw.store.in_state(State::Reserved, &route.name).await? {
        if gw.clock.now().since(job.attempted_at) > RESERVED_FOR {
            end(gw, &job, Event::Exhausted, "no_route_available", "Nobody could make this video.").await;
        }
    }
    for job in gw.store.in_state(State::Submitting, &route.name).await? {
        if gw.clock.now().since(job.attempted_at) > route.submit_timeout + FOLLOWED_FOR {
            warn!(job.id = %job.id, route.name = %route.name, "the outcome of a submission was never written down; it is looked for upstream");
            apply(gw, &job, Event::Unclear, Facts { outcome: Some("unclear"), ..Facts::default() }).await;
        }
    }
    for job in gw.store.in_state(State::Lost, &route.name).await? {
        give_up(gw, route, &job).await;
    }
    let unknown = gw.store.in_state(State::Unknown, &route.name).await?;
    if unknown.is_empty() {
        return Ok(());
    }
    let Some(listed) = list(gw, route, &unknown).await else {
        for job in &unknown {
            give_up(gw, route, job).await;
        }
        return Ok(());
    };
    let ids: Vec<String> = listed.iter().map(|job| job.upstream_id.clone()).collect();
    let taken = gw.store.known_upstream_ids(&route.name, &ids).await?;
    let pairs = adopt(&unknown, &listed, &taken, route.submit_timeout);
    for (job, found) in &pairs {
        let due_at = Some(gw.clock.now());
        let facts = Facts { upstream_id: Some(found.upstream_id.clone()), outcome: Some("adopted"), due_at, ..Facts::default() };
        if apply(gw, job, Event::Accepted, facts).await {
            info!(job.id = %job.id, route.name = %route.name, upstream.id = found.upstream_id, "adopted");
            gw.due.notify_one();
        }
    }
    for job in unknown.iter().filter(|job| !pairs.iter().any(|(adopted, _)| adopted.id == job.id)) {
        if is_absent(gw, route, job, &listed) {
            end(gw, job, Event::Absent, "upstream_unavailable", "The provider never took this video.").await;
        } else {
            give_up(gw, route, job).await;
        }
    }
    Ok(())
}

/// The upstream's list, back to before the oldest of these attempts; `None` if it has none or does not answer.
async fn list(gw: &Gateway, route: &Route, unknown: &[Arc<Job>]) -> Option<Vec<ListedJob>> {
    let oldest = unknown.iter().map(|job| job.attempted_at).min()?.before(Duration::from_secs(300));
    let (mut listed, mut after) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        match gw.upstream.list(route, after.as_deref()).await? {
            Ok(mut page) => {
                by_our_clock(&mut page, gw.clock.now());
                let reached = page.jobs.last().is_none_or(|job| job.created_at < oldest);
                listed.extend(page.jobs);
                after = page.next;
                if reached || after.is_none() {
                    return Some(listed);
                }
            }
            Err(why) => {
                warn!(route.name = %route.name, ?why, "the upstream's list cannot be read");
                return None;
            }
        }
    }
    // Not read to the end: absence cannot be told from it, adoption can.
    Some(listed)
}

/// Says of listed jobs when they were made by our clock: an upstream whose clock differs has told what it showed
/// when it answered, which was just now.
fn by_our_clock(page: &mut Listing, now: Timestamp) {
    let Some(told_at) = page.told_at else { return };
    let (ahead, behind) = (told_at.since(now), now.since(told_at));
    // A date has whole seconds, and took its time to come here.
    if ahead.max(behind) > CLOCKS_AGREE {
        page.jobs.iter_mut().for_each(|job| job.created_at = job.created_at.before(ahead).after(behind));
    }
}

/// Evidence of absence: the grace is over, and the list shows something younger than the attempt.
fn is_absent(gw: &Gateway, route: &Route, job: &Job, listed: &[ListedJob]) -> bool {
    let over = gw.clock.now() > job.attempted_at.after(route.submit_timeout).after(route.unknown.grace);
    let fresh = listed.iter().any(|listed| listed.created_at > job.attempted_at);
    let reaches_back = listed.len() < PAGES_MAX * 100 || listed.iter().any(|listed| listed.created_at < job.attempted_at);
    over && fresh && reaches_back && !job.hidden_inputs
}

/// Ends an unknown attempt or a lost job without evidence, if its route's policy says that it is time.
async fn give_up(gw: &Gateway, route: &Route, job: &Job) {
    if gw.clock.now() <= job.attempted_at.after(route.unknown.give_up) {
        return;
    }
    let event = if route.unknown.counts_as_spent { Event::WrittenOffSpent } else { Event::WrittenOffFree };
    error!(job.id = %job.id, route.name = %route.name, job.state = %job.state, ?event, "written off without evidence; look at the provider's bill");
    let (code, message) = match &job.error {
        Some(told) => (told.code.as_str(), told.message.as_str()),
        None => ("upstream_outcome_unknown", "Whether this video was made could not be found out."),
    };
    end(gw, job, event, code, message).await;
}

async fn end(gw: &Gateway, job: &Job, event: Event, code: &str, message: &str) {
    let error = Some(JobError { code: code.to_owned(), message: message.to_owned() });
    if apply(gw, job, event, Facts { error, ..Facts::default() }).await {
        info!(job.id = %job.id, ?event, "ended by the sweeper");
    }
}

async fn apply(gw: &Gateway, job: &Job, event: Event, facts: Facts) -> bool {
    let step = match step(job.state, event) {
        Ok(step) => step,
        Err(illegal) => {
            error!(job.id = %job.id, %illegal, "a job saw what it cannot see");
            return false;
        }
    };
    match gw.store.apply(job, step, facts, gw.clock.now()).await {
        Ok(job) => {
            if job.state.is_final() {
                gw.metrics.ended(&job);
            }
            true
        }
        // Somebody knows more than we did: its late reply came.
        Err(ApplyError::Moved) => false,
        Err(why) => {
            warn!(job.id = %job.id, %why, "not written down");
            false
        }
    }
}
