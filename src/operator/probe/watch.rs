//! Watching a probe: its job in the books, and, for free, the route's list, its last word and the clip.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use tracing::info;

use super::{Turn, now};
use crate::gateway::Gateway;
use crate::job::State;
use crate::jobs::by_our_clock;
use crate::policy::Route;
use crate::probes::{Content, ms};
use crate::provider::{Handle, Variant};
use crate::store::Job;

/// The longest that a probe is looked at.
const WATCH_MAX: Duration = Duration::from_secs(1_800);
/// The longest that a list is asked for it.
const LIST_MAX: Duration = Duration::from_secs(600);
/// Between two looks, at first; each takes half as long again…
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// …up to this.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(3);
/// For the clip's bytes.
const FETCH_MAX: Duration = Duration::from_secs(300);
/// No more bytes of it are read.
const CLIP_BYTES_MAX: u64 = 1 << 30;

/// Looks until there is nothing more to learn, or for as long as a probe may take.
pub async fn watch(gw: Arc<Gateway>, turn: Turn, job: Arc<Job>, route: Arc<Route>, answered: Instant) {
    let looking = look(&gw, job.clone(), &route, answered);
    tokio::select! {
        () = gw.stop.cancelled() => {}
        _ = tokio::time::timeout(WATCH_MAX, looking) => {}
    }
    gw.probes.learn(job.id, |found| {
        found.advise(&route);
        found.done = true;
    });
    if let Some(found) = gw.probes.of(job.id) {
        info!(job.id = %job.id, route.name = %route.name, state = found.state, accept_ms = found.accept_ms, list_lag_ms = found.list.lag_ms, made_ms = found.made_ms, "probed");
    }
    drop(turn);
}

async fn look(gw: &Gateway, mut job: Arc<Job>, route: &Route, answered: Instant) {
    let (mut listing, mut every) = (true, LOOK_EVERY);
    loop {
        if listing && job.upstream_id.is_some() {
            listing = !listed(gw, &job, route, answered).await && answered.elapsed() < LIST_MAX;
        }
        if job.state.is_final() && (!listing || job.upstream_id.is_none()) {
            break;
        }
        tokio::time::sleep(every).await;
        every = (every * 3 / 2).min(LOOK_EVERY_MAX);
        let Some(found) = now(gw, &job).await else { continue };
        let has_ended = found.state.is_final() && !job.state.is_final();
        job = found;
        gw.probes.learn(job.id, |found| {
            found.state = job.state.as_str();
            found.progress = job.progress;
            found.upstream_id.clone_from(&job.upstream_id);
            found.cost = job.cost.map(|cost| cost.to_string());
            found.error = job.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
            if has_ended {
                found.made_ms = Some(ms(answered.elapsed()));
            }
        });
    }
    if let Some(upstream_id) = job.upstream_id.as_deref().filter(|_| job.state == State::Completed) {
        let handle = Handle { upstream_id, result_url: job.result_url.as_deref() };
        let told = gw.upstream.progress(route, handle).await.ok();
        let reported = told.and_then(|told| told.reported_cost).map(|cost| cost.to_string());
        gw.probes.learn(job.id, |found| found.reported_cost = reported);
        let content = fetched(gw, route, handle).await;
        gw.probes.learn(job.id, |found| found.content = Some(content));
    }
}

/// Looks for it in the route's list; whether that need not be done again.
async fn listed(gw: &Gateway, job: &Job, route: &Route, answered: Instant) -> bool {
    // A probe does not take the account's pace away from its jobs.
    if gw.limits.ask(route, 1) == 0 {
        return false;
    }
    let Some(page) = gw.upstream.list(route, None).await else {
        gw.probes.learn(job.id, |found| found.list.exists = Some(false));
        return true;
    };
    let lag = answered.elapsed();
    let mut page = match page {
        Ok(page) => page,
        Err(why) => {
            gw.probes.learn(job.id, |found| found.list.fault = Some(format!("{why:?}")));
            return false;
        }
    };
    gw.probes.learn(job.id, |found| found.list.exists = Some(true));
    let Some(place) = page.jobs.iter().position(|listed| Some(&listed.upstream_id) == job.upstream_id.as_ref()) else { return false };
    let as_listed = page.jobs[place].clone();
    by_our_clock(&mut page, gw.clock.now());
    let made_at = page.jobs[place].created_at.as_ms();
    gw.probes.learn(job.id, |found| found.list.show(job, &as_listed, lag, made_at));
    true
}

/// Fetches the clip and throws it away.
async fn fetched(gw: &Gateway, route: &Route, handle: Handle<'_>) -> Content {
    let began = Instant::now();
    let mut content = Content::default();
    let fetching = tokio::time::timeout(FETCH_MAX, fetch(gw, route, handle, &mut content)).await;
    content.fault = fetching.unwrap_or_else(|_| Err("its bytes did not come in time".to_owned())).err();
    content.ms = ms(began.elapsed());
    content
}

async fn fetch(gw: &Gateway, route: &Route, handle: Handle<'_>, content: &mut Content) -> Result<(), String> {
    let reply = gw.upstream.download(route, handle, Variant::Video, None).await.map_err(|why| format!("{why:?}"))?;
    if !reply.status().is_success() {
        return Err(format!("the route answered {}", reply.status()));
    }
    let (mut body, mut first) = (reply.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| format!("it broke off: {why}"))?;
        let Some(bytes) = frame.data_ref() else { continue };
        first.extend(bytes.iter().take(8_usize.saturating_sub(first.len())));
        content.is_mp4 = first.get(4..8) == Some(b"ftyp");
        content.bytes = content.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if content.bytes > CLIP_BYTES_MAX {
            return Err(format!("it is longer than {CLIP_BYTES_MAX} bytes"));
        }
    }
    Ok(())
}
