//! What bad input gets: a refusal that names what is wrong, in the protocol's own shape, and nothing else
//! happens.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{Answer, Part, form, form_type};
use crate::things::{mp4, png};
use crate::world::{Tenant, World, key_of, openai, tenant};

async fn world() -> World {
    World::start(&[openai("openai", ""), tenant("acme", "")]).await
}

/// A refusal as every SDK reads it, and one that a retry does not cure.
fn is_well_formed(answer: &Answer) {
    let keys: BTreeSet<String> = answer.json()["error"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["code", "message", "param", "type"].map(str::to_owned).into());
    let error = &answer.json()["error"];
    assert_eq!(error["type"], "invalid_request_error");
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{error}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!((answer.header("x-should-retry"), answer.header("retry-after")), ("false", ""));
    assert!(answer.header("x-request-id").starts_with("req_"));
}

/// Nobody was asked, nothing was held and nothing is remembered of it.
async fn end_untouched(world: World) {
    assert_eq!(world.orders(), 0, "nothing was sent");
    for table in ["jobs", "ledger", "bookings", "attempts", "characters"] {
        assert_eq!(world.number(&format!("SELECT count(*) FROM {table}")), 0, "nothing in {table}");
    }
    assert_eq!(world.number("SELECT coalesce(sum(held_microusd + spent_microusd), 0) FROM balances"), 0);
    world.end().await;
}

/// Each wish gets its refusal, `status code param`, and a message that contains the last text.
async fn are_refused(acme: &Tenant, path: &str, cases: &[(Value, &str, &str)]) {
    for (wish, refusal, message) in cases {
        let answer = acme.client.post(path, wish).await;
        let shown: String = wish.to_string().chars().take(80).collect();
        assert_eq!(&answer.refusal(), refusal, "{path} {shown}");
        assert!(answer.message().contains(message), "{path} {shown}: {}", answer.message());
        is_well_formed(&answer);
    }
}

#[tokio::test]
async fn whoever_has_no_key_of_ours_is_turned_away_with_one_and_the_same_answer() {
    let world = world().await;
    let (stranger, key) = (world.stranger(), key_of("acme"));
    let expected = stranger.get("/v1/videos").await;
    assert_eq!(expected.refusal(), "401 invalid_api_key -");
    is_well_formed(&expected);

    let strangers = [
        stranger.bearer("nobodys"),
        stranger.bearer(""),
        stranger.bearer(&"k".repeat(10_000)),
        stranger.with("authorization", &format!("Basic {key}")),
        stranger.with("authorization", &key),
        stranger.with("authorization", "Bearer"),
        stranger.with("api-key", "nobodys"),
        stranger.bearer(&key).with("authorization", &format!("Bearer {key}")),
        stranger.bearer(&key).with("api-key", "nobodys"),
        stranger.with("api-key", &key).with("api-key", &key),
    ];
    for somebody in strangers {
        for answer in [somebody.get("/v1/videos").await, somebody.post("/v1/videos", &json!({ "prompt": "a whale" })).await] {
            assert_eq!((answer.status, &answer.body), (401, &expected.body), "{somebody:?}");
        }
    }
    assert_eq!(stranger.get(&format!("/v1/videos?api_key={key}")).await.status, 401);
    stranger.with("authorization", &format!("bearer {key}")).get("/v1/videos").await.ok();
    end_untouched(world).await;
}

#[tokio::test]
async fn a_wish_for_what_nobody_offers_is_told_what_there_is() {
    let world = world().await;
    are_refused(
        &world.tenant("acme"),
        "/v1/videos",
        &[
            (json!({ "prompt": "a whale", "model": "sora-3" }), "404 model_not_found model", "'sora-2' and 'sora-2-pro'"),
            (json!({ "prompt": "a whale", "model": "" }), "400 invalid_value model", "model"),
            (json!({ "prompt": "a whale", "model": 2 }), "400 invalid_type model", "a string"),
            (
                json!({ "prompt": "a whale", "seconds": "7" }),
                "400 invalid_value seconds",
                "Invalid value: '7'. Supported values are: '4', '8', and '12'.",
            ),
            (json!({ "prompt": "a whale", "seconds": 7 }), "400 invalid_value seconds", "'4', '8', and '12'"),
            (json!({ "prompt": "a whale", "model": "sora-2-pro", "seconds": "8" }), "400 invalid_value seconds", "'10', '15', and '25'"),
            (json!({ "prompt": "a whale", "seconds": "4.5" }), "400 invalid_value seconds", "whole number"),
            (json!({ "prompt": "a whale", "seconds": 4.5 }), "400 invalid_type seconds", "a string"),
            (json!({ "prompt": "a whale", "seconds": "-4" }), "400 invalid_value seconds", "whole number"),
            (json!({ "prompt": "a whale", "seconds": "99999999999" }), "400 invalid_value seconds", "'99999999999'"),
            (json!({ "prompt": "a whale", "duration": "soon" }), "400 invalid_value duration", "'soon'"),
            (json!({ "prompt": "a whale", "seconds": "4", "duration": 4 }), "400 invalid_value duration", "two names"),
            (json!({ "prompt": "a whale", "size": "640x480" }), "400 invalid_value size", "'720x1280' and '1280x720'"),
            (json!({ "prompt": "a whale", "size": "1024x1792" }), "400 invalid_value size", "'720x1280' and '1280x720'"),
            (json!({ "prompt": "a whale", "size": "720p" }), "400 invalid_value size", "'1280x720'"),
            (json!({ "prompt": "a whale", "size": [720, 1280] }), "400 invalid_type size", "an array"),
        ],
    )
    .await;
    end_untouched(world).await;
}

