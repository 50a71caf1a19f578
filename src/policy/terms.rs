//! The terms of the file: how a duration, an amount, a name or an address is written.
//!
//! Pure readers of single values. A reader that refuses says what is wrong and what to write.

use std::time::Duration;

use http::Uri;

use super::file::forms::Written;
use crate::money::MicroUsd;

/// What is wrong with a value, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub message: String,
    pub remedy: String,
}

impl Wrong {
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into() }
    }
}

/// The most that may be said of one amount: enough for any budget, far from overflow.
pub(super) const AMOUNT_MAX: MicroUsd = MicroUsd::new(1_000_000_000_000_000);

/// `"500ms"`, `"30s"`, `"15m"`, `"24h"`, `"30d"`.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("{text:?} is not a duration"),
            "write a whole number and a unit: \"500ms\", \"30s\", \"15m\", \"24h\" or \"30d\"",
        )
    };
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

/// A duration as the file writes it.
pub(super) fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m")];
    let whole = units.into_iter().find(|(unit_ms, _)| ms >= *unit_ms && ms.is_multiple_of(*unit_ms));
    let unit = whole.or_else(|| ms.is_multiple_of(1_000).then_some((1_000, "s")));
    unit.map_or_else(|| format!("{ms}ms"), |(unit_ms, unit)| format!("{}{unit}", ms / unit_ms))
}

/// Bytes: a whole number, or `"16MiB"`.
pub(super) fn bytes(written: &Written) -> Result<u64, Wrong> {
    let wrong = || Wrong::new("this is not a number of bytes", "write bytes as a whole number, or \"512KiB\", \"16MiB\", \"1GiB\"");
    let text = match written {
        Written::Integer(bytes) => return u64::try_from(*bytes).map_err(|_| wrong()),
        Written::Float(_) => return Err(wrong()),
        Written::Text(text) => text,
    };
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit_bytes: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.parse().ok().and_then(|n: u64| n.checked_mul(unit_bytes)).ok_or_else(wrong)
}

/// An amount of at least nothing, as a quoted decimal. `noun` says what it is an amount of: `price`.
pub(super) fn amount(noun: &str, written: &Written) -> Result<MicroUsd, Wrong> {
    let text = match written {
        Written::Text(text) => text,
        Written::Integer(number) => return Err(unquoted(noun, &format!("{}.00", number.unsigned_abs()))),
        Written::Float(number) => return Err(unquoted(noun, &show_float(*number))),
    };
    let amount: MicroUsd = text.parse().map_err(|bad: crate::money::BadAmount| {
        Wrong::new(format!("this is not a {noun}: {bad}"), "write dollars as a quoted decimal: \"0.10\"")
    })?;
    if amount.is_negative() {
        return Err(Wrong::new(format!("a {noun} is not negative"), "write it without a sign, such as \"0.10\""));
    }
    if amount > AMOUNT_MAX {
        return Err(Wrong::new(format!("a {noun} of {amount} USD is beyond reason"), format!("write at most {AMOUNT_MAX}")));
    }
    Ok(amount)
}

fn unquoted(noun: &str, example: &str) -> Wrong {
    Wrong::new(format!("a {noun} is a quoted decimal: a bare number may lose the cent"), format!("write {example:?}"))
}

/// A float as a price would be written: two decimals, or as many as it has.
fn show_float(number: f64) -> String {
    let short = format!("{}", number.abs());
    let decimals = short.split_once('.').map_or(0, |(_, d)| d.len());
    if decimals < 2 { format!("{:.2}", number.abs()) } else { short }
}

/// The name of a route or a tenant.
pub(super) fn name(noun: &str, text: &str) -> Result<(), Wrong> {
    let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let rest = |b: u8| first(b) || b == b'_' || b == b'-';
    let ok = (1..=64).contains(&text.len()) && text.bytes().next().is_some_and(first) && text.bytes().all(rest);
    let wrong = || {
        Wrong::new(
            format!("{} is not a name for a {noun}", shorten(text)),
            "use 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or digit",
        )
    };
    ok.then_some(()).ok_or_else(wrong)
}

