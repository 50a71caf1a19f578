use bytes::Bytes;
use futures_util::FutureExt;

use crate::wire::error::{Fault, FaultKind};
use crate::wire::form::{Field, Form, read_form};

const FORM_DATA: &str = "multipart/form-data; boundary=X";

fn read(content_type: Option<&str>, body: &[u8]) -> Result<Form, Fault> {
    read_form(content_type, Bytes::copy_from_slice(body)).now_or_never().unwrap()
}

fn part(head: &str, content: &str) -> String {
    format!("--X\r\n{head}\r\n\r\n{content}\r\n")
}

fn text(form: &mut Form, name: &str) -> Option<String> {
    form.take(name).and_then(|field| field.text(name).ok())
}

#[test]
fn json_is_recognised_by_its_first_character() {
    for content_type in
        [None, Some("application/json"), Some("text/plain; charset=utf-8"), Some("application/x-www-form-urlencoded"), Some("{}")]
    {
        let mut form = read(content_type, b" \r\n{\"prompt\":\"a\"}\n").unwrap();
        assert_eq!(text(&mut form, "prompt").as_deref(), Some("a"), "{content_type:?}");
    }
}

#[test]
fn an_absent_body_is_an_empty_form() {
    for content_type in [None, Some("application/json"), Some("application/octet-stream")] {
        assert_eq!(read(content_type, b"\r\n"), Ok(Form::default()));
    }
}

#[test]
fn other_encodings_are_refused_as_such() {
    for (content_type, body) in
        [(None, "--X\r\n"), (Some("application/x-www-form-urlencoded"), "prompt=a"), (Some("application/xml"), "<a/>")]
    {
        let fault = read(content_type, body.as_bytes()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::UnsupportedMedia, "{content_type:?}");
    }
}

