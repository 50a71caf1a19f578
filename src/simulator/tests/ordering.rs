//! From a wish to a clip in each dialect, and what it costs.

use serde_json::{Value, json};

use super::talk::{AT_ONCE, Talk, simulator};
use crate::simulator::{Dialect, Outcome, Settings, account_of, start};

#[tokio::test]
async fn a_wish_becomes_a_clip_at_openai() {
    let simulator = simulator(1).await;
    let talk = Talk::openai(&simulator, "sk-one");
    let fields: [(&str, Option<&str>, &[u8]); 3] = [("prompt", None, b"a cat"), ("model", None, b"sora-2"), ("seconds", None, b"8")];
    let created = talk.post_form("/videos", &fields).await;
    assert_eq!(created.status, 200);
    let object = created.json();
    let fields: Vec<&String> = object.as_object().unwrap().keys().collect();
    assert_eq!(fields.len(), 13, "{fields:?}");
    assert_eq!((object["status"].as_str(), object["seconds"].as_str(), object["progress"].as_i64()), (Some("queued"), Some("8"), Some(0)));

    let id = created.id();
    let early = talk.get(&format!("/videos/{id}/content")).await;
    assert_eq!(early.status, 404);
    assert!(early.json()["error"]["message"].as_str().unwrap().starts_with("Video is not ready yet"));
    assert_eq!(talk.delete(&format!("/videos/{id}")).await.status, 400, "running jobs are not deleted");

    simulator.turn_clock(std::time::Duration::from_secs(20));
    let halfway = talk.get(&format!("/videos/{id}")).await.json();
    let progress = halfway["progress"].as_i64().unwrap();
    assert!(halfway["status"] == "in_progress" && (22..=50).contains(&progress), "40 to 90 seconds are usual: {halfway}");
    simulator.turn_clock(std::time::Duration::from_secs(70));
    let done = talk.finished(&id).await;
    assert_eq!((done["status"].as_str(), done["progress"].as_i64()), (Some("completed"), Some(100)));
    assert!(done["completed_at"].is_i64() && done["expires_at"].is_i64());
    for (variant, media_type, start) in
        [("video", "video/mp4", &b"ftyp"[..]), ("thumbnail", "image/webp", b"RIFF"), ("spritesheet", "image/jpeg", b"\xff\xd8")]
    {
        let content = talk.get(&format!("/videos/{id}/content?variant={variant}")).await;
        assert_eq!((content.status, content.header("content-type")), (200, media_type));
        assert!(content.body[..8].windows(start.len()).any(|bytes| bytes == start), "{variant}");
        assert_eq!(content.header("content-length"), content.body.len().to_string());
    }
    assert_eq!(talk.delete(&format!("/videos/{id}")).await.json(), json!({"id": id, "object": "video.deleted", "deleted": true}));
    assert_eq!(talk.get(&format!("/videos/{id}")).await.status, 404);
    assert_eq!(simulator.bill().completed_microusd, 800_000, "deleting gives nothing back");
}

