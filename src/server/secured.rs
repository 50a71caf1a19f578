//! The handshake: from a connection to one that nobody reads along with, in time and in turn.
//!
//! Whoever dawdles holds nothing but its seat: a turn is needed only for the step that costs, the signature,
//! and is given back when that is done. So a flood of handshakes takes a part of the processors and leaves
//! the rest to those who are inside.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificates::Shown;

/// What a TLS connection begins with.
const HANDSHAKE: u8 = 0x16;

/// For whoever speaks HTTP where TLS is spoken.
const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 52\r\n\r\n\
    This address speaks TLS: ask again with https://...\n";

/// What connections of one listener are secured with.
#[derive(Clone, Debug)]
pub struct Tls {
    shown: Arc<Shown>,
    turns: Arc<Semaphore>,
}

impl Tls {
    /// With the certificate that is shown when a connection begins. Half of the processors may sign at a time.
    pub fn new(shown: Arc<Shown>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { shown, turns: Arc::new(Semaphore::new(processors.div_ceil(2))) }
    }

    /// Shakes hands.
    pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let turn = self.turns.acquire().await.map_err(io::Error::other)?;
        let mut rest = pin!(start.into_stream(self.shown.config()));
        let first = std::future::poll_fn(|cx| Poll::Ready(rest.as_mut().poll(cx))).await;
        drop(turn);
        match first {
            Poll::Ready(ended) => ended,
            Poll::Pending => rest.await,
        }
    }
}

/// Whether the handshake chose HTTP/2.
pub fn chose_h2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

/// Whether what comes is a handshake; looks at the first byte without taking it.
pub async fn is_handshake(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first == [HANDSHAKE]),
    }
}

/// Tells whoever speaks something else what is spoken here, and hangs up.
pub async fn turn_away<S: AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    stream.write_all(SPEAK_TLS).await?;
    stream.shutdown().await
}
