use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

use super::{Brings, accepted};
use crate::provider::codec::Profile;
use crate::provider::{Accepted, RefusedReason, SubmitError, azure, cometapi, openai, openai_compatible};

const PROFILES: [Profile; 4] = [openai::PROFILE, azure::PROFILE, cometapi::PROFILE, openai_compatible::PROFILE];

fn reply(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    reply
}

fn nothing() -> Brings {
    Brings::Nothing { model: "sora-2".into() }
}

fn read(profile: &Profile, status: u16, body: &str) -> Result<Accepted, SubmitError> {
    accepted(profile, &nothing(), &reply(status, body.to_owned()))
}

fn reason(profile: &Profile, status: u16, body: &str) -> Option<RefusedReason> {
    match read(profile, status, body) {
        Err(SubmitError::Refused { reason, .. }) => Some(reason),
        _ => None,
    }
}

#[test]
fn every_status_without_a_word_has_the_same_meaning_everywhere() {
    for profile in PROFILES {
        for status in 200..600 {
            let expected = match status {
                401 | 403 => Some(RefusedReason::Credential),
                402 => Some(RefusedReason::Quota),
                404 | 405 => Some(RefusedReason::Unavailable),
                410 => Some(RefusedReason::ModelGone),
                429 => Some(RefusedReason::RateLimited),
                _ => None,
            };
            for body in ["", "{}", "<html></html>", "[]", "null"] {
                assert_eq!(reason(&profile, status, body), expected, "{} {status} {body}", profile.name);
                let is_rejected = matches!(read(&profile, status, body), Err(SubmitError::Rejected(_)));
                assert_eq!(is_rejected, matches!(status, 400 | 413 | 415 | 422), "{} {status} {body}", profile.name);
                let is_unclear = matches!(read(&profile, status, body), Err(SubmitError::Unclear(_)));
                assert_eq!(is_unclear, expected.is_none() && !is_rejected, "{} {status} {body}", profile.name);
            }
        }
    }
}