#[test]
fn json_that_two_readers_could_read_differently_is_refused() {
    for (body, param) in [
        (&br#"{"prompt":"a","prompt":"b"}"#[..], Some("prompt")),
        (br#"{"prompt":"a","input_reference":{"file_id":"a","file_id":"b"}}"#, Some("file_id")),
        (br#"{"prompt":"\ud800"}"#, None),
        (br#"{"prompt":"\udc00\ud800"}"#, None),
        (b"{\"prompt\":\"\xff\"}", None),
        (b"{\"prompt\":\"a\x00b\"}", None),
        (br#"{"prompt":"a"} {}"#, None),
        (br#"{"prompt":"a",}"#, None),
        (br#"{"prompt":NaN}"#, None),
        (br#"{"prompt":"a"#, None),
        (b"{'prompt':'a'}", None),
    ] {
        let fault = read(Some("application/json"), body).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Invalid, param), "{}", body.escape_ascii());
    }
    assert_eq!(read(Some("application/json"), b"[1]").unwrap_err().code, Some("invalid_type"));
}

#[test]
fn a_json_tree_is_bounded_in_every_direction() {
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(None, nested(7).as_bytes()).is_ok());
    for levels in [8, 100, 200_000] {
        assert!(read(None, nested(levels).as_bytes()).is_err(), "{levels}");
    }

    let wide = |values: usize| format!("{{\"a\":[{}]}}", vec!["0"; values].join(","));
    assert!(read(None, wide(510).as_bytes()).is_ok());
    assert!(read(None, wide(511).as_bytes()).is_err());
    assert!(read(None, wide(1_000_000).as_bytes()).is_err());

    let named = |bytes: usize| format!("{{\"{}\":0}}", "k".repeat(bytes));
    assert!(read(None, named(256).as_bytes()).is_ok());
    assert!(read(None, named(257).as_bytes()).is_err());
}

#[test]
fn a_part_is_a_file_if_it_has_a_file_name_or_a_type_that_no_text_has() {
    for (head, is_file) in [
        ("Content-Disposition: form-data; name=\"a\"", false),
        ("content-disposition: form-data; name=a\r\ncontent-type: text/plain; charset=utf-8", false),
        ("CONTENT-DISPOSITION: form-data; name=\"a\"\r\nCONTENT-TYPE: application/json", false),
        ("Content-Type: image/png\r\nContent-Disposition: form-data; name=\"a\"", true),
        ("Content-Disposition: form-data; name=\"a\"; filename=\"a.txt\"\r\nContent-Type: text/plain", true),
        ("Content-Disposition: form-data; filename=\"\"; name=\"a\"", true),
    ] {
        let body = part(head, "x") + "--X--";
        let mut form = read(Some(FORM_DATA), body.as_bytes()).unwrap();
        assert_eq!(matches!(form.take("a"), Some(Field::File(_))), is_file, "{head}");
    }

    let empty_input =
        part("Content-Disposition: form-data; name=\"a\"; filename=\"\"\r\nContent-Type: application/octet-stream", "") + "--X--";
    assert_eq!(read(Some(FORM_DATA), empty_input.as_bytes()), Ok(Form::default()));
}

#[test]
fn multipart_that_is_broken_or_out_of_bounds_is_refused() {
    let named = |name: &str| format!("Content-Disposition: form-data; name=\"{name}\"");
    let prompt = part(&named("prompt"), "a");
    let parts = |count: usize| (0..count).map(|n| part(&named(&format!("p{n}")), "a")).collect::<String>() + "--X--";
    let long_header = format!("{}\r\nX-Long: {}", named("prompt"), "h".repeat(8 * 1024));

    assert!(read(Some(FORM_DATA), (prompt.clone() + "--X--").as_bytes()).is_ok());
    assert!(read(Some(FORM_DATA), parts(16).as_bytes()).is_ok());
    assert!(read(Some(FORM_DATA), (part(&named(&"n".repeat(256)), "a") + "--X--").as_bytes()).is_ok());

    for (body, param) in [
        (String::new(), None),
        (prompt.clone(), None),
        (prompt.clone() + "--X", None),
        (prompt.clone() + "--X\r\n", None),
        ("--Y--\r\n".to_owned(), None),
        (parts(17), None),
        (parts(10_000), None),
        (part(&named(&"n".repeat(257)), "a") + "--X--", None),
        (part(&named(&"n".repeat(1 << 20)), "a") + "--X--", None),
        (part(&named(""), "a") + "--X--", None),
        (part("Content-Disposition: form-data", "a") + "--X--", None),
        (part("Content-Type: text/plain", "a") + "--X--", None),
        (part(&long_header, "a") + "--X--", None),
        (part("no header at all", "a") + "--X--", None),
        (prompt.clone() + &prompt + "--X--", Some("prompt")),
        (prompt.clone() + &part(&named("prompt[]"), "a") + "--X--", Some("prompt[]")),
        (part(&named("v[id]"), "a") + &part(&named("v"), "a") + "--X--", Some("v")),
        (part(&named("v[id]"), "a") + &part(&named("v.id"), "a") + "--X--", Some("v.id")),
        (part(&named("v[id"), "a") + "--X--", Some("v[id")),
        (part(&named("v[id]x"), "a") + "--X--", Some("v[id]x")),
    ] {
        let fault = read(Some(FORM_DATA), body.as_bytes()).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Invalid, param), "{}", body.get(..80).unwrap_or(&body));
    }

    let not_text = b"--X\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\n\xff\r\n--X--";
    assert_eq!(read(Some(FORM_DATA), not_text).unwrap_err().param.as_deref(), Some("prompt"));
}

#[test]
fn a_boundary_has_1_to_70_characters_of_the_allowed_ones() {
    let with = |boundary: &str, written: &str| {
        let body = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na\r\n--{boundary}--\r\n");
        read(Some(&format!("Multipart/Form-Data; {written}")), body.as_bytes())
    };
    let (longest, too_long) = ("b".repeat(70), "b".repeat(71));
    assert!(with("X", "boundary=X").is_ok());
    assert!(with("----WebKitFormBoundaryAbC9", "charset=utf-8; boundary=----WebKitFormBoundaryAbC9").is_ok());
    assert!(with("a b:'()+_,-./=?", "boundary=\"a b:'()+_,-./=?\"").is_ok());
    assert!(with(&longest, &format!("boundary={longest}")).is_ok());

    assert!(with(&too_long, &format!("boundary={too_long}")).is_err());
    for (boundary, written) in
        [("", "boundary="), ("", "boundary=\"\""), ("X", ""), ("X", "boundary"), ("X*", "boundary=\"X*\""), ("X ", "boundary=\"X \"")]
    {
        assert!(with(boundary, written).is_err(), "{written}");
    }
}
