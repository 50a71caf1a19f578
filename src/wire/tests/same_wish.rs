//! A wish is the same wish in every encoding, and no bytes at all bring the reader down.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
use serde_json::json;

use crate::id::{CharacterId, ModelName};
use crate::video::{Extras, MediaType, Origin, Reference, Seconds, Size, Upload, Wish};
use crate::wire::tests::{CHARACTER, CHARACTER_2, PNG, characters, create, edit, extend, job, multipart, read, remix};
use crate::wire::{character, page, variant};

fn sizes() -> impl Strategy<Value = Size> {
    (16u16..=8192, 16u16..=8192).prop_map(|(width, height)| Size::new(width, height))
}

/// A PNG header of that many pixels.
fn png(size: Size, tail: &[u8]) -> Upload {
    let mut bytes = PNG[..16].to_vec();
    bytes.extend_from_slice(&u32::from(size.width).to_be_bytes());
    bytes.extend_from_slice(&u32::from(size.height).to_be_bytes());
    bytes.extend_from_slice(tail);
    Upload { media_type: MediaType::Png, bytes: Bytes::from(bytes) }
}

fn references() -> impl Strategy<Value = (Option<Size>, Option<Reference>)> {
    let sized_upload = (sizes(), prop::collection::vec(any::<u8>(), 0..64), any::<bool>())
        .prop_map(|(size, tail, said)| (said.then_some(size), Some(Reference::Upload(png(size, &tail)))));
    let address = (prop::option::of(sizes()), "https://[a-z]{1,20}\\.example/[a-zA-Z0-9/?&=%._-]{0,60}")
        .prop_map(|(size, url)| (size, Some(Reference::ImageUrl(url))));
    let file_id = (prop::option::of(sizes()), "file-[!-~]{1,40}").prop_map(|(size, id)| (size, Some(Reference::FileId(id))));
    prop_oneof![prop::option::of(sizes()).prop_map(|size| (size, None)), sized_upload, address, file_id]
}

fn wishes() -> impl Strategy<Value = Wish> {
    let prompt = prop::collection::vec(any::<char>(), 0..60).prop_map(|chars| {
        let text: String = chars.into_iter().filter(|c| *c != '\0').collect();
        format!("{text}🦊")
    });
    let both: Vec<CharacterId> = characters(&[CHARACTER, CHARACTER_2]);
    (
        prompt,
        prop::option::of("[!-~]{1,100}"),
        prop::option::of(1u32..=3600),
        references(),
        0usize..=2,
        prop::option::of("[a-zA-Z0-9é -]{1,60}"),
    )
        .prop_map(move |(prompt, model, seconds, (size, reference), cast, end_user)| Wish {
            origin: Origin::Create,
            prompt,
            model: model.map(ModelName::new),
            seconds: seconds.and_then(Seconds::new),
            size,
            reference,
            characters: both[..cast].to_vec(),
            end_user,
            extras: Extras::new(),
        })
}

fn as_json(wish: &Wish) -> Vec<u8> {
    let reference = wish.reference.as_ref().map(|reference| match reference {
        Reference::Upload(upload) => json!({ "image_url": format!("data:image/png;base64,{}", BASE64_STANDARD.encode(&upload.bytes)) }),
        Reference::ImageUrl(url) => json!({ "image_url": url }),
        Reference::FileId(id) => json!({ "file_id": id }),
    });
    let body = json!({
        "prompt": wish.prompt,
        "model": wish.model.as_ref().map(ModelName::as_str),
        "seconds": wish.seconds.map(Seconds::get),
        "size": wish.size.map(|size| size.to_string()),
        "input_reference": reference,
        "characters": wish.characters.iter().map(|id| json!({ "id": id.to_string() })).collect::<Vec<_>>(),
        "user": wish.end_user,
    });
    body.to_string().into_bytes()
}

