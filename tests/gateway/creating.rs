//! Making a clip: from a tenant's wish to its bytes, in every way in which clients are known to ask.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use filmgate::simulator::Faults;
use serde_json::{Value, json};

use crate::client::{Answer, Client, Part};
use crate::things::{mp4, png};
use crate::world::{World, eventually, id, key_of, openai, tenant};

fn one_route() -> [String; 2] {
    [openai("openai", ""), tenant("acme", "")]
}

#[tokio::test]
async fn a_wish_becomes_a_clip_that_costs_what_its_answer_said() {
    let world = World::start(&one_route()).await;
    let acme = world.tenant("acme");

    let answer = acme.wish(&json!({ "prompt": "a blue whale", "seconds": "8" })).await.ok();
    assert_eq!((answer.header("filmgate-cost"), answer.header("filmgate-budget-remaining")), ("0.80", "99.20"));
    assert_eq!((world.held("tenant:acme"), world.spent("tenant:acme")), (800_000, 0));

    let video = acme.ended(id(&answer.json())).await;
    assert_eq!(video["status"], "completed");
    assert_eq!((world.held("tenant:acme"), world.spent("tenant:acme")), (0, 800_000));
    assert_eq!(world.bill(), 800_000);
    let clip = acme.get(&format!("/v1/videos/{}/content", id(&video))).await.ok();
    assert_eq!((clip.header("content-type"), clip.body.get(4..8)), ("video/mp4", Some(&b"ftyp"[..])));

    world.end().await;
}

