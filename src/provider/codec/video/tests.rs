use super::{percent, progress};
use crate::money::MicroUsd;
use crate::provider::codec::Object;
use crate::provider::{Phase, Progress, cometapi, openai, openai_compatible};

fn compatible(json: &str) -> Progress {
    progress(&openai_compatible::PROFILE, &Object::parse(json.as_bytes()).unwrap()).unwrap()
}

#[test]
fn progress_is_a_percentage_however_it_is_written() {
    for (text, expected) in [("0", 0), ("42", 42), ("42.7", 42), ("42%", 42), (" 42 % ", 42), ("100%", 100), ("250", 100), ("-0", 0)] {
        assert_eq!(percent(text), Some(expected), "{text:?}");
    }
    for text in ["", "%", "-1", "half", "1e2", "NaN", "4 2"] {
        assert_eq!(percent(text), None, "{text:?}");
    }
}

#[test]
fn a_reported_cost_is_exact_or_absent() {
    let cost = |written: &str| compatible(&format!(r#"{{"status":"completed","cost":{written}}}"#)).reported_cost;
    for (written, microusd) in
        [("0", 0), ("0.80", 800_000), ("0.1", 100_000), ("0.000001", 1), ("0.30000000000000000000", 300_000), ("12", 12_000_000)]
    {
        assert_eq!(cost(written), Some(MicroUsd::new(microusd)), "{written}");
    }
    for written in
        ["-1", "-0.01", "1e3", "8E-1", "0.0000001", "0.30000000000000004", "99999999999999999999", "null", "\"0.80\"", "{}", "true"]
    {
        assert_eq!(cost(written), None, "{written}");
    }
}

#[test]
fn a_cost_counts_at_the_end_and_where_it_is_in_dollars() {
    let body = r#"{"status":"in_progress","cost":0.8,"usage":{"cost":0.8}}"#;
    assert_eq!(compatible(body).reported_cost, None);
    let failed = compatible(r#"{"status":"failed","usage":{"cost":0.8}}"#);
    assert_eq!(failed.reported_cost, Some(MicroUsd::new(800_000)));
    let body = r#"{"status":"completed","cost":0.8}"#;
    for profile in [openai::PROFILE, cometapi::PROFILE] {
        let told = progress(&profile, &Object::parse(body.as_bytes()).unwrap()).unwrap();
        assert_eq!(told.reported_cost, None, "{}", profile.name);
    }
}

#[test]
fn the_address_of_the_bytes_is_found_wherever_it_is() {
    for body in [
        r#"{"status":"completed","video_url":"https://c/v"}"#,
        r#"{"status":"completed","url":"https://c/v"}"#,
        r#"{"status":"SUCCESS","result_url":"https://c/v","fail_reason":"https://c/old"}"#,
        r#"{"status":"SUCCESS","fail_reason":"https://c/v"}"#,
        r#"{"status":"succeeded","output":["https://c/v","https://c/w"]}"#,
        r#"{"status":"completed","output":[{"type":"video","url":"https://c/v"}]}"#,
        r#"{"status":"completed","output":"https://c/v"}"#,
        r#"{"status":"completed","output":{"video_url":"https://c/v"}}"#,
        r#"{"status":"completed","metadata":{"url":"https://c/v"}}"#,
        r#"{"status":"completed","output":[],"data":{"data":{"video_url":"https://c/v"}}}"#,
    ] {
        assert_eq!(compatible(body).result_url.as_deref(), Some("https://c/v"), "{body}");
    }
}

#[test]
fn what_is_no_address_of_a_finished_clip_is_left_alone() {
    let long = format!(r#"{{"status":"completed","url":"https://c/{}"}}"#, "v".repeat(9_000));
    for body in [
        r#"{"status":"in_progress","url":"https://c/v"}"#,
        r#"{"status":"failed","fail_reason":"https://c/v"}"#,
        r#"{"status":"completed","url":"/v1/videos/1/content"}"#,
        r#"{"status":"completed","url":"data:video/mp4;base64,AA=="}"#,
        r#"{"status":"completed","url":"gs://bucket/v"}"#,
        r#"{"status":"completed","fail_reason":""}"#,
        r#"{"status":"completed","data":{"data":{"data":{"url":"https://c/too-deep"}}}}"#,
        &long,
    ] {
        assert_eq!(compatible(body).result_url, None, "{body:.80}");
    }
}

#[test]
fn a_failure_has_a_public_code_and_a_message() {
    for (body, code, message) in [
        (r#"{"status":"failed","error":{"code":"moderation_blocked","message":"m"}}"#, "moderation_blocked", "m"),
        (r#"{"status":"failed","error":{"code":"content_policy_violation","message":"m"}}"#, "moderation_blocked", "m"),
        (r#"{"status":"failed","error":{"code":"out_of_frames","message":"m"}}"#, "out_of_frames", "m"),
        (r#"{"status":"failed","error":{"code":500,"message":"m"}}"#, "video_generation_failed", "m"),
        (r#"{"status":"failed","error":"m"}"#, "video_generation_failed", "m"),
        (r#"{"status":"FAILURE","error":null,"fail_reason":"m"}"#, "video_generation_failed", "m"),
        (r#"{"status":"canceled","error":{"code":"user","message":"m"}}"#, "cancelled", "m"),
        (r#"{"status":"expired"}"#, "expired", "The provider gave the video up because it was not made in time."),
        (r#"{"status":"failed","error":{}}"#, "video_generation_failed", "The provider could not make the video and did not say why."),
    ] {
        let expected = Phase::Failed { code: code.to_owned(), message: message.to_owned() };
        assert_eq!(compatible(body).phase, expected, "{body}");
    }
}

#[test]
fn the_status_of_an_envelope_is_not_the_status_of_the_job() {
    for (body, phase) in [
        (r#"{"status":"success","data":{"task_id":"t","status":"processing"}}"#, Phase::Running),
        (r#"{"code":"success","data":{"task_id":"t","status":"QUEUED"}}"#, Phase::Queued),
        (r#"{"id":"t","status":"processing","data":{"id":"raw","status":"succeeded"}}"#, Phase::Running),
        (r#"{"status":"completed","data":{"video_url":"https://c/v"}}"#, Phase::Completed),
    ] {
        assert_eq!(compatible(body).phase, phase, "{body}");
    }
}
