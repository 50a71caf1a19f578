//! Clocks that are wrong, or are set: the machine's, which the gateway follows without being led astray, and
//! a provider's, which says what time it is with every answer.

use std::collections::BTreeSet;
use std::time::Duration;

use filmgate::simulator::{Fault, Faults};
use serde_json::json;

use crate::world::{World, eventually, id, openai, tenant};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY_MS: i64 = 86_400_000;

/// What a list has to prove, it may prove after ten minutes.
const TEN_MINUTES: &str = "submit_timeout = \"1s\"\nunknown = { grace = \"10m\", tell_after = \"2h\", give_up = \"20m\" }";

fn whale(number: usize) -> serde_json::Value {
    json!({ "prompt": format!("a whale, number {number}") })
}

/// Orders that never arrived and whose absence the list could prove, if only time passed.
async fn lose_one(world: &World) -> String {
    world.misbehave(Faults { script: [Fault::CutBeforeRead].into(), ..Faults::default() });
    let lost = world.tenant("acme").ordered(&whale(0)).await;
    world.turn_clock(Duration::from_secs(10));
    world.tenant("acme").made(&whale(1)).await;
    id(&lost).to_owned()
}

#[tokio::test]
async fn no_deadline_comes_early_because_somebody_sets_the_clock() {
    let world = World::start(&[openai("openai", TEN_MINUTES), tenant("acme", "")]).await;
    let lost = lose_one(&world).await;
    let looks = world.simulator.stats().count("list");
    for by in [DAY_MS, 365 * DAY_MS, HOUR.as_millis() as i64] {
        world.gateway().set_machine_clock(by);
        world.tenant("acme").made(&whale(2)).await;
    }
    eventually("it was looked for", || world.simulator.stats().count("list") >= looks + 5).await;
    assert_eq!((world.jobs_in("unknown"), world.held("tenant:acme")), (1, 400_000), "it is given up by time that passes, and none has");

    world.turn_clock(Duration::from_secs(11 * 60));
    world.tenant("acme").made(&whale(3)).await;
    assert_eq!(world.tenant("acme").ended(&lost).await["error"]["code"], "upstream_unavailable");
    assert!(world.log().contains("the machine's clock was set"));
    let gap = world
        .operator()
        .get("/metrics")
        .await
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("filmgate_clock_gap_seconds ")?.parse().ok());
    assert!(gap.is_some_and(|gap: i64| gap > 366 * 86_400), "{gap:?}");
    world.end().await;
}

#[tokio::test]
async fn a_clock_that_is_put_back_delays_nobody_and_the_books_go_forward() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let mut videos = vec![acme.made(&whale(0)).await];
    for by in [-DAY_MS, -365 * DAY_MS] {
        let running = acme.ordered(&whale(1)).await;
        world.gateway().set_machine_clock(by);
        videos.push(acme.ended(id(&running)).await);
    }
    for number in 0..20 {
        for _ in 0..50 {
            world.gateway().set_machine_clock(-1_000);
        }
        videos.push(acme.made(&whale(number)).await);
    }
    let ids: BTreeSet<&str> = videos.iter().map(id).collect();
    assert_eq!(ids.len(), videos.len());
    let made: Vec<i64> = videos.iter().map(|video| video["created_at"].as_i64().unwrap()).collect();
    assert!(made.is_sorted(), "{made:?}");
    assert_eq!(world.number("SELECT count(*) FROM ledger AS a JOIN ledger AS b ON b.number = a.number + 1 WHERE b.at_ms < a.at_ms"), 0);
    world.end().await;
}

#[tokio::test]
async fn time_begins_where_the_books_end() {
    let mut world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    world.turn_clock(HOUR);
    let before = world.tenant("acme").made(&whale(0)).await;
    // To the next gateway it looks as if the machine's clock had been put back by an hour.
    world.restart().await;
    let after = world.tenant("acme").made(&whale(1)).await;
    assert!(after["created_at"].as_i64() >= before["created_at"].as_i64(), "{before} and then {after}");
    assert_eq!(world.tenant("acme").video(id(&before)).await["status"], "completed");
    world.end().await;
}

#[tokio::test]
async fn a_provider_is_read_by_its_own_clock() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    for turn in [World::turn_providers_clock, World::turn_gateways_clock] {
        turn(&world, 3 * HOUR);
        world.misbehave(Faults { script: [Fault::AcceptThenCut].into(), ..Faults::default() });
        let video = acme.ordered(&whale(0)).await;
        assert_eq!(acme.ended(id(&video)).await["status"], "completed", "it is found in the list");
    }
    assert_eq!(world.orders(), 2);
    world.end().await;
}
