//! What is refused, and in which words.

use serde_json::json;

use super::talk::{AT_ONCE, Talk, simulator};
use crate::simulator::clip::{Variant, file};
use crate::simulator::dialect::Dialect;
use crate::simulator::job::{Ending, Job};

/// A job nobody ordered, whose thumbnail and spritesheet are pictures of known sizes.
pub fn job(width: u16, height: u16, seconds: u32) -> Job {
    Job {
        id: format!("video_{width}_{height}_{seconds}"),
        dialect: Dialect::Openai,
        account: "0123456789ab".to_owned(),
        operation: "create".to_owned(),
        model: "sora-2".to_owned(),
        prompt: "a cat".to_owned(),
        seconds,
        billed_seconds: seconds,
        width,
        height,
        remixed_from: None,
        created_at_ms: 0,
        takes_ms: 0,
        price_microusd: 0,
        ending: Ending::Made,
        lost: false,
        deleted: false,
        intent: None,
        callback_url: None,
        extras: Default::default(),
        shape: crate::simulator::Shape::A,
    }
}

#[tokio::test]
async fn openai_refuses_what_the_real_service_refuses() {
    let simulator = simulator(1).await;
    let talk = Talk::openai(&simulator, "sk-one");
    for (order, refusal) in [
        (json!({}), "400 missing_required_parameter prompt"),
        (json!({"prompt": ""}), "400 missing_required_parameter prompt"),
        (json!({"prompt": 7}), "400 invalid_type prompt"),
        (json!({"prompt": "x".repeat(32_001)}), "400 string_above_max_length prompt"),
        (json!({"prompt": "a", "seconds": 8}), "400 invalid_type seconds"),
        (json!({"prompt": "a", "seconds": "0"}), "400 invalid_value seconds"),
        (json!({"prompt": "a", "seconds": "61"}), "400 invalid_value seconds"),
        (json!({"prompt": "a", "size": "1080x1920"}), "400 invalid_value size"),
        (json!({"prompt": "a", "size": "721x1281", "model": "other"}), "400 invalid_value size"),
        (json!({"prompt": "a", "model": "gone-sora"}), "404 model_not_found -"),
        (json!({"prompt": "a", "n": 2}), "400 unknown_parameter n"),
        (json!({"prompt": "a", "input_reference": "https://example.com/a.png"}), "400 invalid_type input_reference"),
        (
            json!({"prompt": "a", "input_reference": {"image_url": "http://example.com/a.png"}}),
            "400 invalid_value input_reference.image_url",
        ),
        (json!({"prompt": "a", "input_reference": {"image_url": "data:image/png;base64,AAAA"}}), "400 invalid_value input_reference"),
    ] {
        assert_eq!(talk.post("/videos", order.clone()).await.refusal(), refusal, "{order:.80}");
    }
    assert_eq!(talk.post("/videos", json!({"prompt": "a", "model": "sora-2-pro", "size": "1080x1920"})).await.status, 200);
    assert_eq!(talk.post("/videos", json!({"prompt": "a", "input_reference": {"file_id": "file-1"}})).await.status, 200);
    assert_eq!(talk.get("/videos/video_unknown").await.status, 404);
    assert_eq!(talk.get("/videos/edits").await.status, 404);
    assert_eq!(talk.get("/videos/video_unknown/content?variant=audio").await.refusal(), "400 invalid_value variant");
    assert_eq!(talk.get("/videos?limit=101").await.refusal(), "400 invalid_value limit");
    assert_eq!(talk.post("/videos/edits", json!({"prompt": "a"})).await.refusal(), "400 missing_required_parameter video");
    for key in ["", "bad-key"] {
        assert_eq!(Talk::openai(&simulator, key).get("/videos").await.refusal(), "401 invalid_api_key -");
    }
    assert_eq!(simulator.bill().jobs.len(), 2, "what is refused is not charged");
}

