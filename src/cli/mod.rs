//! The command line: what each command takes, and which part does it.
//!
//! Exit codes are an interface: 0 done, 1 the thing asked about is wrong (a policy with faults, a
//! gateway that is unwell), 2 the command line is.

mod check;
mod demo;
mod desk;
pub mod estimate;
mod explain;
mod halt;
mod jobs;
mod key;
mod notices;
mod pinned;
mod probe;
mod readmit;
mod reconcile;
pub mod report;
mod serve;
mod simulate;
mod suspense;
pub mod table;

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::boot;
use crate::clock::Clock;
use crate::plan::Moment;
use crate::policy::load::{LoadError, Reading, load};
use crate::policy::{Policy, schema};

/// A gateway for asynchronous video generation that speaks OpenAI's /v1/videos.
#[derive(Debug, Parser)]
#[command(name = "filmgate", version, arg_required_else_help = false)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (also what `filmgate` alone does).
    Serve(serve::ServeArgs),
    /// Check a policy file: every fault with its place and remedy. Exit code 0, 1 for faults, or 2 for a file that cannot be read.
    Check(check::CheckArgs),
    /// A gateway with the simulator behind it makes one clip and stays up to be looked at.
    Demo(demo::DemoArgs),
    /// Run the provider simulator alone.
    Simulate(simulate::SimulateArgs),
    /// Keys of tenants.
    Key(key::KeyArgs),
    /// What clips would cost, before anybody makes them.
    Estimate(estimate::EstimateArgs),
    /// Who would make a clip, why nobody else, and what would be held. Exit code 0 if somebody would, else 1.
    Explain(explain::ExplainArgs),
    /// What was spent, by tenant, key, end user, route, model and day.
    Report(report::ReportArgs),
    /// Look at jobs, and decide what the gateway may not: adopt, write off.
    Jobs(jobs::JobsArgs),
    /// What providers have and bill, beside what the books say. Exit code 0 if everything is explained, else 1.
    Reconcile(reconcile::ReconcileArgs),
    /// Stop all buying at once, on every gateway with the same books; reading goes on.
    Halt(halt::HaltArgs),
    /// Let buying go on after `halt`. Exit code 0 if it does, else 1.
    Resume(halt::ResumeArgs),
    /// Order one cheapest clip through a route, for money, to learn how the route behaves.
    Probe(probe::ProbeArgs),
    /// Have a route asked for a model again that its provider had said it does not have.
    Readmit(readmit::ReadmitArgs),
    /// What providers took and no job explains.
    Suspense(suspense::SuspenseArgs),
    /// Events that webhooks were not told of, and telling them again.
    Notices(notices::NoticesArgs),
    /// The JSON Schema of the policy file, for editors.
    Schema,
    /// Completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Ask a running gateway's admin listener whether it is well. Exit code 0 or 1.
    Healthcheck {
        /// The admin listener.
        #[arg(long, default_value = "127.0.0.1:9090")]
        admin: SocketAddr,
    },
}

/// Runs the command line that the process was started with.
pub fn main() -> ExitCode {
    let args = Args::parse();
    match run(args.command.unwrap_or_else(|| Command::Serve(serve::ServeArgs::default()))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("filmgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Key(args) => key::run(&args),
        Command::Estimate(args) => {
            let policy = policy(&args.config, Reading::Nothing)?;
            let text = estimate::run(&args, &policy, Moment::of(Clock::default().now())).map_err(anyhow::Error::msg)?;
            print(&text)
        }
        Command::Explain(args) => explain::run(&args),
        Command::Report(args) => report_spend(&args),
        Command::Jobs(args) => jobs::run(&args),
        Command::Reconcile(args) => reconcile::run(&args),
        Command::Halt(args) => halt::halt(&args),
        Command::Resume(args) => halt::resume(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Readmit(args) => readmit::run(&args),
        Command::Suspense(args) => suspense::run(&args),
        Command::Notices(args) => notices::run(&args),
        Command::Schema => print(&format!("{:#}\n", schema::schema())),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "filmgate", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Healthcheck { admin } => serve::healthcheck(admin),
    }
}

fn report_spend(args: &report::ReportArgs) -> anyhow::Result<ExitCode> {
    let query = args.query(Clock::default().now().utc_date()).map_err(anyhow::Error::msg)?;
    let (policy, runtime) = (policy(&args.config, Reading::Store)?, runtime()?);
    let store = runtime.block_on(boot::open_books(&policy))?;
    let (report, overview) = (runtime.block_on(store.report(query))?, runtime.block_on(store.overview())?);
    eprint!("{}", report::aside(&overview, args));
    print(&report::render(&report, &overview, args))
}

/// Loads the policy that a command works with, and no secret of it that the command does not need: whoever halts
/// the gateway does so from a shell that has none.
fn policy(file: &std::path::Path, reading: Reading) -> anyhow::Result<Policy> {
    load(file, reading).map_err(|error| match error {
        LoadError::Faults(faults) => {
            let told = faults.render(std::io::stderr().is_terminal());
            anyhow::anyhow!("{} cannot be used:\n{}", file.display(), told.trim_end())
        }
        other => other.into(),
    })
}

/// A runtime for one command.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// Prints, and takes a closed pipe for an answer.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
