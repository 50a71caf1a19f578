//! The sweeper: what became of attempts whose outcome nobody could write down, of holds that nobody uses,
//! and of jobs that their providers deny; [`unknowns`] looks for attempts whose outcome nobody knows.
//!
//! What has no evidence ends by the route's written policy, and by nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tracing::{debug, error, info, warn};

use super::replay::replay;
use super::resubmit::resubmit;
use super::unknowns::{self, Readings};
use crate::gateway::Gateway;
use crate::id::RouteName;
use crate::job::{Event, State, step};
use crate::metrics::UpstreamCall;
use crate::owing;
use crate::policy::{Policy, Route, WrittenOff};
use crate::provider::{Handle, Phase};
use crate::store::{ApplyError, Facts, Inhabited, Job, JobError, StoreError};
use crate::wire::OUTCOME_UNKNOWN;

/// The longest pause between two sweeps; shorter where a route's jobs are asked about more often than that.
const EVERY: Duration = Duration::from_secs(5);
/// A job that was never sent and that nobody is sending gives its hold back after this long.
const RESERVED_FOR: Duration = Duration::from_secs(15 * 60);
/// A resend goes on with a job that a dead process left so. It comes within seconds, so that this long after the start of
/// the one process there is nobody will.
const RESENT_WITHIN: Duration = Duration::from_secs(10);
/// After its time-out an attempt's outcome is held on to for half a minute; past this nobody follows it.
const FOLLOWED_FOR: Duration = Duration::from_secs(60);

