//! The socket: takes connections and serves HTTP/1.1 on them until told to stop.
//!
//! Knows nothing of videos. A request that ends in [`Cut`](door::Cut) ends its connection without a byte of
//! reply, which is what hyper does with an error from a service.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::door;
use super::studio::Studio;

/// How long a client may take over the head of a request, or hold an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to wait after the system refused us a connection, usually for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Serves until `stop`; every connection is a task of `tasks`.
pub async fn run(listener: TcpListener, studio: Arc<Studio>, tasks: TaskTracker, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (studio, stop) = (Arc::clone(&studio), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = converse(stream, studio) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, studio: Arc<Studio>) {
    // A small reply must not wait for a delayed acknowledgement; a socket that cannot be told so still works.
    stream.set_nodelay(true).ok();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let studio = Arc::clone(&studio);
        async move { door::answer(&studio, request).await }
    });
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).serve_connection(TokioIo::new(stream), service);
    // Clients hang up and faults cut lines: the end of a connection is never news here.
    let _: Result<(), hyper::Error> = connection.await;
}
