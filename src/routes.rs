//! The API's index: (method, path) → handler, as one match, and what every answer carries.
//!
//! Paths are matched as raw bytes against exact templates. Anything that could be read in two ways (an
//! escape, a dot segment, a double slash) is no path of ours.

use std::sync::Arc;
use std::time::Instant;

use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Version};
use hyper::body::Incoming;
use tracing::{Instrument as _, error, info, info_span};

use crate::api::create::Making;
use crate::api::{Caller, character, content, create, models, read, remove};
use crate::gateway::Gateway;
use crate::hooks;
use crate::id::{CharacterId, JobId, RequestId, TenantName};
use crate::metrics::{Operation, Outcome};
use crate::refusal::Refusal;
use crate::reply::{self, Reply};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
const VERSION: HeaderName = HeaderName::from_static("openai-version");

/// Where providers call back: `/hooks/{route}`.
const HOOKS: &str = "/hooks/";

/// Answers one request of a client.
pub async fn answer(gw: Arc<Gateway>, request: Request<Incoming>) -> Reply {
    let (started, id) = (Instant::now(), RequestId::mint());
    let operation = operation(&request);
    let mut tenant = None;
    let span = info_span!("request", request.id = %id);
    let outcome = match sound(&request) {
        Ok(()) => handle(&gw, operation, request, &mut tenant).instrument(span.clone()).await,
        Err(refusal) => Err(refusal),
    };
    let mut reply = outcome.unwrap_or_else(|refusal| {
        let reply = reply::refused(&refusal);
        gw.metrics.refused(tenant.as_ref(), refusal.counted());
        if let (Some(tenant), Some(guard)) = (&tenant, refusal.guard()) {
            gw.metrics.guarded(tenant, guard);
        }
        let (reason, cause) = (refusal.counted().as_str(), refusal.cause());
        if matches!(refusal, Refusal::Unavailable(_)) {
            error!(parent: &span, cause = refusal.cause(), "the books cannot be kept");
        }
        let (operation, tenant) = (operation.as_str(), tenant.as_ref().map(tracing::field::display));
        info!(parent: &span, operation, http.status = reply.status().as_u16(), tenant.name = tenant, reason, cause, "refused");
        reply
    });
    let elapsed = started.elapsed();
    gw.metrics.request(operation, Outcome::of(reply.status()), elapsed);
    if !waits_for_upstream(operation) {
        gw.metrics.overhead(elapsed);
    }
    let headers = reply.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(PROCESSING_MS, HeaderValue::from(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)));
    headers.insert(VERSION, HeaderValue::from_static("2020-10-01"));
    reply
}

/// Whether an operation's time is mostly somebody else's; those that make clips report their own part.
const fn waits_for_upstream(operation: Operation) -> bool {
    use Operation as O;
    matches!(operation, O::Create | O::Remix | O::Edit | O::Extend | O::Content | O::CreateCharacter)
}

/// What the framing and the request line must be before anything is looked at.
fn sound(request: &Request<Incoming>) -> Result<(), Refusal> {
    let headers = request.headers();
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Refusal::MethodNotAllowed);
    }
    names_one_host(request)?;
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Err(Refusal::Malformed("A request has Content-Length or Transfer-Encoding, not both."));
    }
    let chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if codings.next().is_some_and(|first| !chunked(first)) || codings.next().is_some() {
        return Err(Refusal::Malformed("The only Transfer-Encoding is a single 'chunked'."));
    }
    if headers.get(EXPECT).is_some_and(|expect| !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Refusal::Expectation);
    }
    let path = request.uri().path();
    let odd = |b: u8| !b.is_ascii_graphic() || matches!(b, b'%' | b'\\' | b';');
    if path.bytes().any(odd) || path.contains("//") || path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Refusal::NoSuchPath);
    }
    Ok(())
}

/// Whom a request is for it says once; HTTP/2 has a place of its own for that, beside which Host may repeat it.
fn names_one_host(request: &Request<Incoming>) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let place = request.uri().authority().filter(|_| request.version() == Version::HTTP_2);
    match (hosts.next(), hosts.next(), place) {
        (Some(_), None, None) | (None, None, Some(_)) => Ok(()),
        (Some(host), None, Some(place)) if host.as_bytes().eq_ignore_ascii_case(place.as_str().as_bytes()) => Ok(()),
        _ => Err(Refusal::Malformed("A request names exactly one host, by its Host header.")),
    }
}

