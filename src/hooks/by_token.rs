//! Callbacks to an attempt's own address: where a reply was lost, the provider's call says what it calls the job.
//!
//! The token tells which attempt of ours it is about, so nobody has to guess; the id comes from the body, and
//! counts only once the provider itself, asked with our own credential, knows a job of that id that looks like
//! ours. A call about an attempt whose id is known rings the bell and nothing more.

use http::Request;
use hyper::body::Incoming;
use serde::Deserialize;
use tracing::warn;

use super::read_body;
use crate::gateway::Gateway;
use crate::id::{Home, RouteName};
use crate::jobs::{Bound, Evidence, bind};
use crate::metrics::WebhookOutcome;
use crate::policy::Route;
use crate::provider::{Handle, Looks};
use crate::refusal::Refusal;
use crate::store::{Attempt, Job};

/// The provider's id, wherever it is said; everything else is ignored.
#[derive(Deserialize)]
struct Event {
    id: Option<String>,
    data: Option<About>,
}

#[derive(Deserialize)]
struct About {
    id: Option<String>,
}

/// `POST /hooks/{route}/{token}`
pub async fn hear(gw: &Gateway, route: &str, token: &str, request: Request<Incoming>) -> Result<WebhookOutcome, Refusal> {
    let policy = gw.policy.snapshot();
    let mut routes = policy.all_of(&RouteName::new(route));
    let route = routes.find(|route| route.callback_url.is_some()).ok_or(Refusal::NoSuchPath)?;
    let Some(attempt) = gw.callbacks.read(&route.name, token) else { return Ok(WebhookOutcome::BadSignature) };
    let (_, body) = read_body(request).await?;
    // An event may have an id of its own; the job's is then inside.
    let told = serde_json::from_slice(&body).ok().and_then(|Event { id, data }| data.and_then(|about| about.id).or(id));
    let Some(upstream_id) = told.filter(|id| (1..=512).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())) else {
        return Ok(WebhookOutcome::Malformed);
    };
    let Some(job) = gw.store.job_of_attempt(attempt).await? else { return Ok(WebhookOutcome::UnknownJob) };
    let Some((job, attempts, _)) = gw.store.job_file(job).await? else { return Ok(WebhookOutcome::UnknownJob) };
    if gw.store.hasten(&route.name, &upstream_id, gw.clock.now()).await? {
        gw.due.notify_one();
        return Ok(WebhookOutcome::Accepted);
    }
    let name = attempt.to_string();
    let Some(told) = attempts.iter().find(|it: &&Attempt| it.id == name) else { return Ok(WebhookOutcome::UnknownJob) };
    let home = Home { route: RouteName::new(&told.route), account: told.account.clone() };
    let Some(way) = gw.accounts.way(&policy, &home) else { return Ok(WebhookOutcome::UnknownJob) };
    if told.upstream_id.as_ref() == Some(&upstream_id) || !is_ours(gw, way.route(), &job, &upstream_id).await {
        return Ok(WebhookOutcome::UnknownJob);
    }
    let evidence = Evidence { attempt, route: &route.name, upstream_id: &upstream_id, how: "the provider's callback" };
    if let Bound::Adopted(_) = bind(&*gw.store, evidence, gw.clock.now()).await? {
        gw.due.notify_one();
    }
    Ok(WebhookOutcome::Accepted)
}

/// Whether the provider knows a job of that id that looks like ours, as far as it shows.
async fn is_ours(gw: &Gateway, route: &Route, job: &Job, upstream_id: &str) -> bool {
    match gw.upstream.looks(route, Handle { upstream_id, result_url: None }).await {
        Ok(Looks { prompt, seconds, size }) => {
            let same = prompt.is_none_or(|prompt| prompt == job.prompt)
                && seconds.is_none_or(|seconds| seconds == job.seconds)
                && size.is_none_or(|size| size == job.size);
            if !same {
                warn!(job.id = %job.id, route.name = %route.name, upstream.id = upstream_id, "a callback names a job that looks like another one; it is not believed");
            }
            same
        }
        Err(why) => {
            warn!(job.id = %job.id, route.name = %route.name, upstream.id = upstream_id, ?why, "a callback names a job that the provider does not show");
            false
        }
    }
}
