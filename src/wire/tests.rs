//! Wishes from end to end: what real clients send, what is forgiven, and what is refused by which name.

mod recorded;
mod same_wish;

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::id::{CharacterId, JobId, ModelName};
use crate::video::{EXTRA_CHARS_MAX, Extra, Extras, MediaType, Origin, Reference, Source, Upload, Wish};
use crate::wire::error::{Fault, FaultKind, FormError};
use crate::wire::form::{Form, read_form};
use crate::wire::{self, character, end_user, name_end_user};

use recorded::{Meant, RECORDED};

const JOB: &str = "video_0192e3b4c5d6700081920a1b2c3d4e5f";
const CHARACTER: &str = "char_0192e3b4c5d6700081920a1b2c3d4e5f";
const CHARACTER_2: &str = "char_0192e3b4c5d6700081920a1b2c3d4e60";

/// A PNG of 16 by 16 pixels, as far as its header goes.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x00\x00\x00\x00:\x98\xa0\xbd";
const MP4: &[u8] = b"\0\0\0\x18ftypmp42";

fn read(content_type: &str, body: impl Into<Bytes>) -> Result<Form, Fault> {
    let content_type = Some(content_type).filter(|text| !text.is_empty());
    read_form(content_type, body.into()).now_or_never().expect("a body in memory is read without waiting")
}

fn from_json(value: &Value) -> Form {
    read("application/json", value.to_string()).expect("this JSON is well formed")
}

