//! `filmgate jobs`: looking at the books while the gateway runs, or after it; and what a person changes in them,
//! which only the gateway that runs can write.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::desk::DeskArgs;
use super::table::{Align, day_and_time, table};
use crate::accounts::REMEDY;
use crate::boot;
use crate::id::{AccountId, JobId, TenantName};
use crate::job::State;
use crate::money::MicroUsd;
use crate::policy::Policy;
use crate::policy::load::Reading;
use crate::store::Job;

/// What `jobs` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct JobsArgs {
    #[command(flatten)]
    desk: DeskArgs,
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
    /// One job with its attempts and its lines in the ledger; while it waits, its place in line.
    Show {
        /// Its id.
        id: JobId,
    },
    /// Say what its route calls a job of unknown outcome: it goes on from there. One that has ended is corrected.
    Adopt {
        /// Its id.
        id: JobId,
        /// What the route calls it.
        upstream_id: String,
        /// Why, for the ledger.
        #[arg(long)]
        note: Option<String>,
        /// Go on although what the route says differs, or cannot be compared.
        #[arg(long)]
        force: bool,
    },
    /// End an unknown or a lost job without evidence, or one whose provider cannot be asked any more.
    WriteOff {
        /// Its id.
        id: JobId,
        /// Whether it counts as spent, because the provider charged for it, or as free.
        #[arg(long = "as", value_name = "SPENT|FREE")]
        counts_as: CountsAs,
        /// Why, for the ledger.
        #[arg(long)]
        note: String,
    },
}

/// How long the running gateway is waited for by a command that can do without it.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum CountsAs {
    Spent,
    Free,
}

/// Shows jobs; prompts are left out.
pub fn run(args: &JobsArgs) -> anyhow::Result<ExitCode> {
    let runtime = super::runtime()?;
    let policy = || super::policy(&args.desk.config, Reading::Store);
    let store = || runtime.block_on(boot::open_books(&policy()?));
    match &args.command {
        JobsCommand::List { tenant, state, limit } => {
            let tenant = tenant.as_ref().map(TenantName::new);
            let jobs = runtime.block_on(store()?.latest_jobs(tenant.as_ref(), *state, *limit))?;
            if args.desk.json {
                let jobs: Vec<_> = jobs.iter().map(|job| file(job)).collect();
                return super::print(&format!("{:#}\n", json!(jobs)));
            }
            let rows = jobs.iter().map(|job| row(job)).collect::<Vec<_>>();
            super::print(&(table(&HEAD, &rows, &[]) + &left_behind(&policy()?, &jobs)))
        }
        JobsCommand::Show { id } => {
            let (job, attempts, entries) = runtime.block_on(store()?.job_file(*id))?.with_context(|| format!("there is no job {id}"))?;
            let attempts: Vec<_> = attempts
                .iter()
                .map(|a| json!({ "id": a.id, "route": a.route, "price": a.price.to_string(), "outcome": a.outcome, "upstream_id": a.upstream_id, "account": a.account.as_ref().map(AccountId::as_str), "at_ms": a.at.as_ms() }))
                .collect();
            let entries: Vec<_> = entries
                .iter()
                .map(|e| json!({ "kind": e.kind, "amount": e.amount.to_string(), "at_ms": e.at.as_ms(), "note": e.note }))
                .collect();
            let mut file = file(&job);
            file["attempts"] = attempts.into();
            file["ledger"] = entries.into();
            if job.state == State::Waiting {
                file["queue"] = runtime.block_on(place(&args.desk, *id));
            }
            super::print(&format!("{file:#}\n"))
        }
        JobsCommand::Adopt { id, upstream_id, note, force } => {
            let wish = json!({ "upstream_id": upstream_id, "note": note, "force": force });
            let done = runtime.block_on(args.desk.desk()?.post(&format!("/api/jobs/{id}/adopt"), &wish))?;
            super::print(&if args.desk.json { format!("{done:#}\n") } else { adopted(&done) })
        }
        JobsCommand::WriteOff { id, counts_as, note } => {
            let counts_as = if *counts_as == CountsAs::Spent { "spent" } else { "free" };
            let wish = json!({ "as": counts_as, "note": note });
            let done = runtime.block_on(args.desk.desk()?.post(&format!("/api/jobs/{id}/write-off"), &wish))?;
            let text = |name: &str| done[name].as_str().unwrap_or_default().to_owned();
            super::print(&if args.desk.json {
                format!("{done:#}\n")
            } else {
                format!("{id} is {} and cost {}.\n", text("state"), text("cost"))
            })
        }
    }
}

/// Where a job stands that waits, which only the gateway that runs knows; nothing if it does not answer, which is said.
async fn place(desk: &DeskArgs, id: JobId) -> Value {
    let asked = async { desk.desk()?.get(&format!("/api/queue?job={id}")).await };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(mut told)) => told["queue"].take(),
        Ok(Err(_)) | Err(_) => {
            eprintln!("Its place in line is not known: the gateway that runs knows it, and does not answer (--admin says where it is).");
            Value::Null
        }
    }
}

/// What is to be said of jobs that were sent to an address which no route has any more. Whether a key is another account's
/// cannot be told without the secrets.
fn left_behind(policy: &Policy, jobs: &[Arc<Job>]) -> String {
    let is_with_a_provider = |job: &Job| !job.state.is_final() && !matches!(job.state, State::Reserved | State::Waiting);
    let has = |account: &AccountId| policy.routes.values().any(|route| route.account.address() == account.address());
    let left = jobs.iter().filter(|job| is_with_a_provider(job) && job.account.as_ref().is_some_and(|account| !has(account)));
    match left.map(|job| job.id.to_string()).collect::<Vec<_>>() {
        left if left.is_empty() => String::new(),
        left => format!(
            "\nSent to an address that no route has any more: {}.\nA gateway that has run since before the file was edited still follows them, and one that was started since does not; {REMEDY}.\n",
            left.join(", ")
        ),
    }
}

/// What became of an adoption, in a sentence for each thing.
fn adopted(done: &Value) -> String {
    let text = |name: &str| done[name].as_str().unwrap_or("unknown");
    let mut told = format!("{} is {}; {} says of it: {}.\n", text("id"), text("state"), text("route"), text("upstream_status"));
    if let Some(amount) = done["corrected"].as_str() {
        told.push_str(&format!("It had ended: {amount} was added to what it cost.\n"));
    }
    for doubt in done["overruled"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        told.push_str(&format!("Overruled: {doubt}.\n"));
    }
    told
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
        day_and_time(job.created_at),
    ]
}

fn file(job: &Job) -> Value {
    json!({
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
        "account": job.account.as_ref().map(AccountId::as_str),
        "ceiling": job.ceiling.to_string(),
        "cost": job.cost.map(|cost| cost.to_string()),
        "error": job.error.as_ref().map(|error| &error.code),
        "created_at_ms": job.created_at.as_ms(),
        "ended_at_ms": job.ended_at.map(|at| at.as_ms()),
        "deleted": job.deleted_at.is_some(),
    })
}