#[tokio::test]
async fn a_reference_must_be_a_picture_of_the_clips_own_size() {
    let simulator = simulator(1).await;
    let talk = Talk::openai(&simulator, "sk-one");
    let webp = |width, height| file(&job(width, height, 1), Variant::Thumbnail, 0).head;
    let jpeg = file(&job(1280, 720, 1), Variant::Spritesheet, 0).head;
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend([1280_u32.to_be_bytes(), 720_u32.to_be_bytes()].concat());
    for (media_type, bytes, size, answer) in [
        ("image/webp", &webp(1280, 720)[..], "1280x720", "200 - -"),
        ("image/png", &png, "1280x720", "200 - -"),
        ("image/webp", &webp(1280, 722), "1280x720", "400 - -"),
        ("image/jpeg", &jpeg, "1280x720", "400 - -"), // one tile of 160 × 96
        ("image/png", b"Example data", "1280x720", "400 invalid_value input_reference"),
        ("application/octet-stream", &png, "1280x720", "400 unsupported_file_mimetype input_reference"),
    ] {
        let fields = [("input_reference", Some(media_type), bytes), ("prompt", None, &b"a"[..]), ("size", None, size.as_bytes())];
        assert_eq!(talk.post_form("/videos", &fields).await.refusal(), answer, "{media_type}");
    }
    assert_eq!(crate::simulator::picture::dimensions(&jpeg).map(|(_, size)| size.to_string()).as_deref(), Some("160x96"));
}

#[tokio::test]
async fn azure_and_cometapi_refuse_in_their_own_words() {
    let simulator = simulator(1).await;
    let azure = Talk::azure(&simulator, "key");
    assert_eq!(azure.post("/videos", json!({"prompt": "a", "model": "d", "seconds": "5"})).await.refusal(), "400 invalid_value seconds");
    assert_eq!(azure.post("/videos", json!({"prompt": "a", "model": "d", "size": "1024x1792"})).await.refusal(), "400 invalid_value size");
    assert_eq!(azure.post("/videos", json!({"prompt": "a"})).await.refusal(), "400 missing_required_parameter model");
    assert_eq!(azure.post("/videos", json!({"prompt": "a", "model": "gone-d"})).await.refusal(), "410 410 -");
    assert_eq!(Talk::azure(&simulator, "bad-key").get("/videos").await.refusal(), "401 401 -");
    assert_eq!(azure.post("/videos/extensions", json!({"prompt": "a"})).await.status, 404, "not offered");

    let comet = Talk::comet(&simulator);
    let unknown = comet.post("/videos", json!({"prompt": "a", "model": "unknown-1"})).await;
    assert_eq!(unknown.refusal(), "503 model_not_found ");
    assert!(unknown.json()["error"]["message"].as_str().unwrap().starts_with("no available channel"));
    assert_eq!(comet.post("/videos", json!({"model": "veo"})).await.refusal(), "500 invalid_request ");
    assert_eq!(simulator.bill().jobs.len(), 0);
}

#[tokio::test]
async fn one_account_never_sees_another_ones_job() {
    let simulator = simulator(AT_ONCE).await;
    let (one, two) = (Talk::openai(&simulator, "sk-one"), Talk::openai(&simulator, "sk-two"));
    let id = one.post("/videos", json!({"prompt": "a cat"})).await.id();
    one.finished(&id).await;
    for (method, path) in [("GET", ""), ("DELETE", ""), ("GET", "/content")] {
        let foreign = two.try_ask(method, &format!("/videos/{id}{path}"), "", "").await.unwrap();
        assert_eq!((foreign.status, foreign.json()["error"]["message"].as_str().unwrap().contains("not found")), (404, true));
    }
    assert_eq!(two.post(&format!("/videos/{id}/remix"), json!({"prompt": "a dog"})).await.status, 404);
    let same_key_elsewhere = Talk::azure(&simulator, "sk-one");
    assert_eq!(same_key_elsewhere.get(&format!("/videos/{id}")).await.status, 404);
}
