//! Guards ahead of every provider: what they refuse costs nothing, is counted for its tenant, and is told to
//! nobody. The last of them is a moderation service, which is asked once about each new wish.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Answer;
use crate::endpoint::{Answers, Endpoint};
use crate::world::{Tenant, World, id, openai, tenant};

const BLOCKED: &str = "400 moderation_blocked prompt";
const UNMODERATED: &str = "503 moderation_unavailable -";

fn whale() -> Value {
    json!({ "prompt": "a whale" })
}

fn passes() -> Answers {
    says(&json!({ "results": [{ "flagged": false, "categories": { "violence": false } }] }))
}

fn flags() -> Answers {
    says(&json!({ "results": [{ "flagged": true, "categories": { "violence": true } }] }))
}

fn says(answer: &Value) -> Answers {
    Answers::Says(200, answer.to_string())
}

/// A moderation service that lets everything pass until it is told otherwise.
async fn moderator() -> Endpoint {
    let moderator = Endpoint::open().await;
    moderator.usually(passes());
    moderator
}

fn moderation(moderator: &Endpoint, more: &str) -> String {
    format!("[guard.moderation]\nbase_url = \"{}/v1\"\napi_key = \"sk-test-moderation\"\n{more}", moderator.origin())
}

async fn world(moderator: &Endpoint, more: &str) -> World {
    World::start(&[openai("openai", ""), tenant("acme", ""), moderation(moderator, more)]).await
}

/// The value of a metric, 0 if it is not there.
async fn metric(world: &World, series: &str) -> f64 {
    let answer = world.operator().get("/metrics").await.ok();
    let value = answer.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or(0.0)
}

async fn guarded(world: &World, reason: &str) -> f64 {
    metric(world, &format!("filmgate_guard_refusals_total{{reason=\"{reason}\",tenant=\"acme\"}}")).await
}

/// A refusal left nothing behind: no job, no money, nothing at the provider.
async fn assert_free(world: &World, acme: &Tenant, refused: &Answer) {
    let told = refused.text();
    assert!(!told.contains("whale"), "{told}");
    assert_eq!((world.orders(), world.held("tenant:acme"), world.number("SELECT count(*) FROM jobs")), (0, 0, 0));
    assert_eq!(acme.get("/v1/videos").await.ok().json()["data"], json!([]));
}

#[tokio::test]
async fn a_prompt_that_is_too_long_or_denied_costs_nothing_and_is_counted_for_its_tenant() {
    let guard = "[guard]\nprompt_max_chars = 20\ndeny = [\"(?i)narwhale?\", \"orca\"]".to_owned();
    let world = World::start(&[openai("openai", ""), tenant("acme", ""), guard]).await;
    let acme = world.tenant("acme");
    let refused = acme.wish(&json!({ "prompt": "a whale, and another one" })).await;
    assert_eq!(refused.refusal(), "400 string_above_max_length prompt");
    assert_free(&world, &acme, &refused).await;
    for prompt in ["a NARWHALE", "whale or orca"] {
        let refused = acme.wish(&json!({ "prompt": prompt })).await;
        assert_eq!(refused.refusal(), BLOCKED);
        assert_eq!(refused.header("x-should-retry"), "false");
        assert_free(&world, &acme, &refused).await;
    }
    assert_eq!((guarded(&world, "prompt_too_long").await, guarded(&world, "denied").await), (1.0, 2.0));

    let video = acme.made(&whale()).await;
    let remix = acme.client.post(&format!("/v1/videos/{}/remix", id(&video)), &json!({ "prompt": "an orca" })).await;
    assert_eq!(remix.refusal(), BLOCKED);
    world.end().await;
}

#[tokio::test]
async fn a_wish_is_asked_about_once_and_its_resends_are_not() {
    let moderator = moderator().await;
    let world = world(&moderator, "on_error = \"refuse\"").await;
    let acme = world.tenant("acme");
    let keyed = acme.client.with("idempotency-key", "one");
    let first = keyed.post("/v1/videos", &whale()).await.ok().json();
    let told = moderator.heard(1).await;
    assert_eq!(told[0].json(), json!({ "model": "omni-moderation-latest", "input": "a whale" }));
    assert_eq!(told[0].header("authorization"), "Bearer sk-test-moderation");

    for _ in 0..3 {
        assert_eq!(keyed.post("/v1/videos", &whale()).await.ok().json()["id"], first["id"]);
    }
    acme.ended(id(&first)).await;
    moderator.heard(1).await;

    // A wish of its own, whatever its words; and one for which nobody is set up is not worth a question.
    acme.made(&whale()).await;
    assert_eq!(acme.wish(&json!({ "prompt": "a whale", "model": "sora-9" })).await.status, 404);
    moderator.heard(2).await;

    let remix = acme.client.post(&format!("/v1/videos/{}/remix", id(&first)), &json!({ "prompt": "a blue whale" })).await;
    assert_eq!(acme.ended(id(&remix.ok().json())).await["status"], "completed");
    assert_eq!(moderator.heard(3).await[2].json()["input"], "a blue whale");
    assert_eq!(metric(&world, "filmgate_moderation_seconds_count{outcome=\"passed\"}").await, 3.0);
    world.end().await;
}

