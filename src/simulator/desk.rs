//! The desk: faults, webhook, bill and statistics over HTTP, for tests that run in another process; and the
//! counter where access tokens are issued.

use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::account;
use super::content::Payload;
use super::faults::{Faults, Webhook};
use super::form;
use super::refusal::{Failure, Refusal};
use super::studio::{Studio, reply};

/// The largest body that is read.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long an access token is good for.
const TOKEN_SECS: u64 = 3_599;

/// `/_simulator/{page}`
pub async fn answer(studio: &Studio, page: &str, request: Request<Incoming>) -> Result<Response<Payload>, Failure> {
    match (request.method(), page) {
        (&Method::GET, "bill") => Ok(reply(&studio.bill())),
        (&Method::GET, "stats") => Ok(reply(&studio.books().stats)),
        (&Method::GET, "faults") => Ok(reply(studio.books().faults.in_force())),
        (&Method::PUT, "faults") => {
            let faults: Faults = read(request).await?;
            studio.books().faults.replace(faults.clone());
            Ok(reply(&faults))
        }
        (&Method::PUT, "webhook") => {
            let webhook: Option<Webhook> = read(request).await?;
            studio.books().webhook = webhook;
            Ok(reply(&json!({})))
        }
        (method, _) => Err(Refusal::no_such_path(method, request.uri().path()).into()),
    }
}

/// Reads a body that is meant for the desk.
async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|_| Refusal::body("The body could not be read; send at most 1 MiB of JSON."))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| Refusal::body(format!("The body is not what this page takes: {error}.")))
}

/// `POST /entra/{tenant}/oauth2/v2.0/token`: the client credentials grant.
pub async fn token(studio: &Studio, request: Request<Incoming>) -> Result<Response<Payload>, Failure> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        return Err(Refusal::no_such_path(&head.method, head.uri.path()).into());
    }
    let form = form::read(&head.headers, body).await?;
    let field = |name| form.text(name).unwrap_or_default();
    if field("grant_type") != "client_credentials" || field("scope").is_empty() {
        return Err(Refusal::body("AADSTS70003: grant_type must be client_credentials, with a scope.").into());
    }
    let mut books = studio.books();
    let secs = books.faults.in_force().token_ttl_secs.unwrap_or(TOKEN_SECS);
    let until = studio.clock.now().after(Duration::from_secs(secs));
    let token = account::token(field("client_id"), field("client_secret"), until);
    let token = token
        .ok_or_else(|| Refusal::new(401, "invalid_client", Some("invalid_client"), "AADSTS7000215: Invalid client secret provided."))?;
    books.stats.tokens += 1;
    Ok(reply(&json!({"token_type": "Bearer", "expires_in": secs, "ext_expires_in": secs, "access_token": token})))
}