#[tokio::test]
async fn a_video_has_the_thirteen_fields_in_every_state_and_a_link_once_it_is_made() {
    let world = World::at_speed(1, &one_route()).await;
    let acme = world.tenant("acme");
    let fields = |video: &Value| video.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let protocol: BTreeSet<String> = [
        "completed_at",
        "created_at",
        "error",
        "expires_at",
        "id",
        "model",
        "object",
        "progress",
        "prompt",
        "remixed_from_video_id",
        "seconds",
        "size",
        "status",
    ]
    .map(str::to_owned)
    .into();

    let queued = acme.ordered(&json!({ "prompt": "a whale" })).await;
    assert_eq!(fields(&queued), protocol);
    let defaults = json!({
        "object": "video", "model": "sora-2", "status": "queued", "progress": 0, "prompt": "a whale", "size": "720x1280",
        "seconds": "4", "completed_at": null, "expires_at": null, "error": null, "remixed_from_video_id": null,
    });
    for (field, value) in defaults.as_object().unwrap() {
        assert_eq!(&queued[field], value, "{field}");
    }
    assert!(queued["created_at"].is_u64() && id(&queued).starts_with("video_"));

    world.turn_clock(Duration::from_secs(10));
    let began = Instant::now();
    let running = loop {
        let video = acme.video(id(&queued)).await;
        if video["status"] == "in_progress" {
            break video;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{video}");
    };
    assert_eq!(fields(&running), protocol);
    assert!((1..100).contains(&running["progress"].as_u64().unwrap()), "{running}");

    world.turn_clock(Duration::from_secs(60));
    let made = acme.ended(id(&queued)).await;
    let mut with_link = protocol.clone();
    with_link.insert("output".to_owned());
    assert_eq!(fields(&made), with_link);
    assert_eq!((&made["progress"], &made["error"]), (&json!(100), &Value::Null));
    assert!(made["completed_at"].is_u64() && made["expires_at"].is_u64(), "{made}");

    let doomed = acme.ordered(&json!({ "prompt": "a whale [fail]" })).await;
    world.turn_clock(Duration::from_secs(60));
    let failed = acme.ended(id(&doomed)).await;
    assert_eq!(fields(&failed), protocol);
    assert_eq!(failed["error"]["code"], "video_generation_failed");
    assert!(failed["completed_at"].is_null(), "{failed}");

    world.end().await;
}

#[tokio::test]
async fn the_same_wish_may_come_as_json_or_as_any_form_an_sdk_makes_of_it() {
    let world = World::start(&one_route()).await;
    let acme = world.tenant("acme");
    let is_it = |answer: Answer| {
        let video = answer.ok().json();
        assert_eq!(
            (&video["model"], &video["seconds"], &video["size"], &video["prompt"]),
            (&json!("sora-2-pro"), &json!("10"), &json!("1280x720"), &json!("a wh\u{e4}le"))
        );
    };
    let with = |seconds: Value| json!({ "prompt": "a wh\u{e4}le", "model": "sora-2-pro", "seconds": seconds, "size": "1280x720" });

    is_it(acme.wish(&with(json!("10"))).await);
    is_it(acme.wish(&with(json!(10))).await);
    is_it(acme.wish(&json!({ "prompt": "a wh\u{e4}le", "model": "sora-2-pro", "duration": 10, "size": "1280x720", "n": 1 })).await);
    let parts = [
        Part::Text("size", "1280x720"),
        Part::Text("prompt", "a wh\u{e4}le"),
        Part::Text("seconds", "10"),
        Part::Text("model", "sora-2-pro"),
    ];
    is_it(acme.client.post_form("/v1/videos", &parts).await);
    // Without a content type, as a bare `fetch` sends it.
    is_it(acme.client.ask("POST", "/v1/videos", None, with(json!("10")).to_string()).await.unwrap());

    assert_eq!(world.orders(), 5);
    world.end().await;
}

#[tokio::test]
async fn every_mount_and_both_headers_lead_to_the_same_place() {
    let world = World::start(&one_route()).await;
    let (bearer, api_key) = (world.tenant("acme").client, world.stranger().with("api-key", &key_of("acme")));

    for (client, mount) in [(&bearer, "/v1"), (&bearer, "/openai/v1"), (&api_key, "/openai/v1"), (&api_key, "/openai"), (&api_key, "/v1")] {
        let version = if mount == "/openai" { "?api-version=2025-04-01-preview" } else { "" };
        let path = format!("{mount}/videos{version}");
        let made = client.post(&path, &json!({ "prompt": "a whale" })).await.ok().json();
        let path = format!("{mount}/videos/{}{version}", id(&made));
        assert_eq!(client.get(&path).await.ok().json()["id"], made["id"]);
        let page = client.get(&format!("{mount}/videos{version}")).await.ok().json();
        assert_eq!(page["first_id"], made["id"]);
    }
    let both = bearer.with("api-key", &key_of("acme"));
    both.get("/v1/videos").await.ok();

    world.end().await;
}

#[tokio::test]
async fn a_picture_may_come_as_a_file_an_address_or_a_file_id() {
    let world = World::start(&one_route()).await;
    let acme = world.tenant("acme");
    let picture = png(720, 1280);
    let data_url = format!("data:image/png;base64,{}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &picture));

    let prompt = Part::Text("prompt", "a whale");
    for (field, media_type) in [("input_reference", "image/png"), ("input_reference", "application/octet-stream"), ("image", "image/png")] {
        acme.client.post_form("/v1/videos", &[Part::File(field, media_type, &picture), prompt]).await.ok();
    }
    acme.client.post_form("/v1/videos", &[prompt, Part::Text("input_reference[image_url]", "https://example.com/a.png")]).await.ok();
    acme.client.post_form("/v1/videos", &[prompt, Part::Text("input_reference[file_id]", "file-1")]).await.ok();
    for reference in [json!({ "image_url": data_url }), json!({ "image_url": "https://example.com/a.png" }), json!({ "file_id": "file-1" })]
    {
        acme.wish(&json!({ "prompt": "a whale", "input_reference": reference })).await.ok();
    }
    assert_eq!(world.orders(), 8);

    world.end().await;
}

#[tokio::test]
async fn every_answer_says_who_it_is_and_how_much_may_still_be_asked() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "limits = { rpm = 60 }\nshow_route = true")]).await;
    let acme = world.tenant("acme");

    let answer = acme.wish(&json!({ "prompt": "a whale" })).await.ok();
    assert!(answer.header("x-request-id").starts_with("req_"), "{answer:?}");
    answer.header("openai-processing-ms").parse::<u64>().unwrap();
    assert_eq!(answer.header("openai-version"), "2020-10-01");
    assert_eq!(answer.header("x-ratelimit-limit-requests"), "60");
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "59");
    assert_eq!(answer.header("x-ratelimit-reset-requests"), "1000ms");
    assert_eq!((answer.header("filmgate-cost"), answer.header("filmgate-route")), ("0.40", "openai"));
    assert_eq!(answer.json()["route"], "openai");

    let other = acme.get("/v1/videos").await.ok();
    assert_ne!(other.header("x-request-id"), answer.header("x-request-id"));
    world.end().await;
}

