//! The listening side: accepts connections, bounds them in number and time, and hands requests to the
//! path. Knows nothing of videos.
//!
//! Tower stands at this rim only, with layers that cannot fail. Whatever may refuse a request is a step
//! in the path with a refusal of its own.

mod framing;
mod guarded;
mod linger;
mod seats;
mod secured;
mod stall;
mod stay;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryFutureExt as _;
use futures_util::future::{Either, ready};
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as HyperService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{debug, error, info, warn};

use crate::certificates::Shown;
use crate::refusal::Refusal;
use crate::reply::{self, BodyError, Reply};
use framing::{Framing, Objection, Verdict};
use guarded::Guarded;
use linger::Lingering;
use seats::Seats;
pub use seats::open_as_many_files_as_allowed;
use secured::Tls;
use stall::Stalling;
use stay::{Stay, Taken};

/// After an accept failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A request's headers, all together, bytes.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// A request's headers, how many.
const HEADERS_MAX: usize = 100;

/// How HTTP/2 connections begin.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until a new connection says something.
    pub first_byte: Duration,
    /// From the first byte of a request's head to its last.
    pub head: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// Until it takes something of what is written; who takes nothing for so long has gone.
    pub write: Duration,
    /// From its first byte on, all together: then it ends with the request that is under way.
    pub age: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { first_byte: secs(10), head: secs(10), idle: secs(60), write: secs(60), age: secs(3_600) }
    }
}

/// What answers requests.
pub type Rim = BoxCloneSyncService<Request<Incoming>, Reply, Infallible>;

/// Wraps the path: a panic in it is one failed request and not more.
pub fn rim<F, Fut>(path: F) -> Rim
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Reply> + Send + 'static,
{
    let path = tower::service_fn(move |request| {
        let answer = path(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let caught = ServiceBuilder::new().map_response(boxed).layer(CatchPanicLayer::custom(panicked)).service(path);
    BoxCloneSyncService::new(caught)
}

/// The layers' bodies as one type.
fn boxed<B>(reply: Response<B>) -> Reply
where
    B: Body<Data = Bytes, Error: Into<BodyError>> + Send + 'static,
{
    reply.map(|body| body.map_err(Into::into).boxed_unsync())
}

/// The answer to a request whose handler panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> Reply {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    error!(panic = text, "a request panicked");
    reply::refused(&Refusal::Internal)
}

/// Binds an address.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

/// Accepts connections until `stop`, then lets those that are under way finish their requests. Every
/// connection is a task of `tasks`, which the caller waits for. With a certificate, TLS is spoken and nothing else.
pub async fn serve(
    listener: TcpListener,
    rim: Rim,
    shown: Option<Arc<Shown>>,
    timeouts: Timeouts,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let tls = shown.map(Tls::new);
    let seats = Seats::new(seats::seats());
    loop {
        let Some(free) = seats.free().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(seat) = seats.take(free, peer.ip()) else {
                    debug!(%peer, "an address has its share of the connections");
                    continue;
                };
                let (rim, tls, stop) = (rim.clone(), tls.clone(), stop.clone());
                tasks.spawn(async move {
                    connection(stream, rim, tls, timeouts, stop).await;
                    drop(seat);
                });
            }
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, from its first byte to its end.
async fn connection(stream: TcpStream, rim: Rim, tls: Option<Tls>, timeouts: Timeouts, stop: CancellationToken) {
    // A reply is written whole; waiting to fill a segment only delays its last part.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "nodelay");
    }
    let ended = match tls {
        None => plain(stream, rim, timeouts, stop).await,
        Some(tls) => secured(stream, rim, &tls, timeouts, stop).await,
    };
    if let Err(error) = ended {
        debug!(error, "a connection ended early");
    }
}

/// What a connection may end of early.
type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn plain(stream: TcpStream, rim: Rim, timeouts: Timeouts, stop: CancellationToken) -> Ended {
    let speaks_h2 = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        preface = tokio::time::timeout(timeouts.first_byte, is_h2(&stream)) => preface??,
    };
    let stream = Stalling::new(Lingering::new(stream), timeouts.write);
    spoken(stream, speaks_h2, rim, timeouts, stop).await
}

async fn secured(stream: TcpStream, rim: Rim, tls: &Tls, timeouts: Timeouts, stop: CancellationToken) -> Ended {
    let handshake = async {
        let is_handshake = tokio::time::timeout(timeouts.first_byte, secured::is_handshake(&stream)).await??;
        let stream = Stalling::new(Lingering::new(stream), timeouts.write);
        if is_handshake {
            tokio::time::timeout(timeouts.head, tls.handshake(stream)).await?.map(Some)
        } else {
            secured::turn_away(stream).await.map(|()| None)
        }
    };
    let shaken = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        shaken = handshake => shaken?,
    };
    let Some(stream) = shaken else { return Ok(()) };
    let speaks_h2 = secured::chose_h2(&stream);
    spoken(stream, speaks_h2, rim, timeouts, stop).await
}

