//! What the operator's webhook is told of: once, in the same way as tenants are told of theirs.

use std::collections::BTreeMap;
use std::time::Duration;

use filmgate::simulator::{Fault, Faults, PollFault};
use serde_json::{Value, json};

use crate::endpoint::{Answers, Endpoint, Told};
use crate::process::Site;
use crate::world::{World, eventually, id, openai, tenant};

const LOOKS: Duration = Duration::from_secs(7);

fn whale() -> Value {
    json!({ "prompt": "a whale", "seconds": "4" })
}

fn alerts(endpoint: &Endpoint) -> String {
    format!("[alerts]\n{}", endpoint.webhook("a-secret-of-the-operator"))
}

fn types(told: &[Told]) -> BTreeMap<String, Value> {
    told.iter().map(|event| (event.json()["type"].as_str().unwrap().to_owned(), event.json()["data"].clone())).collect()
}

#[tokio::test]
async fn the_operator_is_told_once_of_money_that_nothing_explains_and_of_budgets() {
    let endpoint = Endpoint::open().await;
    let quick = "submit_timeout = \"1s\"\nunknown = { grace = \"1s\" }\nbudget = { cap = \"0.50\" }";
    let mut world = World::start(&[openai("openai", quick), tenant("acme", ""), alerts(&endpoint)]).await;
    let acme = world.tenant("acme");
    world.misbehave(Faults { script: [Fault::AcceptTwice].into(), ..Faults::default() });
    let video = acme.ordered(&whale()).await;
    acme.ended(id(&video)).await;
    world.turn_clock(Duration::from_secs(20));
    world.expect_suspense(400_000);

    let told = types(&endpoint.heard(2).await);
    assert_eq!(told["alert.suspense"], json!({ "id": "alert.suspense", "amount": "0.40", "currency": "USD" }));
    assert_eq!((&told["budget.warning"]["percent"], &told["budget.warning"]["cap"]), (&json!(80), &json!("0.50")));
    assert!(told["budget.warning"]["id"].as_str().unwrap().starts_with("route:openai/"), "{told:?}");
    assert!(endpoint.told()[0].header("webhook-signature").starts_with("v1,"));
    world.restart().await;
    tokio::time::sleep(LOOKS).await;
    endpoint.heard(2).await;
    world.end().await;
}

/// A clip of 0.40 does not fit twice under 0.50, and what is left is of use to nobody.
#[tokio::test]
async fn the_operator_is_told_once_that_a_cap_of_its_own_refuses_clips() {
    let small = "budget = { cap = \"0.50\" }";
    for (of_route, of_gateway, id) in [(small, "", "route:openai/"), ("", "[budget]\ncap = \"0.50\"", "gateway/")] {
        let endpoint = Endpoint::open().await;
        let policy = [openai("openai", of_route), tenant("acme", ""), of_gateway.to_owned(), alerts(&endpoint)];
        let world = World::start(&policy).await;
        let acme = world.tenant("acme");
        acme.made(&whale()).await;
        for _ in 0..2 {
            assert_eq!(acme.wish(&whale()).await.status, 429);
        }
        let told = types(&endpoint.heard(2).await);
        assert_eq!(told["budget.exhausted"]["cap"], "0.50", "{told:?}");
        assert!(told["budget.exhausted"]["id"].as_str().unwrap().starts_with(id), "{told:?}");
        assert_eq!(told["budget.warning"]["percent"], 80);
        world.end().await;
    }
}

