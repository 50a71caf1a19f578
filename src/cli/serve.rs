//! `filmgate serve`: the gateway's life as a process.

use std::io::{IsTerminal as _, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::{ClientConnection, StreamOwned};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

use super::pinned;
use crate::boot::{self, Settings};
use crate::policy::load::Reading;
use crate::server;

/// Sent to who writes beyond its limit on file size; tokio has no name for it.
const SIGXFSZ: i32 = 25;

/// What `serve` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// The policy file.
    #[arg(long, default_value = "gateway.toml")]
    config: PathBuf,
    /// Where clients connect, instead of `server.listen`.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where operators connect, instead of `server.admin`.
    #[arg(long)]
    admin: Option<SocketAddr>,
    /// The books are a backup that was restored: look for what was bought since, and buy nothing until
    /// `filmgate reconcile --done`.
    #[arg(long)]
    reconcile_only: bool,
}

impl Default for ServeArgs {
    fn default() -> Self {
        Self { config: PathBuf::from("gateway.toml"), listen: None, admin: None, reconcile_only: false }
    }
}

/// Serves until SIGTERM or SIGINT, then drains. A second signal ends the process at once.
pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let policy = super::policy(&args.config, Reading::All)?;
    log(policy.telemetry.log_json);
    drop(policy);
    server::open_as_many_files_as_allowed();
    super::runtime()?.block_on(async {
        // A file that may not grow any more shall be a failed write, which the store can answer, and not our end.
        let _survived = signal(SignalKind::from_raw(SIGXFSZ))?;
        let running =
            boot::start(Settings { config: args.config, listen: args.listen, admin: args.admin, reconcile_only: args.reconcile_only })
                .await?;
        let (mut term, mut int, mut hup) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
        loop {
            tokio::select! {
                _ = hup.recv() => running.reload().await,
                _ = term.recv() => break,
                _ = int.recv() => break,
            }
        }
        let clean = tokio::select! {
            clean = running.stop() => clean,
            _ = term.recv() => false,
            _ = int.recv() => false,
        };
        info!(clean, "stopped");
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Where the log goes: standard error, as JSON or text; `FILMGATE_LOG` sets what is shown.
pub fn log(json: bool) {
    let filter = EnvFilter::try_from_env("FILMGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A line that cannot be written is lost; to complain about it in the same place would be the end of us.
    let builder = builder.with_ansi(std::io::stderr().is_terminal()).log_internal_errors(false);
    // A second subscriber is refused; the first one is as good.
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
}

/// Asks `/healthz`, without any part of the gateway that might be what is unwell.
pub fn healthcheck(admin: SocketAddr) -> anyhow::Result<ExitCode> {
    let connected = TcpStream::connect_timeout(&admin, Duration::from_secs(2));
    let mut stream =
        connected.with_context(|| format!("nobody answers at {admin}; is the gateway running, and is that its [server].admin?"))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut head = asked(&mut stream, admin)?;
    // Whoever speaks TLS says so with this status. It is asked anew, and told nothing that others may not hear.
    if &head == b"HTTP/1.1 400" {
        let connection = ClientConnection::new(Arc::new(pinned::config(None)?), admin.ip().into())?;
        stream = TcpStream::connect_timeout(&admin, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        head = asked(&mut StreamOwned::new(connection, stream), admin)?;
    }
    Ok(if &head == b"HTTP/1.1 200" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How an answer to `/healthz` begins.
fn asked(stream: &mut (impl Read + Write), admin: SocketAddr) -> std::io::Result<[u8; 12]> {
    stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(head)
}
