//! Reading jobs: one, or a page of them. Answered from our own state, never from upstream.

use http::header::{HeaderName, HeaderValue};

use super::intake::Caller;
use super::view;
use crate::eta;
use crate::gateway::Gateway;
use crate::id::JobId;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::store::{Job, Page};
use crate::wire;

const POLL_AFTER_MS: HeaderName = HeaderName::from_static("openai-poll-after-ms");

/// `GET /videos/{id}`
pub async fn retrieve(gw: &Gateway, caller: &Caller, id: JobId) -> Result<Reply, Refusal> {
    let job = gw.store.job(&caller.tenant.name, id).await?.ok_or(Refusal::NoSuchVideo)?;
    gw.sendings.saw(job.id, job.created_at, gw.clock.now());
    let mut reply = reply::json(view::video(gw, caller, &job));
    if job.state.is_awaited() && !view::is_given_up(caller, &job, gw.clock.now()) {
        reply.headers_mut().insert(POLL_AFTER_MS, HeaderValue::from(poll_after_ms(gw, caller, &job)));
    }
    Ok(reply)
}

/// `GET /videos`
pub async fn list(gw: &Gateway, caller: &Caller, query: Option<&str>) -> Result<Reply, Refusal> {
    let wire::ListQuery { after, limit, newest_first } = wire::page(query)?;
    let page = gw.store.jobs(&caller.tenant.name, Page { after, limit, newest_first }).await?;
    for job in &page.jobs {
        gw.sendings.saw(job.id, job.created_at, gw.clock.now());
    }
    Ok(reply::json(view::list(gw, caller, page.jobs.iter().map(AsRef::as_ref), page.has_more)))
}

/// How long the client should wait before it asks again: from what this job is expected to take.
fn poll_after_ms(gw: &Gateway, caller: &Caller, job: &Job) -> u64 {
    let speed = caller.policy.routes.get(&job.route).map_or(1, |route| if route.simulated { route.speed } else { 1 });
    let expected = eta::expected(job.seconds, job.size);
    let after = match view::place(gw, job) {
        Some(place) => eta::poll_after_line(expected, place.starts_in, speed),
        None => eta::poll_after(expected, gw.clock.now().since(job.attempted_at), speed),
    };
    u64::try_from(after.as_millis()).unwrap_or(u64::MAX)
}
