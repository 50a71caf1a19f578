//! Health: a model that fails on a route is asked last there, rests, and is tried again after a question that
//! costs nothing; nobody is ever left out for it.

use std::time::Duration;

use filmgate::simulator::{Fault, Faults, PollFault};
use serde_json::{Value, json};

use crate::world::{World, eventually, id, openai, tenant};

const REST: Duration = Duration::from_secs(30);

fn whale() -> Value {
    json!({ "prompt": "a whale" })
}

fn script(faults: impl IntoIterator<Item = Fault>) -> Faults {
    Faults { script: faults.into_iter().collect(), ..Faults::default() }
}

/// So many wishes that the first route refuses and the second takes.
fn refused_first(times: usize) -> Faults {
    script((0..times).flat_map(|_| [Fault::Refuse(402), Fault::None]))
}

fn policy(of_first: &str) -> [String; 3] {
    [openai("first", of_first), openai("second", ""), tenant("acme", "show_route = true")]
}

/// A world whose first route rests because it failed three times in a row.
async fn resting() -> World {
    let world = World::start(&policy("breaker = { failures = 3 }")).await;
    let acme = world.tenant("acme");
    world.misbehave(refused_first(3));
    for _ in 0..3 {
        assert_eq!(world.standing("first", "sora-2").await, "closed");
        assert_eq!(acme.made(&whale()).await["route"], "second");
    }
    assert_eq!(world.standing("first", "sora-2").await, "open");
    world
}

#[tokio::test]
async fn a_route_that_fails_is_asked_last_and_tried_again_once_a_free_question_was_answered() {
    let world = resting().await;
    let acme = world.tenant("acme");
    let orders = world.orders();
    assert_eq!(acme.made(&whale()).await["route"], "second");
    assert_eq!((world.orders(), world.simulator.stats().count("models")), (orders + 1, 0), "it rests, and is not even asked for free");
    assert_eq!(world.standing("first", "sora-2-pro").await, "closed", "each model stands by itself");
    let shown = world.route_status("first").await["offers"][0].clone();
    assert_eq!((&shown["up"], &shown["why"]), (&json!(false), &json!("failed too often in a row, so it is asked last")));
    assert_eq!(shown["until"].as_i64().unwrap() - shown["since"].as_i64().unwrap(), 30);
    let metrics = world.operator().get("/metrics").await.ok();
    for line in ["{model=\"sora-2\",route=\"first\",state=\"open\"} 1", "{model=\"sora-2\",route=\"second\",state=\"closed\"} 1"] {
        assert!(metrics.text().contains(&format!("filmgate_route_state{line}")), "{line}");
    }

    world.turn_clock(REST);
    world.until_standing("first", "sora-2", "half_open").await;
    assert_eq!(world.simulator.stats().count("models"), 1);
    assert_eq!(acme.made(&whale()).await["route"], "first");
    assert_eq!(world.standing("first", "sora-2").await, "closed");
    world.end().await;
}

#[tokio::test]
async fn a_trial_that_fails_costs_nothing_and_makes_the_next_rest_longer() {
    let world = resting().await;
    let acme = world.tenant("acme");
    world.turn_clock(REST);
    world.until_standing("first", "sora-2", "half_open").await;
    world.misbehave(refused_first(1));
    assert_eq!(acme.made(&whale()).await["route"], "second");
    assert_eq!(world.standing("first", "sora-2").await, "open");
    world.turn_clock(REST);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.standing("first", "sora-2").await, "open", "it rests for a minute now");
    world.turn_clock(REST);
    world.until_standing("first", "sora-2", "half_open").await;
    world.end().await;
}

#[tokio::test]
async fn where_every_route_rests_they_are_asked_in_their_order_all_the_same() {
    let breaker = "breaker = { failures = 1 }";
    let world = World::start(&[openai("first", breaker), openai("second", breaker), tenant("acme", "show_route = true")]).await;
    let acme = world.tenant("acme");
    world.misbehave(script([Fault::Refuse(402), Fault::Refuse(402)]));
    assert_eq!(acme.wish(&whale()).await.refusal(), "503 no_route_available -");
    for route in ["first", "second"] {
        assert_eq!(world.standing(route, "sora-2").await, "open");
    }
    assert_eq!(acme.made(&whale()).await["route"], "first");
    assert_eq!(world.standing("first", "sora-2").await, "closed", "it has shown that it is well");
    world.end().await;
}

