//! Golden exchanges: per dialect, every request that it writes and its reading of recorded replies.
//!
//! `requests.snap` shows the former on one page. A reply is a file named
//! `<question>.<what it is>.<status>.<extension>`; `readings.snap` shows what became of each.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use http::{Request, Response};
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_oneof, proptest};

use super::{
    AskError, Call, Credential, Endpoint, Handle, PROVIDERS, Phase, Proof, Provider, Submission, SubmissionOrigin, SubmissionSource,
    Unsupported, Variant, by_name,
};
use crate::secret::Secret;
use crate::video::{Extra, Extras, MediaType, Reference, Seconds, Size, Upload};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/provider");

#[test]
fn every_dialect_is_found_by_its_own_name_only() {
    let names: Vec<_> = PROVIDERS.iter().map(|provider| provider.name()).collect();
    assert_eq!(names, ["openai", "azure", "cometapi", "openai_compatible", "simulator"]);
    for name in names {
        assert_eq!(by_name(name).map(|provider| provider.name()), Some(name));
    }
    assert!(by_name("").is_none() && by_name("OpenAI").is_none());
}

#[test]
fn every_dialect_writes_the_requests_it_always_wrote() {
    for provider in PROVIDERS {
        golden(*provider, "requests", &requests(*provider));
    }
}

#[test]
fn every_dialect_reads_recorded_replies_as_it_always_did() {
    for provider in PROVIDERS {
        golden(*provider, "readings", &readings(*provider));
    }
}

fn golden(provider: &dyn Provider, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("{FIXTURES}/{}", provider.name()));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn requests(provider: &dyn Provider) -> String {
    let (endpoint, key) = (endpoint(provider), Secret::new("test-key"));
    let proof = &Proof::Key(&key);
    let job = Handle { upstream_id: "up/../1", result_url: None };
    let mut page = String::new();
    for (title, submission) in submissions() {
        show(&mut page, title, provider.submit(&endpoint, proof, &submission).map(|call| call.request));
    }
    let clip = upload(MediaType::Mp4, "CLIP");
    show(&mut page, "a character", provider.create_character(&endpoint, proof, "Ada", &clip).map(|call| call.request));
    show(&mut page, "a poll", Ok(provider.progress(&endpoint, proof, job).request));
    let list = |after| provider.list(&endpoint, proof, after).map(|call| call.request).ok_or(Unsupported("no list"));
    show(&mut page, "the newest jobs", list(None));
    show(&mut page, "the jobs after one", list(Some("up&1")));
    let delete = provider.delete(&endpoint, proof, job).map(|call| call.request);
    show(&mut page, "a deletion", delete.ok_or(Unsupported("no deletion")));
    for variant in Variant::ALL {
        let download = provider.content(&endpoint, proof, job, variant, Some("bytes=0-1"));
        show(&mut page, variant.as_str(), download.map(|download| download.request));
    }
    show(&mut page, "a ping", Ok(provider.ping(&endpoint, proof).request));
    page
}

