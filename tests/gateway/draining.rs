//! Asked to stop: no new work, what is under way to its end, and gone.

use std::time::Duration;

use filmgate::simulator::Faults;
use serde_json::json;
use tokio::task::JoinSet;

use crate::process::{Site, eventually};
use crate::world::{id, openai, tenant};

const UNDER_WAY: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_withdraws_readiness_and_finishes_what_is_under_way() {
    let site = Site::new(1, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    site.simulator.set_faults(Faults { delay_ms: 1_500, ..Faults::default() });
    let gateway = site.gateway().await;
    assert_eq!(gateway.operator().get("/readyz").await.status, 200);
    let mut clients = JoinSet::new();
    for number in 0..UNDER_WAY {
        let acme = gateway.tenant("acme");
        clients.spawn(async move { acme.post("/v1/videos", &json!({ "prompt": format!("{number} owls"), "seconds": "4" })).await });
    }
    eventually("they are at the provider", || site.simulator.stats().count("create") == UNDER_WAY as u64).await;

    gateway.process.signal("TERM");
    // It says so while it still listens, and later it does not listen.
    let mut said = Vec::new();
    while let Ok(answer) = gateway.operator().ask("GET", "/readyz", None, "").await {
        said.push(answer.status);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(said.contains(&503), "readiness was never withdrawn: {said:?}");
    let late = gateway.tenant("acme").ask("POST", "/v1/videos", Some("application/json"), r#"{"prompt":"late"}"#).await;
    assert!(late.as_ref().is_err_and(|why| why.contains("Connect")), "{late:?}");

    for answer in clients.join_all().await {
        assert_eq!(answer.ok().json()["status"], "queued");
    }
    let ended = gateway.process.ends_within(Duration::from_secs(10)).await;
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "{}", gateway.process.log());
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'accepted'"), UNDER_WAY as i64);
    assert_eq!(site.number("SELECT count(*) FROM jobs"), UNDER_WAY as i64);
    site.settle_up();
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let site = Site::new(1, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    site.simulator.set_faults(Faults { delay_ms: 60_000, ..Faults::default() });
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    let body = json!({ "prompt": "an owl", "seconds": "4" }).to_string();
    let _client = acme.send_only(acme.spelled_out("POST", "/v1/videos", "application/json", &body)).await;
    eventually("it is at the provider", || site.simulator.stats().count("create") == 1).await;

    gateway.process.signal("TERM");
    assert_eq!(gateway.process.ends_within(Duration::from_millis(800)).await, None, "it waits for what is under way");
    gateway.process.signal("TERM");
    let ended = gateway.process.ends_within(Duration::from_secs(4)).await.expect("it ends at once");
    assert_eq!(ended.code(), Some(1), "and says that not all was done");
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'submitting'"), 1, "the next start looks for it");
}

#[tokio::test]
async fn an_idle_gateway_stops_at_once_whoever_is_connected() {
    let site = Site::new(1, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    assert_eq!(acme.get("/v1/videos").await.status, 200);
    let _silent = acme.send_only("").await;
    let _slow = acme.send_only("GET /v1/vid").await;
    gateway.process.signal("INT");
    let ended = gateway.process.ends_within(Duration::from_secs(4)).await;
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "{}", gateway.process.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_under_load_again_and_again_nothing_is_ever_in_doubt() {
    let cycles = crate::campaign::cycles(20).clamp(6, 200);
    let site = Site::new(1_000, 0, &[openai("openai", ""), tenant("acme", "budget = { cap = \"unlimited\" }")]).await;
    site.simulator.set_faults(Faults { delay_ms: 20, ..Faults::default() });
    let mut given = Vec::new();
    for cycle in 0..cycles {
        let gateway = site.gateway().await;
        let mut clients = JoinSet::new();
        for number in 0..8 {
            let acme = gateway.tenant("acme");
            clients.spawn(async move {
                let (wish, mut ids) = (json!({ "prompt": format!("{number} owls, at {cycle}"), "seconds": "4" }).to_string(), Vec::new());
                while let Ok(answer) = acme.ask("POST", "/v1/videos", Some("application/json"), wish.clone()).await {
                    if answer.status == 503 {
                        assert!(answer.refusal().contains("server_is_stopping"), "{answer:?}");
                        break;
                    }
                    ids.push(id(&answer.ok().json()).to_owned());
                }
                ids
            });
        }
        let before = given.len() as i64;
        eventually("orders are under way", || site.number("SELECT count(*) FROM jobs") > before + 10 + (cycle % 7) as i64).await;
        gateway.process.signal("TERM");
        let ended = gateway.process.ends_within(Duration::from_secs(20)).await;
        assert_eq!(ended.and_then(|status| status.code()), Some(0), "{}", gateway.process.log());
        given.extend(clients.join_all().await.into_iter().flatten());
        assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state IN ('reserved', 'submitting', 'unknown')"), 0, "cycle {cycle}");
        assert_eq!(site.number("SELECT count(*) FROM jobs"), given.len() as i64, "everybody heard of its job, cycle {cycle}");
    }
    println!("FIGURE stopping: {cycles} stops under load, {} orders, none in doubt", given.len());
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    for video in &given {
        assert_eq!(acme.get(&format!("/v1/videos/{video}")).await.status, 200, "{video}");
    }
    site.until_quiet().await;
    site.settle_up();
}
