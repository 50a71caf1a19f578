//! Replies: the body type, and the builders that every answer goes through.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};

use crate::refusal::Refusal;
use crate::wire;

/// Why a body that we stream stops short: what was promised cannot be delivered, so the connection is cut.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// Every answer's body.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;
/// An answer.
pub type Reply = Response<Body>;

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// A body that is all there.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// 200 with a JSON body.
pub fn json(body: impl Into<Bytes>) -> Reply {
    with(StatusCode::OK, "application/json", body)
}

/// An answer of that status and media type, private to its receiver.
pub fn with(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(whole(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    reply
}

/// The answer to a request that is turned away.
pub fn refused(refusal: &Refusal) -> Reply {
    let told = refusal.told();
    let body = wire::error_body(&told.message, told.kind, told.param.as_deref(), told.code.as_deref());
    let mut reply = with(told.status, "application/json", body);
    let headers = reply.headers_mut();
    if let Some(secs) = told.retry_after_secs {
        headers.insert(RETRY_AFTER, HeaderValue::from(secs));
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(secs * 1000));
    }
    if !refusal.invites_again() {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if refusal.closes() {
        headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}