#[test]
fn every_success_with_an_id_is_accepted() {
    for profile in PROFILES {
        for status in [200, 201, 202, 203, 299] {
            let accepted = read(&profile, status, r#"{"id":"video_1"}"#).unwrap();
            assert_eq!((accepted.upstream_id.as_str(), accepted.progress), ("video_1", None), "{} {status}", profile.name);
        }
    }
}

#[test]
fn a_success_that_names_no_id_we_could_ask_about_is_unclear() {
    let long = format!(r#"{{"id":"{}"}}"#, "a".repeat(513));
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested_member = format!(r#"{{"id":{nested}}}"#);
    let cases = [
        "",
        "<html>hello</html>",
        r#"{"id":"vid"#,
        r#"{"object":"video"}"#,
        r#"{"id":null}"#,
        r#"{"id":7}"#,
        r#"{"id":""}"#,
        r#"{"id":"a b"}"#,
        r#"{"id":"a\nb"}"#,
        r#"{"id":"vidéo"}"#,
        r#"{"id":["a"]}"#,
        r#"["video_1"]"#,
        r#""video_1""#,
        &long,
        &nested,
        &nested_member,
    ];
    for profile in PROFILES {
        for body in cases {
            let told = read(&profile, 200, body);
            assert!(matches!(told, Err(SubmitError::Unclear(_))), "{} {:.40} {told:?}", profile.name, body);
        }
        let not_utf8 = accepted(&profile, &nothing(), &reply(200, &b"{\"id\":\"video_1\xff\"}"[..]));
        assert!(matches!(not_utf8, Err(SubmitError::Unclear(_))), "{}", profile.name);
    }
}

#[test]
fn an_id_is_taken_as_it_is_however_hostile() {
    for id in ["..", "a/../../b", "?#%00", "~".repeat(512).as_str()] {
        let body = serde_json::json!({ "id": id }).to_string();
        assert_eq!(read(&openai::PROFILE, 200, &body).unwrap().upstream_id, id);
    }
}

#[test]
fn nesting_beside_the_id_does_no_harm() {
    let body = format!(r#"{{"data":{}1{},"id":"video_1"}}"#, "{\"data\":".repeat(50_000), "}".repeat(50_000));
    for profile in PROFILES {
        assert_eq!(read(&profile, 200, &body).unwrap().upstream_id, "video_1", "{}", profile.name);
    }
}

#[test]
fn an_id_is_found_in_an_envelope_and_beside_a_complaint() {
    for (body, id) in [
        (r#"{"code":"success","data":{"id":17,"task_id":"inner"}}"#, "inner"),
        (r#"{"status":"success","data":{"task_id":"inner","status":"SUBMITTED"}}"#, "inner"),
        (r#"{"status":"success","data":{"task_id":"inner"}}"#, "inner"),
        (r#"{"id":"outer","data":{"status":"SUBMITTED"}}"#, "outer"),
        (r#"{"id":"outer","status":"queued","data":{"id":"raw","status":"submitted"}}"#, "outer"),
        (r#"{"id":"outer","error":""}"#, "outer"),
        // It may have been taken: asking about it costs nothing, asking somebody else may.
        (r#"{"id":"outer","error":{"code":"model_not_found","message":"m"}}"#, "outer"),
    ] {
        assert_eq!(read(&cometapi::PROFILE, 200, body).unwrap().upstream_id, id, "{body}");
    }
}

#[test]
fn a_code_tells_more_than_the_status() {
    use RefusedReason::{ModelGone, Quota};

    let error = |code: &str| format!(r#"{{"error":{{"message":"m","type":"t","param":null,"code":"{code}"}}}}"#);
    for profile in PROFILES {
        for status in [400, 401, 403, 404, 405, 422, 429] {
            assert_eq!(reason(&profile, status, &error("model_not_found")), Some(ModelGone), "{status}");
            assert_eq!(reason(&profile, status, &error("DeploymentNotFound")), Some(ModelGone), "{status}");
            for code in ["insufficient_quota", "billing_hard_limit_reached", "credit_balance_exhausted", "project_spend_limit_exceeded"] {
                assert_eq!(reason(&profile, status, &error(code)), Some(Quota), "{status} {code}");
            }
        }
        assert_eq!(reason(&profile, 429, r#"{"error":{"message":"m","type":"insufficient_quota","code":null}}"#), Some(Quota));
        assert_eq!(reason(&profile, 429, &error("rate_limit_exceeded")), Some(RefusedReason::RateLimited));
        for status in [408, 409, 500, 502, 504] {
            assert_eq!(reason(&profile, status, &error("model_not_found")), None, "{status} says nothing for certain");
        }
    }
}

#[test]
fn only_a_word_about_the_model_or_none_at_all_takes_the_model_out() {
    use RefusedReason::{InputGone, ModelGone, Quota};

    let error = |code: &str, param: &str, message: &str| format!(r#"{{"error":{{"code":{code},"param":{param},"message":"{message}"}}}}"#);
    let of_input = error(r#""file_expired""#, r#""input_reference""#, "The file has expired.");
    let matrix = [
        // What was said, and what it means of a wish that brings nothing, and of one that brings something.
        (String::new(), ModelGone, InputGone),
        ("{}".to_owned(), ModelGone, InputGone),
        ("<html>Gone</html>".to_owned(), ModelGone, InputGone),
        (error("null", "null", "The Videos API has been shut down."), ModelGone, InputGone),
        (error("null", r#""model""#, "m"), ModelGone, ModelGone),
        (error(r#""model_not_found""#, "null", "m"), ModelGone, ModelGone),
        (error(r#""model_gone""#, "null", "m"), ModelGone, ModelGone),
        (error(r#""model_deprecated""#, "null", "m"), ModelGone, ModelGone),
        (error(r#""ModelDeprecated""#, "null", "m"), ModelGone, ModelGone),
        (error(r#""DeploymentNotFound""#, "null", "m"), ModelGone, ModelGone),
        (error(r#""gone""#, "null", "sora-2-2025 was retired in spring."), ModelGone, InputGone),
        (error(r#""gone""#, "null", "sora-2-2025-10 was retired in spring."), InputGone, InputGone),
        (error(r#""gone""#, "null", "It was retired."), InputGone, InputGone),
        (error(r#""file_expired""#, "null", "m"), InputGone, InputGone),
        (error("null", r#""characters""#, "sora-2-2025 has no such character."), InputGone, InputGone),
        (of_input.clone(), InputGone, InputGone),
        (error(r#""insufficient_quota""#, "null", "m"), Quota, Quota),
    ];
    let bare = Brings::Nothing { model: "sora-2-2025".into() };
    for profile in PROFILES {
        for (body, of_nothing, of_something) in &matrix {
            for (brings, expected) in [(&bare, of_nothing), (&Brings::Something, of_something)] {
                let told = accepted(&profile, brings, &reply(410, body.clone()));
                let Err(SubmitError::Refused { reason, .. }) = told else { panic!("{told:?}") };
                assert_eq!(reason, *expected, "{} {body} {brings:?}", profile.name);
            }
        }
        for status in [404, 405] {
            assert_eq!(reason(&profile, status, &of_input), Some(InputGone), "{} {status}", profile.name);
        }
    }
}

#[test]
fn too_many_jobs_is_not_too_many_requests() {
    let busy = r#"{"error":{"message":"Too many running tasks","type":"video_generation_user_error","code":null}}"#;
    assert_eq!(reason(&azure::PROFILE, 429, busy), Some(RefusedReason::TooManyJobs));
    // Elsewhere the words may be the prompt's.
    assert_eq!(reason(&azure::PROFILE, 400, busy), None);
}

#[test]
fn only_a_relay_without_a_channel_refuses_with_a_503() {
    let body = |code: &str, message: &str| format!(r#"{{"error":{{"message":"{message}","type":"comet_api_error","code":"{code}"}}}}"#);
    let no_channel = body("model_not_found", "No available channel for model sora-2 under group default (distributor)");
    for (profile, narrows) in PROFILES.iter().zip([false, false, true, true]) {
        let expected = narrows.then_some(RefusedReason::ModelGone);
        assert_eq!(reason(profile, 503, &no_channel), expected, "{}", profile.name);
        assert_eq!(reason(profile, 503, &body("model_not_found", "try again")), None);
        assert_eq!(reason(profile, 503, &body("internal", "no available channel")), None);
        assert_eq!(reason(profile, 500, &no_channel), None);
    }
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let mut reply = reply(429, "");
    reply.headers_mut().insert("retry-after", HeaderValue::from_static("30"));
    let told = accepted(&openai::PROFILE, &nothing(), &reply);
    assert!(matches!(told, Err(SubmitError::Refused { retry_after_secs: Some(30), .. })), "{told:?}");
}

#[test]
fn a_rejection_is_mirrored_without_the_key_it_may_quote() {
    let body =
        r#"{"error":{"message":"Bad header: Bearer sk-abc123","type":"invalid_request_error","param":"size","code":"invalid_value"}}"#;
    let Err(SubmitError::Rejected(rejection)) = read(&openai::PROFILE, 400, body) else { panic!("a 400 rejects the wish") };
    assert_eq!(rejection.status, StatusCode::BAD_REQUEST);
    assert_eq!((rejection.code.as_deref(), rejection.param.as_deref()), (Some("invalid_value"), Some("size")));
    assert_eq!(rejection.message, "Bad header: Bearer ***");
}
