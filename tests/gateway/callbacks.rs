//! Providers' callbacks: a doorbell that makes us look, and nothing that is believed.

use std::time::{Duration, Instant};

use filmgate::simulator::Webhook;
use serde_json::json;

use crate::world::{World, openai, tenant};

const SECRET: &str = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=";

/// A provider that is asked once in a minute and calls back.
async fn world() -> World {
    let route = format!("poll = {{ early = \"60s\", late = \"60s\" }}\nwebhook_secret = [\"another\", \"{SECRET}\"]");
    World::at_speed(200, &[openai("studio", &route), openai("mute", ""), tenant("acme", "")]).await
}

fn call_at(world: &World, route: &str, secret: &str) {
    let url = format!("http://{}/hooks/{route}", world.gateway().address);
    world.simulator.set_webhook(Some(Webhook { url, secret: secret.to_owned() }));
}

#[tokio::test]
async fn a_callback_has_its_job_asked_about_at_once() {
    let world = world().await;
    call_at(&world, "studio", SECRET);
    let (begun, acme) = (Instant::now(), world.tenant("acme"));
    let video = acme.made(&json!({ "prompt": "a whale" })).await;
    assert_eq!(video["status"], "completed");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    world.end().await;
}

#[tokio::test]
async fn whoever_cannot_sign_is_not_heard() {
    let world = world().await;
    let stranger = world.stranger();
    let body = json!({ "type": "video.completed", "data": { "id": "video_1" } });
    assert_eq!(stranger.post("/hooks/studio", &body).await.refusal(), "401 invalid_api_key -");
    assert_eq!(stranger.post("/hooks/mute", &body).await.refusal(), "404 unknown_url -", "without a secret nobody is heard");
    assert_eq!(stranger.post("/hooks/nobody", &body).await.refusal(), "404 unknown_url -");
    assert_eq!(stranger.get("/hooks/studio").await.refusal(), "404 unknown_url -");
    world.end().await;
}
