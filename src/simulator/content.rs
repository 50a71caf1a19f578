//! Bytes on their way out: whole replies, ranges of files, and files that break off.
//!
//! A file may be far larger than what is held of it: its tail is padding, made chunk by chunk as
//! the client reads. Nothing here knows what the bytes mean.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

/// The largest piece handed to the connection at once.
const CHUNK: u64 = 64 * 1024;
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A file to be served: some bytes, then zeros.
#[derive(Clone, Debug)]
pub struct File {
    /// What is held of it.
    pub head: Bytes,
    /// How many zeros follow.
    pub padding: u64,
    /// Its media type.
    pub media_type: &'static str,
}

impl File {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        u64::try_from(self.head.len()).unwrap_or(u64::MAX).saturating_add(self.padding)
    }
}

/// What shall go wrong with a download.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defects {
    /// Break the connection after so many bytes.
    pub stop_after: Option<u64>,
    /// Send no more after so many bytes, and stay.
    pub stall_after: Option<u64>,
    /// Leave out so many bytes at the end, and say so in `content-length`.
    pub short_by: u64,
}

/// The file, or the one range of it that the headers ask for. `tag` names this version of it.
pub fn serve(file: File, headers: &HeaderMap, tag: &str, defects: Defects) -> Response<Payload> {
    let length = file.len().saturating_sub(defects.short_by);
    let tag = HeaderValue::from_str(&format!("\"{tag}\"")).ok();
    let same_version = headers.get(IF_RANGE).is_none_or(|wanted| Some(wanted) == tag.as_ref());
    let wanted = headers.get(RANGE).filter(|_| same_version).and_then(|value| value.to_str().ok());
    let media_type = file.media_type;
    let mut reply = match wanted.map_or(Wanted::Everything, |text| wanted_range(text, length)) {
        Wanted::Everything => respond(StatusCode::OK, file, 0..length, defects),
        Wanted::Part(range) => {
            let shown = format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1));
            let mut reply = respond(StatusCode::PARTIAL_CONTENT, file, range, defects);
            reply.headers_mut().extend(HeaderValue::from_str(&shown).ok().map(|shown| (CONTENT_RANGE, shown)));
            reply
        }
        Wanted::Nothing => {
            let mut reply = respond(StatusCode::RANGE_NOT_SATISFIABLE, file, 0..0, Defects::default());
            reply.headers_mut().extend(HeaderValue::from_str(&format!("bytes */{length}")).ok().map(|shown| (CONTENT_RANGE, shown)));
            reply
        }
    };
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    reply.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    reply.headers_mut().extend(tag.map(|tag| (ETAG, tag)));
    reply
}

fn respond(status: StatusCode, file: File, range: Range<u64>, defects: Defects) -> Response<Payload> {
    let length = range.end.saturating_sub(range.start);
    let at = |bytes: Option<u64>| bytes.filter(|bytes| *bytes < length).map(|bytes| range.start + bytes);
    let (breaks_at, stalls_at) = (at(defects.stop_after), at(defects.stall_after));
    let mut reply = Response::new(Payload { head: file.head, at: range.start, end: range.end, breaks_at, stalls_at });
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    reply
}

/// What a `range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Everything,
    Part(Range<u64>),
    Nothing,
}

/// Reads a `range` header for a file of `length` bytes. Several ranges at once, other units and
/// what cannot be read count as not asked.
fn wanted_range(text: &str, length: u64) -> Wanted {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-')) else {
        return Wanted::Everything;
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.is_empty() => first..length,
        (Err(_), Ok(last)) if first.is_empty() => length.saturating_sub(last)..length,
        _ => return Wanted::Everything,
    };
    if range.start < range.end { Wanted::Part(range) } else { Wanted::Nothing }
}

/// The body of every reply.
#[derive(Debug)]
pub struct Payload {
    head: Bytes,
    at: u64,
    end: u64,
    breaks_at: Option<u64>,
    stalls_at: Option<u64>,
}

impl Payload {
    /// All of these bytes.
    pub fn whole(bytes: Bytes) -> Self {
        let end = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { head: bytes, at: 0, end, breaks_at: None, stalls_at: None }
    }

    /// The piece that begins at `at`, no longer than `length`.
    fn piece(&self, length: u64) -> Bytes {
        let head_length = u64::try_from(self.head.len()).unwrap_or(u64::MAX);
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        if self.at < head_length {
            self.head.slice(size(self.at)..size(head_length.min(self.at + length)))
        } else {
            Bytes::from_static(&ZEROS).slice(..size(length))
        }
    }
}

/// The download was told to stop here.
#[derive(Debug, thiserror::Error)]
#[error("told to break off")]
pub struct Broken;

impl Body for Payload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let end = self.breaks_at.or(self.stalls_at).unwrap_or(self.end);
        if self.at >= end && self.breaks_at.is_none() && self.stalls_at.is_some() {
            // Nobody wakes it: it ends with its connection.
            return Poll::Pending;
        }
        if self.at >= end {
            return Poll::Ready(self.breaks_at.map(|_| Err(Broken)));
        }
        let piece = self.piece(CHUNK.min(end - self.at));
        self.at += u64::try_from(piece.len()).unwrap_or(CHUNK);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.breaks_at.is_none() && self.stalls_at.is_none() && self.at >= self.end
    }

    /// Exact, unless it will break off: then only the `content-length` header may promise a length.
    fn size_hint(&self) -> SizeHint {
        match self.breaks_at.or(self.stalls_at) {
            None => SizeHint::with_exact(self.end - self.at),
            Some(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, wanted_range};

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        assert_eq!(wanted_range("bytes=0-", 10), Wanted::Part(0..10));
        assert_eq!(wanted_range("bytes=2-4", 10), Wanted::Part(2..5));
        assert_eq!(wanted_range("bytes=2-400", 10), Wanted::Part(2..10));
        assert_eq!(wanted_range("bytes=-3", 10), Wanted::Part(7..10));
        assert_eq!(wanted_range("bytes=-30", 10), Wanted::Part(0..10));
        for unsatisfiable in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(wanted_range(unsatisfiable, 10), Wanted::Nothing, "{unsatisfiable}");
        }
        for ignored in ["bytes=4-2", "bytes=0-1,3-4", "items=0-1", "bytes=-", "bytes=a-b", ""] {
            assert_eq!(wanted_range(ignored, 10), Wanted::Everything, "{ignored}");
        }
    }
}
