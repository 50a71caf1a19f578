//! How requests to an object store travel: over hyper, like all others, and never without an end in sight.
//!
//! Knows nothing of what is asked. It does not retry and does not sign: that is the store's own client above.

use std::error::Error;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody, HttpService,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Until a store begins to answer a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Until it answers what carries bytes: a part has to arrive, and completing takes a while.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// A store that sends nothing for so long has stopped.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections that are not in use are closed after.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes connections of ours.
#[derive(Debug)]
pub struct Web;

#[derive(Debug)]
struct Line(Client<HttpsConnector<Tcp>, HttpRequestBody>);

impl HttpConnector for Web {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut tcp = Tcp::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let roots = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(rustls::crypto::ring::default_provider());
        let roots = roots.map_err(|why| object_store::Error::Generic { store: "S3", source: Box::new(why) })?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(roots.https_or_http().enable_http1().wrap_connector(tcp));
        Ok(HttpClient::new(Line(client)))
    }
}

#[async_trait]
impl HttpService for Line {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let limit = if request.body().content_length() > 0 { UPLOAD_TIMEOUT } else { ANSWER_TIMEOUT };
        let answer = tokio::time::timeout(limit, self.0.request(request)).await.map_err(|_| too_slow(limit))?;
        let (head, body) = answer
            .map_err(|why| told(if why.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted }, &why))?
            .into_parts();
        Ok(HttpResponse::from_parts(head, bounded(body)))
    }
}

/// A body whose pieces have to come.
fn bounded(body: Incoming) -> HttpResponseBody {
    if body.is_end_stream() {
        return bytes::Bytes::new().into();
    }
    let pieces = futures_util::stream::try_unfold(body, |mut body| async move {
        let frame = tokio::time::timeout(STALL_TIMEOUT, body.frame()).await.map_err(|_| too_slow(STALL_TIMEOUT))?;
        let frame: Option<Frame<_>> = frame.transpose().map_err(|why| told(HttpErrorKind::Interrupted, &why))?;
        Ok(frame.map(|frame| (frame, body)))
    });
    HttpResponseBody::new(StreamBody::new(pieces))
}

fn too_slow(limit: Duration) -> HttpError {
    HttpError::new(HttpErrorKind::Timeout, io::Error::other(format!("nothing came for {} s", limit.as_secs())))
}

/// An error with its causes.
fn told(kind: HttpErrorKind, error: &dyn Error) -> HttpError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    HttpError::new(kind, io::Error::other(text))
}
