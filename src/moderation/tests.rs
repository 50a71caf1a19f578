use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Verdict, call, read};
use crate::policy::sample::wish;
use crate::policy::{Moderation, OnError};
use crate::provider::{Credential, Endpoint};
use crate::secret::Secret;
use crate::video::{MediaType, Reference, Upload, Wish};

fn moderation(pictures: bool) -> Moderation {
    Moderation {
        endpoint: Endpoint { base_url: "https://moderation.example/v1".into(), credential: Credential::Key(Secret::new("sk-1")) },
        model: "omni-moderation-latest".into(),
        on_error: OnError::Refuse,
        timeout: Duration::from_secs(3),
        region: None,
        pictures,
    }
}

fn asked(wish: &Wish, pictures: bool) -> Value {
    serde_json::from_slice(call(&moderation(pictures), wish).request.body()).unwrap()
}

fn answer(status: u16, body: &str) -> Result<Verdict, String> {
    let mut reply = Response::new(Bytes::from(body.to_owned()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    read(&reply)
}

#[test]
fn a_prompt_is_asked_about_as_the_protocol_says() {
    let request = call(&moderation(true), &wish()).request;
    assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("POST", "https://moderation.example/v1/moderations"));
    assert_eq!(request.headers()["authorization"], "Bearer sk-1");
    assert_eq!(asked(&wish(), true), json!({ "model": "omni-moderation-latest", "input": "A cat walks into a bar." }));
}

#[test]
fn a_picture_is_shown_beside_the_prompt_if_policy_says_so_and_it_can_be() {
    let upload = Upload { media_type: MediaType::Png, bytes: Bytes::from_static(b"png") };
    for (reference, shown) in [
        (Reference::ImageUrl("https://example.com/cat.png".into()), Some("https://example.com/cat.png")),
        (Reference::Upload(upload), Some("data:image/png;base64,cG5n")),
        (Reference::FileId("file-1".into()), None),
    ] {
        let wish = Wish { reference: Some(reference), ..wish() };
        let asked_of = asked(&wish, true)["input"].clone();
        match shown {
            Some(url) => assert_eq!(asked_of[1], json!({ "type": "image_url", "image_url": { "url": url } })),
            None => assert!(asked_of.is_string(), "{asked_of}"),
        }
        assert!(asked(&wish, false)["input"].is_string());
    }
}

#[test]
fn one_flag_is_enough_and_only_plain_categories_are_told() {
    assert_eq!(answer(200, r#"{"id": "modr-1", "results": [{"flagged": false, "categories": {"violence": false}}]}"#), Ok(Verdict::Passed));
    let flagged = json!({ "results": [
        { "flagged": false, "categories": {} },
        { "flagged": true, "categories": { "self-harm/intent": true, "sexual": false, "a\nforged line": true, "violence": 1 } },
    ] });
    assert_eq!(answer(200, &flagged.to_string()), Ok(Verdict::Flagged(vec!["self-harm/intent".to_owned()])));
    assert_eq!(answer(200, r#"{"results": [{"flagged": true}]}"#), Ok(Verdict::Flagged(Vec::new())));
}

#[test]
fn what_does_not_say_clearly_that_a_wish_may_pass_is_no_answer() {
    for body in ["", "{}", "[]", r#"{"results": []}"#, r#"{"results": [{}]}"#, r#"{"results": [{"flagged": "false"}]}"#] {
        assert!(answer(200, body).is_err(), "{body}");
    }
    let fine = r#"{"results": [{"flagged": false}]}"#;
    for status in [201, 204, 302, 400, 401, 429, 500, 503] {
        assert!(answer(status, fine).is_err(), "{status}");
    }
}

proptest! {
    /// No answer panics, and none that could not be read is told with its text.
    #[test]
    fn any_answer_is_read(status in 100_u16..600, body in ".{0,200}") {
        if let Err(why) = answer(status, &body) {
            prop_assert!(body.len() < 5 || !why.contains(&body), "{why}");
        }
    }
}