#[tokio::test]
async fn azure_takes_keys_and_the_tokens_it_issued() {
    let simulator = simulator(AT_ONCE).await;
    let by_key = Talk::azure(&simulator, "azure-key");
    let ask =
        "grant_type=client_credentials&client_id=app-1&client_secret=s%2B1&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default";
    let issue = |body: &'static str| {
        let by_key = by_key.clone();
        async move { by_key.try_ask("POST", "//entra/dir/oauth2/v2.0/token", "application/x-www-form-urlencoded", body).await.unwrap() }
    };
    let issued = issue(ask).await.json();
    assert_eq!((issued["token_type"].as_str(), issued["expires_in"].as_i64()), (Some("Bearer"), Some(3_599)));
    assert_eq!(issue("grant_type=client_credentials&client_id=a&client_secret=bad-key&scope=s").await.status, 401);
    let by_token = Talk::new(simulator.addr(), "/azure/openai/v1", issued["access_token"].as_str().unwrap());

    for talk in [&by_key, &by_token] {
        let created =
            talk.post("/videos", json!({"prompt": "a cat", "model": "our-deployment", "seconds": "12", "size": "1280x720"})).await;
        assert_eq!(created.status, 200);
        let done = talk.finished(&created.id()).await;
        assert_eq!((done["status"].as_str(), done["model"].as_str()), (Some("completed"), Some("sora-2")));
        assert_eq!(&talk.get(&format!("/videos/{}/content", created.id())).await.body[4..8], b"ftyp");
    }
    let accounts: Vec<String> = simulator.bill().jobs.into_iter().map(|job| job.account).collect();
    assert_eq!(accounts, [account_of("azure-key"), account_of("app-1")]);

    simulator.turn_clock(std::time::Duration::from_secs(3_600));
    assert_eq!(by_token.get("/videos").await.status, 401, "tokens end");
    assert_eq!(by_key.get("/videos").await.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn cometapi_answers_in_four_shapes() {
    let simulator = simulator(AT_ONCE).await;
    let talk = Talk::comet(&simulator);
    let link =
        |done: &Value, place: &str| done.pointer(place).and_then(Value::as_str).unwrap_or_else(|| panic!("{place} in {done}")).to_owned();
    for (model, status, url) in [
        ("sora-2", "/status", None),
        ("veo-b", "/data/status", Some("/data/fail_reason")),
        ("veo-c", "/status", Some("/output/0")),
        ("veo-d", "/status", Some("/video_url")),
    ] {
        let created = talk.post("/videos", json!({"prompt": "a cat", "model": model, "seconds": 4})).await;
        assert_eq!(created.status, 200, "{model}");
        let done = talk.finished(&created.id()).await;
        assert!(["completed", "SUCCESS", "succeeded"].contains(&link(&done, status).as_str()), "{done}");
        let path = match url {
            None => format!("/videos/{}/content", created.id()),
            Some(place) => format!("/{}", link(&done, place).strip_prefix(&format!("http://{}", simulator.addr())).unwrap()),
        };
        let content = talk.get(&path).await;
        assert_eq!((content.status, &content.body[4..8]), (200, &b"ftyp"[..]), "{model}");
        let endpoint = talk.get(&format!("/videos/{}/content", created.id())).await;
        assert_eq!(endpoint.status, if url.is_none() { 200 } else { 404 }, "{model}: either bytes or a link");
    }
    for path in ["/videos", "/videos/edits"] {
        assert_eq!(talk.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn remixes_edits_and_extensions_are_charged_for_what_they_make() {
    let simulator = simulator(AT_ONCE).await;
    let talk = Talk::openai(&simulator, "sk-one");
    let source = talk.post("/videos", json!({"prompt": "a cat", "model": "sora-2-pro", "seconds": "10", "size": "1792x1024"})).await.id();
    talk.finished(&source).await;

    let remix = talk.post(&format!("/videos/{source}/remix"), json!({"prompt": "a dog"})).await.json();
    assert_eq!((remix["remixed_from_video_id"].as_str(), remix["size"].as_str()), (Some(source.as_str()), Some("1792x1024")));
    let edit = talk.post("/videos/edits", json!({"prompt": "a dog", "video": {"id": source}})).await;
    assert_eq!(edit.status, 200);
    let fields: [(&str, Option<&str>, &[u8]); 3] =
        [("prompt", None, b"on"), ("video[id]", None, source.as_bytes()), ("seconds", None, b"4")];
    let extension = talk.post_form("/videos/extensions", &fields).await.json();
    assert_eq!(extension["seconds"], "14", "the stitched length is shown");

    let prices: Vec<i64> = simulator.bill().jobs.iter().map(|job| job.microusd).collect();
    assert_eq!(prices, [5_000_000, 5_000_000, 5_000_000, 2_000_000]);
}

#[tokio::test]
async fn characters_are_made_read_and_shown() {
    let simulator = simulator(AT_ONCE).await;
    let talk = Talk::openai(&simulator, "sk-one");
    let fields: [(&str, Option<&str>, &[u8]); 2] = [("name", None, b"Tom"), ("video", Some("video/mp4"), b"\0\0\0\x08ftyp")];
    let made = talk.post_form("/videos/characters", &fields).await;
    let read = talk.get(&format!("/videos/characters/{}", made.id())).await;
    assert_eq!((read.status, read.json()), (200, made.json()));
    let shown = talk.post("/videos", json!({"prompt": "Tom", "characters": [{"id": made.id()}]})).await;
    assert_eq!(shown.status, 200);
    let unknown = talk.post("/videos", json!({"prompt": "Tom", "characters": [{"id": "char_unknown"}]})).await;
    assert_eq!(unknown.refusal(), "400 invalid_value characters");
    assert_eq!(Talk::openai(&simulator, "sk-two").get(&format!("/videos/characters/{}", made.id())).await.status, 404);
}

#[tokio::test]
async fn lists_are_paged_and_show_an_account_its_own() {
    let simulator = simulator(AT_ONCE).await;
    let talk = Talk::openai(&simulator, "sk-one");
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(talk.post("/videos", json!({"prompt": "a cat"})).await.id());
    }
    Talk::openai(&simulator, "sk-two").post("/videos", json!({"prompt": "a dog"})).await;

    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = talk.get(&format!("/videos?limit=2&order=asc{after}")).await.json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        assert_eq!(page["last_id"].as_str(), seen.last().map(String::as_str));
        if page["has_more"] == false {
            break;
        }
        after = format!("&after={}", page["last_id"].as_str().unwrap());
    }
    assert_eq!(seen, ids);
    assert_eq!(talk.get("/videos").await.json()["first_id"].as_str(), ids.last().map(String::as_str), "newest first unless told otherwise");
    let empty = Talk::openai(&simulator, "sk-three").get("/videos").await.json();
    assert_eq!(empty, json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false}));
}

