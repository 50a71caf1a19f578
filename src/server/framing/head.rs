//! One head: whether it can be read in one way only, and how long its body is.
//!
//! Uses the parser that the server itself uses, and then asks for what that one lets pass. Pure.

use httparse::{EMPTY_HEADER, Header, Request, Status};

/// How long a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Bytes(u64),
    /// As long as its chunks.
    Chunked,
}

/// The length of the body that follows a whole head, or what is wrong with the head.
pub fn length(head: &[u8], headers_max: usize) -> Result<Length, &'static str> {
    let mut fields = vec![EMPTY_HEADER; headers_max];
    let mut request = Request::new(&mut fields);
    match request.parse(head) {
        Ok(Status::Complete(end)) if end == head.len() => {}
        Ok(_) => return Err("The request's head cannot be read."),
        Err(httparse::Error::TooManyHeaders) => return Err("The request has too many headers."),
        Err(_) => return Err("The request's head cannot be read."),
    }
    host(&request)?;
    let length = one(request.headers, "content-length").map_err(|Several| "A request has at most one Content-Length.")?;
    let coding = one(request.headers, "transfer-encoding").map_err(|Several| ONE_CODING)?;
    match (length, coding) {
        (None, None) => Ok(Length::Bytes(0)),
        (Some(_), Some(_)) => Err("A request has Content-Length or Transfer-Encoding, not both."),
        (Some(length), None) => digits(length).map(Length::Bytes).ok_or("Content-Length is a number of bytes."),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") && request.version == Some(1) => Ok(Length::Chunked),
        (None, Some(_)) => Err(ONE_CODING),
    }
}

const ONE_CODING: &str = "The only Transfer-Encoding is a single 'chunked', in HTTP/1.1.";

/// More than one field of a name.
struct Several;

/// The value of the only field of that name.
fn one<'a>(fields: &[Header<'a>], name: &str) -> Result<Option<&'a [u8]>, Several> {
    let mut values = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value.trim_ascii());
    let first = values.next();
    if values.next().is_some() { Err(Several) } else { Ok(first) }
}

/// HTTP/1.1 asks for exactly one Host, and it says what the request line says, if that says anything.
fn host(request: &Request<'_, '_>) -> Result<(), &'static str> {
    let host = one(request.headers, "host").map_err(|Several| "A request has exactly one Host header.")?;
    if host.is_none() && request.version == Some(1) {
        return Err("A request has exactly one Host header.");
    }
    let target = request.path.unwrap_or_default();
    let Some((_, rest)) = target.split_once("://").filter(|_| !target.starts_with('/')) else { return Ok(()) };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match host {
        Some(host) if !authority.as_bytes().eq_ignore_ascii_case(host) => Err("The request line and the Host header name different hosts."),
        _ => Ok(()),
    }
}

/// Digits and nothing else: no sign, no space, no list.
fn digits(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))?;
    text.parse().ok()
}