fn submissions() -> Vec<(&'static str, Submission<'static>)> {
    let plain = Submission {
        model: "sora-2",
        prompt: "A cat — \"purring\".\r\nIn the rain.",
        seconds: Seconds::DEFAULT,
        size: Size::DEFAULT,
        reference: None,
        characters: &[],
        origin: SubmissionOrigin::Create,
        extras: Box::leak(Box::default()),
        callback_url: None,
    };
    let extras: &'static Extras = Box::leak(Box::new(Extras::from([
        ("cfg_scale".to_owned(), Extra::Number("7.5".to_owned())),
        ("loop".to_owned(), Extra::Flag(true)),
        ("negative_prompt".to_owned(), Extra::Text("no \"dogs\"".to_owned())),
        ("seed".to_owned(), Extra::Number("42".to_owned())),
    ])));
    let picture: &'static Reference = Box::leak(Box::new(Reference::Upload(upload(MediaType::Png, "PICTURE"))));
    let address: &'static Reference = Box::leak(Box::new(Reference::ImageUrl("https://example.com/a.png".to_owned())));
    let file: &'static Reference = Box::leak(Box::new(Reference::FileId("file-1".to_owned())));
    let characters: &'static [String] = Box::leak(Box::new(["char_1".to_owned(), "char_2".to_owned()]));
    let clip: &'static Upload = Box::leak(Box::new(upload(MediaType::Mp4, "CLIP")));
    let from = |origin| Submission { origin, ..plain.clone() };
    vec![
        ("a clip", plain.clone()),
        ("a clip from a picture", Submission { reference: Some(picture), ..plain.clone() }),
        ("a clip from an address", Submission { reference: Some(address), ..plain.clone() }),
        ("a clip from a file id", Submission { reference: Some(file), ..plain.clone() }),
        ("a clip with characters", Submission { characters, ..plain.clone() }),
        ("a remix", from(SubmissionOrigin::Remix("up/1"))),
        ("an edit", from(SubmissionOrigin::Edit(SubmissionSource::Id("up/1")))),
        ("an edit of an upload", from(SubmissionOrigin::Edit(SubmissionSource::Upload(clip)))),
        ("an extension", from(SubmissionOrigin::Extend(SubmissionSource::Id("up/1")))),
        ("a clip with extras", Submission { extras, ..plain.clone() }),
        ("a remix with extras", Submission { extras, ..from(SubmissionOrigin::Remix("up/1")) }),
        ("an edit with extras", Submission { extras, ..from(SubmissionOrigin::Edit(SubmissionSource::Id("up/1"))) }),
    ]
}

fn show(page: &mut String, title: &str, request: Result<Request<Bytes>, Unsupported>) {
    writeln!(page, "──── {title} ────").unwrap();
    match request {
        Err(unsupported) => writeln!(page, "unsupported: {unsupported}\n").unwrap(),
        Ok(request) => {
            writeln!(page, "{} {}", request.method(), request.uri()).unwrap();
            for (name, value) in request.headers() {
                writeln!(page, "{name}: {}", value.to_str().unwrap()).unwrap();
            }
            writeln!(page, "\n{}", String::from_utf8_lossy(request.body()).replace("\r\n", "␍\n")).unwrap();
        }
    }
}

fn readings(provider: &dyn Provider) -> String {
    let folder = PathBuf::from(FIXTURES).join(provider.name());
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{} has no folder of fixtures: {error}", provider.name()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".snap") && !name.ends_with(".snap.new"))
        .collect();
    files.sort();
    assert!(files.len() >= 3, "{} has hardly any recorded replies", folder.display());

    let mut page = String::new();
    for file in files {
        let parts: Vec<_> = file.split('.').collect();
        let [question, _, status, _] = parts[..] else { panic!("{file} is not named <question>.<what>.<status>.<extension>") };
        let mut reply = Response::new(Bytes::from(fs::read(folder.join(&file)).unwrap()));
        *reply.status_mut() = status.parse().unwrap();
        writeln!(page, "──── {file} ────\n{}\n", reading(provider, question, reply)).unwrap();
    }
    page
}

fn reading(provider: &dyn Provider, question: &str, reply: Response<Bytes>) -> String {
    let endpoint = endpoint(provider);
    let job = Handle { upstream_id: "up_1", result_url: None };
    match question {
        "submit" => format!("{:?}", (submit(provider, &endpoint).read)(reply)),
        "progress" => format!("{:?}", (provider.progress(&endpoint, &Proof::None, job).read)(reply)),
        "list" => format!("{:?}", (provider.list(&endpoint, &Proof::None, None).expect("it lists").read)(reply)),
        "delete" => format!("{:?}", (provider.delete(&endpoint, &Proof::None, job).expect("it deletes").read)(reply)),
        "character" => {
            let clip = upload(MediaType::Mp4, "CLIP");
            let call = provider.create_character(&endpoint, &Proof::None, "Ada", &clip).expect("it makes characters");
            format!("{:?}", (call.read)(reply))
        }
        other => panic!("nobody asks {other:?}"),
    }
}

