//! Reads `retry-after` without a clock.

use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// The longest we let an upstream send us away.
const SECS_MAX: u64 = 3_600;

/// When to come back, seconds, clamped to an hour.
///
/// A date is measured from the reply's own `date`, so a clock that is wrong on either side does not
/// matter. What cannot be read is `None`; what lies in the past is now.
pub(super) fn read(headers: &HeaderMap) -> Option<u64> {
    let text = text(headers, RETRY_AFTER)?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        // Digits that do not fit are a very long time.
        let secs = if text.starts_with('-') { 0 } else { text.parse().unwrap_or(SECS_MAX) };
        return Some(secs.min(SECS_MAX));
    }
    let until = moment(text)?.as_second() - moment(self::text(headers, DATE)?)?.as_second();
    Some(u64::try_from(until).unwrap_or(0).min(SECS_MAX))
}

/// A header's text.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The moment that an HTTP date names.
fn moment(text: &str) -> Option<Timestamp> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text).ok()
}
