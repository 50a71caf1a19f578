//! The bytes: streamed through as they come, whole or not at all.

use std::time::Duration;

use filmgate::simulator::{self, Faults, PollFault, Shape};
use serde_json::{Value, json};

use crate::world::{Tenant, World, cometapi, id, openai, tenant};

fn one_route() -> [String; 2] {
    [openai("openai", ""), tenant("acme", "")]
}

/// The path in the link of a finished video.
fn link(video: &Value) -> String {
    let url = video["output"][0]["url"].as_str().unwrap_or_else(|| panic!("no link in {video}"));
    url[url.find("/v1/").unwrap()..].to_owned()
}

/// Where the bytes of a video are.
fn content(video: &Value) -> String {
    format!("/v1/videos/{}/content", id(video))
}

async fn clip(acme: &Tenant) -> Value {
    acme.made(&json!({ "prompt": "a whale" })).await
}

#[tokio::test]
async fn a_clip_comes_with_its_thumbnail_and_its_spritesheet() {
    let world = World::start(&one_route()).await;
    let acme = world.tenant("acme");
    let video = clip(&acme).await;

    for (query, media_type, magic) in [
        ("", "video/mp4", &b"ftyp"[..]),
        ("?variant=video", "video/mp4", b"ftyp"),
        ("?variant=thumbnail", "image/webp", b"WEBP"),
        ("?variant=spritesheet", "image/jpeg", b"\xff\xd8\xff"),
    ] {
        let answer = acme.client.with("accept", "application/binary").get(&format!("{}{query}", content(&video))).await.ok();
        assert_eq!(answer.header("content-type"), media_type);
        assert!(answer.body.windows(magic.len()).take(16).any(|bytes| bytes == magic), "{query}");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        assert_eq!((answer.header("x-content-type-options"), answer.header("cache-control")), ("nosniff", "private"));
        assert!(answer.header("content-disposition").contains(id(&video)), "{answer:?}");
    }
    let odd = acme.get(&format!("{}?variant=gif", content(&video))).await;
    assert_eq!(odd.refusal(), "400 invalid_value variant");
    world.end().await;
}

#[tokio::test]
async fn a_part_of_a_clip_can_be_had_and_one_beyond_its_end_cannot() {
    let world = World::start(&one_route()).await;
    let acme = world.tenant("acme");
    let path = content(&clip(&acme).await);
    let whole = acme.get(&path).await.ok();
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let (bytes, length) = (&whole.body, whole.body.len());

    for (range, from, until) in
        [("0-", 0, length), ("0-99", 0, 100), ("100-199", 100, 200), ("-50", length - 50, length), ("100-", 100, length)]
    {
        let part = acme.client.with("range", &format!("bytes={range}")).get(&path).await;
        assert_eq!((part.status, &part.body), (206, &bytes.slice(from..until)), "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {from}-{}/{length}", until - 1));
        assert_eq!(part.header("content-length"), (until - from).to_string());
    }
    let beyond = acme.client.with("range", &format!("bytes={length}-")).get(&path).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, format!("bytes */{length}").as_str()));
    // What is no single range is as if it had not been said.
    for odd in ["bytes=0-1,4-5", "lines=1-2", "bytes 0-1"] {
        assert_eq!(acme.client.with("range", odd).get(&path).await.ok().body, bytes);
    }
    world.end().await;
}

#[tokio::test]
async fn a_link_plays_without_a_key_for_an_hour_and_opens_one_clip_only() {
    let world = World::start(&one_route()).await;
    let (acme, stranger) = (world.tenant("acme"), world.stranger());
    let (one, other) = (clip(&acme).await, clip(&acme).await);

    let played = stranger.get(&link(&one)).await.ok();
    assert_eq!(played.body, acme.get(&content(&one)).await.body);
    assert_eq!(stranger.with("range", "bytes=0-3").get(&link(&one)).await.status, 206);
    stranger.get(&format!("{}&variant=thumbnail", link(&one))).await.ok();

    let token = link(&one).split_once("token=").unwrap().1.to_owned();
    let not_found_out = "401 invalid_api_key -";
    assert_eq!(stranger.get(&format!("{}?token={token}", content(&other))).await.refusal(), not_found_out);
    for spoiled in [format!("{token}A"), token.replacen(&token[..1], "-", 1), String::new(), "A".repeat(10_000)] {
        assert_eq!(stranger.get(&format!("{}?token={spoiled}", content(&one))).await.refusal(), not_found_out);
    }
    assert_eq!(stranger.get(&content(&one)).await.refusal(), not_found_out);
    assert_eq!(stranger.get(&format!("/v1/videos/{}?token={token}", id(&one))).await.refusal(), not_found_out, "content only");

    world.turn_clock(Duration::from_secs(3_550));
    stranger.get(&link(&one)).await.ok();
    world.turn_clock(Duration::from_secs(50));
    assert_eq!(stranger.get(&link(&one)).await.refusal(), not_found_out);
    stranger.get(&link(&acme.video(id(&one)).await)).await.ok();
    world.end().await;
}

