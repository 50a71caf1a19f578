//! Request bodies: JSON, multipart and urlencoded, all as one flat list of named fields.
//!
//! A nested JSON value gets the name that SDKs give it in multipart: `video[id]`,
//! `input_reference[image_url]`, `characters[][id]`. Knows no field by name.

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::refusal::Refusal;

/// The largest body that is read.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most fields that a body may have.
const FIELDS_MAX: usize = 64;

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// Text.
    Text(String),
    /// A number, a truth value or null, which only JSON can say.
    Scalar(Value),
    /// A file.
    File {
        /// What the client says it is.
        media_type: Option<String>,
        /// The file itself.
        bytes: Bytes,
    },
}

/// The fields of a body.
#[derive(Debug, Default)]
pub struct Form(Vec<(String, Field)>);

impl Form {
    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, field)| field)
    }

    /// The first field of that name, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.field(name) {
            Some(Field::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// What the first field of that name says, if it is no file: text as it is, other values as JSON.
    pub fn plain(&self, name: &str) -> Option<String> {
        match self.field(name)? {
            Field::Text(text) => Some(text.clone()),
            Field::Scalar(value) => Some(value.to_string()),
            Field::File { .. } => None,
        }
    }

    /// Every text of that name.
    pub fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).filter_map(|(_, field)| match field {
            Field::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The first field that is not one of these, without its brackets.
    pub fn stranger(&self, known: &[&str]) -> Option<&str> {
        self.0.iter().map(|(name, _)| name.split('[').next().unwrap_or(name)).find(|name| !known.contains(name))
    }
}

/// Reads and takes apart a body.
pub async fn read(headers: &HeaderMap, body: Incoming) -> Result<Form, Refusal> {
    let bytes = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Refusal::new(413, "invalid_request_error", None, "The request body is too large."));
        }
        Err(_) => return Err(Refusal::body("The request body ended before it was complete.")),
    };
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Ok(boundary) = multer::parse_boundary(content_type) {
        return multipart(bytes, boundary).await;
    }
    if content_type.starts_with("application/x-www-form-urlencoded") {
        return Ok(urlencoded(&String::from_utf8_lossy(&bytes)));
    }
    json(&bytes)
}

async fn multipart(bytes: Bytes, boundary: String) -> Result<Form, Refusal> {
    let malformed = |error: multer::Error| Refusal::body(format!("We could not parse the multipart body of your request: {error}."));
    let whole = stream::once(std::future::ready(Ok::<_, std::convert::Infallible>(bytes)));
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut form = Form::default();
    while let Some(part) = parts.next_field().await.map_err(malformed)? {
        let name = unnumbered(part.name().unwrap_or_default());
        let media_type = part.content_type().map(ToString::to_string);
        let is_file = part.file_name().is_some();
        let bytes = part.bytes().await.map_err(malformed)?;
        let field = if is_file {
            Field::File { media_type, bytes }
        } else {
            Field::Text(String::from_utf8(bytes.into()).map_err(|_| Refusal::body("A text field is not UTF-8."))?)
        };
        push(&mut form, name, field)?;
    }
    Ok(form)
}

fn json(bytes: &[u8]) -> Result<Form, Refusal> {
    let mut form = Form::default();
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => {
            for (name, value) in members {
                flatten(&mut form, name, value)?;
            }
            Ok(form)
        }
        _ => Err(Refusal::body("We could not parse the JSON body of your request.")),
    }
}

/// Depth is bounded by the JSON parser.
fn flatten(form: &mut Form, name: String, value: Value) -> Result<(), Refusal> {
    match value {
        Value::String(text) => push(form, name, Field::Text(text)),
        Value::Object(members) => members.into_iter().try_for_each(|(key, value)| flatten(form, format!("{name}[{key}]"), value)),
        Value::Array(items) => items.into_iter().try_for_each(|item| flatten(form, format!("{name}[]"), item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => push(form, name, Field::Scalar(value)),
    }
}

fn push(form: &mut Form, name: String, field: Field) -> Result<(), Refusal> {
    if form.0.len() >= FIELDS_MAX {
        return Err(Refusal::body(format!("The request has more than {FIELDS_MAX} fields.")));
    }
    form.0.push((name, field));
    Ok(())
}

/// `characters[0][id]` as `characters[][id]`: order is kept by the list itself.
fn unnumbered(name: &str) -> String {
    name.split('[')
        .map(|part| if part.trim_end_matches(']').bytes().all(|b| b.is_ascii_digit()) && part.ends_with(']') { "]" } else { part })
        .collect::<Vec<_>>()
        .join("[")
}

/// What token requests are written in; also reads query strings.
pub fn urlencoded(text: &str) -> Form {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(FIELDS_MAX);
    Form(
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (unescaped(name), Field::Text(unescaped(value))))
            .collect(),
    )
}

/// Undoes `%41` and `+`; what is not an escape stays as it is.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escape = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (byte, escape.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(decoded)) => {
                plain.push(decoded);
                at += 3;
                continue;
            }
            (b'+', _) => plain.push(b' '),
            _ => plain.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&plain).into_owned()
}
