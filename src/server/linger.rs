//! A stream that does not hang up on a peer in mid-sentence.
//!
//! Whoever is refused before its upload was read goes on sending until it looks up. To close the socket
//! on unread bytes resets it, and a reset throws away the answer that was already on its way: the client
//! sees a broken connection, and asks again. So the closing side says that it is done, and reads and
//! drops what is still coming, for a bounded time and a bounded number of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What is dropped at most, bytes.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long at most.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A peer that says nothing for so long is not in mid-sentence. An idle connection closes as late as this.
const SILENCE: Duration = Duration::from_millis(250);

/// Hearing the peer out.
#[derive(Debug)]
struct Lingers {
    since: Instant,
    /// When its silence has lasted long enough.
    silent: Pin<Box<Sleep>>,
    dropped: usize,
}

/// Wraps a stream; its shutdown hears a peer out that is still sending.
#[derive(Debug)]
pub struct Lingering<S> {
    inner: S,
    /// Set once the peer was told that we are done.
    lingers: Option<Lingers>,
}

impl<S> Lingering<S> {
    /// Wraps `inner`.
    pub const fn new(inner: S) -> Self {
        Self { inner, lingers: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
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
        let Self { inner, lingers } = &mut *self;
        let lingers = match lingers {
            Some(lingers) => lingers,
            None => {
                ready!(Pin::new(&mut *inner).poll_shutdown(cx))?;
                lingers.insert(Lingers { since: Instant::now(), silent: Box::pin(sleep(SILENCE)), dropped: 0 })
            }
        };
        let mut scratch = [0; 16 * 1024];
        while lingers.dropped < BYTES_MAX && lingers.since.elapsed() < TIMEOUT {
            let mut unread = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *inner).poll_read(cx, &mut unread) {
                Poll::Ready(Ok(())) if !unread.filled().is_empty() => {
                    lingers.dropped += unread.filled().len();
                    lingers.silent.as_mut().reset(Instant::now() + SILENCE);
                }
                // It has hung up itself.
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(lingers.silent.as_mut().poll(cx));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
