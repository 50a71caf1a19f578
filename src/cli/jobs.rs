//! `filmgate jobs`: looking at the books while the gateway runs, or after it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::table::{Align, table};
use crate::boot;
use crate::id::{JobId, TenantName};
use crate::job::State;
use crate::money::MicroUsd;
use crate::store::Job;

/// What `jobs` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct JobsArgs {
    /// The policy file, for where the books are.
    #[arg(long, default_value = "gateway.toml", global = true)]
    config: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: JobsCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum JobsCommand {
    /// The newest jobs.
    List {
        /// Only this tenant's.
        #[arg(long)]
        tenant: Option<String>,
        /// Only those in this state.
        #[arg(long)]
        state: Option<State>,
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// One job with its attempts and its lines in the ledger.
    Show {
        /// Its id.
        id: JobId,
    },
}

/// Shows jobs; prompts are left out.
pub fn run(args: &JobsArgs) -> anyhow::Result<ExitCode> {
    let store = boot::open_books(&super::policy(&args.config)?)?;
    let runtime = super::runtime()?;
    match &args.command {
        JobsCommand::List { tenant, state, limit } => {
            let tenant = tenant.as_ref().map(TenantName::new);
            let jobs = runtime.block_on(store.latest_jobs(tenant.as_ref(), *state, *limit))?;
            if args.json {
                let jobs: Vec<_> = jobs.iter().map(|job| json(job)).collect();
                return super::print(&format!("{:#}\n", serde_json::json!(jobs)));
            }
            let rows = jobs.iter().map(|job| row(job)).collect::<Vec<_>>();
            super::print(&table(&HEAD, &rows, &[]))
        }
        JobsCommand::Show { id } => {
            let (job, attempts, entries) = runtime.block_on(store.job_file(*id))?.with_context(|| format!("there is no job {id}"))?;
            let attempts: Vec<_> = attempts
                .iter()
                .map(|a| serde_json::json!({ "id": a.id, "route": a.route, "price": a.price.to_string(), "outcome": a.outcome, "upstream_id": a.upstream_id, "at_ms": a.at.as_ms() }))
                .collect();
            let entries: Vec<_> = entries
                .iter()
                .map(|e| serde_json::json!({ "kind": e.kind, "amount": e.amount.to_string(), "at_ms": e.at.as_ms(), "note": e.note }))
                .collect();
            let mut file = json(&job);
            file["attempts"] = attempts.into();
            file["ledger"] = entries.into();
            super::print(&format!("{file:#}\n"))
        }
    }
}

const HEAD: [(&str, Align); 9] = [
    ("id", Align::Left),
    ("tenant", Align::Left),
    ("state", Align::Left),
    ("model", Align::Left),
    ("seconds", Align::Right),
    ("route", Align::Left),
    ("held", Align::Right),
    ("cost", Align::Right),
    ("created", Align::Left),
];

fn row(job: &Job) -> Vec<String> {
    let held = if job.state.is_final() { MicroUsd::ZERO } else { job.ceiling };
    vec![
        job.id.to_string(),
        job.tenant.to_string(),
        job.state.to_string(),
        job.model.to_string(),
        job.seconds.to_string(),
        job.route.to_string(),
        held.to_string(),
        job.cost.map(|cost| cost.to_string()).unwrap_or_default(),
        time(job),
    ]
}

fn time(job: &Job) -> String {
    jiff::Timestamp::from_millisecond(job.created_at.as_ms()).map(|at| at.strftime("%F %TZ").to_string()).unwrap_or_default()
}

fn json(job: &Job) -> serde_json::Value {
    serde_json::json!({
        "id": job.id.to_string(),
        "tenant": job.tenant.as_str(),
        "state": job.state.as_str(),
        "operation": job.operation,
        "model": job.model.as_str(),
        "seconds": job.seconds.get(),
        "size": job.size.to_string(),
        "route": job.route.as_str(),
        "upstream_model": job.upstream_model,
        "upstream_id": job.upstream_id,
        "ceiling": job.ceiling.to_string(),
        "cost": job.cost.map(|cost| cost.to_string()),
        "error": job.error.as_ref().map(|error| &error.code),
        "created_at_ms": job.created_at.as_ms(),
        "ended_at_ms": job.ended_at.map(|at| at.as_ms()),
        "deleted": job.deleted_at.is_some(),
    })
}