#[tokio::test]
async fn a_link_leads_to_where_the_client_found_us_or_where_the_operator_says() {
    let world = World::start(&one_route()).await;
    let acme = world.tenant("acme");
    let video = clip(&acme).await;
    let url = video["output"][0]["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("http://{}/v1/videos/", world.gateway().address)), "{url}");

    let policy = std::fs::read_to_string(world.policy_file()).unwrap();
    world.write_file(&policy.replace("[server]", "[server]\npublic_url = \"https://video.example.com/\""));
    world.gateway().reload().await;
    let video = acme.video(id(&video)).await;
    let url = video["output"][0]["url"].as_str().unwrap();
    assert!(url.starts_with("https://video.example.com/v1/videos/"), "{url}");
    world.end().await;
}

#[tokio::test]
async fn what_is_not_made_has_no_bytes() {
    let world = World::at_speed(1, &one_route()).await;
    let acme = world.tenant("acme");
    let queued = acme.ordered(&json!({ "prompt": "a whale" })).await;
    let doomed = acme.ordered(&json!({ "prompt": "a whale [fail]" })).await;

    let not_yet = acme.get(&content(&queued)).await;
    assert_eq!(not_yet.refusal(), "404 video_not_ready -");
    assert!(not_yet.message().starts_with("Video is not ready yet"), "clients look for these words: {}", not_yet.message());
    world.turn_clock(Duration::from_secs(60));
    acme.ended(id(&doomed)).await;
    assert_eq!(acme.get(&content(&doomed)).await.refusal(), "404 video_failed -");
    assert_eq!(world.simulator.stats().count("content"), 0);
    world.end().await;
}

#[tokio::test]
async fn half_a_clip_never_ends_like_a_whole_one() {
    let large = simulator::Settings { speed: 1_000, clip_bytes_min: 4 << 20, ..simulator::Settings::default() };
    let world = World::with_provider(large, &one_route()).await;
    let acme = world.tenant("acme");
    let video = clip(&acme).await;
    let whole = acme.get(&content(&video)).await.ok().body;

    world.misbehave(Faults { stop_after: Some(1 << 20), ..Faults::default() });
    let cut = acme.client.ask("GET", &content(&video), None, "").await;
    cut.expect_err("the connection is cut, since the length that was promised cannot be kept");
    let heard = acme.client.raw(acme.client.spelled_out("GET", &content(&video), "", "")).await;
    assert!(heard.contains(&format!("content-length: {}", whole.len())), "{}", &heard[..500]);
    assert!(heard.len() < whole.len());

    world.misbehave(Faults::default());
    assert_eq!(acme.get(&content(&video)).await.ok().body, whole, "and a second try is free to succeed");
    world.end().await;
}

#[tokio::test]
async fn bytes_that_the_provider_does_not_have_are_gone_and_its_other_troubles_are_its_own() {
    let world = World::start(&one_route()).await;
    let acme = world.tenant("acme");
    let video = clip(&acme).await;
    let key = "sk-test-openai";

    // Deleted behind our back.
    let upstream_id = world.simulator.bill().jobs[0].upstream_id.clone();
    let provider = crate::client::Client::new(world.simulator.addr()).bearer(key);
    provider.delete(&format!("/openai/v1/videos/{upstream_id}")).await.ok();
    assert_eq!(acme.get(&content(&video)).await.refusal(), "410 video_expired -");

    // Its key is not good any more.
    let video = clip(&acme).await;
    world.misbehave(Faults { revoked_keys: [key.to_owned()].into(), ..Faults::default() });
    let refused = acme.get(&content(&video)).await;
    assert_eq!(refused.refusal(), "502 upstream_unavailable -");
    assert!(!refused.header("retry-after").is_empty() && !refused.message().contains("key"), "{refused:?}");

    // Its route is somewhere else by now: it is fetched from where it was made.
    world.misbehave(Faults::default());
    let policy = std::fs::read_to_string(world.policy_file()).unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.write_file(&policy.replace(&world.simulator.addr().to_string(), &nobody.to_string()));
    world.gateway().reload().await;
    acme.get(&content(&video)).await.ok();
    world.end().await;
}

#[tokio::test]
async fn an_aggregator_may_say_where_its_bytes_are_in_any_of_its_shapes() {
    let world = World::start(&[cometapi("comet", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");

    let linked = || world.simulator.stats().count("linked_content");
    for (shape, by_link) in [(Shape::A, 0), (Shape::B, 1), (Shape::C, 1), (Shape::D, 1)] {
        world.misbehave(Faults { comet_shape: Some(shape), ..Faults::default() });
        let video = clip(&acme).await;
        let before = linked();
        let bytes = acme.get(&content(&video)).await.ok();
        assert_eq!((bytes.header("content-type"), &bytes.body[4..8]), ("video/mp4", &b"ftyp"[..]), "{shape:?}");
        assert_eq!(acme.client.with("range", "bytes=4-7").get(&content(&video)).await.body, &b"ftyp"[..]);
        assert_eq!(linked() - before, 2 * by_link, "{shape:?}");

        let doomed = acme.ordered(&json!({ "prompt": "a whale [fail]" })).await;
        let failed = acme.ended(id(&doomed)).await;
        assert!(failed["error"]["code"].is_string() && failed["error"]["message"].is_string(), "{failed}");
    }
    world.end().await;
}

#[tokio::test]
async fn an_address_on_this_machine_is_not_fetched_because_a_reply_named_it() {
    let world = World::start(&[cometapi("comet", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    for address in ["http://127.0.0.1:1/clip.mp4", "https://localhost/clip.mp4", "https://[::1]/clip.mp4", "https://169.254.169.254/latest"]
    {
        let reply = json!({ "id": "video_1", "status": "completed", "video_url": address }).to_string();
        world.misbehave(Faults { poll_script: [PollFault::Reply(reply)].into(), ..Faults::default() });
        let video = clip(&acme).await;
        assert_eq!(acme.get(&content(&video)).await.refusal(), "502 upstream_unavailable -", "{address}");
    }
    world.end().await;
}
