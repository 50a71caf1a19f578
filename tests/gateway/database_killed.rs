//! Books in a PostgreSQL server that is killed, or whose connections are cut while they commit.

use std::time::{Duration, Instant};

use crate::campaign::{self, Lane};
use crate::cluster::Cluster;
use crate::process::Process;

/// How long a gateway may take to serve.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often connections are cut in one cycle.
const CUTS: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_costs_nobody_anything() {
    campaign::run_on(
        || Some(Cluster::start()),
        "database killed",
        campaign::cycles(100),
        async |lane: &mut Lane| {
            let process = busy(lane).await;
            tokio::time::sleep(Duration::from_millis(lane.dice.below(120))).await;
            tokio::task::block_in_place(|| {
                lane.server().stop_at_once();
                lane.server().start_again();
            });
            go_on(lane, &process).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_while_they_commit_cost_nobody_anything() {
    campaign::run_on(
        || Some(Cluster::start()),
        "database connections cut",
        campaign::cycles(100),
        async |lane: &mut Lane| {
            let process = busy(lane).await;
            for _ in 0..CUTS {
                tokio::time::sleep(Duration::from_millis(lane.dice.below(20))).await;
                let whose = if lane.dice.below(2) == 0 { "query ILIKE 'commit%'" } else { "state <> 'idle'" };
                let cut = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name <> '' AND {whose}"
                );
                tokio::task::block_in_place(|| lane.server().sql(&cut));
            }
            go_on(lane, &process).await;
        },
    )
    .await;
}

/// A gateway that serves, and calls under way.
async fn busy(lane: &mut Lane) -> Process {
    lane.misbehave();
    let wishes = 4 + lane.dice.below(8);
    let process = lane.start(&[], wishes);
    assert!(lane.serves(&process, Instant::now() + PATIENCE).await, "{}: {}", lane.place(), process.log());
    process
}

/// It lives on for a moment with the server it has again, and then dies as well.
async fn go_on(lane: &mut Lane, process: &Process) {
    tokio::time::sleep(Duration::from_millis(lane.dice.below(150))).await;
    assert!(!process.has_ended(), "{}: it ended with its database: {}", lane.place(), process.log());
    process.kill();
    lane.dead(process).await;
}
