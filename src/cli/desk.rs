//! Talking to the gateway that runs, at its admin listener: its books are its alone to write.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::pinned;
use crate::policy::Tls;
use crate::policy::load::Reading;

/// To connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For an answer: a provider's whole list may have to be read for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// Largest answer, bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What every command for operators takes.
#[derive(Clone, Debug, clap::Args)]
pub struct DeskArgs {
    /// The policy file, for where the books and the running gateway are.
    #[arg(long, default_value = "gateway.toml", global = true)]
    pub config: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// The running gateway's admin listener; by default what the policy file says.
    #[arg(long, global = true, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

/// The running gateway.
#[derive(Clone, Debug)]
pub struct Desk {
    address: SocketAddr,
    /// How TLS is spoken there, if it is.
    tls: Option<ClientConfig>,
}

impl DeskArgs {
    /// The gateway at that address, or at the one in the policy file.
    pub fn desk(&self) -> anyhow::Result<Desk> {
        match self.admin {
            Some(address) => Desk::at(address, &self.config),
            None => {
                let server = super::policy(&self.config, Reading::Nothing)?.server;
                Desk::new(server.admin, server.admin_tls.as_ref())
            }
        }
    }
}

/// How to speak to a gateway that shows the certificate of these files.
fn shown(tls: &Tls) -> anyhow::Result<ClientConfig> {
    let files = CertificateDer::from_pem_file(&tls.cert);
    pinned::config(Some(files.with_context(|| format!("cannot read the admin listener's certificate in {}", tls.cert.display()))?))
}

impl Desk {
    /// The gateway at that address, which speaks TLS if the policy file is there and says so.
    pub fn at(address: SocketAddr, config: &Path) -> anyhow::Result<Self> {
        let tls = super::policy(config, Reading::Nothing).ok().and_then(|policy| policy.server.admin_tls);
        Self::new(address, tls.as_ref())
    }

    /// One that listens everywhere is on this machine too.
    fn new(mut address: SocketAddr, tls: Option<&Tls>) -> anyhow::Result<Self> {
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        Ok(Self { address, tls: tls.map(shown).transpose()? })
    }

    /// Looks something up.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        read(self.ask(Method::GET, path, Bytes::new()).await?).await
    }

    /// Has something done.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        read(self.ask(Method::POST, path, Bytes::from(body.to_string())).await?).await
    }

    /// One exchange on a connection of its own: the head of the answer, its body still on the wire.
    pub async fn ask(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Response<Incoming>> {
        let address = self.address;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.enforce_http(false);
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let tls = self.tls.clone().map_or_else(|| pinned::config(None), Ok)?;
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).build(https);
        let request = Request::builder().method(method).uri(format!("{scheme}://{address}{path}"));
        let request = request.header("x-filmgate-admin", "1").header(CONTENT_TYPE, "application/json").body(Full::new(body))?;
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, client.request(request)).await.context("the gateway did not answer in time")?;
        sent.map_err(|why| match why.is_connect() {
            true => anyhow::anyhow!(
                "no gateway answers at {address}, and only the one that runs can write its books: start it with `filmgate serve`, or say with --admin where it is"
            ),
            false => anyhow::anyhow!("the gateway at {address} cut the line: {why}"),
        })
    }
}

/// What an answer says, or why there is none.
pub async fn read(answer: Response<Incoming>) -> anyhow::Result<Value> {
    let (head, body) = answer.into_parts();
    let body =
        Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|why| anyhow::anyhow!("the answer broke off: {why}"))?.to_bytes();
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    match (head.status, value["error"]["message"].as_str()) {
        (StatusCode::OK, _) => Ok(value),
        (_, Some(why)) => bail!("{why}"),
        (status, None) => bail!("the gateway answered {status}; is it the same version?"),
    }
}