#[tokio::test]
async fn what_is_flagged_costs_nothing() {
    let moderator = moderator().await;
    let world = world(&moderator, "on_error = \"allow\"").await;
    let acme = world.tenant("acme");
    moderator.next(&[flags()]);
    let refused = acme.wish(&whale()).await;
    assert_eq!(refused.refusal(), BLOCKED);
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_free(&world, &acme, &refused).await;
    assert_eq!(guarded(&world, "flagged").await, 1.0);
    assert!(world.log().contains("violence"), "the operator learns why");
    acme.made(&whale()).await;
    world.end().await;
}

#[tokio::test]
async fn a_picture_is_shown_beside_the_prompt_unless_the_policy_says_otherwise() {
    let moderator = moderator().await;
    let world = world(&moderator, "on_error = \"refuse\"").await;
    let acme = world.tenant("acme");
    let wish = json!({ "prompt": "a whale", "input_reference": { "image_url": "https://example.com/sea.png" } });
    acme.made(&wish).await;
    let picture = json!({ "type": "image_url", "image_url": { "url": "https://example.com/sea.png" } });
    assert_eq!(moderator.heard(1).await[0].json()["input"], json!([{ "type": "text", "text": "a whale" }, picture]));

    let words = moderation(&moderator, "on_error = \"refuse\"\npictures = false");
    world.edit_policy(&[openai("openai", ""), tenant("acme", ""), words]).await;
    acme.made(&wish).await;
    assert_eq!(moderator.heard(2).await[1].json()["input"], "a whale");
    world.end().await;
}

/// What a service may do instead of answering; how long each is waited for at most.
fn silences() -> [(Answers, Duration); 8] {
    let soon = Duration::from_secs(3);
    [
        (Answers::Status(500), soon),
        (Answers::Status(429), soon),
        (Answers::Status(401), soon),
        (Answers::Redirect("https://elsewhere.example/v1/moderations".to_owned()), soon),
        (Answers::Says(200, "<html>a whale</html>".to_owned()), soon),
        (says(&json!({ "results": [] })), soon),
        (Answers::Endlessly, soon),
        (Answers::Hangs, soon),
    ]
}

#[tokio::test]
async fn without_an_answer_a_wish_is_refused_where_the_policy_says_so() {
    let moderator = moderator().await;
    let world = world(&moderator, "on_error = \"refuse\"\ntimeout = \"700ms\"").await;
    let acme = world.tenant("acme");
    for (number, (silence, within)) in silences().into_iter().enumerate() {
        let began = Instant::now();
        moderator.next(std::slice::from_ref(&silence));
        let refused = acme.wish(&whale()).await;
        assert_eq!(refused.refusal(), UNMODERATED, "{silence:?}");
        assert_eq!(refused.header("retry-after"), "5");
        assert!(began.elapsed() < within, "{silence:?} took {:?}", began.elapsed());
        assert_free(&world, &acme, &refused).await;
        moderator.heard(number + 1).await;
    }
    assert_eq!(guarded(&world, "unmoderated").await, 8.0);
    assert_eq!(world.log().matches("a wish is refused without moderation").count(), 8);
    acme.made(&whale()).await;

    // Nobody there at all.
    drop(moderator);
    assert_eq!(acme.wish(&whale()).await.refusal(), UNMODERATED);
    world.end().await;
}

#[tokio::test]
async fn without_an_answer_a_wish_passes_where_the_policy_says_that_and_the_operator_is_told() {
    let moderator = moderator().await;
    let world = world(&moderator, "on_error = \"allow\"\ntimeout = \"700ms\"").await;
    let acme = world.tenant("acme");
    for (silence, _) in silences() {
        moderator.next(&[silence]);
        acme.made(&whale()).await;
    }
    assert_eq!(metric(&world, "filmgate_moderation_seconds_count{outcome=\"let_through\"}").await, 8.0);
    assert_eq!(world.log().matches("a wish passes without moderation").count(), 8);
    world.end().await;
}

#[tokio::test]
async fn a_bound_tenants_prompt_is_shown_in_its_own_region_only() {
    let moderator = moderator().await;
    let policy = |more: &str| {
        let (bound, acme) = (tenant("bound", "residency = \"eu\""), tenant("acme", ""));
        [openai("openai", "region = \"eu\""), bound, acme, moderation(&moderator, more)]
    };
    let world = World::start(&policy("on_error = \"refuse\"\nregion = \"us\"")).await;
    let (bound, acme) = (world.tenant("bound"), world.tenant("acme"));
    let refused = bound.wish(&whale()).await;
    assert_eq!((refused.refusal().as_str(), refused.header("x-should-retry")), (UNMODERATED, "false"));
    moderator.heard(0).await;
    acme.made(&whale()).await;
    moderator.heard(1).await;

    world.edit_policy(&policy("on_error = \"allow\"")).await;
    bound.made(&whale()).await;
    moderator.heard(1).await;
    assert!(world.log().contains("these are bound to another: `bound`"));

    world.edit_policy(&policy("on_error = \"refuse\"\nregion = \"eu\"")).await;
    bound.made(&whale()).await;
    moderator.heard(2).await;
    world.end().await;
}

#[tokio::test]
async fn who_asks_too_often_costs_no_moderation() {
    let moderator = moderator().await;
    let limited = tenant("acme", "limits = { rpm = 2 }");
    let world = World::start(&[openai("openai", ""), limited, moderation(&moderator, "on_error = \"refuse\"")]).await;
    let acme = world.tenant("acme");
    let statuses: Vec<u16> = [acme.wish(&whale()).await, acme.wish(&whale()).await, acme.wish(&whale()).await].map(|a| a.status).into();
    assert_eq!(statuses, [200, 200, 429]);
    moderator.heard(2).await;
    world.end().await;
}
