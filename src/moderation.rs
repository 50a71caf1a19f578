//! Moderation: what a moderation service is asked about a wish, and how its answer is read.
//!
//! Speaks OpenAI's `POST /moderations`. Pure: `upstream` performs the exchange and `api::guarding` decides
//! what follows. Shown are the prompt and, if policy says so, the picture that the clip starts from; a file
//! that only a provider has, a character and a clip to edit cannot be. An answer that does not say clearly
//! whether the wish is flagged is none.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::policy::Moderation;
use crate::provider::{Call, Credential};
use crate::video::{Reference, Wish};

/// The most categories that are told.
const CATEGORIES_MAX: usize = 20;
/// The longest of them, bytes.
const CATEGORY_BYTES_MAX: usize = 40;

/// What the service says of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it.
    Passed,
    /// It is not to be made, for these reasons.
    Flagged(Vec<String>),
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Judgement>,
}

#[derive(Deserialize)]
struct Judgement {
    flagged: bool,
    #[serde(default)]
    categories: BTreeMap<String, Value>,
}

/// The exchange about one wish. What is wrong with an answer is told without its text, which may quote the prompt.
pub fn call(moderation: &Moderation, wish: &Wish) -> Call<Result<Verdict, String>> {
    let body = json!({ "model": moderation.model, "input": input(wish, moderation.pictures) }).to_string();
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    // An address that is none has no host, so it cannot be sent.
    *request.uri_mut() = format!("{}/moderations", moderation.endpoint.base_url).parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Credential::Key(key) = &moderation.endpoint.credential
        && let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {}", key.reveal()))
    {
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    Call { request, read: Box::new(|reply| read(&reply)) }
}

/// How large the question about a wish is, bytes, but for what surrounds it.
pub fn size_bytes(moderation: &Moderation, wish: &Wish) -> usize {
    let picture = match &wish.reference {
        Some(Reference::Upload(upload)) if moderation.pictures => upload.bytes.len().div_ceil(3) * 4,
        _ => 0,
    };
    wish.prompt.len() + picture
}

/// The prompt alone as a text, which every service takes; with a picture as a list of parts.
fn input(wish: &Wish, pictures: bool) -> Value {
    match picture(wish).filter(|_| pictures) {
        Some(url) => json!([{ "type": "text", "text": wish.prompt }, { "type": "image_url", "image_url": { "url": url } }]),
        None => json!(wish.prompt),
    }
}

fn picture(wish: &Wish) -> Option<String> {
    match wish.reference.as_ref()? {
        Reference::ImageUrl(url) => Some(url.clone()),
        Reference::Upload(upload) => Some(format!("data:{};base64,{}", upload.media_type.as_str(), STANDARD.encode(&upload.bytes))),
        Reference::FileId(_) => None,
    }
}

fn read(reply: &Response<Bytes>) -> Result<Verdict, String> {
    if reply.status() != StatusCode::OK {
        return Err(format!("it answered {}", reply.status().as_u16()));
    }
    let answer: Answer = serde_json::from_slice(reply.body()).map_err(|_| "its answer cannot be read".to_owned())?;
    if answer.results.is_empty() {
        return Err("its answer says nothing".to_owned());
    }
    if answer.results.iter().all(|judgement| !judgement.flagged) {
        return Ok(Verdict::Passed);
    }
    let against = answer.results.into_iter().flat_map(|judgement| judgement.categories).filter(|(_, is)| *is == Value::Bool(true));
    Ok(Verdict::Flagged(against.map(|(category, _)| category).filter(|category| is_plain(category)).take(CATEGORIES_MAX).collect()))
}

/// Whether a category is a name such as `self-harm/intent`, which goes into a log as it is.
fn is_plain(category: &str) -> bool {
    (1..=CATEGORY_BYTES_MAX).contains(&category.len()) && category.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b))
}

#[cfg(test)]
mod tests;