async fn spoken<S>(stream: S, speaks_h2: bool, rim: Rim, timeouts: Timeouts, stop: CancellationToken) -> Ended
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    Ok(if speaks_h2 { over_h2(stream, rim, timeouts, stop).await } else { over_h1(stream, rim, timeouts, stop).await }?)
}

/// Looks at the first bytes without taking them.
async fn is_h2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; H2_PREFACE.len()];
    loop {
        let n = stream.peek(&mut first).await?;
        let (seen, preface) = (&first[..n], &H2_PREFACE[..n]);
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if seen != preface {
            return Ok(false);
        }
        if n == H2_PREFACE.len() {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn over_h1<S>(stream: S, rim: Rim, timeouts: Timeouts, stop: CancellationToken) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let verdict = Verdict::default();
    let framing = Framing::new(HEADER_BYTES_MAX, HEADERS_MAX, verdict.clone());
    let io = TokioIo::new(Guarded::new(stream, framing, timeouts.head, stop.clone()));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(timeouts.idle)
            .max_headers(HEADERS_MAX)
            .max_header_size(HEADER_BYTES_MAX)
            .max_buf_size(HEADER_BYTES_MAX * 2)
            .serve_connection(io, believing(verdict, rim, timeouts.age))
    );
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

/// What answers the requests of one connection that the guard does not object to.
fn believing(
    verdict: Verdict,
    rim: Rim,
    age: Duration,
) -> impl HyperService<Request<Incoming>, Response = Reply, Error = Infallible, Future: Send> {
    let (path, requests, ends_at) = (TowerToHyperService::new(rim), AtomicU64::new(0), Instant::now() + stay::age(age));
    service_fn(move |request| {
        // Requests of a connection come in the order in which the guard read them.
        let number = requests.fetch_add(1, Ordering::Relaxed);
        let is_last = number + 1 >= stay::REQUESTS_MAX || Instant::now() >= ends_at;
        match verdict.against(number) {
            None => Either::Left(path.call(request).map_ok(move |reply| if is_last { closing(reply) } else { reply })),
            Some(objection) => Either::Right(ready(Ok(misframed(objection)))),
        }
    })
}

/// The connection ends with this answer.
fn closing(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

/// The answer to a request that no handler may see; the connection ends with it.
fn misframed(objection: Objection) -> Reply {
    info!(why = objection.why, "a connection is badly framed and is closed");
    reply::refused(&Refusal::Malformed(objection.why))
}

async fn over_h2<S>(stream: S, rim: Rim, timeouts: Timeouts, stop: CancellationToken) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stay = Stay::new(timeouts);
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(100)
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .max_frame_size(16 * 1024)
            .max_header_list_size(16 * 1024)
            .max_send_buf_size(256 * 1024)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(100)
            .keep_alive_interval(timeouts.idle)
            .keep_alive_timeout(timeouts.first_byte)
            .serve_connection(TokioIo::new(stream), staying(stay.clone(), rim))
    );
    let mut looks = tokio::time::interval(stay.every());
    let mut is_leaving = false;
    loop {
        let verdict = tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stop.cancelled(), if !is_leaving => stay::Verdict::Leaves,
            () = stay.out.notified() => stay::Verdict::Out,
            now = looks.tick() => stay.verdict(now),
        };
        match verdict {
            stay::Verdict::Stays => {}
            stay::Verdict::Leaves => {
                is_leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            stay::Verdict::Out => return Ok(()),
        }
    }
}

/// What answers the requests of one HTTP/2 connection, and sees that the answers are taken.
fn staying(
    stay: Arc<Stay>,
    rim: Rim,
) -> impl HyperService<Request<Incoming>, Response = Response<impl Body<Data = Bytes, Error = BodyError>>, Error = Infallible, Future: Send>
{
    let path = TowerToHyperService::new(rim);
    service_fn(move |request| {
        let stream = stay.stream();
        path.call(request).map_ok(move |reply| reply.map(|body| Taken::new(body, stream)))
    })
}

#[cfg(test)]
mod tests;
