//! Providers' callbacks: a doorbell, never a source of truth.
//!
//! A callback that is signed with the route's secret makes its job due now; state and money come from the
//! authenticated question that follows. A forged one is refused; one that has come before, or whose job was
//! asked about a moment ago, has nobody asked again; and past a number at once they are sent away, so that
//! a storm of them keeps no poll waiting.

mod by_token;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use tracing::{debug, info};

use crate::doorbells::Bell;
use crate::gateway::Gateway;
use crate::id::RouteName;
use crate::metrics::WebhookOutcome;
use crate::policy::Route;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::secret::Secret;
use crate::signature::{self, Signed};
use crate::store::StoreError;

/// Largest callback, bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// For a whole callback.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a callback is about; everything else it says is ignored.
#[derive(Deserialize)]
struct Event {
    data: About,
}

#[derive(Deserialize)]
struct About {
    id: String,
}

/// `POST /hooks/{route}`, signed; `POST /hooks/{route}/{token}`, for one attempt
pub async fn hook(gw: &Arc<Gateway>, path: &str, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let (route, outcome) = match path.split_once('/') {
        Some((route, token)) => (route, by_token::hear(gw, route, token, request).await?),
        None => (path, signed(gw, path, request).await?),
    };
    gw.metrics.webhook(&RouteName::new(route), outcome);
    info!(route.name = route, outcome = outcome.as_str(), "callback");
    match outcome {
        WebhookOutcome::BadSignature => Err(Refusal::Unauthenticated),
        WebhookOutcome::Malformed => Err(Refusal::Malformed("A callback is JSON with data.id.")),
        WebhookOutcome::Excess => Err(Refusal::Overloaded),
        _ => Ok(reply::json("{}")),
    }
}

async fn signed(gw: &Arc<Gateway>, route: &str, request: Request<Incoming>) -> Result<WebhookOutcome, Refusal> {
    let policy = gw.policy.snapshot();
    let route = policy.routes.get(route).ok_or(Refusal::NoSuchPath)?;
    // Of former accounts too: their clips are still being made.
    let secrets: Vec<Secret> = policy.all_of(&route.name).flat_map(|route| &route.webhook_secrets).cloned().collect();
    // A route without a secret takes no callbacks: nobody could tell a true one.
    if secrets.is_empty() {
        return Err(Refusal::NoSuchPath);
    }
    let Some(_seat) = gw.doorbells.sit(&route.name) else { return Ok(WebhookOutcome::Excess) };
    let (head, body) = read_body(request).await?;
    hear(gw, route, &secrets, &head, &body).await
}

/// The headers and the whole body, if it comes in time and is none too large.
async fn read_body(request: Request<Incoming>) -> Result<(HeaderMap, Bytes), Refusal> {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await.map_err(|_| Refusal::BodyTimeout)?;
    let body = body.map_err(|_| Refusal::BodyTooLarge { bytes_max: BODY_BYTES_MAX })?.to_bytes();
    Ok((head.headers, body))
}

async fn hear(gw: &Arc<Gateway>, route: &Route, secrets: &[Secret], headers: &HeaderMap, body: &[u8]) -> Result<WebhookOutcome, Refusal> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signed = Signed { id: header("webhook-id"), timestamp: header("webhook-timestamp"), signatures: header("webhook-signature"), body };
    if !signature::is_good(&signed, secrets, gw.clock.machine()) {
        return Ok(WebhookOutcome::BadSignature);
    }
    let Some(heard) = gw.doorbells.hear(&route.name, signed.id) else { return Ok(WebhookOutcome::Repeated) };
    let Ok(Event { data: About { id } }) = serde_json::from_slice(body) else { return Ok(WebhookOutcome::Malformed) };
    if !gw.limits.hear(&route.name) {
        return Ok(WebhookOutcome::Excess);
    }
    let outcome = match gw.doorbells.ring(&route.name, &id, Instant::now()) {
        Bell::Now => look(gw, &route.name, &id).await?,
        Bell::In(wait) => {
            look_in(gw, wait, route.name.clone(), id);
            WebhookOutcome::Merged
        }
        Bell::Merged => WebhookOutcome::Merged,
    };
    heard.keep();
    Ok(outcome)
}

/// Has a job asked about now.
async fn look(gw: &Gateway, route: &RouteName, upstream_id: &str) -> Result<WebhookOutcome, StoreError> {
    if gw.store.hasten(route, upstream_id, gw.clock.now()).await? {
        gw.due.notify_one();
        Ok(WebhookOutcome::Accepted)
    } else {
        // Also a job that has ended, or one whose creation is not answered yet.
        gw.doorbells.too_early(route, upstream_id);
        Ok(WebhookOutcome::UnknownJob)
    }
}

/// Has it asked about in a moment, unless that has happened by then.
fn look_in(gw: &Arc<Gateway>, wait: Duration, route: RouteName, upstream_id: String) {
    let gw = gw.clone();
    gw.clone().tasks.spawn(async move {
        tokio::time::sleep(wait).await;
        if gw.doorbells.is_wanted(&route, &upstream_id, Instant::now())
            && let Err(why) = look(&gw, &route, &upstream_id).await
        {
            debug!(route.name = %route, %why, "a callback was not heeded; polling finds out");
        }
    });
}
