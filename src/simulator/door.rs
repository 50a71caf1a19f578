//! The door: what a request asks for, and who does it.
//!
//! Decides nothing but that. `_simulator` is ours, `entra` issues tokens, the rest are dialects.

use std::sync::Arc;
use std::time::Duration;

use http::header::{DATE, HOST};
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::account;
use super::content::Payload;
use super::desk;
use super::dialect::Dialect;
use super::operation::Operation;
use super::refusal::{Failure, Refusal};
use super::studio::Studio;
use crate::clock::Timestamp;

/// The connection shall end here, with no reply.
#[derive(Debug, thiserror::Error)]
#[error("told to cut the connection")]
pub struct Cut;

/// How soon a question that hangs is answered once that is over.
const GLANCE: Duration = Duration::from_millis(20);

/// Answers one request.
pub async fn answer(studio: &Arc<Studio>, request: Request<Incoming>) -> Result<Response<Payload>, Cut> {
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (dialect, outcome) = match segments.as_slice() {
        ["_simulator", page] => (Dialect::Openai, desk::answer(studio, page, request).await),
        ["entra", _, "oauth2", "v2.0", "token"] => (Dialect::Openai, desk::token(studio, request).await),
        ["cometapi", "files", name] => (Dialect::Cometapi, studio.linked_clip(name, request.headers())),
        ["openai", "v1", rest @ ..] => (Dialect::Openai, provide(studio, Dialect::Openai, rest, request).await),
        ["azure", "openai", "v1", rest @ ..] => (Dialect::Azure, provide(studio, Dialect::Azure, rest, request).await),
        ["cometapi", "v1", rest @ ..] => (Dialect::Cometapi, provide(studio, Dialect::Cometapi, rest, request).await),
        _ => (Dialect::Openai, Err(Refusal::no_such_path(request.method(), &path).into())),
    };
    let mut reply = match outcome {
        Ok(reply) => reply,
        Err(Failure::Refused(refusal)) => refusal.reply(dialect),
        Err(Failure::Cut) => return Err(Cut),
    };
    // By the clock that jobs are stamped with, which may have been turned.
    if let Some(date) = date(studio.clock.now()) {
        reply.headers_mut().insert(DATE, date);
    }
    Ok(reply)
}

/// A moment as a `date` header says it.
fn date(now: Timestamp) -> Option<HeaderValue> {
    let now = jiff::Timestamp::from_second(now.as_secs()).ok()?;
    HeaderValue::try_from(DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok()?).ok()
}

/// Answers a request in a dialect.
async fn provide(studio: &Studio, dialect: Dialect, path: &[&str], request: Request<Incoming>) -> Result<Response<Payload>, Failure> {
    let (head, body) = request.into_parts();
    let account = account::of_request(dialect, &head.headers, studio.clock.now(), studio.books().faults.in_force())?;
    let operation = Operation::of(dialect, &head.method, path).ok_or_else(|| Refusal::no_such_path(&head.method, head.uri.path()))?;
    studio.count(dialect, operation.name());
    let query = head.uri.query().unwrap_or_default();
    let origin = origin(&head.headers);
    if matches!(operation, Operation::Retrieve(_) | Operation::List) && is_hanging(studio, dialect) {
        studio.count(dialect, "hung");
        while is_hanging(studio, dialect) {
            tokio::time::sleep(GLANCE).await;
        }
    }
    match &operation {
        Operation::Create | Operation::Remix(_) | Operation::Edit | Operation::Extend => {
            studio.order(&account, &operation, &head.headers, body, &origin).await
        }
        Operation::Retrieve(id) => studio.retrieve(&account, id, &origin),
        Operation::List => studio.list(&account, query, &origin),
        Operation::Delete(id) => studio.delete(&account, id),
        Operation::Content(id) => studio.content(&account, id, query, &head.headers),
        Operation::MakeCharacter => studio.make_character(&account, &head.headers, body).await,
        Operation::Character(id) => studio.character(&account, id),
        Operation::Models => Ok(studio.models(dialect)),
    }
}

/// Whether a dialect takes questions and does not answer them.
fn is_hanging(studio: &Studio, dialect: Dialect) -> bool {
    studio.books().faults.in_force().hanging.contains(&dialect)
}

/// Scheme and authority by which the client reached us, for links that must lead back here.
fn origin(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    format!("http://{host}")
}