#[tokio::test]
async fn a_slow_provider_keeps_nobody_waiting_and_the_job_goes_on() {
    let policy = [openai("openai", ""), tenant("acme", ""), "[defaults]\nanswer_after = \"300ms\"".to_owned()];
    let world = World::start(&policy).await;
    let acme = world.tenant("acme");
    world.misbehave(Faults { delay_ms: 1_500, ..Faults::default() });

    let began = Instant::now();
    let queued = acme.ordered(&json!({ "prompt": "a whale" })).await;
    assert!((300..1_200).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!(queued["status"], "queued");
    assert_eq!(world.jobs_in("submitting"), 1);
    assert_eq!(acme.video(id(&queued)).await["status"], "queued");

    assert_eq!(acme.ended(id(&queued)).await["status"], "completed");
    assert_eq!((world.orders(), world.bill()), (1, 400_000));
    world.end().await;
}

#[tokio::test]
async fn a_refusal_that_comes_after_the_answer_shows_in_the_job() {
    let policy = [openai("openai", ""), tenant("acme", ""), "[defaults]\nanswer_after = \"0ms\"".to_owned()];
    let world = World::start(&policy).await;
    let acme = world.tenant("acme");

    let queued = acme.ordered(&json!({ "prompt": "a whale [moderation]" })).await;
    let failed = acme.ended(id(&queued)).await;
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("moderation_blocked")));
    assert_eq!((world.held("tenant:acme"), world.spent("tenant:acme"), world.bill()), (0, 0, 0));
    world.end().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_loses_nothing() {
    let world = World::start(&one_route()).await;
    let acme = world.tenant("acme");
    world.misbehave(Faults { delay_ms: 400, ..Faults::default() });

    let request = acme.client.spelled_out("POST", "/v1/videos", "application/json", r#"{"prompt":"a whale","seconds":"12"}"#);
    let line = acme.client.send_only(request).await;
    eventually("the provider has the order", || world.bill() == 1_200_000).await;
    drop(line);

    eventually("the job is made", || world.jobs_in("completed") == 1).await;
    let page = acme.get("/v1/videos").await.ok().json();
    assert_eq!((&page["data"][0]["seconds"], &page["data"][0]["status"]), (&json!("12"), &json!("completed")));
    assert_eq!(world.orders(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_of_its_request_costs_nothing() {
    let world = World::start(&one_route()).await;
    let acme = world.tenant("acme");

    let request = acme.client.spelled_out("POST", "/v1/videos", "application/json", r#"{"prompt":"a whale","seconds":"12"}"#);
    drop(acme.client.send_only(&request[..request.len() - 5]).await);
    acme.made(&json!({ "prompt": "a whale" })).await;

    assert_eq!(world.number("SELECT count(*) FROM jobs"), 1);
    assert_eq!(world.orders(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_clip_can_be_remixed_edited_and_extended_where_it_was_made() {
    let routes = [openai("first", ""), openai("second", ""), tenant("acme", "show_route = true")];
    let rules = "[[rules]]\nroutes = [\"second\", \"first\"]".to_owned();
    let world = World::start(&[routes.as_slice(), &[rules]].concat()).await;
    let acme = world.tenant("acme");

    let source = acme.made(&json!({ "prompt": "a whale", "seconds": "8", "size": "1280x720" })).await;
    assert_eq!(source["route"], "second");
    // From now on others come first, but a clip lives where it was made.
    world.edit_policy(&[routes.as_slice(), &["[[rules]]\nroutes = [\"first\"]".to_owned()]].concat()).await;

    let remix = acme.client.post(&format!("/v1/videos/{}/remix", id(&source)), &json!({ "prompt": "a red whale" })).await.ok().json();
    assert_eq!((&remix["remixed_from_video_id"], &remix["route"]), (&source["id"], &json!("second")));
    assert_eq!((&remix["seconds"], &remix["size"], &remix["model"]), (&json!("8"), &json!("1280x720"), &json!("sora-2")));

    let edit = json!({ "prompt": "a green whale", "video": { "id": source["id"] } });
    let edit = acme.client.post("/v1/videos/edits", &edit).await.ok().json();
    assert_eq!((&edit["remixed_from_video_id"], &edit["seconds"], &edit["route"]), (&Value::Null, &json!("8"), &json!("second")));

    let parts = [Part::Text("prompt", "and it dives"), Part::Text("seconds", "4"), Part::Text("video[id]", id(&source))];
    let extension = acme.client.post_form("/v1/videos/extensions", &parts).await.ok();
    assert_eq!(extension.header("filmgate-cost"), "0.40");
    assert_eq!(extension.json()["route"], "second");

    for video in [&remix, &edit, &extension.json()] {
        assert_eq!(acme.ended(id(video)).await["status"], "completed");
    }
    assert_eq!(world.spent("route:second"), 800_000 * 3 + 400_000);
    world.end().await;
}

#[tokio::test]
async fn what_is_made_from_a_clip_waits_until_the_clip_is_made() {
    let world = World::at_speed(1, &one_route()).await;
    let acme = world.tenant("acme");

    let source = acme.ordered(&json!({ "prompt": "a whale" })).await;
    let remix = acme.client.post(&format!("/v1/videos/{}/remix", id(&source)), &json!({ "prompt": "a red whale" })).await;
    assert_eq!(remix.refusal(), "404 video_not_ready -");
    assert_eq!(remix.header("x-should-retry"), "false");
    assert_eq!((world.orders(), world.held("tenant:acme")), (1, 400_000));

    world.end().await;
}

#[tokio::test]
async fn a_character_is_made_once_and_appears_in_clips_made_where_it_lives() {
    let world = World::start(&[openai("openai", ""), openai("other", ""), tenant("acme", "show_route = true"), tenant("rival", "")]).await;
    let acme = world.tenant("acme");
    let parts = [Part::Text("name", "Moby"), Part::File("video", "video/mp4", &mp4())];

    let character = acme.client.post_form("/v1/videos/characters", &parts).await.ok().json();
    assert_eq!(character["name"], "Moby");
    assert!(id(&character).starts_with("char_") && character["created_at"].is_u64(), "{character}");
    let path = format!("/v1/videos/characters/{}", id(&character));
    assert_eq!(acme.get(&path).await.ok().json(), character);

    let wish = json!({ "prompt": "a whale", "characters": [{ "id": character["id"] }] });
    assert_eq!(acme.made(&wish).await["route"], "openai");
    let parts = [Part::Text("prompt", "a whale"), Part::Text("characters[][id]", id(&character))];
    acme.client.post_form("/v1/videos", &parts).await.ok();

    let rival = world.tenant("rival");
    let unknown = json!({ "prompt": "a whale", "characters": [{ "id": "char_nobody" }] });
    assert_eq!(rival.wish(&wish).await.body, rival.wish(&unknown).await.body);
    assert_eq!(rival.wish(&wish).await.refusal(), "404 character_not_found character_id");
    assert_eq!(rival.get(&path).await.body, rival.get("/v1/videos/characters/char_nobody").await.body);
    assert_eq!(world.held("tenant:rival"), 0);
    world.end().await;
}

#[tokio::test]
async fn everything_is_the_same_over_http_2() {
    let world = World::start(&one_route()).await;
    let acme = Client::over_h2(world.gateway().address).bearer(&key_of("acme"));

    let ordered = acme.post("/v1/videos", &json!({ "prompt": "a whale" })).await.ok().json();
    let made = world.tenant("acme").ended(id(&ordered)).await;
    let mut read = acme.get(&format!("/v1/videos/{}", id(&made))).await.ok().json();
    let url = read["output"][0].take();
    let link = url["url"].as_str().unwrap();
    assert!(link.starts_with(&format!("http://{}/v1/videos/", world.gateway().address)), "{link}");
    let path = &link[link.find("/v1/").unwrap()..];
    let bytes = acme.get(&format!("/v1/videos/{}/content", id(&made))).await.ok().body;
    assert_eq!(Client::over_h2(world.gateway().address).get(path).await.ok().body, bytes);
    assert_eq!(acme.get("/v1/videos/%2e%2e").await.refusal(), "404 unknown_url -");
    assert_eq!(acme.post("/v1/videos", &json!({})).await.refusal(), "400 missing_required_parameter prompt");
    world.end().await;
}

#[tokio::test]
async fn a_length_that_a_route_does_not_make_is_made_and_charged_as_its_fit_says() {
    let fitting = openai("openai", "").replacen("seconds = [4, 8, 12]", "seconds = [6, 10]\nfit = \"down\"", 1);
    let world = World::start(&[fitting, tenant("acme", "")]).await;
    let acme = world.tenant("acme");

    let answer = acme.wish(&json!({ "prompt": "a whale", "seconds": "12" })).await.ok();
    assert_eq!((answer.header("filmgate-cost"), &answer.json()["seconds"]), ("1.00", &json!("10")));
    assert_eq!(acme.ended(id(&answer.json())).await["status"], "completed");
    let unsaid = acme.wish(&json!({ "prompt": "a whale" })).await.ok();
    assert_eq!(unsaid.json()["seconds"], "6", "the shortest, where the protocol's default is not made");
    assert_eq!(acme.wish(&json!({ "prompt": "a whale", "seconds": "4" })).await.refusal(), "400 invalid_value seconds");
    assert_eq!(world.bill(), 1_600_000);
    world.end().await;
}

#[tokio::test]
async fn an_estimate_prices_a_wish_and_touches_nothing() {
    let world = World::start(&one_route()).await;
    let acme = world.tenant("acme");

    let estimate = acme.client.post("/v1/videos/estimate", &json!({ "prompt": "a whale", "seconds": 12 })).await.ok().json();
    assert_eq!(
        (&estimate["price"], &estimate["price_microusd"], &estimate["can_be_ordered"]),
        (&json!("1.20"), &json!(1_200_000), &json!(true))
    );
    let off_list = acme.client.post("/v1/videos/estimate", &json!({ "prompt": "a whale", "seconds": "5" })).await.ok().json();
    assert_eq!((&off_list["price"], &off_list["can_be_ordered"]), (&json!("0.50"), &json!(false)));
    let nearest: Vec<&Value> = off_list["alternatives"].as_array().unwrap().iter().map(|nearest| &nearest["seconds"]).collect();
    assert_eq!(nearest, [&json!("4"), &json!("8")]);
    assert!(!estimate.to_string().contains("openai"), "which routes there are is the operator's business: {estimate}");

    assert_eq!((world.orders(), world.number("SELECT count(*) FROM jobs")), (0, 0));
    world.end().await;
}
