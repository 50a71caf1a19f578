//! What the operator sees: health, metrics, the page; and what nobody may see there.

use std::collections::BTreeMap;
use std::time::Duration;

use filmgate::simulator::{Fault, Faults};
use serde_json::{Value, json};

use crate::world::{World, id, key_of, openai, tenant};

fn whale() -> Value {
    json!({ "prompt": "a whale" })
}

/// An exposition in Prometheus's text format, read strictly: each series once, under a family that says what it is.
struct Exposition {
    series: BTreeMap<String, f64>,
}

impl Exposition {
    fn read(text: &str) -> Self {
        let (mut kinds, mut helped, mut series) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# ") {
                let mut words = rest.splitn(3, ' ');
                let (keyword, family, rest) = (words.next().unwrap(), words.next().unwrap().to_owned(), words.next().unwrap_or_default());
                match keyword {
                    "HELP" => helped.push(family),
                    "TYPE" => assert_eq!(kinds.insert(family.clone(), rest.to_owned()), None, "{family} is there twice"),
                    other => panic!("a comment that is neither help nor type: {other}"),
                }
                continue;
            }
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
            let family = name.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| family.strip_suffix(end)).unwrap_or(family);
            assert!(kinds.contains_key(family) || kinds.get(base).is_some_and(|kind| kind == "histogram"), "no type for {line}");
            assert!(helped.iter().any(|helped| helped == family || helped == base), "no help for {line}");
            let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert_eq!(series.insert(name.to_owned(), value), None, "{name} is there twice");
        }
        assert!(series.len() > 50, "only {} series", series.len());
        Self { series }
    }

    fn value(&self, name: &str) -> f64 {
        *self.series.get(name).unwrap_or_else(|| {
            let family = name.split('{').next().unwrap();
            let like: Vec<&String> = self.series.keys().filter(|other| other.starts_with(family)).collect();
            panic!("no {name}; there is {like:?}")
        })
    }
}

async fn scraped(world: &World) -> Exposition {
    let answer = world.operator().get("/metrics").await.ok();
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"), "{}", answer.header("content-type"));
    Exposition::read(answer.text())
}

#[tokio::test]
async fn a_gateway_that_serves_is_alive_and_ready() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    for (path, body) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = world.operator().get(path).await.ok();
        assert_eq!((answer.text(), answer.header("cache-control")), (body, "private, no-store"));
    }
    world.end().await;
}

