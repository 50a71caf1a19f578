//! Limits: requests per minute and jobs at a time, of tenants and of routes.

use std::time::Duration;

use filmgate::simulator::account_of;
use serde_json::json;
use tokio::task::JoinSet;

use crate::client::Answer;
use crate::world::{World, id, openai, tenant};

/// Refused for now, with a moment to come back that every SDK heeds.
fn is_told_to_wait(answer: &Answer) -> bool {
    let secs: u64 = answer.header("retry-after").parse().unwrap_or(0);
    let said_twice = answer.header("retry-after-ms") == (secs * 1_000).to_string();
    answer.status == 429 && (1..=60).contains(&secs) && said_twice && answer.header("x-should-retry") != "false"
}

#[tokio::test]
async fn a_full_route_is_passed_over_and_when_all_are_full_one_is_told_to_wait() {
    let by_rpm = [openai("first", "limits = { rpm = 2 }"), openai("second", "limits = { rpm = 1 }"), tenant("acme", "show_route = true")];
    let by_places = [
        openai("first", "limits = { in_flight = 2 }"),
        openai("second", "limits = { in_flight = 1 }"),
        tenant("acme", "show_route = true"),
    ];
    for policy in [by_rpm, by_places] {
        let world = World::at_speed(1, &policy).await;
        let acme = world.tenant("acme");
        let mut served = Vec::new();
        for _ in 0..3 {
            served.push(acme.ordered(&json!({ "prompt": "a whale" })).await["route"].as_str().unwrap().to_owned());
        }
        assert_eq!(served, ["first", "first", "second"]);

        let lines = world.number("SELECT count(*) FROM ledger");
        let refused = acme.wish(&json!({ "prompt": "a whale" })).await;
        assert!(is_told_to_wait(&refused), "{refused:?}");
        assert_eq!(refused.refusal(), "429 rate_limit_exceeded -");
        assert_eq!((world.orders(), world.held("tenant:acme")), (3, 1_200_000));
        assert_eq!(world.number("SELECT count(*) FROM ledger"), lines, "nothing was held, not even for a moment");
        world.end().await;
    }
}

#[tokio::test]
async fn a_place_is_free_again_once_its_clip_has_ended() {
    let world = World::at_speed(1, &[openai("openai", "limits = { in_flight = 1 }"), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    for prompt in ["a whale", "a whale [fail]", "a whale"] {
        let video = acme.ordered(&json!({ "prompt": prompt })).await;
        assert!(is_told_to_wait(&acme.wish(&json!({ "prompt": "a whale" })).await));
        world.turn_clock(Duration::from_secs(60));
        acme.ended(id(&video)).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_never_puts_more_on_a_route_than_its_account_may_have() {
    let world = World::at_speed(1, &[openai("openai", "limits = { in_flight = 5 }"), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let mut wishes = JoinSet::new();
    for _ in 0..40 {
        let acme = acme.clone();
        wishes.spawn(async move { acme.wish(&json!({ "prompt": "a whale" })).await });
    }
    let answers = wishes.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 5);
    assert!(answers.iter().filter(|answer| answer.status != 200).all(is_told_to_wait));
    let most = world.simulator.stats().in_flight_max;
    assert_eq!(most.get(&format!("openai/{}", account_of("sk-test-openai"))), Some(&5));
    world.end().await;
}

#[tokio::test]
async fn a_tenant_that_asks_too_often_or_too_much_at_once_is_told_to_wait_and_others_are_not() {
    let hasty = tenant("acme", "limits = { rpm = 2 }");
    let busy = tenant("rival", "limits = { in_flight = 2 }");
    let world = World::at_speed(1, &[openai("openai", ""), hasty, busy, tenant("guest", "")]).await;

    for (name, refusal) in [("acme", "429 rate_limit_exceeded -"), ("rival", "429 concurrency_limit_exceeded -")] {
        let tenant = world.tenant(name);
        for _ in 0..2 {
            tenant.ordered(&json!({ "prompt": "a whale" })).await;
        }
        let lines = world.number("SELECT count(*) FROM ledger");
        let refused = tenant.wish(&json!({ "prompt": "a whale" })).await;
        assert_eq!(refused.refusal(), refusal);
        assert!(is_told_to_wait(&refused), "{refused:?}");
        assert_eq!(world.number("SELECT count(*) FROM ledger"), lines);
        tenant.get("/v1/videos").await.ok();
    }
    world.tenant("guest").ordered(&json!({ "prompt": "a whale" })).await;
    assert_eq!(world.orders(), 5);
    world.end().await;
}

#[tokio::test]
async fn a_reload_that_leaves_a_limit_alone_does_not_refill_it() {
    let policy = [openai("openai", ""), tenant("acme", "limits = { rpm = 2 }")];
    let world = World::start(&policy).await;
    let acme = world.tenant("acme");
    acme.ordered(&json!({ "prompt": "a whale" })).await;
    acme.ordered(&json!({ "prompt": "a whale" })).await;

    world.edit_policy(&[policy[0].clone(), policy[1].clone(), tenant("rival", "")]).await;
    world.tenant("rival").get("/v1/videos").await.ok();
    assert!(is_told_to_wait(&acme.wish(&json!({ "prompt": "a whale" })).await));

    world.edit_policy(&[policy[0].clone(), tenant("acme", "limits = { rpm = 10 }")]).await;
    acme.ordered(&json!({ "prompt": "a whale" })).await;
    world.end().await;
}

#[tokio::test]
async fn what_is_in_flight_is_still_in_flight_after_a_restart() {
    let policy = [openai("openai", "limits = { in_flight = 2 }"), tenant("acme", "limits = { in_flight = 3 }")];
    let mut world = World::at_speed(1, &policy).await;
    let acme = world.tenant("acme");
    let first = acme.ordered(&json!({ "prompt": "a whale" })).await;
    acme.ordered(&json!({ "prompt": "a whale" })).await;

    world.restart().await;
    let acme = world.tenant("acme");
    assert!(is_told_to_wait(&acme.wish(&json!({ "prompt": "a whale" })).await), "the route is still full");
    assert_eq!((world.held("tenant:acme"), world.orders()), (800_000, 2));

    world.turn_clock(Duration::from_secs(60));
    assert_eq!(acme.ended(id(&first)).await["status"], "completed", "and nobody had to ask for it before");
    acme.ordered(&json!({ "prompt": "a whale" })).await;
    world.end().await;
}
