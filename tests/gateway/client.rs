//! A client of one address: speaks HTTP and nothing else, politely or in raw bytes.
//!
//! Knows nothing of videos or tenants. An error is a line that was cut; whatever the other side says,
//! in whatever status, is an [`Answer`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Nobody here waits longer than this.
const PATIENCE: Duration = Duration::from_secs(30);
const FENCE: &str = "fence-of-a-form";

/// Somebody who talks to one address, always with the same headers.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    headers: Vec<(&'static str, String)>,
    /// How TLS is spoken, if it is.
    tls: Option<Arc<ClientConfig>>,
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Bytes in both directions.
pub trait Spoken: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Spoken for S {}
/// A connection, whatever it is made of.
pub type Line = Box<dyn Spoken>;

/// What came back, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One part of a form.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// A field.
    Text(&'a str, &'a str),
    /// A file: field, media type, bytes.
    File(&'a str, &'a str, &'a [u8]),
}

impl Client {
    /// Without any headers.
    pub fn new(address: SocketAddr) -> Self {
        Self::plain(address, false)
    }

    /// Over HTTP/2, without any headers.
    pub fn over_h2(address: SocketAddr) -> Self {
        Self::plain(address, true)
    }

    fn plain(address: SocketAddr, h2: bool) -> Self {
        let https = HttpsConnectorBuilder::new().with_tls_config(trusting(&[])).https_or_http().enable_http1().build();
        Self { address, headers: Vec::new(), tls: None, pool: Pool::builder(TokioExecutor::new()).http2_only(h2).build(https) }
    }

    /// The same client over TLS, trusting these certificates and no others, on connections of its own.
    pub fn secured(&self, trusted: &[CertificateDer<'static>], h2: bool) -> Self {
        let config = trusting(trusted);
        let https = HttpsConnectorBuilder::new().with_tls_config(config.clone()).https_only();
        let https = if h2 { https.enable_http2().build() } else { https.enable_http1().build() };
        let pool = Pool::builder(TokioExecutor::new()).http2_only(h2).build(https);
        Self { address: self.address, headers: self.headers.clone(), tls: Some(Arc::new(config)), pool }
    }

    /// Likewise, with `Authorization: Bearer KEY`.
    pub fn bearer(&self, key: &str) -> Self {
        self.with("authorization", &format!("Bearer {key}"))
    }

    /// Likewise, with one more header.
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.push((name, value.to_owned()));
        other
    }

    /// One exchange.
    pub async fn ask(&self, method: &str, path: &str, media_type: Option<&str>, body: impl Into<Bytes>) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(format!(
            "{}://{}{path}",
            if self.tls.is_some() { "https" } else { "http" },
            self.address
        ));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(media_type) = media_type {
            request = request.header(CONTENT_TYPE, media_type);
        }
        let request = request.body(Full::new(body.into())).map_err(|error| error.to_string())?;
        let exchange = async {
            let reply = self.pool.request(request).await.map_err(|error| format!("{error:?}"))?;
            let (head, body) = reply.into_parts();
            let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| "no answer in time".to_owned())?
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.sure("GET", path, None, "").await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.sure("DELETE", path, None, "").await
    }

    pub async fn post(&self, path: &str, json: &Value) -> Answer {
        self.sure("POST", path, Some("application/json"), json.to_string()).await
    }

    /// Posts these parts as `multipart/form-data`.
    pub async fn post_form(&self, path: &str, parts: &[Part<'_>]) -> Answer {
        self.sure("POST", path, Some(&form_type()), form(parts)).await
    }

    async fn sure(&self, method: &str, path: &str, media_type: Option<&str>, body: impl Into<Bytes>) -> Answer {
        self.ask(method, path, media_type, body).await.unwrap_or_else(|why| panic!("{method} {path}: {why}"))
    }

    /// Sends these bytes on a connection of their own and answers all that comes back until the other side closes it.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.send_only(bytes).await;
        let mut heard = Vec::new();
        // A reset after the answer is an end like any other.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// Whom it talks to, as a Host header says it.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// A connection of its own, over TLS if this client speaks it, for whoever speaks for itself: over HTTP/2 or not.
    pub async fn line(&self, h2: bool) -> Line {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let Some(tls) = &self.tls else { return Box::new(stream) };
        let mut config = ClientConfig::clone(tls);
        config.alpn_protocols = if h2 { vec![b"h2".to_vec()] } else { Vec::new() };
        let name = ServerName::from(self.address.ip());
        Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap())
    }

    /// Sends these bytes and does not listen; dropping the stream hangs up.
    pub async fn send_only(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        stream
    }

    /// The bytes of a request as this client would send it, for those who want to spoil them.
    pub fn spelled_out(&self, method: &str, path: &str, media_type: &str, body: &str) -> String {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            text += &format!("content-type: {media_type}\r\ncontent-length: {}\r\n", body.len());
        }
        text + "\r\n" + body
    }
}

/// TLS as somebody speaks it who knows these authorities.
pub fn trusting(trusted: &[CertificateDer<'static>]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.clone()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|_| panic!("not text: {self:?}"))
    }

    /// A header's text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or_default())
    }

    /// The same answer, once it is certain that it is a 200.
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// `status code param`, enough to tell refusals apart; `-` for what is not there.
    pub fn refusal(&self) -> String {
        let json = self.json();
        let text = |name: &str| json["error"][name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", self.status, text("code"), text("param"))
    }

    /// What a refusal says to a person.
    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// The content type of [`form`].
pub fn form_type() -> String {
    format!("multipart/form-data; boundary={FENCE}")
}

/// A multipart body of these parts.
pub fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let (name, file, bytes) = match *part {
            Part::Text(name, text) => (name, String::new(), text.as_bytes()),
            Part::File(name, media_type, bytes) => (name, format!("; filename=\"upload\"\r\nContent-Type: {media_type}"), bytes),
        };
        body.extend_from_slice(format!("--{FENCE}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{FENCE}--\r\n").as_bytes());
    body
}