/// Runs until the gateway stops.
pub async fn run(gw: Arc<Gateway>) {
    let readings = Readings::default();
    loop {
        let policy = gw.policy.snapshot();
        if let Err(why) = replay(&*gw.store, &gw.emergency, gw.clock.now()).await {
            warn!(%why, "the emergency journal waits");
        }
        let inhabited = gw.store.inhabited().await.unwrap_or_default();
        let names: BTreeSet<&RouteName> = policy.all_routes().map(|route| &route.name).collect();
        // All at once: a route whose upstream hangs does not keep the others waiting.
        join_all(policy.all_routes().map(|route| ask_for_free(&gw, route))).await;
        join_all(names.into_iter().map(|name| visit(&gw, &readings, &policy, &inhabited, name))).await;
        let pause = policy.routes.values().map(|route| route.poll.early).fold(EVERY, Duration::min);
        tokio::select! {
            () = gw.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn visit(gw: &Gateway, readings: &Readings, policy: &Policy, inhabited: &[Inhabited], name: &RouteName) {
    if let Err(why) = resubmit(gw, policy, name).await {
        warn!(route.name = %name, %why, "not sent again");
    }
    if let Err(why) = sweep(gw, readings, policy, inhabited, name).await {
        warn!(route.name = %name, %why, "not swept");
    }
}

/// Looks after a route that rests or does not have a model any more: with a question that costs nothing.
async fn ask_for_free(gw: &Gateway, route: &Route) {
    if !gw.health.wants_a_free_answer(route, gw.clock.now()) || gw.limits.ask(route, 1) == 0 {
        return;
    }
    let asked = Instant::now();
    let answer = gw.upstream.ping(route).await;
    gw.metrics.upstream(&route.name, UpstreamCall::Ping, asked.elapsed());
    match answer {
        Ok(names) => gw.health.free_answer(route, names.as_deref(), gw.clock.now()),
        Err(why) => {
            debug!(route.name = %route.name, ?why, "does not answer what is free");
            gw.health.free_failure(route, gw.clock.now());
        }
    }
}

async fn sweep(gw: &Gateway, readings: &Readings, policy: &Policy, inhabited: &[Inhabited], name: &RouteName) -> Result<(), StoreError> {
    let Some(present) = policy.route_of(name) else { return Ok(()) };
    for job in gw.store.in_state(State::Reserved, name).await? {
        let is_deserted = is_deserted(gw, &job);
        let is_left = is_deserted || gw.clock.now().since(job.attempted_at) > FOLLOWED_FOR;
        if is_left && gw.store.stand(&job, None).await.is_ok() {
            info!(job.id = %job.id, "whoever took it out of the line is gone; it is back in its place");
            gw.hall.ring();
        } else if is_deserted {
            end(gw, &job, Event::Exhausted, "no_route_available", "Nobody could make this video.").await;
        }
    }
    for job in gw.store.in_state(State::Submitting, name).await? {
        let route = policy.of_account(&job.home()).unwrap_or(present);
        if gw.clock.now().since(job.attempted_at) > route.submit_timeout + FOLLOWED_FOR {
            warn!(job.id = %job.id, route.name = %route.name, "the outcome of a submission was never written down; it is looked for upstream");
            apply(gw, &job, Event::Unclear, Facts { outcome: Some("unclear"), ..Facts::default() }).await;
        }
    }
    for job in gw.store.in_state(State::Lost, name).await? {
        end_lost(gw, policy, present, &job).await;
    }
    unknowns::look(gw, readings, policy, inhabited, present).await
}

/// Whether nobody goes on with a job that is `reserved`. Whoever does so all the same finds that it has moved.
fn is_deserted(gw: &Gateway, job: &Job) -> bool {
    let now = gw.clock.now();
    let is_of_the_dead = !gw.store.is_shared() && job.attempted_at < gw.started_at && now.since(gw.started_at) > RESENT_WITHIN;
    is_of_the_dead || now.since(job.attempted_at) > RESERVED_FOR
}

/// A lost job: before policy ends it, its upstream is asked once more whether it was made.
async fn end_lost(gw: &Gateway, policy: &Policy, present: &Route, job: &Job) {
    let way = gw.accounts.way(policy, &job.home());
    let route = way.as_ref().map_or(present, |way| way.route());
    if gw.clock.now() <= job.attempted_at.after(route.lost.give_up) {
        return;
    }
    let handle = job.upstream_id.as_deref().map(|upstream_id| Handle { upstream_id, result_url: job.result_url.as_deref() });
    let known = match handle.filter(|_| way.is_some()) {
        Some(handle) => gw.upstream.progress(route, handle).await.ok(),
        None => None,
    };
    let event = match known.map(|progress| progress.phase) {
        Some(Phase::Failed { .. }) if !route.bills_failed => Event::WrittenOffFree,
        Some(_) => Event::WrittenOffSpent,
        None => return give_up(gw, route, job, route.lost).await,
    };
    warn!(job.id = %job.id, route.name = %route.name, ?event, "a lost job is known to its provider after all, and ends as that says");
    end_as_told(gw, job, event).await;
}

/// Ends an unknown attempt or a lost job without evidence, if its route's policy says that it is time.
pub async fn give_up(gw: &Gateway, route: &Route, job: &Job, policy: WrittenOff) {
    // What a backup does not know of may have been made and forgotten there since: a person decides.
    if gw.reconciling.since().is_some() || gw.clock.now() <= job.attempted_at.after(policy.give_up) {
        return;
    }
    let event = if policy.counts_as_spent { Event::WrittenOffSpent } else { Event::WrittenOffFree };
    error!(job.id = %job.id, route.name = %route.name, job.state = %job.state, ?event, "written off without evidence; look at the provider's bill");
    end_as_told(gw, job, event).await;
}

/// Ends a job with what its client was told already, if that was told anything.
async fn end_as_told(gw: &Gateway, job: &Job, event: Event) {
    let (code, message) = match &job.error {
        Some(told) => (told.code.as_str(), told.message.as_str()),
        None => (OUTCOME_UNKNOWN.0, OUTCOME_UNKNOWN.1),
    };
    end(gw, job, event, code, message).await;
}

/// Ends a job with an error; whether this did.
pub async fn end(gw: &Gateway, job: &Job, event: Event, code: &str, message: &str) -> bool {
    let error = Some(JobError { code: code.to_owned(), message: message.to_owned() });
    let ended = apply(gw, job, event, Facts { error, ..Facts::default() }).await;
    if ended {
        info!(job.id = %job.id, ?event, "ended by the sweeper");
    }
    ended
}

/// Writes one step; whether it was written.
pub async fn apply(gw: &Gateway, job: &Job, event: Event, facts: Facts) -> bool {
    let step = match step(job.state, event) {
        Ok(step) => step,
        Err(illegal) => {
            error!(job.id = %job.id, %illegal, "a job saw what it cannot see");
            return false;
        }
    };
    match owing::apply(gw, job, step, facts).await {
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