#[tokio::test]
async fn the_metrics_tell_what_a_clip_a_failure_and_a_refusal_came_to() {
    let charged = tenant("acme", "charge = { per_clip = \"0.50\" }\nbudget = { cap = \"3.00\" }\nlimits = { in_flight = 5 }");
    let first = openai("first", "limits = { in_flight = 5 }\nbudget = { cap = \"50.00\", per = \"day\" }");
    let world = World::start(&[first, openai("second", ""), charged, tenant("rival", "")]).await;
    let acme = world.tenant("acme");

    acme.made(&json!({ "prompt": "a whale", "seconds": "8" })).await;
    let doomed = acme.ordered(&json!({ "prompt": "a whale [fail]" })).await;
    acme.ended(id(&doomed)).await;
    world.misbehave(Faults { script: [Fault::Refuse(429)].into(), ..Faults::default() });
    acme.made(&json!({ "prompt": "a whale", "seconds": "12" })).await;
    acme.wish(&json!({ "prompt": "a whale", "seconds": "12" })).await;
    acme.wish(&json!({ "prompt": "a whale [moderation]" })).await;
    world.stranger().get("/v1/videos").await;

    let seen = scraped(&world).await;
    for (name, value) in [
        ("filmgate_budget_cap_microusd{period=\"month\",tenant=\"acme\"}", 3_000_000.0),
        ("filmgate_budget_spent_microusd{period=\"month\",tenant=\"acme\"}", 2_000_000.0),
        ("filmgate_budget_held_microusd{period=\"month\",tenant=\"acme\"}", 0.0),
        ("filmgate_budget_remaining_microusd{period=\"month\",tenant=\"acme\"}", 1_000_000.0),
        ("filmgate_route_budget_spent_microusd{period=\"day\",route=\"first\"}", 800_000.0),
        ("filmgate_tenant_spend_microusd_total{tenant=\"acme\"}", 2_000_000.0),
        ("filmgate_spend_microusd_total{model=\"sora-2\",route=\"first\"}", 800_000.0),
        ("filmgate_spend_microusd_total{model=\"sora-2\",route=\"second\"}", 1_200_000.0),
        ("filmgate_charged_microusd_total{tenant=\"acme\"}", 1_000_000.0),
        ("filmgate_charged_cost_microusd_total{tenant=\"acme\"}", 2_000_000.0),
        ("filmgate_ended_total{model=\"sora-2\",route=\"first\",state=\"completed\"}", 1.0),
        ("filmgate_ended_total{model=\"sora-2\",route=\"first\",state=\"failed\"}", 1.0),
        ("filmgate_ended_total{model=\"sora-2\",route=\"first\",state=\"released\"}", 1.0),
        ("filmgate_attempts_total{model=\"sora-2\",outcome=\"accepted\",route=\"first\"}", 2.0),
        ("filmgate_attempts_total{model=\"sora-2\",outcome=\"rate_limited\",route=\"first\"}", 1.0),
        ("filmgate_retries_total{cause=\"rate_limited\",model=\"sora-2\",route=\"second\"}", 1.0),
        ("filmgate_retry_cost_microusd_total{model=\"sora-2\",route=\"second\"}", 1_200_000.0),
        ("filmgate_completion_seconds_count{model=\"sora-2\",route=\"second\"}", 1.0),
        ("filmgate_refusals_total{reason=\"budget\",tenant=\"acme\"}", 1.0),
        ("filmgate_refusals_total{reason=\"key\",tenant=\"none\"}", 1.0),
        ("filmgate_request_duration_seconds_count{operation=\"create\",outcome=\"ok\"}", 3.0),
        ("filmgate_request_duration_seconds_count{operation=\"create\",outcome=\"refused\"}", 2.0),
        ("filmgate_route_in_flight{route=\"first\"}", 0.0),
        ("filmgate_route_in_flight_limit{route=\"first\"}", 5.0),
        ("filmgate_unknown_jobs{route=\"first\"}", 0.0),
        ("filmgate_suspense_microusd", 0.0),
        ("filmgate_overrun_microusd", 0.0),
        ("filmgate_store_up", 1.0),
        ("filmgate_policy_load_success", 1.0),
        ("filmgate_route_up{model=\"sora-2\",route=\"first\"}", 1.0),
        ("filmgate_overdue_total{model=\"sora-2\",route=\"first\"}", 0.0),
    ] {
        assert!((seen.value(name) - value).abs() < 0.5, "{name} is {} and should be {value}", seen.value(name));
    }
    assert!(seen.value("filmgate_overhead_seconds_count") >= 3.0);
    assert!(seen.value("filmgate_upstream_duration_seconds_count{call=\"submit\",route=\"first\"}") >= 3.0);
    world.end().await;
}

#[tokio::test]
async fn what_is_under_way_shows_while_it_is_and_an_overdue_job_counts_once() {
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;
    let seen = scraped(&world).await;
    assert!((seen.value("filmgate_route_in_flight{route=\"openai\"}") - 1.0).abs() < 0.5);
    assert!((seen.value("filmgate_tenant_in_flight{tenant=\"acme\"}") - 1.0).abs() < 0.5);
    assert!((seen.value("filmgate_budget_held_microusd{period=\"month\",tenant=\"acme\"}") - 400_000.0).abs() < 0.5);

    // Only our clock moves on: the provider dawdles.
    world.gateway().turn_clock(Duration::from_secs(120));
    let asked = world.simulator.stats().count("retrieve");
    crate::world::eventually("it is asked about some more", || world.simulator.stats().count("retrieve") > asked + 3).await;
    let overdue = scraped(&world).await.value("filmgate_overdue_total{model=\"sora-2\",route=\"openai\"}");
    assert!((overdue - 1.0).abs() < 0.5, "{overdue}");
    assert_ne!(acme.video(id(&video)).await["status"], "failed", "being late is no failure");
    world.end().await;
}