#[tokio::test]
async fn the_bill_is_what_was_accepted_and_did_not_fail() {
    let simulator = simulator(AT_ONCE).await;
    let (one, two) = (Talk::openai(&simulator, "sk-one"), Talk::azure(&simulator, "key"));
    let made = one.with("x-simulator-intent", "wish-1").post("/videos", json!({"prompt": "a cat", "seconds": "8"})).await.id();
    let failed = one.post("/videos", json!({"prompt": "[fail] #intent:wish-2 a cat"})).await.id();
    let blocked = two.post("/videos", json!({"prompt": "[moderation-late]", "model": "d"})).await.id();
    let refused = one.post("/videos", json!({"prompt": "[moderation]"})).await;
    assert_eq!(refused.refusal(), "400 moderation_blocked -");
    one.finished(&made).await;
    assert_eq!(one.finished(&failed).await["error"]["code"], "video_generation_failed");
    assert_eq!(two.finished(&blocked).await["error"]["code"], "moderation_blocked");

    let bill = simulator.bill();
    assert_eq!((bill.total_microusd, bill.completed_microusd), (800_000, 800_000));
    let lines: Vec<_> = bill.jobs.iter().map(|job| (job.dialect, job.outcome, job.microusd, job.intent.as_deref())).collect();
    assert_eq!(
        lines,
        [
            (Dialect::Openai, Outcome::Completed, 800_000, Some("wish-1")),
            (Dialect::Openai, Outcome::Failed, 0, Some("wish-2")),
            (Dialect::Azure, Outcome::Failed, 0, None),
        ]
    );
    assert_eq!(one.get("//_simulator/bill").await.json(), serde_json::to_value(&bill).unwrap());
    let stats = simulator.stats();
    assert_eq!((stats.count("create"), stats.requests["azure/create"]), (4, 1));
    assert_eq!(one.get("//_simulator/stats").await.json()["requests"]["openai/create"], 3);
}

#[tokio::test]
async fn the_bill_counts_a_running_job_in_full_and_not_as_completed() {
    let simulator = simulator(1).await;
    Talk::openai(&simulator, "sk").post("/videos", json!({"prompt": "a cat", "seconds": "12"})).await;
    let bill = simulator.bill();
    assert_eq!((bill.total_microusd, bill.completed_microusd, bill.jobs[0].outcome), (1_200_000, 0, Outcome::Running));
    simulator.turn_clock(std::time::Duration::from_secs(120));
    assert_eq!(simulator.bill().completed_microusd, 1_200_000);
}

#[tokio::test]
async fn a_restart_on_the_same_journal_knows_its_jobs_and_its_bill() {
    let path = std::env::temp_dir().join(format!("filmgate-simulator-{}.jsonl", uuid::Uuid::new_v4()));
    let settings = Settings { speed: AT_ONCE, journal: Some(path.clone()), ..Settings::default() };
    let first = start(settings.clone()).await.unwrap();
    let talk = Talk::openai(&first, "sk-one");
    let kept = talk.post("/videos", json!({"prompt": "a cat\nand ü"})).await.id();
    let gone = talk.post("/videos", json!({"prompt": "a dog"})).await.id();
    talk.finished(&gone).await;
    assert_eq!(talk.delete(&format!("/videos/{gone}")).await.status, 200);
    let (bill, object) = (first.bill(), talk.finished(&kept).await);
    first.stop().await;

    // Killed while writing: the line was never finished, so the job was never accepted.
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"accepted\":{\"id\":\"video_");
    std::fs::write(&path, &text).unwrap();

    let second = start(settings.clone()).await.unwrap();
    let talk = Talk::openai(&second, "sk-one");
    assert_eq!((second.bill(), talk.finished(&kept).await), (bill, object));
    assert_eq!(talk.get(&format!("/videos/{gone}")).await.status, 404);
    talk.post("/videos", json!({"prompt": "another"})).await;
    second.stop().await;
    assert_eq!(start(settings.clone()).await.unwrap().bill().jobs.len(), 3, "the torn line is out of the way");

    std::fs::write(&path, "nonsense\n").unwrap();
    let refused = start(settings).await.unwrap_err().to_string();
    assert!(refused.contains("line 1") && refused.contains("move the file away"), "{refused}");
    std::fs::remove_file(&path).unwrap();
}
