//! Query strings: which page of a list, which file of a video.
//!
//! Knows neither the list nor the file. Keys that mean nothing here (`api-version`) are left alone.

use crate::provider::Variant;
use crate::wire::error::Fault;

/// How many videos a page has when the client does not say.
pub const LIMIT_DEFAULT: u32 = 20;

/// The most videos that a page may have.
pub const LIMIT_MAX: u32 = 100;

/// The longest cursor, bytes.
const AFTER_BYTES_MAX: usize = 256;

/// Which page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// The id that the page before ended with, unchecked.
    pub after: Option<String>,
    /// How many videos at most, 0 to [`LIMIT_MAX`].
    pub limit: u32,
    /// Whether later videos come first.
    pub newest_first: bool,
}

/// Reads the query of `GET /videos`.
pub fn page(query: Option<&str>) -> Result<ListQuery, Fault> {
    let after = query_value(query, "after")?.filter(|after| !after.is_empty());
    if let Some(after) = after.as_deref().filter(|after| after.len() > AFTER_BYTES_MAX) {
        return Err(Fault::too_long("after", after.chars().count(), AFTER_BYTES_MAX));
    }

    let limit = match query_value(query, "limit")? {
        None => LIMIT_DEFAULT,
        Some(text) => digits(&text)
            .filter(|limit| *limit <= LIMIT_MAX)
            .ok_or_else(|| Fault::bad_value("limit", &text, "A limit is a whole number from 0 to 100."))?,
    };

    let newest_first = match query_value(query, "order")?.as_deref() {
        None | Some("desc") => true,
        Some("asc") => false,
        Some(text) => return Err(Fault::bad_value("order", text, "Supported values are: 'asc' and 'desc'.")),
    };
    Ok(ListQuery { after, limit, newest_first })
}

/// The token of a signed link to content, if the query has one.
pub fn link_token(query: Option<&str>) -> Result<Option<String>, Fault> {
    query_value(query, "token")
}

/// Reads the query of `GET /videos/{id}/content`.
pub fn variant(query: Option<&str>) -> Result<Variant, Fault> {
    let Some(text) = query_value(query, "variant")? else { return Ok(Variant::Video) };
    Variant::ALL
        .into_iter()
        .find(|variant| variant.as_str() == text)
        .ok_or_else(|| Fault::bad_value("variant", &text, "Supported values are: 'video', 'thumbnail', and 'spritesheet'."))
}

/// The value of a query's key that may be given once.
pub fn query_value(query: Option<&str>, key: &str) -> Result<Option<String>, Fault> {
    let mut found = None;
    for pair in query.unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decoded(name).as_deref() != Some(key) {
            continue;
        }
        if found.is_some() {
            return Err(Fault::twice(key));
        }
        found = Some(decoded(value).ok_or_else(|| Fault::bad_value(key, value, "Its percent-encoding is broken."))?);
    }
    Ok(found)
}

/// Undoes percent-encoding; `None` if what comes out is no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// A number in one to three digits and nothing else: no sign, no space.
fn digits(text: &str) -> Option<u32> {
    let plain = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
