//! A connection's stay: how long it may go on, and what ends it early.
//!
//! HTTP/1.1 takes one request after the other, so that whoever dawdles is seen by the sockets' own time-outs.
//! Over HTTP/2 a peer can keep a connection in good order and yet let every stream of it starve: it answers
//! pings and opens no window, or asks and takes back what it asked. So here it is kept what each stream waits
//! for. Waiting for us, or for a provider, is nobody's fault; waiting for the peer is, after a time.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Timeouts;

/// Requests of one connection; then it ends, and its client makes another, maybe with another of us.
pub const REQUESTS_MAX: u64 = 10_000;
/// Requests that a connection may take back, and as many more as it lets end.
const TAKEN_BACK_MAX: u64 = 500;

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Stays,
    /// It ends when what is under way has ended.
    Leaves,
    /// It ends now.
    Out,
}

/// One HTTP/2 connection's stay.
#[derive(Debug)]
pub struct Stay {
    timeouts: Timeouts,
    ends_at: Instant,
    ledger: Mutex<Ledger>,
    /// Rings when it is to end without delay.
    pub out: Notify,
}

#[derive(Debug)]
struct Ledger {
    requests: u64,
    ended: u64,
    taken_back: u64,
    /// Answers that are being made or sent; since when one has bytes that the peer does not take.
    streams: HashMap<u64, Option<Instant>>,
    /// Since when there are no streams.
    idle_since: Instant,
    leaving_since: Option<Instant>,
}

impl Stay {
    /// Begins now and ends after about the longest age: not all connections of a moment at one moment.
    pub fn new(timeouts: Timeouts) -> Arc<Self> {
        let now = Instant::now();
        let ledger = Ledger { requests: 0, ended: 0, taken_back: 0, streams: HashMap::new(), idle_since: now, leaving_since: None };
        Arc::new(Self { timeouts, ends_at: now + age(timeouts.age), ledger: Mutex::new(ledger), out: Notify::new() })
    }

    /// A request has come.
    pub fn stream(self: &Arc<Self>) -> Stream {
        let mut ledger = self.ledger();
        let number = ledger.requests;
        ledger.requests += 1;
        ledger.streams.insert(number, None);
        Stream { number, has_ended: false, stay: self.clone() }
    }

    /// How often to ask for the verdict.
    pub fn every(&self) -> Duration {
        (self.timeouts.write.min(self.timeouts.head) / 4).max(Duration::from_millis(20))
    }

    /// What is to become of the connection.
    pub fn verdict(&self, now: Instant) -> Verdict {
        let mut ledger = self.ledger();
        let waits_too_long = |since: &Option<Instant>| since.is_some_and(|since| now.duration_since(since) >= self.timeouts.write);
        if ledger.streams.values().any(waits_too_long) {
            return Verdict::Out;
        }
        let idle = ledger.streams.is_empty().then(|| now.duration_since(ledger.idle_since));
        if let Some(since) = ledger.leaving_since {
            // What was answered and is not taken keeps it from leaving by itself.
            let is_stuck = idle.is_some_and(|idle| idle.min(now.duration_since(since)) >= self.timeouts.write);
            return if is_stuck { Verdict::Out } else { Verdict::Stays };
        }
        let idle_max = if ledger.requests == 0 { self.timeouts.head } else { self.timeouts.idle };
        if now < self.ends_at && ledger.requests < REQUESTS_MAX && idle.is_none_or(|idle| idle < idle_max) {
            return Verdict::Stays;
        }
        ledger.leaving_since = Some(now);
        Verdict::Leaves
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So long, or up to a tenth less.
pub fn age(longest: Duration) -> Duration {
    let mut dice = [0; 1];
    // Without dice all live equally long, which is no harm worth an error.
    let _ = getrandom::fill(&mut dice);
    longest - longest / 10 * u32::from(dice[0]) / 255
}

/// One request and its answer, from the first to the last byte that we have to do with.
#[derive(Debug)]
pub struct Stream {
    number: u64,
    has_ended: bool,
    stay: Arc<Stay>,
}

impl Stream {
    /// The peer has, or has not, bytes to take since now.
    fn waits_for_peer(&self, since: Option<Instant>) {
        self.stay.ledger().streams.insert(self.number, since);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut ledger = self.stay.ledger();
        ledger.streams.remove(&self.number);
        if ledger.streams.is_empty() {
            ledger.idle_since = Instant::now();
        }
        if self.has_ended {
            ledger.ended += 1;
            return;
        }
        ledger.taken_back += 1;
        if ledger.taken_back > TAKEN_BACK_MAX + ledger.ended {
            self.stay.out.notify_one();
        }
    }
}

/// An answer's body that is seen to be taken.
#[derive(Debug)]
pub struct Taken<B> {
    body: B,
    stream: Stream,
}

impl<B: Body> Taken<B> {
    /// The body of that stream's answer.
    pub fn new(body: B, mut stream: Stream) -> Self {
        stream.has_ended = body.is_end_stream();
        Self { body, stream }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Taken<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let is_over = matches!(frame, Poll::Ready(None)) || self.body.is_end_stream();
        self.stream.has_ended |= is_over;
        // Its last bytes too are kept until the peer has room for them, and the body with them.
        self.stream.waits_for_peer(frame.is_ready().then(Instant::now));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
