//! Providers' callbacks: a doorbell, never a source of truth.
//!
//! A callback that is signed with the route's secret makes its job due now; state and money come from the
//! authenticated question that follows. A forged one is refused, a repeated one rings the same bell twice.

mod by_token;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use tracing::info;

use crate::gateway::Gateway;
use crate::id::RouteName;
use crate::metrics::WebhookOutcome;
use crate::policy::Route;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::signature::{self, Signed};

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
pub async fn hook(gw: &Gateway, path: &str, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let (route, outcome) = match path.split_once('/') {
        Some((route, token)) => (route, by_token::hear(gw, route, token, request).await?),
        None => (path, signed(gw, path, request).await?),
    };
    gw.metrics.webhook(&RouteName::new(route), outcome);
    info!(route.name = route, outcome = outcome.as_str(), "callback");
    match outcome {
        WebhookOutcome::BadSignature => Err(Refusal::Unauthenticated),
        WebhookOutcome::Malformed => Err(Refusal::Malformed("A callback is JSON with data.id.")),
        _ => Ok(reply::json("{}")),
    }
}

async fn signed(gw: &Gateway, route: &str, request: Request<Incoming>) -> Result<WebhookOutcome, Refusal> {
    let policy = gw.policy.snapshot();
    // A route without a secret takes no callbacks: nobody could tell a true one.
    let route = policy.routes.get(route).filter(|route| !route.webhook_secrets.is_empty()).ok_or(Refusal::NoSuchPath)?;
    let (head, body) = read_body(request).await?;
    ring(gw, route, &head, &body).await
}

/// The headers and the whole body, if it comes in time and is none too large.
async fn read_body(request: Request<Incoming>) -> Result<(HeaderMap, Bytes), Refusal> {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await.map_err(|_| Refusal::BodyTimeout)?;
    let body = body.map_err(|_| Refusal::BodyTooLarge { bytes_max: BODY_BYTES_MAX })?.to_bytes();
    Ok((head.headers, body))
}

async fn ring(gw: &Gateway, route: &Route, headers: &HeaderMap, body: &[u8]) -> Result<WebhookOutcome, Refusal> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signed = Signed { id: header("webhook-id"), timestamp: header("webhook-timestamp"), signatures: header("webhook-signature"), body };
    if !signature::is_good(&signed, &route.webhook_secrets, gw.clock.machine()) {
        return Ok(WebhookOutcome::BadSignature);
    }
    let Ok(Event { data: About { id } }) = serde_json::from_slice(body) else { return Ok(WebhookOutcome::Malformed) };
    if gw.store.hasten(&route.name, &id, gw.clock.now()).await? {
        gw.due.notify_one();
        Ok(WebhookOutcome::Accepted)
    } else {
        // Also a job that has ended, or one whose creation is not answered yet: polling finds out.
        Ok(WebhookOutcome::UnknownJob)
    }
}
