use serde_json::Value;

use crate::clock::Timestamp;
use crate::id::{CharacterId, JobId, ModelName};
use crate::job::State;
use crate::video::{Seconds, Size};
use crate::wire::video::{PublicStatus, VideoView, character_json, deleted, list, model, models, public_status, video};

fn id(last: char) -> JobId {
    format!("video_0192e3b4c5d6700081920a1b2c3d4e5{last}").parse().unwrap()
}

fn view(model: &ModelName, state: State) -> VideoView<'_> {
    VideoView {
        id: id('f'),
        model,
        status: public_status(state),
        progress: 0,
        created_at: Timestamp::from_ms(1_793_000_000_999),
        completed_at: None,
        expires_at: None,
        prompt: Some("A fox \"in\" the snow"),
        size: Size::DEFAULT,
        seconds: Seconds::DEFAULT,
        remixed_from: None,
        error: None,
        output_url: None,
        route: None,
        queue: None,
    }
}

fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).unwrap()
}

#[test]
fn every_state_is_one_of_the_four_that_clients_know() {
    let folded = State::ALL.map(|state| (state.as_str(), serde_json::to_value(public_status(state)).unwrap()));
    let folded: Vec<String> = folded.iter().map(|(state, shown)| format!("{state} {}", shown.as_str().unwrap())).collect();
    insta::assert_snapshot!(folded.join("\n"), @r"
    reserved queued
    waiting queued
    submitting queued
    unknown queued
    accepted queued
    running in_progress
    completed completed
    failed failed
    lost failed
    released failed
    ");
}

#[test]
fn a_video_shows_all_thirteen_fields_in_every_state() {
    let sora = ModelName::new("sora-2");
    let queued = view(&sora, State::Reserved);
    insta::assert_snapshot!(
        text(video(&queued)),
        @r#"{"id":"video_0192e3b4c5d6700081920a1b2c3d4e5f","object":"video","model":"sora-2","status":"queued","progress":0,"created_at":1793000000,"completed_at":null,"expires_at":null,"prompt":"A fox \"in\" the snow","size":"720x1280","seconds":"4","remixed_from_video_id":null,"error":null}"#
    );

    let running = VideoView { progress: 250, prompt: None, remixed_from: Some(id('a')), ..view(&sora, State::Running) };
    insta::assert_snapshot!(
        text(video(&running)),
        @r#"{"id":"video_0192e3b4c5d6700081920a1b2c3d4e5f","object":"video","model":"sora-2","status":"in_progress","progress":100,"created_at":1793000000,"completed_at":null,"expires_at":null,"prompt":null,"size":"720x1280","seconds":"4","remixed_from_video_id":"video_0192e3b4c5d6700081920a1b2c3d4e5a","error":null}"#
    );

    let completed = VideoView {
        progress: 100,
        completed_at: Some(Timestamp::from_secs(1_793_000_060)),
        expires_at: Some(Timestamp::from_secs(1_793_086_400)),
        output_url: Some("http://gateway/v1/videos/x/content?sig=1"),
        route: Some("openai-eu"),
        ..view(&sora, State::Completed)
    };
    insta::assert_snapshot!(
        text(video(&completed)),
        @r#"{"id":"video_0192e3b4c5d6700081920a1b2c3d4e5f","object":"video","model":"sora-2","status":"completed","progress":100,"created_at":1793000000,"completed_at":1793000060,"expires_at":1793086400,"prompt":"A fox \"in\" the snow","size":"720x1280","seconds":"4","remixed_from_video_id":null,"error":null,"output":[{"url":"http://gateway/v1/videos/x/content?sig=1"}],"route":"openai-eu"}"#
    );

    let failed = VideoView { error: Some(("moderation_blocked", "Blocked.")), ..view(&sora, State::Failed) };
    insta::assert_snapshot!(
        text(video(&failed)),
        @r#"{"id":"video_0192e3b4c5d6700081920a1b2c3d4e5f","object":"video","model":"sora-2","status":"failed","progress":0,"created_at":1793000000,"completed_at":null,"expires_at":null,"prompt":"A fox \"in\" the snow","size":"720x1280","seconds":"4","remixed_from_video_id":null,"error":{"code":"moderation_blocked","message":"Blocked."}}"#
    );

    for state in State::ALL {
        let shown: Value = serde_json::from_slice(&video(&view(&sora, state))).unwrap();
        assert_eq!(shown.as_object().unwrap().len(), 13, "{state}");
    }
}

#[test]
fn an_empty_page_ends_every_sdks_loop() {
    insta::assert_snapshot!(text(list(&[], false)), @r#"{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}"#);
}

#[test]
fn a_page_says_where_it_begins_and_ends() {
    let sora = ModelName::new("sora-2");
    let second = VideoView { id: id('a'), ..view(&sora, State::Running) };
    let page: Value = serde_json::from_slice(&list(&[view(&sora, State::Completed), second], true)).unwrap();
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    assert_eq!((&page["first_id"], &page["last_id"]), (&page["data"][0]["id"], &page["data"][1]["id"]));
    assert_eq!((&page["has_more"], page.as_object().unwrap().len()), (&Value::Bool(true), 5));
}

#[test]
fn the_smaller_answers_have_the_protocols_shape() {
    let rex: CharacterId = "char_0192e3b4c5d6700081920a1b2c3d4e5f".parse().unwrap();
    let (at, sora) = (Timestamp::from_secs(1_793_000_000), ModelName::new("sora-2"));
    insta::assert_snapshot!(text(deleted(id('f'))), @r#"{"id":"video_0192e3b4c5d6700081920a1b2c3d4e5f","object":"video.deleted","deleted":true}"#);
    insta::assert_snapshot!(text(character_json(rex, "Rex", at)), @r#"{"id":"char_0192e3b4c5d6700081920a1b2c3d4e5f","name":"Rex","created_at":1793000000}"#);
    insta::assert_snapshot!(text(model(&sora, at)), @r#"{"id":"sora-2","object":"model","created":1793000000,"owned_by":"filmgate"}"#);
    insta::assert_snapshot!(text(models([&sora], at)), @r#"{"object":"list","data":[{"id":"sora-2","object":"model","created":1793000000,"owned_by":"filmgate"}]}"#);
}

#[test]
fn a_status_reads_like_the_protocol() {
    assert_eq!(serde_json::to_string(&PublicStatus::InProgress).unwrap(), "\"in_progress\"");
}
