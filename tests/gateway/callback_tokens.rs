//! Callbacks to an attempt's own address: they tell what a lost reply would have, and are believed only so far.

use filmgate::simulator::{Fault, Faults};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::world::{World, id, openai, tenant};

/// The path that a provider was told to call at, which is the first request that comes in.
async fn called_at(ear: &TcpListener) -> String {
    let (mut line, _) = ear.accept().await.unwrap();
    let mut heard = vec![0; 4_096];
    let read = line.read(&mut heard).await.unwrap();
    let text = String::from_utf8_lossy(&heard[..read]).into_owned();
    text.split_whitespace().nth(1).unwrap().to_owned()
}

/// A route that asks its provider to call back there, at a provider whose list never shows anything.
fn calling(base: &str) -> [String; 3] {
    let route = format!("callback_url = \"{base}\"");
    [openai("studio", &route), openai("other", &route), tenant("acme", "")]
}

fn cut() -> Faults {
    Faults { script: [Fault::AcceptThenCut].into(), list_lag_ms: 3_600_000, ..Faults::default() }
}

#[tokio::test]
async fn a_callback_to_its_own_address_tells_what_a_lost_reply_would_have() {
    let world = World::start(&calling("http://127.0.0.1:9")).await;
    let gateway = format!("http://{}", world.gateway().address);
    world.edit_policy(&calling(&gateway)).await;
    world.misbehave(cut());
    let acme = world.tenant("acme");
    let wish = json!({ "prompt": "a whale", "seconds": "4", "input_reference": { "image_url": "https://pictures.example/whale.png" } });
    let video = acme.ordered(&wish).await;
    assert_eq!(video["status"], "queued");
    assert_eq!(acme.ended(id(&video)).await["status"], "completed", "though no list shows its picture");
    assert_eq!(world.orders(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_callback_is_believed_only_with_its_token_and_about_what_the_provider_shows() {
    let ear = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::start(&calling(&format!("http://{}", ear.local_addr().unwrap()))).await;
    let (acme, provider) = (world.tenant("acme"), world.stranger());
    let another = acme.made(&json!({ "prompt": "another whale", "seconds": "4" })).await;
    called_at(&ear).await;
    world.misbehave(cut());
    let video = acme.ordered(&json!({ "prompt": "a whale", "seconds": "4" })).await;
    let path = called_at(&ear).await;
    assert_eq!((another["status"].as_str(), world.jobs_in("unknown")), (Some("completed"), 1));

    let billed = |nth: usize| world.simulator.bill().jobs[nth].upstream_id.clone();
    let about = |upstream_id: &str| json!({ "type": "video.completed", "data": { "id": upstream_id } });
    let (base, code) = path.rsplit_once('.').unwrap();
    let forged = format!("{base}.{}", code.chars().rev().collect::<String>());
    let elsewhere = path.replace("/studio/", "/other/");
    for bad in [forged.as_str(), &elsewhere, "/hooks/studio/att_1.00", base] {
        assert_eq!(provider.post(bad, &about(&billed(1))).await.refusal(), "401 invalid_api_key -", "{bad}");
    }
    assert_eq!(provider.post(&path, &json!({ "data": {} })).await.refusal(), "400 malformed_request -");
    for not_it in [billed(0), "video_nobody_knows".to_owned(), "../../models".to_owned()] {
        provider.post(&path, &about(&not_it)).await.ok();
        assert_eq!(world.jobs_in("unknown"), 1, "{not_it} is not it");
    }
    provider.post(&path, &about(&billed(1))).await.ok();
    assert_eq!(world.jobs_in("unknown"), 0);
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");
    provider.post(&path, &about(&billed(1))).await.ok();
    assert_eq!(world.number("SELECT count(*) FROM ledger WHERE kind = 'suspense'"), 0, "saying it again changes nothing");
    world.end().await;
}