/// The public name of a model.
pub(super) fn model_name(text: &str) -> Result<(), Wrong> {
    let ok = (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/@-".contains(&b))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let wrong = || {
        Wrong::new(
            format!("{} is not a name for a model", shorten(text)),
            "use 1 to 128 letters, digits and . _ : / @ -, such as \"sora-2\"",
        )
    };
    ok.then_some(()).ok_or_else(wrong)
}

/// An `http` or `https` address without login, query or fragment; its trailing slashes go.
pub(super) fn base_url(text: &str) -> Result<String, Wrong> {
    let wrong = |what: &str| Wrong::new(format!("this address {what}"), "write it like \"https://api.example.com/v1\"");
    let uri: Uri = text.parse().map_err(|_| wrong("cannot be read"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("begins with neither https:// nor http://"));
    }
    let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
    if authority.as_str().contains('@') {
        return Err(Wrong::new("this address has a login in it", "take the login out and put the key into `api_key`"));
    }
    if uri.host().unwrap_or_default().is_empty() {
        return Err(wrong("has no host"));
    }
    if text.contains(['?', '#']) {
        return Err(wrong("has a query or a fragment"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Whether an address is one that a credential should not be sent to: unencrypted and elsewhere.
pub(super) fn is_cleartext(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|u| u.host().map(str::to_owned)).unwrap_or_default();
    let here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    url.starts_with("http://") && !here
}

/// A host name, or `*.` and one.
pub(super) fn host_pattern(text: &str) -> Result<(), Wrong> {
    let host = text.strip_prefix("*.").unwrap_or(text);
    let label = |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let ok = host.len() <= 253 && host.split('.').all(label) && (host.contains('.') || host.len() == text.len());
    let wrong = || {
        Wrong::new(
            format!("{} is not a host", shorten(text)),
            "write a lower-case host name without scheme, port or path: \"cdn.example.com\" or \"*.example.com\"",
        )
    };
    ok.then_some(()).ok_or_else(wrong)
}

/// One host by its name.
pub(super) fn host(text: &str) -> Result<(), Wrong> {
    let wrong = || {
        let message = format!("{} is not the name of a host", shorten(text));
        Wrong::new(message, "write a lower-case host name without scheme, port or path: \"filmgate\" or \"gateway.example.com\"")
    };
    host_pattern(text).ok().filter(|()| !text.contains('*')).ok_or_else(wrong)
}

/// A text in quotes, not longer than is useful in a message.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { format!("{text:?}") } else { format!("{:?}…", text.chars().take(60).collect::<String>()) }
}

/// Names in backquotes, at most twelve.
pub(super) fn list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(12).map(|n| format!("`{n}`")).collect();
    let more = names.count();
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// What to write for a name that nobody has: the closest, or what there is.
pub(super) fn name_remedy<'n>(wrong: &str, noun: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    match did_you_mean(wrong, known.clone()) {
        Some(close) => format!("did you mean `{close}`?"),
        None if known.clone().next().is_none() => format!("there are no {noun} yet: add one"),
        None => format!("the {noun} are {}", list(known)),
    }
}

/// The most names compared with a misspelt one.
const COMPARED_MAX: usize = 1_000;

/// The name that was probably meant.
pub(super) fn did_you_mean<'n>(wrong: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if wrong.len() > 64 {
        return None;
    }
    let wrong: Vec<char> = wrong.to_lowercase().chars().collect();
    let allowed = (wrong.len() / 3).max(1);
    let distances = known.take(COMPARED_MAX).filter(|k| k.len() <= 128).map(|k| (distance(&wrong, k), k));
    distances.filter(|(d, _)| *d <= allowed).min_by_key(|(d, _)| *d).map(|(_, k)| k)
}

/// How many letters have to be put in, left out, replaced or swapped to get from one word to the other.
fn distance(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let cell = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=from.len()).collect();
    for (i, t) in to.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, f) in from.iter().enumerate() {
            let replaced = cell(&row, j) + usize::from(f != t);
            let swapped = match (i.checked_sub(1).and_then(|i| to.get(i)), j.checked_sub(1).and_then(|j| from.get(j))) {
                (Some(last_t), Some(last_f)) if last_t == f && last_f == t => cell(&before, j - 1) + 1,
                _ => usize::MAX,
            };
            next.push(replaced.min(swapped).min(cell(&row, j + 1) + 1).min(cell(&next, j) + 1));
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
