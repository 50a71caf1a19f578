//! What TLS costs: the same polls in plain text and over TLS, in HTTP/1.1 and HTTP/2, and connections that are new each
//! time. `cargo bench --bench tls`
//!
//! One client asks them all, so that its own work is in each of them; what the gateway spends on an exchange is its own.
//! The kinds take turns, and the median round counts. New connections shake hands in full, or come back with a ticket.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "another bench has more to ask")]
#[path = "proxy/load/mod.rs"]
mod load;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use load::process::{Program, free_address};
use load::{ask, get, post, ready};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Of `filmgate-demo-key`.
const KEY_SHA256: &str = "60eb4ca46c272b89621d56e8ae5383c6a4837c1a7b707081f04aa47a516e491c";
const KEY: &str = "filmgate-demo-key";
const ROUNDS: usize = 5;
const LASTING: Duration = Duration::from_secs(1);
const CONNECTIONS: usize = 16;

/// How it is asked.
#[derive(Clone)]
struct Kind {
    name: &'static str,
    /// Plain text without.
    tls: Option<TlsConnector>,
    h2: bool,
    /// A connection for each poll.
    new: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("tls");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder)?;
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    fs::write(folder.join("tls.crt"), made.cert.pem())?;
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem())?;
    let upstream = free_address()?;
    let _simulator = Program::start(&["simulate", "--speed", "1", "--listen", &upstream.to_string()])?;
    ready(upstream, "/_simulator/stats").await?;
    let (plain, at) = start(&folder, "plain", upstream, "").await?;
    let (tls, secure) = start(&folder, "tls", upstream, "tls = { cert = \"tls.crt\", key = \"tls.key\" }\n").await?;

    let trusted = made.cert.der();
    let kind = |name, tls, h2, new| Kind { name, tls, h2, new };
    let with = |h2, resumed| connector(trusted, h2, resumed).map(Some);
    let kept = [
        kind("plain, HTTP/1.1", None, false, false),
        kind("TLS, HTTP/1.1", with(false, true)?, false, false),
        kind("plain, HTTP/2", None, true, false),
        kind("TLS, HTTP/2", with(true, true)?, true, false),
    ];
    let new = [
        kind("plain", None, false, true),
        kind("TLS, in full", with(false, false)?, false, true),
        kind("TLS, with a ticket", with(false, true)?, false, true),
    ];
    for (what, kinds) in [("polls over connections that are kept", &kept[..]), ("polls over a new connection each", &new[..])] {
        println!("{what}, {CONNECTIONS} at a time");
        let mut taken: Vec<Vec<(f64, f64)>> = vec![Vec::new(); kinds.len()];
        for _ in 0..ROUNDS {
            for (kind, taken) in kinds.iter().zip(&mut taken) {
                let (gateway, (at, id)) = if kind.tls.is_some() { (&tls, &secure) } else { (&plain, &at) };
                let before = gateway.cpu_us().unwrap_or(0);
                let (count, secs) = polls(kind, *at, id).await?;
                let spent = gateway.cpu_us().unwrap_or(0) - before;
                taken.push((count / secs, spent as f64 / count));
            }
        }
        let middle = |mut of: Vec<f64>| {
            of.sort_by(f64::total_cmp);
            of[of.len() / 2]
        };
        let figures: Vec<(f64, f64)> = taken
            .iter()
            .map(|rounds| (middle(rounds.iter().map(|r| r.0).collect()), middle(rounds.iter().map(|r| r.1).collect())))
            .collect();
        for (kind, (rate, cpu)) in kinds.iter().zip(&figures) {
            println!(
                "  {:<23} {rate:>8.0} /s, {cpu:.0} us of processor each; ratios {:.2}, {:.2}",
                kind.name,
                rate / figures[0].0,
                cpu / figures[0].1
            );
        }
    }
    drop((plain, tls));
    Ok(fs::remove_dir_all(&folder)?)
}

