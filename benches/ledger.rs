//! The books on a real disk: durable facts a second, by how many tasks bring them. `cargo bench --bench ledger`
//!
//! `synchronous = FULL` throughout, or what PostgreSQL calls `synchronous_commit = on`: what is counted has been
//! synced. Commits are read from the counter that SQLite keeps in the header of its write-ahead log's index; in
//! PostgreSQL each fact is one. The server is a private one, and left out where PostgreSQL is not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[allow(dead_code, clippy::unwrap_used, reason = "tests stop it and look into it, and fail where it does")]
#[path = "../tests/cluster/mod.rs"]
mod cluster;
mod wish;

use anyhow::Context as _;
use filmgate::bench::{Clock, Event, Facts, Job, Postgres, Sqlite, Store, step};
use tokio::task::JoinSet;

const LASTING: Duration = Duration::from_secs(2);
const TASKS: [u32; 3] = [1, 16, 64];

/// What a task does over and over.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    /// Only the hold and the job.
    Open,
    /// Hold, acceptance, settlement.
    WholeLife,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ledger");
    println!("the books (SQLite, synchronous = FULL, {} s each)", LASTING.as_secs());
    for (work, what) in [(Work::Open, "jobs opened"), (Work::WholeLife, "whole lives: open, accept, settle")] {
        println!("  {what}");
        for tasks in TASKS {
            // A database of its own for each figure: none inherits the size of the one before.
            drop(fs::remove_dir_all(&folder));
            fs::create_dir_all(&folder)?;
            measure(&folder.join("books.db"), work, tasks).await?;
        }
    }
    fs::remove_dir_all(&folder)?;
    in_postgres().await
}

async fn in_postgres() -> anyhow::Result<()> {
    if !wish::has_postgres() {
        println!("the books (PostgreSQL): not installed, skipped");
        return Ok(());
    }
    let server = tokio::task::spawn_blocking(cluster::Cluster::start).await?;
    println!("the books (PostgreSQL, synchronous_commit = on, {} s each)", LASTING.as_secs());
    for (work, what) in [(Work::Open, "jobs opened"), (Work::WholeLife, "whole lives: open, accept, settle")] {
        println!("  {what}");
        for tasks in TASKS {
            let books = server.books();
            let store: Arc<dyn Store> = Arc::new(Postgres::open(&books.address).await?);
            let (jobs, facts, _) = run(&store, work, tasks).await?;
            println!("    {tasks:>3} tasks {jobs:>8.0} jobs/s {facts:>8.0} facts/s, each a commit");
        }
    }
    Ok(())
}

async fn measure(path: &Path, work: Work, tasks: u32) -> anyhow::Result<()> {
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(path)?);
    let commits_before = commits(path)?;
    let (jobs, facts, secs) = run(&store, work, tasks).await?;
    let commits = f64::from(commits(path)?.wrapping_sub(commits_before)) / secs;
    println!(
        "    {tasks:>3} tasks {jobs:>8.0} jobs/s {facts:>8.0} facts/s {commits:>7.0} commits/s {:>6.1} facts a commit",
        facts / commits
    );
    Ok(())
}

/// Has tasks do their work; jobs and facts a second, and for how many seconds.
async fn run(store: &Arc<dyn Store>, work: Work, tasks: u32) -> anyhow::Result<(f64, f64, f64)> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        running.spawn(live(store.clone(), work, began));
    }
    let mut jobs = 0;
    while let Some(done) = running.join_next().await {
        jobs += done??;
    }
    let secs = began.elapsed().as_secs_f64();
    let faults = store.audit().await?;
    anyhow::ensure!(faults.is_empty(), "the books do not add up: {faults:?}");

    let jobs = f64::from(jobs) / secs;
    Ok((jobs, jobs * if work == Work::Open { 1.0 } else { 3.0 }, secs))
}

/// Opens jobs, one after the other, until the time is up; answers how many.
async fn live(store: Arc<dyn Store>, work: Work, began: Instant) -> anyhow::Result<u32> {
    let (clock, mut jobs) = (Clock::default(), 0);
    while began.elapsed() < LASTING {
        let (job, attempt) = wish::wish(&clock);
        let mut job = store.open_job(job, attempt).await?;
        if work == Work::WholeLife {
            let facts = Facts { upstream_id: Some(job.id.to_string()), outcome: Some("accepted"), ..Facts::default() };
            job = apply(&*store, &job, Event::Accepted, facts, &clock).await?;
            apply(&*store, &job, Event::Finished, Facts::default(), &clock).await?;
        }
        jobs += 1;
    }
    Ok(jobs)
}

async fn apply(store: &dyn Store, job: &Job, event: Event, facts: Facts, clock: &Clock) -> anyhow::Result<Arc<Job>> {
    Ok(store.apply(job, step(job.state, event)?, facts, clock.now()).await?)
}

/// How many transactions were committed so far: `iChange` of the log's index.
fn commits(database: &Path) -> anyhow::Result<u32> {
    let mut index = database.as_os_str().to_owned();
    index.push("-shm");
    let bytes = fs::read(&index).context("the log's index cannot be read")?;
    let counter = bytes.get(8..).and_then(|rest| rest.first_chunk()).context("the log's index is too short")?;
    Ok(u32::from_ne_bytes(*counter))
}
