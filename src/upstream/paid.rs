//! One paid request on a connection made for it.
//!
//! The whole point is the type of the error: [`SubmitError::NotSent`] only where no byte of the request
//! can have been read, [`SubmitError::Unclear`] for everything after that.

use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use tower::{Service as _, ServiceExt as _};

use super::{CONNECT_TIMEOUT, chain, collect, host};
use crate::crash;
use crate::provider::SubmitError;

/// Sends `request` once, and reads its reply. `may` is asked last of all before a byte leaves.
pub async fn send(
    connector: &HttpsConnector<HttpConnector>,
    request: Request<Bytes>,
    timeout: Duration,
    may: impl Fn() -> Result<(), SubmitError>,
) -> Result<Response<Bytes>, SubmitError> {
    let not_sent = |why: String| SubmitError::NotSent(why);
    let mut connector = connector.clone();
    let connect = async { connector.ready().await?.call(request.uri().clone()).await };
    let stream = match tokio::time::timeout(CONNECT_TIMEOUT * 2, connect).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(not_sent(chain(error.as_ref()))),
        Err(_) => return Err(not_sent("could not connect in time".to_owned())),
    };
    let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| not_sent(chain(&error)))?;
    let request = origin_form(request).ok_or_else(|| not_sent("the route's address has no host".to_owned()))?;

    // Driven here and not in a task of its own: when the time is up it is dropped, and with it the socket.
    crash::point("connected");
    may()?;
    let exchange = async {
        let reply = sender.try_send_request(request.map(Full::new)).await.map_err(|mut error| match error.take_message() {
            Some(_) => not_sent(chain(error.error())),
            None => SubmitError::Unclear(chain(error.error())),
        })?;
        crash::point("after_reply_head");
        collect(reply, super::REPLY_BYTES_MAX).await.map_err(SubmitError::Unclear)
    };
    tokio::pin!(exchange);
    let driven = async {
        tokio::pin!(connection);
        tokio::select! {
            biased;
            reply = &mut exchange => reply,
            _ = &mut connection => exchange.await,
        }
    };
    match tokio::time::timeout(timeout, driven).await {
        Ok(reply) => reply,
        Err(_) => Err(SubmitError::Unclear(format!("no answer within {} s", timeout.as_secs()))),
    }
}

/// The request as a connection wants it: path in the request line, authority in `host`.
fn origin_form(mut request: Request<Bytes>) -> Option<Request<Bytes>> {
    let authority = host(request.uri())?;
    request.headers_mut().insert(HOST, authority);
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    Some(request)
}