#[tokio::test]
async fn a_prompt_is_a_text_of_one_to_thirty_two_thousand_characters() {
    let world = world().await;
    let long = "ø".repeat(32_001);
    are_refused(
        &world.tenant("acme"),
        "/v1/videos",
        &[
            (json!({}), "400 missing_required_parameter prompt", "'prompt'"),
            (json!({ "prompt": null }), "400 missing_required_parameter prompt", "'prompt'"),
            (json!({ "prompt": "" }), "400 empty_string prompt", "empty"),
            (json!({ "prompt": " \n" }), "400 empty_string prompt", "empty"),
            (json!({ "prompt": 1 }), "400 invalid_type prompt", "a string"),
            (json!({ "prompt": ["a", "whale"] }), "400 invalid_type prompt", "an array"),
            (json!({ "prompt": "a\u{0}whale" }), "400 invalid_value prompt", "NUL"),
            (json!({ "prompt": long }), "400 string_above_max_length prompt", "32000"),
        ],
    )
    .await;
    let (too_long, as_long_as_can_be) = (json!({ "prompt": long }), json!({ "prompt": "ø".repeat(32_000) }));
    let acme = world.tenant("acme");
    assert!(acme.wish(&too_long).await.body.len() < 1_000, "what was sent is not sent back");
    acme.client.post("/v1/videos/estimate", &as_long_as_can_be).await.ok();
    end_untouched(world).await;
}

#[tokio::test]
async fn the_operators_own_bounds_on_prompts_come_before_any_provider() {
    let guard = "[guard]\nprompt_max_chars = 20\ndeny = [\"(?i)\\\\bpassport number\\\\b\"]".to_owned();
    let world = World::start(&[openai("openai", ""), tenant("acme", ""), guard]).await;
    are_refused(
        &world.tenant("acme"),
        "/v1/videos",
        &[
            (json!({ "prompt": "a whale, and a second" }), "400 string_above_max_length prompt", "20 characters"),
            (json!({ "prompt": "my Passport Number" }), "400 moderation_blocked prompt", "blocked"),
        ],
    )
    .await;
    end_untouched(world).await;
}

#[tokio::test]
async fn a_field_that_nobody_knows_is_named_and_the_right_one_hinted_at() {
    let world = world().await;
    let acme = world.tenant("acme");
    are_refused(
        &acme,
        "/v1/videos",
        &[
            (json!({ "prompt": "a whale", "aspect_ratio": "16:9" }), "400 unknown_parameter aspect_ratio", "'size'"),
            (
                json!({ "prompt": "a whale", "image_url": "https://example.com/a.png" }),
                "400 unknown_parameter image_url",
                "'input_reference'",
            ),
            (json!({ "prompt": "a whale", "negative_prompt": "no boats" }), "400 unknown_parameter negative_prompt", "negative_prompt"),
            (json!({ "prompt": "a whale", "n": 2 }), "400 invalid_value n", "'1'"),
            (json!({ "prompt": "a whale", "quality": "hd" }), "400 invalid_value quality", "'standard'"),
            (json!({ "prompt": "a whale", "webhook_url": "https://a.example" }), "400 unknown_parameter webhook_url", "webhook_url"),
            (
                json!({ "prompt": "a whale", "characters": [{ "id": "a" }, { "id": "b" }, { "id": "c" }] }),
                "400 array_above_max_length characters",
                "At most 2",
            ),
            (json!({ "prompt": "a whale", "characters": "Moby" }), "400 invalid_type characters", "an array"),
        ],
    )
    .await;
    are_refused(
        &acme,
        "/v1/videos/extensions",
        &[(json!({ "prompt": "a whale", "video": { "id": "video_1" } }), "400 missing_required_parameter seconds", "'seconds'")],
    )
    .await;
    are_refused(&acme, "/v1/videos/edits", &[(json!({ "prompt": "a whale" }), "400 missing_required_parameter video", "'video'")]).await;
    let video = "/v1/videos/video_01a20779b4097510898e224e974c295d/remix";
    are_refused(&acme, video, &[(json!({ "prompt": "a whale", "seconds": "8" }), "400 unknown_parameter seconds", "'seconds'")]).await;
    end_untouched(world).await;
}

