use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

use super::{deleted, listing, progress, well};
use crate::provider::{AskError, Phase, azure, cometapi, openai, openai_compatible};

fn reply(status: u16, body: &str) -> Response<Bytes> {
    let mut reply = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    reply
}

#[test]
fn a_poll_that_is_not_answered_ends_nothing() {
    for status in (300..600).chain([200, 202, 204]) {
        let told = progress(&openai::PROFILE, &reply(status, "")).unwrap_err();
        let expected = match status {
            401 | 403 => matches!(told, AskError::Credential),
            404 | 410 => matches!(told, AskError::NotFound),
            429 => matches!(told, AskError::RateLimited { retry_after_secs: None }),
            _ => matches!(told, AskError::Transient(_)),
        };
        assert!(expected, "{status} {told:?}");
    }
}

#[test]
fn only_self_hosted_servers_tell_of_failed_jobs_with_an_error() {
    let body = r#"{"id":"v","status":"failed","error":{"code":500,"message":"out of memory"}}"#;
    for status in [400, 422, 500, 503] {
        let told = progress(&openai_compatible::PROFILE, &reply(status, body)).unwrap();
        assert_eq!(told.phase, Phase::Failed { code: "video_generation_failed".to_owned(), message: "out of memory".to_owned() });
        for profile in [openai::PROFILE, azure::PROFILE, cometapi::PROFILE] {
            assert!(progress(&profile, &reply(status, body)).is_err(), "{} {status}", profile.name);
        }
    }
    for body in [r#"{"id":"v","status":"in_progress"}"#, r#"{"id":"v","status":"completed"}"#, r#"{"status":"error","message":"oops"}"#] {
        assert!(progress(&openai_compatible::PROFILE, &reply(500, body)).is_err(), "{body}");
    }
}

#[test]
fn a_relay_that_does_not_know_a_job_says_so_in_its_own_way() {
    for body in [r#"{"code":"task_not_exist","message":"m","data":null}"#, r#"{"error":{"code":"task_not_exist","message":"m"}}"#] {
        for status in [200, 400] {
            assert_eq!(progress(&cometapi::PROFILE, &reply(status, body)), Err(AskError::NotFound), "{status} {body}");
        }
    }
}

#[test]
fn a_page_of_a_list_is_read_whole_or_not_at_all() {
    let job = r#"{"id":"a","created_at":1,"model":"sora-2","status":"queued"}"#;
    let page = |items: &str, rest: &str| listing(&openai::PROFILE, Some("z"), &reply(200, &format!(r#"{{"data":[{items}]{rest}}}"#)));
    assert_eq!(page(job, "").unwrap().jobs.len(), 1);
    for broken in [
        "7",
        "{}",
        r#"{"created_at":1,"model":"sora-2","status":"queued"}"#,
        r#"{"id":"a","model":"sora-2","status":"queued"}"#,
        r#"{"id":"a","created_at":1,"status":"queued"}"#,
        r#"{"id":"a","created_at":1,"model":"sora-2"}"#,
    ] {
        assert!(matches!(page(&format!("{job},{broken}"), ""), Err(AskError::Transient(_))), "{broken}");
    }
}

#[test]
fn a_list_goes_on_until_it_says_that_it_ends() {
    let job = r#"{"id":"a","created_at":1,"model":"sora-2","status":"queued"}"#;
    let next = |body: &str| listing(&openai::PROFILE, Some("z"), &reply(200, body)).map(|page| page.next);
    for (body, expected) in [
        (format!(r#"{{"data":[{job}],"has_more":true,"last_id":"b"}}"#), Some("b")),
        (format!(r#"{{"data":[{job}],"has_more":true,"last_id":null}}"#), Some("a")),
        (format!(r#"{{"data":[{job}]}}"#), Some("a")),
        (format!(r#"{{"data":[{job}],"has_more":false,"last_id":"a"}}"#), None),
        (r#"{"data":[]}"#.to_owned(), None),
    ] {
        assert_eq!(next(&body), Ok(expected.map(str::to_owned)), "{body}");
    }
    let goes_in_circles = format!(r#"{{"data":[{job}],"has_more":true,"last_id":"z"}}"#);
    for body in [r#"{"data":[],"has_more":true,"last_id":null}"#, r#"{"error":"x"}"#, "[]", &goes_in_circles] {
        assert!(matches!(next(body), Err(AskError::Transient(_))), "{body}");
    }
}

#[test]
fn a_deletion_is_done_refused_or_tried_again() {
    assert_eq!(deleted(&reply(200, "")), Ok(()));
    assert_eq!(deleted(&reply(204, "")), Ok(()));
    assert_eq!(deleted(&reply(404, "")), Err(AskError::NotFound));
    for status in [400, 405, 409, 422, 501] {
        assert!(matches!(deleted(&reply(status, "")), Err(AskError::Refused(_))), "{status}");
    }
    for status in [302, 500, 503] {
        assert!(matches!(deleted(&reply(status, "")), Err(AskError::Transient(_))), "{status}");
    }
}

#[test]
fn an_upstream_is_well_if_it_answers_us() {
    for status in [200, 204, 404, 405] {
        assert_eq!(well(&reply(status, "")), Ok(None), "{status}");
    }
    assert_eq!(well(&reply(401, "")), Err(AskError::Credential));
    let mut busy = reply(429, "");
    busy.headers_mut().insert("retry-after", HeaderValue::from_static("5"));
    assert_eq!(well(&busy), Err(AskError::RateLimited { retry_after_secs: Some(5) }));
    for status in [301, 500, 503] {
        assert!(matches!(well(&reply(status, "")), Err(AskError::Transient(_))), "{status}");
    }
}

#[test]
fn an_upstream_that_lists_its_models_names_them_all_or_none() {
    for (body, names) in [
        (r#"{"object":"list","data":[{"id":"sora-2","object":"model"},{"id":"veo3"}]}"#, Some(vec!["sora-2", "veo3"])),
        (r#"{"data":[]}"#, Some(vec![])),
        (r#"{"data":[{"id":"sora-2"},{"name":"veo3"}]}"#, None),
        (r#"{"data":[{"id":"sora-2"}],"has_more":true}"#, None),
        (r#"{"models":["sora-2"]}"#, None),
        ("pong", None),
    ] {
        let names = names.map(|names| names.into_iter().map(str::to_owned).collect());
        assert_eq!(well(&reply(200, body)), Ok(names), "{body}");
    }
}
