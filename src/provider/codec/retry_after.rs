//! Reads `retry-after` and `date` without a clock.

use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};
use jiff::fmt::rfc2822::DateTimeParser;

use crate::clock::Timestamp;

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
    let until = moment(text)?.as_second() - told_at(headers)?.as_secs();
    Some(u64::try_from(until).unwrap_or(0).min(SECS_MAX))
}

/// What the upstream's clock said when it answered.
pub(super) fn told_at(headers: &HeaderMap) -> Option<Timestamp> {
    moment(text(headers, DATE)?).map(|date| Timestamp::from_secs(date.as_second()))
}

/// A header's text.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The moment that an HTTP date names.
fn moment(text: &str) -> Option<jiff::Timestamp> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::read;
    use http::{HeaderMap, HeaderValue};

    fn headers(retry_after: &'static str, date: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static(retry_after));
        if let Some(date) = date {
            headers.insert("date", HeaderValue::from_static(date));
        }
        headers
    }

    #[test]
    fn seconds_are_clamped_to_an_hour() {
        for (text, secs) in [("0", 0), ("7", 7), (" 7 ", 7), ("-1", 0), ("3600", 3_600), ("3601", 3_600), ("1000000000", 3_600)] {
            assert_eq!(read(&headers(text, None)), Some(secs), "{text:?}");
        }
        assert_eq!(read(&headers("99999999999999999999999", None)), Some(3_600));
    }

    #[test]
    fn dates_are_measured_from_the_replys_own() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (text, secs) in
            [("Sun, 06 Nov 1994 08:50:07 GMT", 30), ("Sun, 06 Nov 1994 08:49:07 GMT", 0), ("Mon, 07 Nov 1994 08:49:37 GMT", 3_600)]
        {
            assert_eq!(read(&headers(text, now)), Some(secs), "{text}");
            assert_eq!(read(&headers(text, None)), None, "without a date of the reply, {text} says nothing");
        }
    }

    #[test]
    fn anything_else_says_nothing() {
        for text in ["", "-", "soon", "1.5", "1e3", "0x10", "--1", "7 seconds", "Someday, 06 Nov 1994 08:50:07 GMT"] {
            assert_eq!(read(&headers(text, Some("Sun, 06 Nov 1994 08:49:37 GMT"))), None, "{text:?}");
        }
        assert_eq!(read(&HeaderMap::new()), None);
    }
}