#[tokio::test]
async fn a_route_that_refuses_its_key_keeps_its_jobs_and_its_operator_is_told() {
    let endpoint = Endpoint::open().await;
    let world = World::start(&[openai("openai", ""), tenant("acme", ""), alerts(&endpoint)]).await;
    let acme = world.tenant("acme");
    let refused = std::iter::repeat_n(PollFault::Status(401), 10_000);
    world.misbehave(Faults { poll_script: refused.clone().collect(), list_script: refused.collect(), ..Faults::default() });
    let video = acme.ordered(&whale()).await;

    let told = types(&endpoint.heard(1).await);
    assert_eq!(told["alert.key_refused"], json!({ "id": "openai", "route": "openai" }));
    assert_ne!(acme.video(id(&video)).await["status"], "failed");
    assert_eq!((world.held("tenant:acme"), world.jobs_in("lost")), (400_000, 0));
    tokio::time::sleep(LOOKS).await;
    endpoint.heard(1).await;

    world.misbehave(Faults::default());
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");
    assert_eq!((world.orders(), world.spent("tenant:acme"), world.bill()), (1, 400_000, 400_000));
    world.end().await;
}

#[tokio::test]
async fn an_attempt_that_stays_unknown_is_told_of_after_a_while() {
    let endpoint = Endpoint::open().await;
    let shared = "submit_timeout = \"1s\"\nunknown = { grace = \"1s\", shared_account = true }";
    let mut world = World::start(&[openai("openai", shared), tenant("acme", ""), alerts(&endpoint)]).await;
    world.misbehave(Faults { script: [Fault::AcceptTwice].into(), ..Faults::default() });
    world.tenant("acme").ordered(&whale()).await;
    tokio::time::sleep(LOOKS).await;
    endpoint.heard(0).await;
    eventually("it is unknown", || world.jobs_in("unknown") == 1).await;
    world.turn_clock(Duration::from_secs(16 * 60));
    let told = types(&endpoint.heard(1).await);
    let told = &told["alert.unknown_attempts"];
    assert_eq!((&told["route"], &told["jobs"]), (&json!("openai"), &json!(1)));
    // Two jobs are on the bill and one hold explains one of them: somebody else pays the other.
    world.expect_others(400_000);
    world.end().await;
}

/// The instant between a receiver's answer and the books: it is told again, by the same id.
#[tokio::test]
async fn killed_after_an_event_was_taken_it_is_told_again_by_the_same_id() {
    let endpoint = Endpoint::open().await;
    let site = Site::new(1_000, 0, &[openai("studio", ""), tenant("acme", &endpoint.webhook("a-secret-of-acme"))]).await;
    let command = [&["env".to_owned(), "FILMGATE_CRASH_AT=after_told".to_owned()][..], &site.serve()].concat();
    let doomed = site.gateway_of(&command).await;
    assert_eq!(doomed.tenant("acme").post("/v1/videos", &json!({ "prompt": "a whale" })).await.status, 200);
    assert!(doomed.process.ends_within(Duration::from_secs(20)).await.is_some(), "{}", doomed.process.log());
    endpoint.heard(1).await;

    endpoint.usually(Answers::Status(410));
    let gateway = site.gateway().await;
    let told = endpoint.heard(2).await;
    assert_eq!(told[0].header("webhook-id"), told[1].header("webhook-id"));
    assert_eq!(told[0].body, told[1].body);

    // Where it is wanted no more it is dead, and an operator sees it and sends it again.
    let event = told[0].header("webhook-id");
    let config = site.policy_file().display().to_string();
    let listed = |more: &[&str]| {
        let out = site.run(&[&["notices", "list", "--config", &config], more].concat());
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    eventually("it is dead", || listed(&[]).contains(event)).await;
    assert!(listed(&[]).contains("answered 410"), "{}", listed(&[]));
    assert_eq!(gateway.operator().get("/api/status").await.ok().json()["dead_notices"], 1);
    endpoint.usually(Answers::Status(204));
    let admin = gateway.admin.to_string();
    let resend = |which: &str| site.run(&["notices", "resend", which, "--config", &config, "--admin", &admin]);
    assert!(!resend("somebody").status.success());
    assert!(resend("tenant:acme").status.success());
    endpoint.heard(3).await;
    eventually("it is taken", || listed(&["--standing", "sent"]).contains(event)).await;
    site.until_quiet().await;
    site.settle_up();
}