/// The same wish as the parts of a form, in the order of `lots`.
fn as_parts(wish: &Wish, lots: &[u8]) -> Vec<u8> {
    let mut parts = vec![("name=\"prompt\"", wish.prompt.clone().into_bytes())];
    parts.extend(wish.model.as_ref().map(|model| ("name=\"model\"", model.as_str().into())));
    parts.extend(wish.seconds.map(|seconds| ("name=\"seconds\"", seconds.to_string().into_bytes())));
    parts.extend(wish.size.map(|size| ("name=\"size\"", size.to_string().into_bytes())));
    parts.extend(wish.reference.as_ref().map(|reference| match reference {
        Reference::Upload(upload) => ("name=\"input_reference\"; filename=\"upload\"", upload.bytes.to_vec()),
        Reference::ImageUrl(url) => ("name=\"input_reference[image_url]\"", url.clone().into_bytes()),
        Reference::FileId(id) => ("name=\"input_reference[file_id]\"", id.clone().into_bytes()),
    }));
    parts.extend(wish.characters.iter().map(|id| ("name=\"characters[][id]\"", id.to_string().into_bytes())));
    parts.extend(wish.end_user.as_ref().map(|user| ("name=\"user\"", user.clone().into_bytes())));

    let mut order: Vec<usize> = (0..parts.len()).collect();
    // Parts of one name keep their order, as they do in every client: it is the order of the list.
    order.sort_by_key(|&n| if parts[n].0.contains("characters") { 128 } else { lots[n % lots.len()] });
    let ordered: Vec<(&str, &[u8])> = order.iter().map(|&n| (parts[n].0, &parts[n].1[..])).collect();
    multipart(&ordered)
}

/// Bodies that come close to being read.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(&b"--X\r\n"[..]),
        Just(&b"--X"[..]),
        Just(&b"--X--\r\n"[..]),
        Just(&b"--"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\r\n\r\n"[..]),
        Just(&b"Content-Disposition: form-data; name=\"prompt\"\r\n"[..]),
        Just(&b"Content-Disposition: form-data; name=\"a[][b].c\"; filename=\"\\\"\r\n"[..]),
        Just(&b"content-disposition: form-data; name=\"input_reference\"; filename=\"a\"\r\n"[..]),
        Just(&b"Content-Type: text/plain; charset=utf-8\r\n"[..]),
        Just(PNG),
        Just(&b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0"[..]),
        Just(&b"RIFF\0\0\0\0WEBPVP8X"[..]),
        Just(&b"RIFF\0\0\0\0WEBPVP8 "[..]),
        Just(&b"{\"prompt\":"[..]),
        Just(&b"\"input_reference\":{\"image_url\":\"data:;base64,"[..]),
        Just(&b"\"\\ud800\""[..]),
        Just(&b"[[[[[[[[[["[..]),
        Just(&b"}"[..]),
        Just(&b","[..]),
        Just(&b"\0"[..]),
    ];
    let built = prop::collection::vec(pieces, 0..14).prop_map(|pieces| pieces.concat());
    prop_oneof![built, prop::collection::vec(any::<u8>(), 0..200)]
}

fn content_types() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("multipart/form-data; boundary=X".to_owned()),
        1 => Just("application/json".to_owned()),
        1 => Just(String::new()),
        1 => "multipart/form-data; ?boundary=.{0,80}",
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn a_wish_is_the_same_in_json_and_in_multipart(wish in wishes(), lots in prop::collection::vec(0u8..128, 8)) {
        let from_json = read("application/json", as_json(&wish)).unwrap();
        let from_parts = read("multipart/form-data; boundary=X", as_parts(&wish, &lots)).unwrap();
        prop_assert_eq!(create(from_json), Ok(wish.clone()));
        prop_assert_eq!(create(from_parts), Ok(wish));
    }

    #[test]
    fn no_bytes_bring_the_reader_down(content_type in content_types(), body in bodies()) {
        if let Ok(form) = read(&content_type, body) {
            let _ = create(form.clone());
            let _ = edit(form.clone());
            let _ = extend(form.clone());
            let _ = remix(job(), form.clone());
            let _ = character(form);
        }
    }

    #[test]
    fn no_query_brings_the_reader_down(query in "(after|limit|order|variant|[&=%+a-f0-9]|.){0,40}") {
        let _ = page(Some(&query));
        let _ = variant(Some(&query));
    }
}
