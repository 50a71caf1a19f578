//! The listening side: accepts connections, bounds them in number and time, and hands requests to the
//! path. Knows nothing of videos.
//!
//! Tower stands at this rim only, with layers that cannot fail. Whatever may refuse a request is a step
//! in the path with a refusal of its own.

mod stall;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service as HyperService;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{debug, error, warn};

use crate::refusal::Refusal;
use crate::reply::{self, BodyError, Reply};
use stall::Stalling;

/// Connections at a time, per listener.
const CONNECTIONS_MAX: usize = 20_000;
/// A new connection must say something within this time.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two requests of a connection, the next one's headers included.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// A client that takes nothing for so long has gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// After an accept failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A request's headers, all together, bytes.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// A request's headers, how many.
const HEADERS_MAX: usize = 100;

/// How HTTP/2 connections begin.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

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
/// connection is a task of `tasks`, which the caller waits for.
pub async fn serve(listener: TcpListener, rim: Rim, tasks: TaskTracker, stop: CancellationToken) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (rim, stop) = (rim.clone(), stop.clone());
                tasks.spawn(async move {
                    connection(stream, rim, stop).await;
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
async fn connection(stream: TcpStream, rim: Rim, stop: CancellationToken) {
    // A reply is written whole; waiting to fill a segment only delays its last part.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "nodelay");
    }
    let speaks_h2 = tokio::select! {
        () = stop.cancelled() => return,
        preface = tokio::time::timeout(FIRST_BYTE_TIMEOUT, is_h2(&stream)) => match preface {
            Ok(Ok(speaks_h2)) => speaks_h2,
            Ok(Err(_)) | Err(_) => return,
        },
    };
    let io = TokioIo::new(Stalling::new(stream, WRITE_TIMEOUT));
    let service = TowerToHyperService::new(rim);
    let ended = if speaks_h2 { over_h2(io, service, stop).await } else { over_h1(io, service, stop).await };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
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

type Io = TokioIo<Stalling<TcpStream>>;

async fn over_h1<S>(io: Io, service: S, stop: CancellationToken) -> hyper::Result<()>
where
    S: HyperService<Request<Incoming>, Response = Reply, Error = Infallible>,
{
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_headers(HEADERS_MAX)
            .max_header_size(HEADER_BYTES_MAX)
            .max_buf_size(HEADER_BYTES_MAX * 2)
            .serve_connection(io, service)
    );
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

async fn over_h2<S>(io: Io, service: S, stop: CancellationToken) -> hyper::Result<()>
where
    S: HyperService<Request<Incoming>, Response = Reply, Error = Infallible>,
    S::Future: Send + 'static,
{
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(100)
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .max_header_list_size(16 * 1024)
            .max_local_error_reset_streams(100)
            .keep_alive_interval(IDLE_TIMEOUT)
            .keep_alive_timeout(FIRST_BYTE_TIMEOUT)
            .serve_connection(io, service)
    );
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
