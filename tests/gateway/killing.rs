//! Gateways that are killed: at instants that nobody chose, and at each of those that matter.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use filmgate::simulator::Faults;
use futures_util::future::join_all;
use serde_json::json;

use crate::campaign::{self, LIFE, Lane};
use crate::process::{Process, Site};
use crate::world::{openai, tenant};

/// How long one that has been told where to die may take to come there.
const PATIENCE: Duration = Duration::from_secs(3);

/// Places in the code, in the order in which a job comes to them.
const POINTS: [&str; 9] =
    ["before_hold", "after_hold", "connected", "after_reply_head", "after_reply", "after_id", "after_commit", "mid_settle", "after_settle"];

async fn until_it_dies(process: &Process) -> bool {
    let began = Instant::now();
    while !process.has_ended() {
        if began.elapsed() > PATIENCE {
            process.kill();
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_instant_it_owes_nobody_anything() {
    campaign::run("killed at random instants", campaign::cycles(1_000), async |lane: &mut Lane| {
        lane.misbehave();
        let wishes = 4 + lane.dice.below(8);
        let process = lane.start(&[], wishes);
        let until = Instant::now() + LIFE.mul_f64(lane.dice.share());
        lane.serves(&process, until).await;
        tokio::time::sleep_until(until.into()).await;
        process.kill();
        lane.dead(&process).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_point_that_matters_it_owes_nobody_anything() {
    join_all(POINTS.map(killed_at)).await;
}

async fn killed_at(point: &str) {
    let (cycles, reached) = (campaign::cycles(50), &AtomicUsize::new(0));
    campaign::run(&format!("killed at {point}"), cycles, async move |lane: &mut Lane| {
        lane.misbehave();
        let passes = 1 + lane.dice.below(3);
        let process = lane.start(&["env".to_owned(), format!("FILMGATE_CRASH_AT={point}:{passes}")], 8);
        lane.serves(&process, Instant::now() + PATIENCE).await;
        if until_it_dies(&process).await {
            reached.fetch_add(1, Ordering::Relaxed);
        }
        lane.dead(&process).await;
    })
    .await;
    let reached = reached.load(Ordering::Relaxed);
    assert!(reached * 2 > cycles, "only {reached} of {cycles} came to {point}");
}

/// Books that were only just begun are not taken for a backup that was brought here, so it goes on buying.
#[tokio::test]
async fn killed_at_its_very_first_start_it_starts_as_ever() {
    for point in ["before_start", "after_start"] {
        let site = Site::new(1_000, 0, &[openai("studio", ""), tenant("acme", "")]).await;
        let command = [&["env".to_owned(), format!("FILMGATE_CRASH_AT={point}")][..], &site.serve()].concat();
        for _ in 0..2 {
            let process = Process::start(&command);
            assert!(until_it_dies(&process).await, "{point}: {}", process.log());
            for looking in [["report", "--json"], ["jobs", "list"]] {
                let said = site.run(&looking);
                assert!(said.status.success(), "{point}: {looking:?}: {}", String::from_utf8_lossy(&said.stderr));
            }
        }
        let gateway = site.gateway().await;
        let created = gateway.tenant("acme").post("/v1/videos", &json!({ "prompt": "a whale" })).await;
        assert_eq!(created.status, 200, "{point}: {created:?}");
        site.until_quiet().await;
        site.settle_up();
    }
}

/// Between the last byte of a request and the first of its reply there is no code of ours: the provider
/// says when it has the order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_waits_for_a_reply_it_owes_nobody_anything() {
    campaign::run("killed after the body", campaign::cycles(50), async |lane: &mut Lane| {
        lane.site.simulator.set_faults(Faults { delay_ms: 200, ..Faults::default() });
        let before = lane.site.simulator.bill().jobs.len();
        let process = lane.start(&[], 4);
        let until = Instant::now() + PATIENCE;
        lane.serves(&process, until).await;
        while lane.site.simulator.bill().jobs.len() == before && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        process.kill();
        lane.dead(&process).await;
    })
    .await;
}