fn submit(provider: &dyn Provider, endpoint: &Endpoint) -> Call<Result<super::Accepted, super::SubmitError>> {
    let (_, plain) = submissions().swap_remove(0);
    provider.submit(endpoint, &Proof::None, &plain).expect("everybody makes clips")
}

fn upload(media_type: MediaType, text: &'static str) -> Upload {
    Upload { media_type, bytes: Bytes::from_static(text.as_bytes()) }
}

fn endpoint(provider: &dyn Provider) -> Endpoint {
    let base_url = provider.default_base_url().unwrap_or("https://upstream.example/v1").to_owned();
    Endpoint { base_url, credential: Credential::None }
}

/// Bodies that are nearly right: the members that dialects look at, with values of every kind.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("\"\"".to_owned()),
        Just("\"..\"".to_owned()),
        Just("\"task_1\"".to_owned()),
        Just("\"https://cdn.example/a.mp4\"".to_owned()),
        Just("\"SUCCESS\"".to_owned()),
        Just("\"failed\"".to_owned()),
        Just("{\"id\":\"inner\",\"code\":500,\"cost\":1e9,\"data\":[]}".to_owned()),
        Just("[{\"url\":7},\"http://[\"]".to_owned()),
        any::<f64>().prop_map(|n| if n.is_finite() { format!("{n:e}") } else { "-0".to_owned() }),
        any::<i64>().prop_map(|n| n.to_string()),
        ".{0,600}".prop_map(|text: String| serde_json::json!(text).to_string()),
    ];
    let name = proptest::sample::select(
        "id task_id status progress data error output url fail_reason cost usage expires_at created_at detail message code has_more last_id \
         model metadata"
            .split(' ')
            .collect::<Vec<_>>(),
    );
    let member = (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let object = proptest::collection::vec(member, 0..8).prop_map(|members| format!("{{{}}}", members.join(",")).into_bytes());
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), object]
}

proptest! {
    #[test]
    fn no_reply_is_fatal_and_none_is_taken_for_an_acceptance_without_an_id(body in bodies(), status in 200u16..600) {
        let reply = || {
            let mut reply = Response::new(Bytes::from(body.clone()));
            *reply.status_mut() = http::StatusCode::from_u16(status).unwrap();
            reply
        };
        for provider in PROVIDERS {
            let endpoint = endpoint(*provider);
            let job = Handle { upstream_id: "up_1", result_url: None };
            if let Ok(accepted) = (submit(*provider, &endpoint).read)(reply()) {
                let id = accepted.upstream_id;
                prop_assert!((200..300).contains(&status));
                prop_assert!((1..=512).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()));
            }
            let progress = (provider.progress(&endpoint, &Proof::None, job).read)(reply());
            prop_assert!(!matches!(progress, Err(AskError::Refused(_))), "a poll ends nothing by being refused");
            if let Ok(progress) = progress {
                prop_assert!(progress.percent.is_none_or(|percent| percent <= 100));
                prop_assert!(progress.raw_status.chars().count() <= 40);
                prop_assert!(progress.reported_cost.is_none_or(|cost| !cost.is_negative()));
                let is_failed = matches!(progress.phase, Phase::Failed { .. });
                prop_assert!(status < 300 || is_failed, "an error status tells of nothing but a failure");
                if let Some(url) = progress.result_url.as_deref() {
                    let job = Handle { upstream_id: "up_1", result_url: Some(url) };
                    let _ = provider.content(&endpoint, &Proof::None, job, Variant::Video, None);
                }
            }
            if let Some(call) = provider.list(&endpoint, &Proof::None, Some("up_1")) {
                let _ = (call.read)(reply());
            }
            if let Some(call) = provider.delete(&endpoint, &Proof::None, job) {
                prop_assert!((call.read)(reply()).is_err() || status < 300);
            }
            let _ = (provider.ping(&endpoint, &Proof::None).read)(reply());
        }
    }
}
