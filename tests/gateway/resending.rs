//! Requests that are sent again: nobody pays twice for one wish.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::world::{Tenant, World, openai, tenant};

async fn world() -> World {
    World::start(&[openai("studio", ""), tenant("acme", ""), tenant("other", "")]).await
}

fn wish() -> Value {
    json!({ "prompt": "a whale", "seconds": "4" })
}

async fn keyed(tenant: &Tenant, key: &str, wish: &Value) -> Answer {
    tenant.client.with("idempotency-key", key).post("/v1/videos", wish).await
}

async fn resent(tenant: &Tenant, count: &str, wish: &Value) -> Answer {
    tenant.client.with("x-stainless-retry-count", count).post("/v1/videos", wish).await
}

fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_makes_one_clip_however_often_it_is_sent() {
    let world = world().await;
    let acme = world.tenant("acme");
    let wish = wish();
    let all = join_all((0..20).map(|_| keyed(&acme, "the-fox", &wish))).await;
    let made: Vec<String> = all.iter().filter(|answer| answer.status == 200).map(id).collect();
    assert!(!made.is_empty() && made.iter().all(|id| *id == made[0]), "{made:?}");
    assert!(all.iter().all(|a| a.status == 200 || a.refusal() == "409 idempotency_key_in_use -"));

    let again = keyed(&acme, "\"the-fox\"", &wish).await;
    assert_eq!((id(&again), again.header("idempotent-replayed")), (made[0].clone(), "true"));
    assert_eq!(again.json()["status"], "queued", "what the creation was answered with");
    assert_eq!(world.orders(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_key_is_for_one_wish_of_one_tenant() {
    let world = world().await;
    let (acme, other) = (world.tenant("acme"), world.tenant("other"));
    let first = id(&keyed(&acme, "mine", &wish()).await);
    assert_eq!(keyed(&acme, "mine", &json!({ "prompt": "another whale" })).await.refusal(), "422 idempotency_key_reused -");
    assert_ne!(id(&keyed(&other, "mine", &wish()).await), first);
    assert_eq!(keyed(&acme, "", &wish()).await.refusal(), "400 invalid_idempotency_key -");
    assert_eq!(keyed(&acme, &"k".repeat(256), &wish()).await.refusal(), "400 invalid_idempotency_key -");
    assert_eq!(world.orders(), 2);
    world.end().await;
}

#[tokio::test]
async fn a_key_whose_wish_was_refused_is_free_again() {
    let world = world().await;
    let acme = world.tenant("acme");
    let refused = keyed(&acme, "mine", &json!({ "prompt": "a whale [moderation]" })).await;
    assert_eq!(refused.refusal(), "400 moderation_blocked -");
    id(&keyed(&acme, "mine", &wish()).await);
    world.end().await;
}

#[tokio::test]
async fn an_sdk_that_asks_again_gets_the_clip_that_it_asked_for() {
    let world = world().await;
    let (acme, other) = (world.tenant("acme"), world.tenant("other"));
    let first = id(&resent(&acme, "0", &wish()).await);
    let second = id(&resent(&acme, "0", &wish()).await);
    assert_ne!(first, second, "asking twice of one's own accord makes two");

    let again = resent(&acme, "1", &wish()).await;
    assert_eq!((id(&again), again.header("idempotent-replayed")), (first.clone(), "implicit"));
    assert_eq!(id(&resent(&acme, "2", &wish()).await), first, "the third sending finds what the second did");
    assert_eq!(id(&resent(&acme, "1", &wish()).await), second);
    assert_eq!(world.orders(), 2);

    assert_ne!(id(&resent(&other, "1", &wish()).await), first, "another tenant has nothing to claim");
    let different = id(&resent(&acme, "1", &json!({ "prompt": "another whale", "seconds": "4" })).await);
    assert!(different != first && different != second);
    world.end().await;
}

#[tokio::test]
async fn a_clip_that_its_client_knows_is_not_claimed() {
    let world = world().await;
    let acme = world.tenant("acme");
    let first = id(&resent(&acme, "0", &wish()).await);
    acme.video(&first).await;
    assert_ne!(id(&resent(&acme, "1", &wish()).await), first);
    assert_eq!(world.orders(), 2);
    world.end().await;
}

#[tokio::test]
async fn a_resend_after_a_refusal_is_a_wish_of_its_own() {
    let full = openai("studio", "limits = { in_flight = 1 }");
    let world = World::at_speed(1, &[full, tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let first = id(&resent(&acme, "0", &wish()).await);
    assert_eq!(resent(&acme, "0", &wish()).await.status, 429);

    let room = openai("studio", "limits = { in_flight = 9 }");
    world.edit_policy(&[room, tenant("acme", "")]).await;
    let second = id(&resent(&acme, "1", &wish()).await);
    assert_ne!(first, second, "its first sending was refused, and so it was not the first job's");
    assert_eq!(id(&resent(&acme, "1", &wish()).await), first, "nothing explains this one but a lost answer");
    world.turn_clock(std::time::Duration::from_secs(60));
    acme.ended(&first).await;
    acme.ended(&second).await;
    world.end().await;
}