#[tokio::test]
async fn a_picture_has_to_be_one_and_of_the_clips_own_size() {
    let world = world().await;
    let acme = world.tenant("acme");
    let (right, wrong, clip) = (png(720, 1280), png(1280, 720), mp4());
    let large = [png(720, 1280), vec![0; 10 << 20]].concat();
    let prompt = Part::Text("prompt", "a whale");
    let mismatch = "Inpaint image must match the requested width and height";

    for (parts, refusal, message) in [
        (vec![prompt, Part::File("input_reference", "image/png", &wrong)], "400 - -", mismatch),
        (vec![prompt, Part::Text("size", "1280x720"), Part::File("input_reference", "image/png", &right)], "400 - -", mismatch),
        (vec![prompt, Part::File("input_reference", "image/png", b"no picture")], "400 invalid_value input_reference", "JPEG, PNG or WebP"),
        (vec![prompt, Part::File("input_reference", "image/png", &clip)], "400 invalid_value input_reference", "JPEG, PNG or WebP"),
        (vec![prompt, Part::File("input_reference", "image/png", &right[..20])], "400 invalid_value input_reference", "JPEG, PNG or WebP"),
        (vec![prompt, Part::File("input_reference", "image/png", &large)], "413 request_too_large input_reference", "too large"),
        (vec![prompt, Part::Text("input_reference", "a picture")], "400 invalid_type input_reference", "a file"),
        (
            vec![prompt, Part::Text("input_reference[image_url]", "http://example.com/a.png")],
            "400 invalid_value input_reference.image_url",
            "https",
        ),
        (
            vec![prompt, Part::Text("input_reference[image_url]", "https://u:p@example.com/")],
            "400 invalid_value input_reference.image_url",
            "https",
        ),
        (
            vec![prompt, Part::Text("input_reference[image_url]", "https://example.com/"), Part::Text("input_reference[file_id]", "f")],
            "400 invalid_value input_reference",
            "exactly one",
        ),
        (
            vec![prompt, Part::File("image", "image/png", &right), Part::File("input_reference", "image/png", &right)],
            "400 invalid_value image",
            "two names",
        ),
    ] {
        let answer = acme.client.post_form("/v1/videos", &parts).await;
        assert_eq!(answer.refusal(), refusal, "{}", answer.message());
        assert!(answer.message().contains(message), "{}", answer.message());
        is_well_formed(&answer);
    }
    for (parts, refusal) in [
        (vec![Part::Text("name", "Moby"), Part::File("video", "video/mp4", &right)], "400 invalid_value video"),
        (vec![Part::Text("name", ""), Part::File("video", "video/mp4", &clip)], "400 invalid_value name"),
        (vec![Part::Text("name", "Moby")], "400 missing_required_parameter video"),
    ] {
        let answer = acme.client.post_form("/v1/videos/characters", &parts).await;
        assert_eq!(answer.refusal(), refusal);
    }
    end_untouched(world).await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_read_however_it_is_framed() {
    let world = world().await;
    let acme = world.tenant("acme").client;
    let limit = 16 << 20;

    // Said beforehand: refused before a byte of it is there.
    let head = format!("content-length: {}\r\n\r\n", limit + 1);
    let request = acme.spelled_out("POST", "/v1/videos", "", "").replacen("\r\n\r\n", &format!("\r\n{head}"), 1);
    let heard = acme.raw(request).await;
    assert!(heard.starts_with("HTTP/1.1 413 ") && heard.contains("request_too_large") && heard.contains("connection: close"), "{heard}");

    // Not said: refused once there is too much of it.
    let body = "x".repeat(3 * limit);
    let request = acme.spelled_out("POST", "/v1/videos", "", "").replacen("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n", 1);
    let heard = acme.raw(format!("{request}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
    assert!(heard.starts_with("HTTP/1.1 413 "), "{heard}");

    acme.post("/v1/videos/estimate", &json!({ "prompt": "a whale" })).await.ok();
    end_untouched(world).await;
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_for_what_is_wrong_with_it() {
    let world = world().await;
    let acme = world.tenant("acme").client;
    let json_type = Some("application/json");
    let form_type = form_type();
    let cut = &form(&[Part::Text("prompt", "a whale")])[..60];
    let many: Vec<Part<'_>> = "a b c d e f g h i j k l m n o p q".split(' ').map(|name| Part::Text(name, "x")).collect();
    let twice = form(&[Part::Text("prompt", "a whale"), Part::Text("prompt", "two whales")]);
    let deep = format!("{{\"prompt\":{}1{}}}", "[".repeat(2_000), "]".repeat(2_000));

    for (media_type, body, refusal, message) in [
        (json_type, b"{\"prompt\":".to_vec(), "400 - -", "JSON"),
        (json_type, b"{\"prompt\":\"a whale\"} {}".to_vec(), "400 - -", "JSON"),
        (json_type, b"[1]".to_vec(), "400 invalid_type -", "object"),
        (json_type, b"{\"prompt\":\"a\",\"prompt\":\"b\"}".to_vec(), "400 invalid_value prompt", "more than once"),
        (json_type, b"{\"prompt\":\"\xff\xfe\"}".to_vec(), "400 - -", "JSON"),
        (json_type, b"{\"prompt\":\"\\ud800\"}".to_vec(), "400 - -", "JSON"),
        (json_type, deep.into_bytes(), "400 - -", "JSON"),
        (json_type, Vec::new(), "400 missing_required_parameter prompt", "prompt"),
        (Some("multipart/form-data"), b"--a--".to_vec(), "400 - -", "boundary"),
        (Some(form_type.as_str()), cut.to_vec(), "400 - -", "multipart"),
        (Some(form_type.as_str()), b"no form at all".to_vec(), "400 - -", "multipart"),
        (Some(form_type.as_str()), form(&many), "400 - -", "16 parts"),
        (Some(form_type.as_str()), twice, "400 invalid_value prompt", "more than once"),
        (Some("application/x-www-form-urlencoded"), b"prompt=a+whale".to_vec(), "415 - -", "multipart"),
        (Some("text/plain"), b"a whale".to_vec(), "415 - -", "application/json"),
    ] {
        let shown = String::from_utf8_lossy(&body).chars().take(60).collect::<String>();
        let answer = acme.ask("POST", "/v1/videos", media_type, body).await.unwrap();
        assert_eq!(answer.refusal(), refusal, "{shown}: {}", answer.message());
        assert!(answer.message().contains(message), "{shown}: {}", answer.message());
        is_well_formed(&answer);
    }
    for coding in ["gzip", "br", "identity, gzip"] {
        let answer = acme.with("content-encoding", coding).post("/v1/videos", &json!({ "prompt": "a whale" })).await;
        assert_eq!(answer.refusal(), "415 unsupported_content_encoding -");
    }
    acme.with("content-encoding", "identity").post("/v1/videos/estimate", &json!({ "prompt": "a whale" })).await.ok();
    end_untouched(world).await;
}

/// The status of the first answer on a connection.
fn status(heard: &str) -> &str {
    heard.split(' ').nth(1).unwrap_or("none")
}

#[tokio::test]
async fn a_path_that_could_be_read_in_two_ways_is_no_path() {
    let world = world().await;
    let acme = world.tenant("acme").client;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/videos",
        "/V1/videos",
        "/videos",
        "/v1/video",
        "/v1/videos/a/content/b",
        "/v1/videos/a/b",
        "/v1/videos/%2e%2e/videos",
        "/v1/videos/..",
        "/v1/./videos",
        "/v1/../v1/videos",
        "/v1//videos",
        "//v1/videos",
        "/v1/videos;a=b",
        "/v1/videos/;",
        "/v1/videos%00",
        "/v1/videos/%0d%0a",
        "/v1\\videos",
        "/v1/videos/\u{e9}",
        "/metrics",
        "/healthz",
        "/api/status",
        "/openai/deployments/sora/videos",
        "/_simulator/bill",
        "/v1/videos/a/b/c/d/e/f",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let heard = acme.raw(acme.spelled_out(method, path, "", "")).await;
            assert!(["404", "400"].contains(&status(&heard)), "{method} {path}: {heard}");
            assert!(heard.contains("unknown_url") || status(&heard) == "400", "{method} {path}: {heard}");
        }
    }
    end_untouched(world).await;
}

#[tokio::test]
async fn a_path_has_its_methods_and_no_others() {
    let world = world().await;
    let acme = world.tenant("acme").client;
    for (method, path) in [
        ("PUT", "/v1/videos"),
        ("PATCH", "/v1/videos"),
        ("DELETE", "/v1/videos"),
        ("HEAD", "/v1/videos"),
        ("OPTIONS", "/v1/videos"),
        ("post", "/v1/videos"),
        ("TRACE", "/v1/videos"),
        ("POST", "/v1/videos/video_1"),
        ("PUT", "/v1/videos/video_1"),
        ("GET", "/v1/videos/edits"),
        ("GET", "/v1/videos/extensions"),
        ("GET", "/v1/videos/estimate"),
        ("GET", "/v1/videos/video_1/remix"),
        ("POST", "/v1/videos/video_1/content"),
        ("POST", "/v1/models"),
        ("DELETE", "/v1/models/sora-2"),
    ] {
        let heard = acme.raw(acme.spelled_out(method, path, "", "")).await;
        assert!(["405", "400"].contains(&status(&heard)), "{method} {path}: {heard}");
    }
    let heard = acme.raw("CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\nconnection: close\r\n\r\n").await;
    assert!(["405", "400"].contains(&status(&heard)), "{heard}");
    end_untouched(world).await;
}

#[tokio::test]
async fn a_request_that_two_readers_would_read_differently_is_refused_and_the_connection_closed() {
    let world = world().await;
    let acme = world.tenant("acme").client;
    let body = r#"{"prompt":"a whale"}"#;
    let plain = acme.spelled_out("POST", "/v1/videos", "application/json", body);
    let length = format!("content-length: {}\r\n", body.len());
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let hidden = "GET /v1/videos HTTP/1.1\r\nhost: a\r\n\r\n";

    for request in [
        plain.replacen("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n", 1),
        plain.replacen(&format!("{length}\r\n{body}"), &format!("transfer-encoding: chunked\r\n{chunked}"), 1),
        plain.replacen(&length, &format!("{length}content-length: 5\r\n"), 1),
        plain.replacen(&length, "content-length: +20\r\n", 1),
        plain.replacen(&format!("{length}\r\n{body}"), &chunked.replace("chunked", "identity"), 1),
        plain.replacen(&format!("{length}\r\n{body}"), &chunked.replace("chunked", "xchunked"), 1),
        plain.replacen("host: ", "host: other.example\r\nhost: ", 1),
        plain.replacen("host: ", "x-host: ", 1),
        plain.replacen(&length, &format!("{length}expect: a-miracle\r\n"), 1),
        plain.replacen("content-type:", "content-type :", 1),
        plain.replacen("content-type: ", "content-type: a\r\n b", 1),
        plain.replacen(" HTTP/1.1", " HTTP/0.9", 1),
    ] {
        assert_ne!(request, plain);
        let heard = acme.raw(format!("{request}{hidden}")).await;
        assert!(["400", "417", "none"].contains(&status(&heard)), "{request}\n\n{heard}");
        assert!(heard.matches("HTTP/1.1 ").count() <= 1, "what was hidden behind it was answered: {request}\n\n{heard}");
    }
    let large = acme.with("x-large", &"x".repeat(40_000));
    assert_eq!(status(&large.raw(large.spelled_out("GET", "/v1/videos", "", "")).await), "431");
    let many = acme.spelled_out("GET", "/v1/videos", "", "").replacen("\r\n\r\n", &"\r\na: b".repeat(100), 1) + "\r\n\r\n";
    assert_eq!(status(&acme.raw(many).await), "431");
    end_untouched(world).await;
}

#[tokio::test]
async fn a_client_that_sends_too_much_still_hears_why() {
    let world = world().await;
    let acme = world.tenant("acme").client;
    for _ in 0..10 {
        let answer = acme.ask("POST", "/v1/videos", Some("application/json"), vec![b'x'; 40 << 20]).await.unwrap();
        assert_eq!(answer.refusal(), "413 request_too_large -");
    }
    end_untouched(world).await;
}

#[tokio::test]
async fn a_stranger_that_sends_much_still_hears_why() {
    let world = world().await;
    let stranger = world.stranger();
    for _ in 0..10 {
        let answer = stranger.ask("POST", "/v1/videos", Some("application/json"), vec![b'x'; 10 << 20]).await.unwrap();
        assert_eq!(answer.status, 401);
    }
    end_untouched(world).await;
}
