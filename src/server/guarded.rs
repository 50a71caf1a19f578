//! A stream whose reads are followed by the framing guard, and whose heads must come in time.
//!
//! Hands on every byte unchanged: it is the server's parser that reads requests, and whoever answers
//! them asks the verdict first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use super::framing::Framing;

/// Wraps a stream of HTTP/1.1 requests.
#[derive(Debug)]
pub struct Guarded<S> {
    inner: S,
    framing: Framing,
    head_timeout: Duration,
    stop: CancellationToken,
    /// Whether nothing has come yet.
    is_new: bool,
    /// Set while the first head or the rest of one is waited for.
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    /// Wraps `inner`. The first head, and any that has begun, ends within the time-out, or the connection does;
    /// after `stop` it is not waited for, because nobody has been promised anything.
    pub const fn new(inner: S, framing: Framing, head_timeout: Duration, stop: CancellationToken) -> Self {
        Self { inner, framing, head_timeout, stop, is_new: true, until: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.framing.follow(&buf.filled()[before..]);
        self.is_new &= buf.filled().len() == before;
        if !self.is_new && !self.framing.is_in_head() {
            self.until = None;
            return read;
        }
        // The count goes on through reads that bring a little: it is the head that must come in time.
        let timeout = self.head_timeout;
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if read.is_pending() && (until.as_mut().poll(cx).is_ready() || self.stop.is_cancelled()) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