/// A multipart body; each part is the text after `form-data; ` up to its content, and its content.
fn multipart(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend_from_slice(format!("--X\r\ncontent-disposition: form-data; {head}\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--X--\r\n");
    body
}

fn from_parts(parts: &[(&str, &[u8])]) -> Form {
    read("multipart/form-data; boundary=X", multipart(parts)).expect("these parts are well formed")
}

fn wish(prompt: &str) -> Wish {
    Wish {
        origin: Origin::Create,
        prompt: prompt.to_owned(),
        model: None,
        seconds: None,
        size: None,
        reference: None,
        characters: Vec::new(),
        end_user: None,
        extras: Extras::new(),
    }
}

/// Where nobody takes anything beyond the protocol.
fn create(form: Form) -> Result<Wish, FormError> {
    wire::create(form, &BTreeSet::new())
}

fn remix(source: JobId, form: Form) -> Result<Wish, FormError> {
    wire::remix(source, form, &BTreeSet::new())
}

fn edit(form: Form) -> Result<Wish, FormError> {
    wire::edit(form, &BTreeSet::new())
}

fn extend(form: Form) -> Result<Wish, FormError> {
    wire::extend(form, &BTreeSet::new())
}

fn upload() -> Reference {
    Reference::Upload(Upload { media_type: MediaType::Png, bytes: Bytes::from_static(PNG) })
}

fn job() -> JobId {
    JOB.parse().unwrap()
}

fn characters(ids: &[&str]) -> Vec<CharacterId> {
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

fn fault_of<T: std::fmt::Debug>(result: Result<T, FormError>) -> Fault {
    match result {
        Err(FormError::Fault(fault)) => fault,
        other => panic!("{other:?} is no fault"),
    }
}

#[test]
fn every_sdk_is_understood_as_its_caller_meant() {
    let model = Some(ModelName::new("sora-2"));
    let mut seen = BTreeSet::new();
    for request in RECORDED {
        let form = read(request.content_type, request.body).unwrap();
        let clip = || Source::Upload(Upload { media_type: MediaType::Mp4, bytes: Bytes::from_static(MP4) });
        let (read, meant) = match request.meant {
            Meant::Text => {
                let seconds = "8".parse().ok();
                (create(form), Wish { model: model.clone(), seconds, size: "1280x720".parse().ok(), ..wish("A fox") })
            }
            Meant::NamedFile => {
                let (seconds, size) = ("8".parse().ok(), "16x16".parse().ok());
                (create(form), Wish { model: model.clone(), seconds, size, reference: Some(upload()), ..wish("A fox") })
            }
            Meant::File => (create(form), Wish { reference: Some(upload()), ..wish("A fox") }),
            Meant::FileAndModel => (create(form), Wish { model: model.clone(), reference: Some(upload()), ..wish("A fox") }),
            Meant::Address => {
                let reference = Some(Reference::ImageUrl("https://example.com/a.png".to_owned()));
                (create(form), Wish { model: model.clone(), reference, ..wish("A fox") })
            }
            Meant::OneCharacter => (create(form), Wish { characters: characters(&[CHARACTER]), ..wish("A fox") }),
            Meant::TwoCharacters => (create(form), Wish { characters: characters(&[CHARACTER, CHARACTER_2]), ..wish("A fox") }),
            Meant::Remix => (remix(job(), form), Wish { origin: Origin::Remix(job()), ..wish("At night") }),
            Meant::EditFile => (edit(form), Wish { origin: Origin::Edit(clip()), ..wish("At night") }),
            Meant::EditId => (edit(form), Wish { origin: Origin::Edit(Source::Job(job())), ..wish("At night") }),
            Meant::ExtendId => (extend(form), Wish { origin: Origin::Extend(Source::Job(job())), seconds: "8".parse().ok(), ..wish("On") }),
            Meant::Character => {
                let made = character(form).unwrap();
                assert_eq!((made.name.as_str(), &made.video.bytes[..]), ("Rex", MP4), "{}", request.client);
                seen.insert(request.meant);
                continue;
            }
        };
        assert_eq!(read, Ok(meant), "{} {:?}", request.client, request.meant);
        seen.insert(request.meant);
    }
    assert_eq!(seen.len(), 12, "every meaning was recorded at least once");
}

#[test]
fn a_nested_field_may_be_spelled_in_every_way() {
    let address = Some(Reference::ImageUrl("https://example.com/a.png".to_owned()));
    let prompt: (&str, &[u8]) = ("name=prompt", b"A fox");
    for (name, value) in [
        ("input_reference[image_url]", "https://example.com/a.png"),
        ("input_reference.image_url", "https://example.com/a.png"),
        ("input_reference[][image_url]", "https://example.com/a.png"),
        ("input_reference[]", "https://example.com/a.png"),
        ("input_reference", r#"{"image_url":"https://example.com/a.png"}"#),
        ("input_reference", "https://example.com/a.png"),
        ("image", "https://example.com/a.png"),
        ("image[image_url]", "https://example.com/a.png"),
    ] {
        let form = from_parts(&[prompt, (&format!("name=\"{name}\""), value.as_bytes())]);
        assert_eq!(create(form), Ok(Wish { reference: address.clone(), ..wish("A fox") }), "{name}");
    }

    let two = Wish { characters: characters(&[CHARACTER, CHARACTER_2]), ..wish("A fox") };
    let listed = json!([{ "id": CHARACTER }, { "id": CHARACTER_2 }]).to_string();
    for parts in [
        vec![("characters[][id]", CHARACTER), ("characters[][id]", CHARACTER_2)],
        vec![("characters[].id", CHARACTER), ("characters[].id", CHARACTER_2)],
        vec![("characters", listed.as_str())],
    ] {
        let heads: Vec<String> = parts.iter().map(|(name, _)| format!("name=\"{name}\"")).collect();
        let mut all = vec![prompt];
        all.extend(heads.iter().zip(&parts).map(|(head, (_, value))| (head.as_str(), value.as_bytes())));
        assert_eq!(create(from_parts(&all)), Ok(two.clone()), "{parts:?}");
    }

    let source = Origin::Edit(Source::Job(job()));
    let text = json!({ "id": JOB }).to_string();
    for (name, value) in [("video[id]", JOB), ("video.id", JOB), ("video", text.as_str())] {
        let form = from_parts(&[(&format!("name=\"{name}\""), value.as_bytes()), ("name=prompt", b"At night")]);
        assert_eq!(edit(form), Ok(Wish { origin: source.clone(), ..wish("At night") }), "{name}");
    }
}

#[test]
fn code_written_from_blog_posts_works() {
    let png = format!("data:image/png;base64,{}", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, PNG));
    let bare_png = png.trim_end_matches('=').replace("image/png", "image/jpeg");
    let eight = Wish { seconds: "8".parse().ok(), ..wish("A fox") };
    let pictured = Wish { reference: Some(upload()), ..wish("A fox") };
    let file = Wish { reference: Some(Reference::FileId("file-abc".to_owned())), ..wish("A fox") };

    for (extra, meant) in [
        (json!({ "seconds": 8 }), &eight),
        (json!({ "seconds": "8" }), &eight),
        (json!({ "duration": 8 }), &eight),
        (json!({ "duration": "8", "seconds": null }), &eight),
        (json!({ "image": png }), &pictured),
        (json!({ "input_reference": png }), &pictured),
        (json!({ "input_reference": { "image_url": png, "file_id": null } }), &pictured),
        (json!({ "input_reference": { "image_url": bare_png } }), &pictured),
        (json!({ "input_reference": { "file_id": "file-abc" } }), &file),
        (json!({ "n": 1, "quality": "standard", "metadata": { "a": { "b": [1.5, true] } }, "user": "" }), &wish("A fox")),
        (json!({ "user": "u-17" }), &Wish { end_user: Some("u-17".to_owned()), ..wish("A fox") }),
        (json!({ "model": null, "size": null, "characters": [] }), &wish("A fox")),
    ] {
        let mut whole = json!({ "prompt": "A fox" });
        whole.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        assert_eq!(create(from_json(&whole)).as_ref(), Ok(meant), "{extra}");
    }
}

#[test]
fn an_end_user_may_be_named_by_a_header_and_never_two_different_ones() {
    let named = |said: Option<&str>, header: Option<&str>| {
        let mut wish = Wish { end_user: said.map(str::to_owned), ..wish("A fox") };
        name_end_user(&mut wish, "x-filmgate-user", header.map(str::to_owned)).map(|()| wish.end_user)
    };
    let u = Some("u-17".to_owned());
    assert_eq!(
        [named(None, Some("u-17")), named(Some("u-17"), None), named(Some("u-17"), Some("u-17"))],
        [Ok(u.clone()), Ok(u.clone()), Ok(u)]
    );
    let fault = named(Some("u-17"), Some("u-18")).unwrap_err();
    assert_eq!((fault.param.as_deref(), fault.code), (Some("user"), Some("invalid_value")));

    let read = |values: &[&[u8]]| end_user("x-filmgate-user", values.iter());
    assert_eq!([read(&[]), read(&[b""]), read(&["zoë".as_bytes()])], [Ok(None), Ok(None), Ok(Some("zoë".to_owned()))]);
    for bad in [&[&b"\xff"[..]][..], &[b"a\tb"], &[b"a", b"a"], &[&[b'u'; 257]]] {
        assert_eq!(read(bad).unwrap_err().param.as_deref(), Some("x-filmgate-user"), "{bad:?}");
    }
}

#[test]
fn a_bad_field_is_refused_by_its_name() {
    let long = "é".repeat(32_001);
    let name_101 = "m".repeat(101);
    let id = json!({ "id": CHARACTER });
    let elf = "data:image/png;base64,f0VMRgIBAQA=";
    let mp4 = "data:image/png;base64,AAAAGGZ0eXBtcDQy";
    for (extra, param, code) in [
        (json!({ "prompt": null }), "prompt", "missing_required_parameter"),
        (json!({ "prompt": "" }), "prompt", "empty_string"),
        (json!({ "prompt": " \n\t\u{3000}" }), "prompt", "empty_string"),
        (json!({ "prompt": long }), "prompt", "string_above_max_length"),
        (json!({ "prompt": "a\0b" }), "prompt", "invalid_value"),
        (json!({ "prompt": 7 }), "prompt", "invalid_type"),
        (json!({ "prompt": ["a fox"] }), "prompt", "invalid_type"),
        (json!({ "model": "" }), "model", "invalid_value"),
        (json!({ "model": "sora 2" }), "model", "invalid_value"),
        (json!({ "model": "söra-2" }), "model", "invalid_value"),
        (json!({ "model": name_101 }), "model", "invalid_value"),
        (json!({ "model": 2 }), "model", "invalid_type"),
        (json!({ "seconds": "4.0" }), "seconds", "invalid_value"),
        (json!({ "seconds": "8s" }), "seconds", "invalid_value"),
        (json!({ "seconds": "٤" }), "seconds", "invalid_value"),
        (json!({ "seconds": "-4" }), "seconds", "invalid_value"),
        (json!({ "seconds": -4 }), "seconds", "invalid_value"),
        (json!({ "seconds": 0 }), "seconds", "invalid_value"),
        (json!({ "seconds": "" }), "seconds", "invalid_value"),
        (json!({ "seconds": 3601 }), "seconds", "invalid_value"),
        (json!({ "seconds": 4.0 }), "seconds", "invalid_type"),
        (json!({ "seconds": 18_446_744_073_709_551_615u64 }), "seconds", "invalid_type"),
        (json!({ "seconds": true }), "seconds", "invalid_type"),
        (json!({ "seconds": { "value": 4 } }), "seconds", "invalid_type"),
        (json!({ "duration": "8s" }), "duration", "invalid_value"),
        (json!({ "duration": 8, "seconds": 8 }), "duration", "invalid_value"),
        (json!({ "size": "1x1" }), "size", "invalid_value"),
        (json!({ "size": "1280X720" }), "size", "invalid_value"),
        (json!({ "size": "720p" }), "size", "invalid_value"),
        (json!({ "size": 720 }), "size", "invalid_type"),
        (json!({ "input_reference": "a.png" }), "input_reference", "invalid_type"),
        (json!({ "input_reference": "http://example.com/a.png" }), "input_reference", "invalid_type"),
        (json!({ "input_reference": "{" }), "input_reference", ""),
        (json!({ "input_reference": 1 }), "input_reference", "invalid_type"),
        (json!({ "input_reference": {} }), "input_reference", "invalid_value"),
        (json!({ "input_reference": { "file_id": "f", "image_url": "https://e.com/" } }), "input_reference", "invalid_value"),
        (json!({ "input_reference": { "file_id": "f", "url": "x" } }), "input_reference.url", "unknown_parameter"),
        (json!({ "input_reference": { "file_id": "f\n" } }), "input_reference.file_id", "invalid_value"),
        (json!({ "input_reference": { "image_url": "http://e.com/a" } }), "input_reference.image_url", "invalid_value"),
        (json!({ "input_reference": { "image_url": "https://u:p@e.com/a" } }), "input_reference.image_url", "invalid_value"),
        (json!({ "input_reference": { "image_url": "https://e.com/a#b" } }), "input_reference.image_url", "invalid_value"),
        (json!({ "input_reference": { "image_url": "https://e.com/a b" } }), "input_reference.image_url", "invalid_value"),
        (json!({ "input_reference": { "image_url": "https://①②⑦/" } }), "input_reference.image_url", "invalid_value"),
        (json!({ "input_reference": { "image_url": "https:///a" } }), "input_reference.image_url", "invalid_value"),
        (json!({ "input_reference": { "image_url": 1 } }), "input_reference.image_url", "invalid_type"),
        (json!({ "input_reference": { "image_url": elf } }), "input_reference.image_url", "invalid_value"),
        (json!({ "image": mp4 }), "image", "invalid_value"),
        (json!({ "image": "data:image/png,abc" }), "image", "invalid_value"),
        (json!({ "image": "data:image/png;base64,a*" }), "image", "invalid_value"),
        (json!({ "image": "https://e.com/a", "input_reference": "https://e.com/a" }), "image", "invalid_value"),
        (json!({ "characters": { "id": CHARACTER } }), "characters", "invalid_type"),
        (json!({ "characters": CHARACTER }), "characters", "invalid_type"),
        (json!({ "characters": [CHARACTER] }), "characters[0]", "invalid_type"),
        (json!({ "characters": [{}] }), "characters[0].id", "missing_required_parameter"),
        (json!({ "characters": [id, { "id": CHARACTER, "name": "x" }] }), "characters[1].name", "unknown_parameter"),
        (json!({ "characters": [id, id, id] }), "characters", "array_above_max_length"),
        (json!({ "n": 2 }), "n", "invalid_value"),
        (json!({ "quality": "hd" }), "quality", "invalid_value"),
        (json!({ "user": "a\u{1b}[0m" }), "user", "invalid_value"),
        (json!({ "user": "u".repeat(257) }), "user", "string_above_max_length"),
        (json!({ "aspect_ratio": "16:9" }), "aspect_ratio", "unknown_parameter"),
        (json!({ "Prompt": "a" }), "Prompt", "unknown_parameter"),
        (json!({ "": "a" }), "", "unknown_parameter"),
        (json!({ "video": { "id": JOB } }), "video", "unknown_parameter"),
    ] {
        let mut whole = json!({ "prompt": "A fox" });
        whole.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let fault = fault_of(create(from_json(&whole)));
        assert_eq!(
            (fault.kind, fault.param.as_deref(), fault.code.unwrap_or_default()),
            (FaultKind::Invalid, Some(param), code),
            "{extra}"
        );
        assert!(fault.message.len() < 400, "{} repeats too much", fault.message);
    }
}

#[test]
fn a_prompt_may_have_every_one_of_its_32_000_characters() {
    let longest = "🦊".repeat(32_000);
    assert_eq!(create(from_json(&json!({ "prompt": longest }))), Ok(wish(&longest)));
    assert_eq!(create(from_parts(&[("name=prompt", longest.as_bytes())])), Ok(wish(&longest)));
}

fn refused(result: Result<Wish, FormError>, param: &str, code: &str) {
    let fault = fault_of(result);
    assert_eq!((fault.param.as_deref(), fault.code), (Some(param), Some(code)));
}

#[test]
fn an_operation_takes_its_own_fields_and_no_other() {
    let video = json!({ "id": JOB });
    refused(remix(job(), Form::default()), "prompt", "missing_required_parameter");
    refused(remix(job(), from_json(&json!({ "prompt": "a", "seconds": "8" }))), "seconds", "unknown_parameter");
    refused(edit(from_json(&json!({ "prompt": "a" }))), "video", "missing_required_parameter");
    refused(edit(from_json(&json!({ "prompt": "a", "video": JOB }))), "video", "invalid_type");
    refused(edit(from_json(&json!({ "prompt": "a", "video": { "id": 5 } }))), "video.id", "invalid_type");
    refused(edit(from_json(&json!({ "prompt": "a", "video": video, "size": "720x1280" }))), "size", "unknown_parameter");
    refused(edit(from_parts(&[("name=prompt", b"a"), ("name=video; filename=a.mp4", PNG)])), "video", "invalid_value");
    refused(extend(from_json(&json!({ "prompt": "a", "video": video }))), "seconds", "missing_required_parameter");
    refused(
        extend(from_json(&json!({ "prompt": "a", "seconds": 8, "video": video, "characters": [] }))),
        "characters",
        "unknown_parameter",
    );

    let made = edit(from_json(&json!({ "prompt": "a", "video": video, "model": "sora-2", "user": "u" }))).unwrap();
    assert_eq!((made.model, made.end_user), (Some(ModelName::new("sora-2")), Some("u".to_owned())));
}

#[test]
fn an_id_that_cannot_exist_is_unknown_and_not_malformed() {
    for id in ["video_123", "edits", "../../etc", ""] {
        let form = from_json(&json!({ "prompt": "a", "video": { "id": id } }));
        assert_eq!(edit(form), Err(FormError::UnknownVideo(id.to_owned())));
        let form = from_json(&json!({ "prompt": "a", "seconds": 8, "video": { "id": id } }));
        assert_eq!(extend(form), Err(FormError::UnknownVideo(id.to_owned())));
    }
    let form = from_json(&json!({ "prompt": "a", "characters": [{ "id": "char_1" }] }));
    assert_eq!(create(form), Err(FormError::UnknownCharacter("char_1".to_owned())));

    // A fault of the form goes first, or the two kinds of unknown id could be told apart by it.
    let form = from_json(&json!({ "prompt": "a", "video": { "id": "edits" }, "colour": "red" }));
    assert_eq!(fault_of(edit(form)).param.as_deref(), Some("colour"));
}

#[test]
fn an_uploaded_picture_has_to_have_the_pixels_that_were_asked_for() {
    let file: (&str, &[u8]) = ("name=input_reference; filename=a", PNG);
    assert!(create(from_parts(&[file, ("name=prompt", b"a"), ("name=size", b"16x16")])).is_ok());
    assert!(create(from_parts(&[file, ("name=prompt", b"a")])).is_ok(), "the plan's size is for the caller to check");
    let fault = fault_of(create(from_parts(&[file, ("name=prompt", b"a"), ("name=size", b"16x17")])));
    assert_eq!(
        fault,
        Fault {
            kind: FaultKind::Invalid,
            param: None,
            code: None,
            message: "Inpaint image must match the requested width and height".to_owned()
        }
    );
}

#[test]
fn a_file_is_judged_by_its_bytes_and_its_size() {
    let with = |bytes: &[u8]| create(from_parts(&[("name=prompt", b"a"), ("name=input_reference; filename=\"a.png\"", bytes)]));
    let mut largest = PNG.to_vec();
    largest.resize(10 * 1024 * 1024, 0);
    assert!(with(&largest).is_ok());
    largest.push(0);
    let fault = fault_of(with(&largest));
    assert_eq!((fault.kind, fault.param.as_deref(), fault.code), (FaultKind::TooLarge, Some("input_reference"), Some("request_too_large")));

    for bytes in [&b"\x7fELF\x02\x01\x01"[..], b"", b"GIF89a", MP4, &PNG[..20], b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\0\0"] {
        let fault = fault_of(with(bytes));
        assert_eq!((fault.param.as_deref(), fault.code), (Some("input_reference"), Some("invalid_value")), "{bytes:?}");
    }
    assert!(with(b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\0\x10\0\x10").is_ok(), "a JPEG named a.png is a JPEG");
}

#[test]
fn a_character_is_a_name_and_a_clip() {
    let clip: (&str, &[u8]) = ("name=video; filename=c.mp4", MP4);
    let longest = "ß".repeat(80);
    assert!(character(from_parts(&[clip, ("name=name", longest.as_bytes())])).is_ok());

    let too_long = "ß".repeat(81);
    for (parts, param, code) in [
        (vec![clip], "name", "missing_required_parameter"),
        (vec![("name=name", &b" "[..]), clip], "name", "invalid_value"),
        (vec![("name=name", &b"a\nb"[..]), clip], "name", "invalid_value"),
        (vec![("name=name", too_long.as_bytes()), clip], "name", "string_above_max_length"),
        (vec![("name=name", &b"Rex"[..])], "video", "missing_required_parameter"),
        (vec![("name=name", &b"Rex"[..]), ("name=video", b"text")], "video", "invalid_type"),
        (vec![("name=name", &b"Rex"[..]), ("name=video; filename=c", PNG)], "video", "invalid_value"),
        (vec![("name=name", &b"Rex"[..]), clip, ("name=prompt", b"a")], "prompt", "unknown_parameter"),
    ] {
        let fault = character(from_parts(&parts)).unwrap_err();
        assert_eq!((fault.param.as_deref(), fault.code), (Some(param), Some(code)));
    }
}

#[test]
fn a_fault_has_all_four_keys_and_repeats_little() {
    let fault = fault_of(create(from_json(&json!({ "prompt": "a", "size": "1x1" }))));
    insta::assert_snapshot!(
        String::from_utf8(fault.body()).unwrap(),
        @r#"{"error":{"message":"Invalid value: '1x1'. A size is width, a small x and height in pixels, such as '1280x720'.","type":"invalid_request_error","param":"size","code":"invalid_value"}}"#
    );
    let fault = Fault::unreadable("Broken.");
    insta::assert_snapshot!(
        String::from_utf8(fault.body()).unwrap(),
        @r#"{"error":{"message":"Broken.","type":"invalid_request_error","param":null,"code":null}}"#
    );
    let fault = fault_of(create(from_json(&json!({ "prompt": "a", ("k".repeat(256)): 1 }))));
    assert!(fault.body().len() < 400);
}

#[test]
fn parameters_beyond_the_protocol_are_taken_by_name_and_only_where_somebody_takes_them() {
    let known: BTreeSet<String> = ["cfg_scale", "loop", "negative_prompt", "seed"].map(str::to_owned).into();
    let whole = json!({ "prompt": "a", "seed": u64::MAX, "cfg_scale": 7.5, "loop": false, "negative_prompt": "dogs" });
    let extras = |extras: &[(&str, Extra)]| extras.iter().map(|(name, extra)| ((*name).to_owned(), extra.clone())).collect::<Extras>();
    let said = extras(&[
        ("cfg_scale", Extra::Number("7.5".to_owned())),
        ("loop", Extra::Flag(false)),
        ("negative_prompt", Extra::Text("dogs".to_owned())),
        ("seed", Extra::Number(u64::MAX.to_string())),
    ]);
    assert_eq!(wire::create(from_json(&whole), &known), Ok(Wish { extras: said, ..wish("a") }));
    let parts = from_parts(&[("name=prompt", b"a"), ("name=seed", b"7")]);
    assert_eq!(wire::create(parts, &known), Ok(Wish { extras: extras(&[("seed", Extra::Text("7".to_owned()))]), ..wish("a") }));
    let remixed = wire::remix(job(), from_json(&json!({ "prompt": "a", "seed": -1 })), &known).unwrap();
    assert_eq!(remixed.extras, extras(&[("seed", Extra::Number("-1".to_owned()))]));
    assert_eq!(wire::create(from_json(&json!({ "prompt": "a", "seed": null })), &known), Ok(wish("a")), "null is nothing");
    for number in ["123456789012345678901234567890", "1.10000000000000000001", "-0", "1.50", "1E5", "-0.0", "7"] {
        let body = format!("{{ \"prompt\": \"a\", \"cfg_scale\": 0.5, \"s\\u0065ed\":{number} }}");
        let read = read("application/json", body).unwrap();
        assert_eq!(wire::create(read, &known).unwrap().extras["seed"], Extra::Number(number.to_owned()), "as it was said");
    }
    let endless = format!("{{ \"prompt\": \"a\", \"seed\": 0.{} }}", "1".repeat(EXTRA_CHARS_MAX));
    let read = read("application/json", endless).unwrap();
    assert_eq!(fault_of(wire::create(read, &known)).code, Some("string_above_max_length"));

    let longest = "é".repeat(EXTRA_CHARS_MAX);
    assert!(wire::create(from_json(&json!({ "prompt": "a", "negative_prompt": longest })), &known).is_ok());
    for (value, code) in [
        (json!(longest + "e"), "string_above_max_length"),
        (json!("a\0b"), "invalid_value"),
        (json!([1]), "invalid_type"),
        (json!({ "a": 1 }), "invalid_type"),
    ] {
        refused(wire::create(from_json(&json!({ "prompt": "a", "negative_prompt": value })), &known), "negative_prompt", code);
    }
    refused(wire::create(from_json(&json!({ "prompt": "a", "style": "noir" })), &known), "style", "unknown_parameter");
}
