//! Letting a route run empty: nothing new goes there but what is made from its own clips, and what it has is
//! followed to its end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{World, eventually, id, openai, tenant};

fn whale() -> Value {
    json!({ "prompt": "a whale" })
}

fn policy(of_first: &str) -> [String; 3] {
    [openai("first", of_first), openai("second", ""), tenant("acme", "show_route = true")]
}

fn drain_jobs(metrics: &str) -> Option<&str> {
    metrics.lines().find_map(|line| line.strip_prefix("filmgate_route_drain_jobs{route=\"first\"} "))
}

#[tokio::test]
async fn a_drained_route_takes_nothing_new_and_ends_what_it_has() {
    let world = World::at_speed(1, &policy("")).await;
    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;
    assert_eq!(video["route"], "first");
    assert_eq!(drain_jobs(world.operator().get("/metrics").await.ok().text()), None);

    world.edit_policy(&policy("drain = true")).await;
    assert_eq!(acme.ordered(&whale()).await["route"], "second");
    let shown = world.route_status("first").await;
    assert_eq!((&shown["drain"], &shown["open_jobs"]), (&json!(true), &json!(1)));
    assert_eq!(drain_jobs(world.operator().get("/metrics").await.ok().text()), Some("1"));

    world.turn_clock(Duration::from_secs(600));
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");
    eventually("nothing is open", || world.jobs_in("running") + world.jobs_in("accepted") == 0).await;
    assert_eq!(world.route_status("first").await["open_jobs"], 0);
    assert_eq!(drain_jobs(world.operator().get("/metrics").await.ok().text()), Some("0"));
    acme.get(&format!("/v1/videos/{}/content", id(&video))).await.ok();
    world.end().await;
}

#[tokio::test]
async fn a_clip_is_remixed_where_it_is_while_that_is_drained_and_not_once_it_is_disabled() {
    let world = World::start(&policy("")).await;
    let acme = world.tenant("acme");
    let video = acme.made(&whale()).await;
    let remix = format!("/v1/videos/{}/remix", id(&video));
    world.edit_policy(&policy("drain = true")).await;
    let remixed = acme.client.post(&remix, &json!({ "prompt": "a blue whale" })).await.ok().json();
    assert_eq!(remixed["route"], "first");
    acme.ended(id(&remixed)).await;

    world.edit_policy(&policy("enabled = false")).await;
    assert_eq!(acme.client.post(&remix, &json!({ "prompt": "a red whale" })).await.refusal(), "503 no_route_available -");
    assert_eq!(acme.made(&whale()).await["route"], "second");
    world.end().await;
}

#[tokio::test]
async fn where_every_route_is_drained_or_disabled_the_model_is_not_listed_and_a_client_may_come_back() {
    let policy = |more: &str| [openai("first", more), openai("second", "enabled = false"), tenant("acme", "")];
    let world = World::start(&policy("drain = true")).await;
    assert!(world.log().contains("every route is disabled or drained"), "whoever starts it is told");
    let acme = world.tenant("acme");
    let refused = acme.wish(&whale()).await;
    assert_eq!((refused.refusal().as_str(), refused.header("retry-after")), ("503 no_route_available -", "60"));
    assert_eq!(acme.wish(&json!({ "prompt": "a whale", "model": "sora-3" })).await.refusal(), "404 model_not_found model");
    assert_eq!(acme.get("/v1/models").await.ok().json()["data"], json!([]));
    world.edit_policy(&policy("")).await;
    acme.made(&whale()).await;
    world.end().await;
}
