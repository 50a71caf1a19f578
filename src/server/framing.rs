//! The framing guard: reads along with the HTTP/1.1 parser and says which request of a connection must
//! not be believed.
//!
//! The parser in use is lenient where requests can be smuggled: it drops `Content-Length` where there is
//! `Transfer-Encoding` too, ends lines at a bare line feed, and takes any number of Host fields. Once it
//! has handed over a request, nothing of that can be seen any more. So the same bytes are followed here:
//! head, body, next head. Bodies are counted and not copied, a head is scanned once, and one that arrives
//! in one piece is judged where it lies.
//!
//! The invariant: a request is given to a handler only if both readers agree on where it begins and
//! ends. What is legal by RFC 9112 is never objected to. Once there was an objection, the rest of the
//! connection means nothing, and is not followed.

mod chunks;
mod head;

use std::sync::{Arc, OnceLock};

use chunks::Chunks;
use head::Length;

/// What is wrong with the framing of a connection, and from which of its requests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The first request that must not be believed, counted from 0.
    request: u64,
    /// What is wrong, for its sender.
    pub why: &'static str,
}

/// Where the guard and whoever answers requests meet: at most one objection, which stays.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<OnceLock<Objection>>);

impl Verdict {
    /// What stands against the `request`-th request of the connection, counted from 0.
    pub fn against(&self, request: u64) -> Option<Objection> {
        self.0.get().filter(|objection| request >= objection.request).copied()
    }
}

/// Follows the requests of one connection.
#[derive(Debug)]
pub struct Framing {
    place: Place,
    /// How many heads have been read to their end, which is the next one's number.
    heads: u64,
    head_bytes_max: usize,
    headers_max: usize,
    verdict: Verdict,
}

/// Where in a request the bytes have got to.
#[derive(Debug)]
enum Place {
    /// In a head, or between two requests.
    Head(Partial),
    /// In a body, so many bytes before its end.
    Body(u64),
    /// In a body that is sent in chunks.
    Chunks(Chunks),
    /// Beyond an objection.
    Nowhere,
}

/// A head as far as it has come.
#[derive(Debug, Default)]
struct Partial {
    /// Its lines, unless it is still in the bytes that are looked at.
    kept: Vec<u8>,
    /// All bytes since the last request's end.
    bytes: usize,
    /// Whether a line of it has been read; empty lines ahead of a request are none.
    begun: bool,
    /// Bytes of the line that is not ended yet.
    line_bytes: usize,
    /// Whether the last byte was a carriage return.
    after_cr: bool,
}

impl Framing {
    /// At the beginning of a connection. A head may have so many bytes and so many fields.
    pub fn new(head_bytes_max: usize, headers_max: usize, verdict: Verdict) -> Self {
        Self { place: Place::Head(Partial::default()), heads: 0, head_bytes_max, headers_max, verdict }
    }

    /// Whether a head has begun and not ended.
    pub const fn is_in_head(&self) -> bool {
        matches!(&self.place, Place::Head(partial) if partial.begun || partial.line_bytes > 0)
    }

    /// Follows the bytes that came next.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        // Ends because each turn takes at least one byte.
        while !bytes.is_empty() {
            let followed = match &mut self.place {
                Place::Head(_) => self.in_head(bytes),
                Place::Body(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= taken as u64;
                    if *left == 0 {
                        self.place = Place::Head(Partial::default());
                    }
                    Ok(taken)
                }
                Place::Chunks(chunks) => {
                    let taken = chunks.follow(bytes);
                    if chunks.is_at_end() {
                        self.place = Place::Head(Partial::default());
                    }
                    taken
                }
                Place::Nowhere => return,
            };
            match followed {
                Ok(taken) => bytes = &bytes[taken..],
                Err(why) => {
                    self.place = Place::Nowhere;
                    // Only here, and only once: nothing is followed after it.
                    let _ = self.verdict.0.set(Objection { request: self.heads, why });
                }
            }
        }
    }

    /// Takes bytes of a head, up to its end if that is among them.
    fn in_head(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let Place::Head(partial) = &mut self.place else { return Ok(0) };
        let end = partial.end(bytes)?;
        let taken = end.unwrap_or(bytes.len());
        partial.bytes = partial.bytes.saturating_add(taken);
        if partial.bytes > self.head_bytes_max {
            return Err("The request's headers are too large.");
        }
        let whole = match (end, partial.begun || partial.line_bytes > 0) {
            (Some(_), true) if partial.kept.is_empty() => &bytes[..taken],
            (Some(_), true) => {
                partial.kept.extend_from_slice(&bytes[..taken]);
                &partial.kept
            }
            (None, true) => {
                partial.kept.extend_from_slice(bytes);
                return Ok(taken);
            }
            // Empty lines only: a request has not begun.
            (_, false) => {
                partial.kept.clear();
                return Ok(taken);
            }
        };
        let length = head::length(whole, self.headers_max)?;
        self.heads += 1;
        self.place = match length {
            Length::Bytes(0) => Place::Head(Partial::default()),
            Length::Bytes(bytes) => Place::Body(bytes),
            Length::Chunked => Place::Chunks(Chunks::default()),
        };
        Ok(taken)
    }
}

impl Partial {
    /// Reads lines: how many bytes there are up to the head's end, if it is among them.
    fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, &'static str> {
        let mut line_start = 0;
        for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            let after_cr = if at == 0 { self.after_cr } else { bytes[at - 1] == b'\r' };
            if !after_cr {
                return Err("Lines of a request's head end with CR LF.");
            }
            let is_empty = self.line_bytes + (at - line_start) == 1;
            (self.line_bytes, line_start) = (0, at + 1);
            if is_empty && self.begun {
                return Ok(Some(at + 1));
            }
            self.begun |= !is_empty;
        }
        self.line_bytes += bytes.len() - line_start;
        self.after_cr = bytes.last() == Some(&b'\r');
        Ok(None)
    }
}

#[cfg(test)]
pub(super) mod tests;