/// A gateway with one job, which it is asked about.
async fn start(folder: &std::path::Path, name: &str, upstream: SocketAddr, tls: &str) -> anyhow::Result<(Program, (SocketAddr, String))> {
    let (at, admin) = (free_address()?, free_address()?);
    let config = folder.join(format!("{name}.toml"));
    let policy = |tls: &str| {
        format!(
            "[server]\n{tls}[store]\nurl = \"sqlite:{}\"\n\
             [routes.studio]\nprovider = \"openai_compatible\"\nbase_url = \"http://{upstream}/openai/v1\"\napi_key = \"sk-bench\"\n\
             poll = {{ early = \"60s\", late = \"60s\" }}\nmodels.sora-2 = {{ seconds = [4], price = \"0.10\" }}\n\
             [tenants.demo]\nbudget = {{ cap = \"unlimited\", per = \"total\" }}\nkeys = [\"sha256:{KEY_SHA256}\"]\n",
            folder.join(format!("{name}.db")).display(),
        )
    };
    let path = config.to_str().context("a folder whose name is text")?;
    let serve = async || {
        let gateway = Program::start(&["serve", "--config", path, "--listen", &at.to_string(), "--admin", &admin.to_string()])?;
        ready(admin, "/readyz").await?;
        anyhow::Ok(gateway)
    };
    // Ordered in plain text, for the sake of whoever orders.
    fs::write(&config, policy(""))?;
    let gateway = serve().await?;
    let json = r#"{"model":"sora-2","prompt":"A whale","seconds":"4"}"#;
    let video: serde_json::Value = serde_json::from_str(&ask(at, &post("/v1/videos", KEY, json)).await?)?;
    let id = video["id"].as_str().context("a video has an id")?.to_owned();
    ensure!(ask(at, &get(&format!("/v1/videos/{id}"), KEY)).await?.contains(&id), "it is there");
    drop(gateway);
    fs::write(&config, policy(tls))?;
    let gateway = serve().await?;
    Ok((gateway, (at, id)))
}

fn connector(trusted: &CertificateDer<'static>, h2: bool, resumed: bool) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone())?;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions()?;
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![if h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    if !resumed {
        client.resumption = Resumption::disabled();
    }
    Ok(TlsConnector::from(Arc::new(client)))
}

/// Polls for a while; how many, in how many seconds.
async fn polls(kind: &Kind, at: SocketAddr, id: &str) -> anyhow::Result<(f64, f64)> {
    let (began, mut asking) = (Instant::now(), JoinSet::new());
    for _ in 0..CONNECTIONS {
        let (kind, path) = (kind.clone(), format!("/v1/videos/{id}"));
        asking.spawn(async move {
            let (mut count, mut line) = (0_u32, Line::to(&kind, at).await?);
            while began.elapsed() < LASTING {
                line.poll(at, &path).await?;
                count += 1;
                if kind.new {
                    line = Line::to(&kind, at).await?;
                }
            }
            anyhow::Ok(count)
        });
    }
    let counts = asking.join_all().await.into_iter().collect::<anyhow::Result<Vec<u32>>>()?;
    Ok((f64::from(counts.iter().sum::<u32>()), began.elapsed().as_secs_f64()))
}

/// One connection.
enum Line {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Line {
    async fn to(kind: &Kind, at: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        match &kind.tls {
            None => Self::over(stream, kind.h2).await,
            Some(tls) => Self::over(tls.connect(ServerName::from(at.ip()), stream).await?, kind.h2).await,
        }
    }

    async fn over<S>(stream: S, h2: bool) -> anyhow::Result<Self>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let mut talking = JoinSet::new();
        let line = if h2 {
            let (line, talk) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            talking.spawn(async move { drop(talk.await) });
            Self::Http2(line)
        } else {
            let (line, talk) = http1::handshake(TokioIo::new(stream)).await?;
            talking.spawn(async move { drop(talk.await) });
            Self::Http1(line)
        };
        // It talks until nobody asks any more.
        talking.detach_all();
        Ok(line)
    }

    async fn poll(&mut self, at: SocketAddr, path: &str) -> anyhow::Result<()> {
        let uri = if matches!(self, Self::Http2(_)) { format!("http://{at}{path}") } else { path.to_owned() };
        let request = Request::get(uri).header("host", at.to_string()).header("authorization", format!("Bearer {KEY}"));
        let request = request.body(Empty::new())?;
        let reply = match self {
            Self::Http1(line) => {
                line.ready().await?;
                line.send_request(request).await?
            }
            Self::Http2(line) => {
                line.ready().await?;
                line.send_request(request).await?
            }
        };
        ensure!(reply.status().is_success(), "{}", reply.status());
        reply.into_body().collect().await?;
        Ok(())
    }
}
