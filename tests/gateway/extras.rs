//! Parameters beyond the protocol: passed on to routes that are allowed them, refused by name elsewhere.

use filmgate::simulator::{BilledJob, Fault, Faults};
use serde_json::json;
use tokio::task::JoinSet;

use crate::client::Part;
use crate::process::{Site, eventually};
use crate::world::{World, id, openai, route, tenant};

/// A relay whose `sora-2` takes these.
fn relay(name: &str, more: &str, extras: &str) -> String {
    let relay = route(name, "openai_compatible", "openai/v1", more, ["sora-2", "sora-2-pro"]);
    relay.replacen("seconds = [4, 8, 12]", &format!("seconds = [4, 8, 12]\nextras = [{extras}]"), 1)
}

fn heard(job: &BilledJob) -> Vec<(&str, &str)> {
    job.extras.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[tokio::test]
async fn what_a_route_is_allowed_is_passed_on_to_it_as_it_was_said() {
    let world = World::start(&[relay("relay", "", r#""seed", "negative_prompt""#), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let made = acme.made(&json!({ "prompt": "a whale", "seed": 18_446_744_073_709_551_615_u64, "negative_prompt": "boats" })).await;
    let parts = [Part::Text("prompt", "a whale"), Part::Text("seed", "7")];
    let by_form = acme.client.post_form("/v1/videos", &parts).await.ok().json();
    acme.ended(id(&by_form)).await;
    let again = format!("/v1/videos/{}/remix", id(&made));
    let remix = acme.client.post(&again, &json!({ "prompt": "a whale at night", "seed": 8.5 })).await.ok().json();
    acme.ended(id(&remix)).await;

    let bill = world.simulator.bill();
    assert_eq!(heard(&bill.jobs[0]), [("negative_prompt", "boats"), ("seed", "18446744073709551615")]);
    assert_eq!(heard(&bill.jobs[1]), [("seed", "7")]);
    assert_eq!((bill.jobs[2].operation.as_str(), heard(&bill.jobs[2])), ("remix", vec![("seed", "8.5")]));
    world.end().await;
}

#[tokio::test]
async fn a_wish_goes_only_to_a_route_that_is_allowed_all_it_says() {
    let policy = [
        openai("plain", ""),
        relay("seeds", "", r#""seed""#),
        relay("both", "", r#""seed", "negative_prompt""#),
        "[[rules]]\nroutes = [\"plain\", \"seeds\", \"both\"]".to_owned(),
        tenant("acme", "show_route = true"),
    ];
    let world = World::start(&policy).await;
    let acme = world.tenant("acme");
    for (said, route) in [(json!({}), "plain"), (json!({ "seed": 1 }), "seeds"), (json!({ "seed": 1, "negative_prompt": "x" }), "both")] {
        let mut wish = said.clone();
        wish["prompt"] = json!("a whale");
        assert_eq!(acme.wish(&wish).await.ok().header("filmgate-route"), route, "{said}");
    }
    world.end().await;
}

#[tokio::test]
async fn what_nobody_eligible_is_allowed_is_refused_by_name_and_costs_nothing() {
    let eu = relay("eu", "region = \"eu\"", r#""seed""#);
    let world = World::start(&[openai("plain", "region = \"us\""), eu, tenant("acme", "residency = \"us\""), tenant("free", "")]).await;
    let (acme, free) = (world.tenant("acme"), world.tenant("free"));
    for (wish, refusal) in [
        // Somebody takes it, but nobody who may serve this tenant.
        (json!({ "prompt": "a whale", "seed": 1 }), "400 unknown_parameter seed"),
        // Nobody takes it.
        (json!({ "prompt": "a whale", "negative_prompt": "boats" }), "400 unknown_parameter negative_prompt"),
        (json!({ "prompt": "a whale", "seed": [1] }), "400 invalid_type seed"),
        (json!({ "prompt": "a whale", "seed": "1".repeat(4_001) }), "400 string_above_max_length seed"),
    ] {
        assert_eq!(acme.wish(&wish).await.refusal(), refusal, "{wish}");
        assert_eq!(acme.client.post("/v1/videos/estimate", &wish).await.refusal(), refusal, "an estimate says the same of {wish}");
    }
    assert_eq!((world.orders(), world.number("SELECT count(*) FROM jobs")), (0, 0));
    free.made(&json!({ "prompt": "a whale", "seed": 1 })).await;
    world.end().await;
}

#[tokio::test]
async fn a_dialect_that_takes_extras_only_with_a_prompt_says_so_of_a_remix() {
    let allowed = openai("openai", "").replacen("seconds = [4, 8, 12]", "seconds = [4, 8, 12]\nextras = [\"seed\"]", 1);
    let world = World::start(&[allowed, tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let made = acme.made(&json!({ "prompt": "a whale", "seed": 1 })).await;
    let again = format!("/v1/videos/{}/remix", id(&made));
    let refused = acme.client.post(&again, &json!({ "prompt": "a whale at night", "seed": 2 })).await;
    assert_eq!(refused.refusal(), "400 unsupported -");
    assert!(String::from_utf8_lossy(&refused.body).contains("beyond the protocol"));
    assert_eq!(world.orders(), 1);
    world.end().await;
}

#[tokio::test]
async fn two_wishes_that_differ_by_their_seed_are_two_wishes() {
    let world = World::start(&[relay("relay", "", "\"seed\""), tenant("acme", "")]).await;
    let acme = world.tenant("acme").client.with("idempotency-key", "one");
    let one = acme.post("/v1/videos", &json!({ "prompt": "a whale", "seed": 1 })).await.ok().json();
    let again = acme.post("/v1/videos", &json!({ "prompt": "a whale", "seed": 1 })).await.ok().json();
    assert_eq!(id(&one), id(&again));
    let other = acme.post("/v1/videos", &json!({ "prompt": "a whale", "seed": 2 })).await;
    assert_eq!(other.refusal(), "422 idempotency_key_reused -");
    world.end().await;
}

#[tokio::test]
async fn what_is_denied_in_a_prompt_is_denied_in_an_extra() {
    let guard = "[guard]\ndeny = [\"(?i)harpoon\"]".to_owned();
    let world = World::start(&[relay("relay", "", "\"negative_prompt\""), tenant("acme", ""), guard]).await;
    let acme = world.tenant("acme");
    let denied = acme.wish(&json!({ "prompt": "a whale", "negative_prompt": "no Harpoons" })).await;
    assert_eq!(denied.refusal(), "400 moderation_blocked prompt");
    assert_eq!(world.orders(), 0);
    world.end().await;
}

#[tokio::test]
async fn what_a_crash_left_unclear_is_sent_again_with_its_extras() {
    let keyed = relay("own", "idempotency_key = true", "\"seed\"");
    let site = Site::new(1_000, 0, &[keyed, tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    site.simulator.set_faults(Faults { delay_ms: 60_000, script: [Fault::CutBeforeRead].into(), honour_keys: true, ..Faults::default() });
    let acme = gateway.tenant("acme");
    let mut lost = JoinSet::new();
    let wish = json!({ "prompt": "a kite", "seed": 41.5 });
    lost.spawn(async move { acme.ask("POST", "/v1/videos", Some("application/json"), wish.to_string()).await });
    eventually("it is under way", || site.number("SELECT count(*) FROM jobs WHERE state = 'submitting'") == 1).await;
    gateway.process.kill();
    assert!(lost.join_all().await[0].is_err());

    site.simulator.set_faults(Faults { honour_keys: true, ..Faults::default() });
    let _gateway = site.gateway().await;
    site.until_quiet().await;
    let bill = site.simulator.bill();
    assert_eq!((bill.jobs.len(), heard(&bill.jobs[0])), (1, vec![("seed", "41.5")]));
    site.settle_up();
}