#[tokio::test]
async fn a_share_of_failures_opens_it_too() {
    let world = World::start(&policy("breaker = { failures = 100, rate = 0.5, min = 6 }")).await;
    let acme = world.tenant("acme");
    world.misbehave(script((0..3).flat_map(|_| [Fault::Refuse(402), Fault::None, Fault::None])));
    for _ in 0..3 {
        assert_eq!(acme.made(&whale()).await["route"], "second");
        assert_eq!(acme.made(&whale()).await["route"], "first");
    }
    assert_eq!(world.standing("first", "sora-2").await, "closed", "it is the next failure that counts");
    world.misbehave(refused_first(1));
    acme.made(&whale()).await;
    assert_eq!(world.standing("first", "sora-2").await, "open");
    assert_eq!(acme.made(&whale()).await["route"], "second");
    world.end().await;
}

#[tokio::test]
async fn polls_that_are_not_answered_open_it_as_well() {
    let world = World::at_speed(1, &policy("breaker = { failures = 3 }")).await;
    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;
    assert_eq!(video["route"], "first");
    world.misbehave(Faults { poll_script: [const { PollFault::Status(500) }; 3].into(), ..Faults::default() });
    world.until_standing("first", "sora-2", "open").await;
    assert_eq!(acme.ordered(&whale()).await["route"], "second");
    world.turn_clock(Duration::from_secs(600));
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");
    world.until_standing("first", "sora-2", "half_open").await;
    assert_eq!(world.simulator.stats().count("create"), 2, "what half-opened it cost nothing");
    world.end().await;
}

#[tokio::test]
async fn a_key_that_is_refused_is_shown_at_once_with_what_to_do_and_others_go_on() {
    let world = World::start(&policy("")).await;
    let acme = world.tenant("acme");
    world.misbehave(script([Fault::Refuse(401)]));
    assert_eq!(acme.made(&whale()).await["route"], "second", "the next route is asked");
    for model in ["sora-2", "sora-2-pro"] {
        assert_eq!(world.standing("first", model).await, "key_refused", "a key is for all models");
        assert_eq!(world.standing("second", model).await, "closed");
    }
    let remedy = "the provider refused this route's key (401): replace its `api_key`";
    let shown = world.route_status("first").await["offers"][0].clone();
    assert!(shown["up"] == false && shown["why"].as_str().unwrap().starts_with(remedy), "{shown}");
    let explained = world.operator().get("/api/explain?tenant=acme").await.ok();
    assert!(explained.text().contains(remedy), "{}", explained.text());
    let metrics = world.operator().get("/metrics").await.ok();
    for line in ["state{model=\"sora-2\",route=\"first\",state=\"key_refused\"} 1", "up{model=\"sora-2\",route=\"first\"} 0"] {
        assert!(metrics.text().contains(&format!("filmgate_route_{line}")), "{line}");
    }
    assert_eq!(world.log().matches(remedy).count(), 1, "one line tells it");
    assert!(!world.log().contains("sk-test-first"));

    world.misbehave(script([Fault::Refuse(403), Fault::None]));
    acme.made(&whale()).await;
    assert_eq!(world.log().matches("the provider refused this route's key").count(), 1, "and no other line while it lasts");
    assert_eq!(acme.made(&whale()).await["route"], "first");
    assert_eq!(world.standing("first", "sora-2").await, "closed", "its key was taken");
    assert!(world.log().contains("takes our key again"));

    world.misbehave(script([Fault::Refuse(401)]));
    acme.made(&whale()).await;
    assert_eq!(world.standing("first", "sora-2").await, "key_refused");
    let mut edited = policy("").to_vec();
    edited[0] = openai("first", "api_key = \"sk-test-another\"");
    world.edit_policy(&edited).await;
    assert_eq!(world.standing("first", "sora-2").await, "closed", "nobody has refused the new one");
    world.end().await;
}

#[tokio::test]
async fn a_key_that_may_not_even_ask_about_jobs_is_shown_too() {
    let world = World::at_speed(1, &policy("")).await;
    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;
    world.misbehave(Faults { poll_script: [PollFault::Status(401)].into(), ..Faults::default() });
    world.until_standing("first", "sora-2", "key_refused").await;
    world.turn_clock(Duration::from_secs(600));
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");
    world.until_standing("first", "sora-2", "closed").await;
    world.end().await;
}

#[tokio::test]
async fn a_reload_that_leaves_a_route_alone_leaves_its_standing_alone() {
    let world = resting().await;
    let mut edited = policy("breaker = { failures = 3 }\nlimits = { rpm = 1000 }").to_vec();
    edited.push(tenant("rival", ""));
    world.edit_policy(&edited).await;
    assert_eq!(world.standing("first", "sora-2").await, "open");
    edited[0] = openai("first", "api_key = \"sk-test-another\"");
    world.edit_policy(&edited).await;
    assert_eq!(world.standing("first", "sora-2").await, "closed", "with another key it is another account");
    eventually("nothing is under way", || world.jobs_in("running") == 0).await;
    world.end().await;
}
