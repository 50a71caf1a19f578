//! Providers' callbacks: a doorbell that makes us look, and nothing that is believed.

use std::time::{Duration, Instant, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use filmgate::simulator::Webhook;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::client::Client;
use crate::world::{World, eventually, id, openai, tenant};

const SECRET: &str = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=";

/// A provider that is asked once in a minute and calls back.
async fn world() -> World {
    world_at_speed(200).await
}

async fn world_at_speed(speed: u32) -> World {
    let route = format!("poll = {{ early = \"60s\", late = \"60s\" }}\nwebhook_secret = [\"another\", \"{SECRET}\"]");
    World::at_speed(speed, &[openai("studio", &route), openai("mute", ""), tenant("acme", "")]).await
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

/// The headers of a callback that whoever has the secret could send.
fn signed(client: &Client, body: &Value) -> Client {
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    let key = BASE64_STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("msg_1.{now}.{body}").as_bytes());
    let signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    client.with("webhook-id", "msg_1").with("webhook-timestamp", &now.to_string()).with("webhook-signature", &signature)
}

#[tokio::test]
async fn a_callback_that_lies_changes_nothing() {
    let world = world_at_speed(1).await;
    let asked = || ["retrieve", "list"].iter().map(|operation| world.simulator.stats().count(operation)).sum::<u64>();
    let acme = world.tenant("acme");
    let wish = json!({ "prompt": "a whale" });
    for lie in ["video.completed", "video.failed"] {
        let video = acme.ordered(&wish).await;
        let upstream_id = world.simulator.bill().jobs.last().unwrap().upstream_id.clone();
        let status = lie.split('.').next_back().unwrap();
        let body = json!({ "type": lie, "data": { "id": upstream_id, "status": status, "progress": 100 } });
        let before = asked();
        signed(&world.stranger(), &body).post("/hooks/studio", &body).await.ok();
        eventually("the provider itself is asked", || asked() > before).await;
        let status = acme.video(id(&video)).await["status"].as_str().unwrap().to_owned();
        assert!(["queued", "in_progress"].contains(&status.as_str()), "{lie}: {status}");
    }
    world.turn_clock(Duration::from_secs(3_600));
    world.end().await;
}