#[tokio::test]
async fn the_page_runs_nothing_but_its_own_files() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let operator = world.operator();
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/alerts.yml", "text/plain; charset=utf-8"),
        ("/dashboard.json", "application/json"),
    ] {
        let file = operator.get(path).await.ok();
        assert_eq!((file.header("content-type"), file.header("x-content-type-options")), (media_type, "nosniff"), "{path}");
        let policy = file.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && !file.text().contains("https://cdn"), "{path}");
    }
    assert_eq!(operator.get("/nothing").await.status, 404);
    assert_eq!(operator.delete("/api/status").await.status, 405);
    assert_eq!(operator.bearer(&key_of("acme")).get("/v1/videos").await.status, 404, "clients have a door of their own");
    world.end().await;
}

#[tokio::test]
async fn the_status_tells_where_the_money_is() {
    let world = World::at_speed(1, &[openai("openai", "region = \"eu\""), tenant("acme", "budget = { cap = \"1.00\" }")]).await;
    let acme = world.tenant("acme");
    let done = acme.ordered(&whale()).await;
    world.turn_clock(Duration::from_secs(60));
    acme.ended(id(&done)).await;
    acme.ordered(&whale()).await;

    let status = world.operator().get("/api/status").await.ok().json();
    let purse = &status["tenants"][0]["purse"];
    assert_eq!((&purse["spent"], &purse["held"], &purse["left"]), (&json!("0.40"), &json!("0.40"), &json!("0.20")));
    assert_eq!((&purse["spent_permille"], &purse["warned"]), (&json!(400), &json!(80)));
    assert_eq!((&status["routes"][0]["in_flight"], &status["routes"][0]["region"]), (&json!(1), &json!("eu")));
    assert_eq!((&status["suspense"], &status["store_fault"]), (&json!("0.00"), &Value::Null));
    let jobs = world.operator().get("/api/jobs").await.ok().json();
    let [running, made] = jobs["jobs"].as_array().unwrap().as_slice() else { panic!("{jobs}") };
    assert_eq!((&made["state"], &made["cost"], &made["id"]), (&json!("completed"), &json!("0.40"), &done["id"]));
    assert_eq!((&running["tenant"], &running["cost"], &running["attempts"]), (&json!("acme"), &Value::Null, &json!(1)));
    world.end().await;
}

#[tokio::test]
async fn neither_a_prompt_nor_a_key_is_told_anywhere() {
    let webhook = "webhook = { url = \"https://acme.example/hooks\", secret = \"whsec_d2hhbGU=\" }";
    let world = World::start(&[openai("openai", ""), tenant("acme", webhook)]).await;
    let acme = world.tenant("acme");
    let secret = json!({ "prompt": "the whale is called Moby", "user": "captain-ahab" });

    let made = acme.made(&secret).await;
    acme.get(&format!("/v1/videos/{}/content", id(&made))).await.ok();
    world.misbehave(Faults { script: [Fault::Refuse(401), Fault::AcceptThenCut, Fault::Refuse(400)].into(), ..Faults::default() });
    for _ in 0..3 {
        acme.wish(&secret).await;
    }
    acme.wish(&json!({ "prompt": "the whale is called Moby", "seconds": "5" })).await;
    acme.wish(&json!({ "prompt": "the whale is called Moby [moderation]" })).await;

    let mut told = world.log();
    for path in ["/metrics", "/api/status", "/api/jobs", "/"] {
        told += world.operator().get(path).await.ok().text();
    }
    for secret in ["Moby", "ahab", &key_of("acme"), "sk-test-openai", "whsec_", "d2hhbGU"] {
        assert!(!told.contains(secret), "{secret} is told: {:?}", told.lines().find(|line| line.contains(secret)));
    }
    world.end().await;
}
