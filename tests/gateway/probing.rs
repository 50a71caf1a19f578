//! A probe: one paid job through a route, in the books like any other, and what is learnt from it.

use std::process::Output;

use serde_json::{Value, json};

use crate::process::{Gateway, Site};
use crate::world::{cometapi, id, openai, tenant};

/// What `filmgate probe` prints and how it exits, run in a pipe beside the gateway.
fn probe(site: &Site, gateway: &Gateway, args: &[&str]) -> (Option<i32>, String, String) {
    let (config, admin) = (site.policy_file().display().to_string(), gateway.admin.to_string());
    let all: Vec<&str> = ["probe"].iter().chain(args).copied().chain(["--config", &config, "--admin", &admin]).collect();
    let Output { status, stdout, stderr } = site.run(&all);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("not JSON: {text}"))
}

fn spent(site: &Site, account: &str) -> i64 {
    site.number(&format!("SELECT coalesce(sum(spent_microusd), 0) FROM balances WHERE account = '{account}'"))
}

/// On several threads: the provider has to answer while a command runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_is_one_paid_job_in_the_books_and_tells_how_the_route_behaves() {
    let site = Site::new(1_000, 0, &[openai("openai", ""), cometapi("comet", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;

    let (code, out, err) = probe(&site, &gateway, &["openai", "--yes", "--json"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(err.contains("A probe of openai: 4 s of sora-2, 720x1280, for $0.40."), "{err}");
    let found = parsed(&out);
    let list = &found["list"];
    assert_eq!((&found["state"], &found["cost"], &found["content"]["is_mp4"]), (&json!("completed"), &json!("0.40"), &json!(true)));
    assert_eq!((&list["exists"], &list["adoptable"]), (&json!(true), &json!(true)), "{found:#}");
    assert!(list["created_at_skew_ms"].as_i64().unwrap().abs() < 60_000, "{found:#}");
    for figure in [&found["accept_ms"], &list["lag_ms"], &found["made_ms"], &found["content"]["bytes"]] {
        assert!(figure.is_u64(), "{found:#}");
    }
    assert_eq!(found["upstream_id"], json!(site.simulator.bill().jobs[0].upstream_id));

    let (code, out, err) = probe(&site, &gateway, &["comet", "--yes", "--model", "sora-2-pro"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("has a list                  no") && out.contains("# [routes.comet]: it has no list"), "{out}");

    assert_eq!(site.simulator.bill().total_microusd, 400_000 + 3_000_000);
    assert_eq!((spent(&site, "tenant:_probe"), spent(&site, "gateway"), spent(&site, "route:comet")), (3_400_000, 3_400_000, 3_000_000));
    site.settle_up();
    let acme = gateway.tenant("acme");
    assert_eq!(acme.get("/v1/videos").await.ok().json()["data"], json!([]), "no tenant sees it");
    assert_eq!(acme.get(&format!("/v1/videos/{}", id(&found))).await.status, 404);

    let advice = found["policy"][1].as_str().unwrap();
    assert!(advice.starts_with("unknown = { grace = \""), "{advice}");
    let policy = site.policy(&[openai("openai", advice), tenant("acme", "")]);
    std::fs::write(site.path("advised.toml"), policy).unwrap();
    let checked = site.run(&["check", site.path("advised.toml").to_str().unwrap()]);
    assert!(checked.status.success(), "what is advised can be pasted: {checked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_may_not_be_is_refused_and_costs_nothing() {
    let policy = [openai("openai", "limits = { in_flight = 1 }"), openai("capped", "budget = { cap = \"0.39\", per = \"month\" }")];
    let rules = "[[rules]]\nroutes = [\"openai\"]\n".to_owned();
    let site = Site::new(1, 0, &[policy.concat(), rules, tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    let refused = |args: &[&str], code: i32, part: &str| {
        let (exit, out, err) = probe(&site, &gateway, args);
        assert_eq!((exit, out.as_str()), (Some(code), ""), "{args:?}: {err}");
        assert!(err.contains(part), "{args:?}: {err}");
    };
    refused(&["openai"], 2, "--yes");
    refused(&["nowhere", "--yes"], 1, "there is no route nowhere");
    refused(&["openai", "--yes", "--model", "sora-9"], 1, "does not sell sora-9");
    refused(&["capped", "--yes"], 1, "the cap of the route");

    let operator = gateway.operator().with("x-filmgate-admin", "1");
    let stale = operator.post("/api/probe/openai", &json!({ "price_microusd": 390_000 })).await;
    assert!(stale.status == 409 && stale.message().contains("costs 0.40 and not 0.39"), "{stale:?}");
    assert_eq!(gateway.operator().post("/api/probe/openai", &json!({})).await.status, 403, "the door is the same");
    assert_eq!(site.simulator.bill().jobs.len(), 0, "nothing was ordered");

    gateway.tenant("acme").post("/v1/videos", &json!({ "prompt": "a whale" })).await.ok();
    refused(&["openai", "--yes"], 1, "as many jobs or requests as it may");
    assert_eq!(site.simulator.bill().jobs.len(), 1);
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE tenant = '_probe' AND state <> 'released'"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_has_one_probe_at_a_time_and_its_limits_hold() {
    let site = Site::new(1, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    let operator = gateway.operator().with("x-filmgate-admin", "1");
    let first = operator.post("/api/probe/openai", &json!({})).await.ok().json();
    assert_eq!((&first["state"], &first["done"]), (&json!("accepted"), &json!(false)));
    let second = operator.post("/api/probe/openai", &json!({})).await;
    assert!(second.status == 409 && second.message().contains("is being probed already"), "{second:?}");
    let known = operator.get(&format!("/api/probe/{}", id(&first))).await.ok().json();
    assert_eq!(known["upstream_id"], first["upstream_id"]);
    assert_eq!(operator.get("/api/probe/video_0192e3b4c5d6700081920a1b2c3d4e5f").await.status, 404);
    assert_eq!(site.simulator.bill().jobs.len(), 1);
}