/// The path's segments below `/v1`, `/openai/v1` or `/openai`.
fn segments(path: &str) -> Option<Vec<&str>> {
    let below = ["/openai/v1/", "/openai/", "/v1/"].into_iter().find_map(|mount| path.strip_prefix(mount))?;
    let below = below.strip_suffix('/').unwrap_or(below);
    Some(below.splitn(5, '/').collect())
}

/// What a request is about, for the metrics: a closed set, whatever the path.
fn operation(request: &Request<Incoming>) -> Operation {
    use Operation as O;
    if request.method() == Method::POST && request.uri().path().starts_with(HOOKS) {
        return O::Hook;
    }
    let segments = segments(request.uri().path()).unwrap_or_default();
    match (request.method(), segments.as_slice()) {
        (&Method::POST, ["videos"]) => O::Create,
        (&Method::GET, ["videos"]) => O::List,
        (&Method::POST, ["videos", "edits"]) => O::Edit,
        (&Method::POST, ["videos", "extensions"]) => O::Extend,
        (&Method::POST, ["videos", "estimate"]) => O::Estimate,
        (&Method::POST, ["videos", "characters"]) => O::CreateCharacter,
        (&Method::GET, ["videos", "characters", _]) => O::ReadCharacter,
        (&Method::GET, ["videos", _]) => O::Read,
        (&Method::DELETE, ["videos", _]) => O::Delete,
        (&Method::GET, ["videos", _, "content"]) => O::Content,
        (&Method::POST, ["videos", _, "remix"]) => O::Remix,
        (&Method::GET, ["models", ..]) => O::Models,
        _ => O::Other,
    }
}

async fn handle(
    gw: &Arc<Gateway>,
    operation: Operation,
    request: Request<Incoming>,
    tenant: &mut Option<TenantName>,
) -> Result<Reply, Refusal> {
    use Operation as O;
    let uri = request.uri().clone();
    let (query, authority) = (uri.query(), uri.authority().map(http::uri::Authority::as_str));
    if operation == O::Hook {
        return hooks::hook(gw, uri.path().trim_start_matches(HOOKS), request).await;
    }
    let segments = segments(uri.path()).ok_or(Refusal::NoSuchPath)?;
    if operation == O::Content {
        return Box::pin(content::content(gw, request.headers(), query, job_id(segments[1])?)).await;
    }
    let caller = Caller::of(gw, request.headers(), authority)?;
    *tenant = Some(caller.tenant.name.clone());
    // What takes a body keeps far more across its waits than a poll does. It is boxed, or every poll would
    // be moved about at the size of the largest of them.
    match (operation, segments.as_slice()) {
        (O::Create, _) => Box::pin(create::create(gw, caller, Making::Create, request)).await,
        (O::Remix, [_, id, _]) => Box::pin(create::create(gw, caller, Making::Remix(job_id(id)?), request)).await,
        (O::Edit, _) => Box::pin(create::create(gw, caller, Making::Edit, request)).await,
        (O::Extend, _) => Box::pin(create::create(gw, caller, Making::Extend, request)).await,
        (O::Estimate, _) => Box::pin(create::price_only(gw, caller, request)).await,
        (O::List, _) => read::list(gw, &caller, query).await,
        (O::Read, [_, "edits" | "extensions" | "estimate"]) => Err(Refusal::MethodNotAllowed),
        (O::Read, [_, id]) => read::retrieve(gw, &caller, job_id(id)?).await,
        (O::Delete, [_, id]) => remove::remove(gw, &caller, job_id(id)?).await,
        (O::CreateCharacter, _) => Box::pin(character::create(gw, caller, request)).await,
        (O::ReadCharacter, [_, _, id]) => {
            let id: CharacterId = id.parse().map_err(|_| Refusal::NoSuchCharacter)?;
            character::retrieve(gw, &caller, id).await
        }
        (O::Models, ["models"]) => Ok(models::list(gw, &caller)),
        (O::Models, ["models", name]) => models::retrieve(gw, &caller, name),
        (_, ["videos"] | ["videos", _] | ["videos", "characters", _] | ["models"] | ["models", _]) => Err(Refusal::MethodNotAllowed),
        (_, ["videos", _, "content" | "remix"]) => Err(Refusal::MethodNotAllowed),
        _ => Err(Refusal::NoSuchPath),
    }
}

/// What cannot be an id of ours is answered as an id that nobody has.
fn job_id(text: &str) -> Result<JobId, Refusal> {
    text.parse().map_err(|_| Refusal::NoSuchVideo)
}
