//! Making a clip: from a tenant's wish to its bytes.

use serde_json::json;

use crate::world::{World, openai, tenant};

#[tokio::test]
async fn a_wish_becomes_a_clip() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");

    let video = acme.made(&json!({ "prompt": "a blue whale", "seconds": "8" })).await;
    assert_eq!(video["status"], "completed");
    assert_eq!(world.spent("tenant:acme"), 800_000);

    world.end().await;
}
