//! `filmgate simulate`: the provider simulator alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::simulator::{self, Settings};

/// What `simulate` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// How many times faster than the published times.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    speed: u32,
    /// A file that its jobs and its bill are written to, and read from at the next start.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// Pad clips to at least so many bytes.
    #[arg(long, default_value_t = 0)]
    clip_bytes_min: u64,
}

/// Simulates until a signal.
pub fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    super::serve::log(false);
    let settings = Settings { listen: args.listen, speed: args.speed, journal: args.journal.clone(), clip_bytes_min: args.clip_bytes_min };
    super::runtime()?.block_on(async {
        let simulator = simulator::start(settings).await.with_context(|| format!("cannot listen on {}; is another program there?", args.listen))?;
        let at = simulator.addr();
        super::print(&format!(
            "simulator listening on http://{at}\n  openai    http://{at}/openai/v1\n  azure     http://{at}/azure/openai/v1\n  cometapi  http://{at}/cometapi/v1\n  bill      http://{at}/_simulator/bill\n"
        ))?;
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = term.recv() => {}
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
        simulator.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}
