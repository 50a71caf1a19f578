//! The bytes of a finished job: from the archive if they are kept there, else streamed through from the
//! provider, bounded in memory and never redirected.
//!
//! What we promise in the head is what we deliver: if the upstream stops short, the connection is cut
//! rather than ended cleanly, so that nobody takes half a clip for a whole one. Headers are ours; the
//! upstream's are read, not copied.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, RANGE,
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use hyper::body::{Frame, Incoming};
use tracing::warn;

use super::archived::archived;
use super::intake::Caller;
use crate::accounts::Way;
use crate::gateway::Gateway;
use crate::id::{JobId, TenantName};
use crate::job::State;
use crate::metrics::UpstreamCall;
use crate::policy::{Policy, Route};
use crate::provider::{Handle, Variant};
use crate::refusal::Refusal;
use crate::reply::{Body, BodyError, Reply};
use crate::store::Job;
use crate::upstream::DownloadError;
use crate::wire;

/// An upstream that sends nothing for so long has stopped.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest `Range` header that is passed on, bytes.
const RANGE_BYTES_MAX: usize = 64;
const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// `GET /videos/{id}/content`, by key or by a signed link's token.
pub async fn content(gw: &Gateway, headers: &HeaderMap, query: Option<&str>, id: JobId) -> Result<Reply, Refusal> {
    let (policy, tenant) = reader(gw, headers, query, id)?;
    let variant = wire::variant(query)?;
    let job = gw.store.job(&tenant, id).await?.ok_or(Refusal::NoSuchVideo)?;
    match job.state {
        State::Completed => {}
        state if !state.is_awaited() => return Err(Refusal::NotMade),
        _ => return Err(Refusal::NotReady),
    }
    if let Some(reply) = archived(gw, &policy, headers, &job, variant).await {
        return Ok(reply);
    }
    let upstream_id = job.upstream_id.as_deref().ok_or(Refusal::Expired)?;
    let handle = Handle { upstream_id, result_url: job.result_url.as_deref() };
    let mut way = way(gw, &policy, &job)?;
    let mut answer = fetch(gw, way.route(), handle, variant, range(headers)).await;
    if answer.as_ref().is_ok_and(|reply| matches!(reply.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) {
        // A former key that is revoked: the present one may be of the same account.
        let next = self::way(gw, &policy, &job)?;
        if next.route().account != way.route().account {
            answer = fetch(gw, next.route(), handle, variant, range(headers)).await;
            way = next;
        }
    }
    let route = way.route();
    match answer {
        // Another account would not know it either.
        Ok(reply) if way.own().is_none() && matches!(reply.status(), StatusCode::NOT_FOUND | StatusCode::GONE) => {
            Err(Refusal::FormerAccount)
        }
        Ok(reply) => pass_on(reply, &job, variant),
        Err(DownloadError::Unsupported(what)) => Err(Refusal::Unsupported(what)),
        Err(DownloadError::Failed(why)) => {
            warn!(job.id = %job.id, route.name = %route.name, why, "content could not be fetched");
            Err(Refusal::Upstream)
        }
    }
}

/// How the account that made a clip can be asked for it.
fn way(gw: &Gateway, policy: &Policy, job: &Job) -> Result<Way, Refusal> {
    let gone = || if policy.route_of(&job.route).is_some() { Refusal::FormerAccount } else { Refusal::Expired };
    gw.accounts.way(policy, &job.home()).ok_or_else(gone)
}

async fn fetch(
    gw: &Gateway,
    route: &Route,
    handle: Handle<'_>,
    variant: Variant,
    range: Option<&str>,
) -> Result<Response<Incoming>, DownloadError> {
    let asked = Instant::now();
    let answer = gw.upstream.download(route, handle, variant, range).await;
    gw.metrics.upstream(&route.name, UpstreamCall::Content, asked.elapsed());
    answer
}

/// Whose content may be read: the key's tenant, or the tenant that a valid link names.
fn reader(gw: &Gateway, headers: &HeaderMap, query: Option<&str>, id: JobId) -> Result<(Arc<Policy>, TenantName), Refusal> {
    match wire::link_token(query)? {
        Some(token) => {
            let tenant = gw.links.read(&token, id, gw.clock.now()).ok_or(Refusal::Unauthenticated)?;
            let policy = gw.policy.snapshot();
            // A tenant that the operator has removed has no links either.
            if policy.tenants.contains_key(&tenant) { Ok((policy, tenant)) } else { Err(Refusal::Unauthenticated) }
        }
        None => Caller::of(gw, headers, None).map(|caller| (caller.policy, caller.tenant.name.clone())),
    }
}

/// A single range of bytes as the client asked for it; anything else gets the whole.
fn range(headers: &HeaderMap) -> Option<&str> {
    let range = headers.get(RANGE)?.to_str().ok()?;
    let single = range.starts_with("bytes=") && range.len() <= RANGE_BYTES_MAX && !range.contains(',');
    single.then_some(range)
}

/// Turns an upstream's reply into ours.
fn pass_on(reply: Response<Incoming>, job: &Job, variant: Variant) -> Result<Reply, Refusal> {
    let (theirs, body) = reply.into_parts();
    match theirs.status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Refusal::Expired),
        status => {
            warn!(job.id = %job.id, upstream.status = status.as_u16(), "content was refused");
            return Err(Refusal::Upstream);
        }
    }
    let media_type = media_type(&theirs.headers, variant)?;
    let mut ours = Response::new(streamed(body));
    *ours.status_mut() = theirs.status;
    let headers = ours.headers_mut();
    for name in [CONTENT_LENGTH, CONTENT_RANGE] {
        if let Some(value) = theirs.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    describe(headers, job, media_type);
    Ok(ours)
}

/// The headers that say what the bytes are, wherever they come from.
pub(super) fn describe(headers: &mut HeaderMap, job: &Job, media_type: &'static str) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    let name = format!("inline; filename=\"{}.{}\"", job.id, media_type.rsplit('/').next().unwrap_or("mp4"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
}

/// The media type, from a short list. JSON or HTML where bytes should be is an error page, not a clip.
fn media_type(headers: &HeaderMap, variant: Variant) -> Result<&'static str, Refusal> {
    const KNOWN: [&str; 5] = ["video/mp4", "video/webm", "image/webp", "image/jpeg", "image/png"];
    let theirs = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let theirs = theirs.split(';').next().unwrap_or_default().trim();
    match KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(theirs)) {
        Some(known) => Ok(known),
        None if theirs.eq_ignore_ascii_case("application/json") || theirs.eq_ignore_ascii_case("text/html") => Err(Refusal::Upstream),
        None => Ok(match variant {
            Variant::Video => "video/mp4",
            Variant::Thumbnail => "image/webp",
            Variant::Spritesheet => "image/jpeg",
        }),
    }
}

/// The body, frame by frame as the client takes it; a stall or a short end is an error, which cuts the line.
fn streamed(body: Incoming) -> Body {
    let frames = TryStreamExt::map_err(BodyStream::new(body), BodyError::from);
    let data = futures_util::stream::try_unfold(frames, |mut frames| async move {
        match tokio::time::timeout(STALL_TIMEOUT, frames.try_next()).await {
            Ok(Ok(Some(frame))) => Ok(Some((data_only(frame), frames))),
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(BodyError::from("the upstream stopped sending")),
        }
    });
    StreamBody::new(data).boxed_unsync()
}

/// Trailers are not passed on.
fn data_only(frame: Frame<Bytes>) -> Frame<Bytes> {
    Frame::data(frame.into_data().unwrap_or_default())
}
