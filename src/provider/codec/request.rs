//! Writes requests: addresses, proof, and the form of a submission.
//!
//! Nothing of the client's own request is passed on; every header here is ours. An upstream's id
//! goes into an address only through [`escape`].

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use serde_json::Value;

use super::multipart::{Encoded, Form};
use super::{KeyHeader, Profile};
use crate::provider::{Endpoint, Proof, Submission, SubmissionOrigin, SubmissionSource, Unsupported};
use crate::video::{Extra, Reference, Upload};

/// How many jobs a page of a list shall have: the most the protocol allows.
const LIST_LIMIT: usize = 100;

/// A request without a body about `path`, which stands below the endpoint.
pub(super) fn about(profile: &Profile, endpoint: &Endpoint, proof: &Proof<'_>, method: Method, path: &str) -> Request<Bytes> {
    let mut request = bare(method, &format!("{}{path}", endpoint.base_url), "application/json");
    prove(profile, proof, request.headers_mut());
    request
}

/// A request that proves nothing and sends nothing.
///
/// An address that is none becomes `/`: it has no host, so it cannot be sent and costs nobody anything.
pub(in crate::provider) fn bare(method: Method, address: &str, accept: &'static str) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method;
    *request.uri_mut() = address.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    request
}

/// Puts our proof on a request. A key that no header can hold is left away, and the upstream refuses.
pub(super) fn prove(profile: &Profile, proof: &Proof<'_>, headers: &mut HeaderMap) {
    let (name, value) = match (proof, profile.key_header) {
        (Proof::None, _) => return,
        (Proof::Key(key), KeyHeader::ApiKey) => (HeaderName::from_static("api-key"), key.reveal().to_owned()),
        (Proof::Key(key), KeyHeader::Bearer) | (Proof::Bearer(key), _) => (AUTHORIZATION, format!("Bearer {}", key.reveal())),
    };
    if let Ok(mut value) = HeaderValue::try_from(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// The path of one job.
pub(super) fn job_path(upstream_id: &str) -> String {
    format!("/videos/{}", escape(upstream_id))
}

/// The path of the account's newest jobs, or of those that follow `after`.
pub(super) fn list_path(after: Option<&str>) -> String {
    let mut path = format!("/videos?limit={LIST_LIMIT}&order=desc");
    if let Some(id) = after {
        path.push_str("&after=");
        path.push_str(&escape(id));
    }
    path
}

/// `text` as one segment of a path or one value of a query: all but letters, digits, `-`, `_` and `~` is escaped.
///
/// The dot too, so that no id is ever a step up the tree.
pub(in crate::provider) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// The request that submits a clip.
pub(super) fn submission(
    profile: &Profile,
    endpoint: &Endpoint,
    proof: &Proof<'_>,
    submission: &Submission<'_>,
) -> Result<Request<Bytes>, Unsupported> {
    Ok(match content_of(profile, submission)? {
        Content::Form(path, form) => post_form(profile, endpoint, proof, path, &form),
        Content::Remix(source) => remix(profile, endpoint, proof, source, submission),
    })
}

/// What a submission consists of; its files are shared, not copied.
pub(super) enum Content<'a> {
    /// Fields, for a path.
    Form(&'static str, Form),
    /// The source's id; the prompt and extras are all else there is.
    Remix(&'a str),
}

/// What a submission consists of in this dialect, or what the dialect lacks to say it.
pub(super) fn content_of<'a>(profile: &Profile, submission: &Submission<'a>) -> Result<Content<'a>, Unsupported> {
    let offers = profile.operations;
    Ok(match submission.origin {
        SubmissionOrigin::Create => Content::Form("/videos", create_form(profile, submission)?),
        // A field that is not understood there would be dropped or refused.
        _ if !submission.extras.is_empty() && !offers.extras_everywhere => {
            return Err(Unsupported("this provider takes no parameters beyond the protocol when it makes a clip from another one"));
        }
        SubmissionOrigin::Remix(source) if offers.remix => Content::Remix(source),
        SubmissionOrigin::Edit(source) if offers.edit => Content::Form("/videos/edits", edit_form(submission, source)),
        SubmissionOrigin::Extend(source) if offers.extend => Content::Form("/videos/extensions", extension_form(submission, source)),
        SubmissionOrigin::Remix(_) => return Err(Unsupported("this provider does not remix clips")),
        SubmissionOrigin::Edit(_) => return Err(Unsupported("this provider does not edit clips")),
        SubmissionOrigin::Extend(_) => return Err(Unsupported("this provider does not extend clips")),
    })
}

/// The request that makes a character.
pub(super) fn character(
    profile: &Profile,
    endpoint: &Endpoint,
    proof: &Proof<'_>,
    name: &str,
    video: &Upload,
) -> Result<Request<Bytes>, Unsupported> {
    if !profile.operations.characters {
        return Err(Unsupported("this provider does not make characters"));
    }
    let mut form = Form::default();
    form.text("name", name);
    form.file("video", video);
    Ok(post_form(profile, endpoint, proof, "/videos/characters", &form))
}

/// The fields of a clip made from its prompt.
fn create_form(profile: &Profile, submission: &Submission<'_>) -> Result<Form, Unsupported> {
    let mut form = Form::default();
    form.text("prompt", submission.prompt);
    form.text("model", submission.model);
    form.text("seconds", &submission.seconds.to_string());
    form.text("size", &submission.size.to_string());
    match submission.reference {
        None => {}
        Some(Reference::Upload(picture)) => form.file("input_reference", picture),
        // A field that is not understood would be ignored, and the clip paid for without its picture.
        Some(_) if !profile.operations.reference_objects => {
            return Err(Unsupported("this provider takes a reference picture only as a file that is sent along"));
        }
        Some(Reference::ImageUrl(url)) => form.text("input_reference[image_url]", url),
        Some(Reference::FileId(id)) => form.text("input_reference[file_id]", id),
    }
    if !submission.characters.is_empty() && !profile.operations.characters {
        return Err(Unsupported("this provider has no characters"));
    }
    for id in submission.characters {
        form.text("characters[][id]", id);
    }
    rest(&mut form, submission);
    Ok(form)
}

/// The fields of an edited clip. Only an uploaded source leaves the model open.
fn edit_form(submission: &Submission<'_>, source: SubmissionSource<'_>) -> Form {
    let mut form = Form::default();
    form.text("prompt", submission.prompt);
    if let SubmissionSource::Upload(_) = source {
        form.text("model", submission.model);
    }
    source_part(&mut form, source);
    rest(&mut form, submission);
    form
}

/// The fields of an extended clip; its size and model are its source's.
fn extension_form(submission: &Submission<'_>, source: SubmissionSource<'_>) -> Form {
    let mut form = Form::default();
    form.text("prompt", submission.prompt);
    form.text("seconds", &submission.seconds.to_string());
    source_part(&mut form, source);
    rest(&mut form, submission);
    form
}

/// Extras, and where the provider shall tell of it, in the words of those that take an address for each request.
fn rest(form: &mut Form, submission: &Submission<'_>) {
    for (name, extra) in submission.extras {
        form.text(name.clone(), extra.plain());
    }
    if let Some(address) = submission.callback_url {
        form.text("callback_url", address);
    }
}

/// The clip that another is made from.
fn source_part(form: &mut Form, source: SubmissionSource<'_>) {
    match source {
        SubmissionSource::Id(id) => form.text("video[id]", id),
        SubmissionSource::Upload(clip) => form.file("video", clip),
    }
}

/// A remix: the one submission that SDKs send as JSON.
fn remix(profile: &Profile, endpoint: &Endpoint, proof: &Proof<'_>, source: &str, submission: &Submission<'_>) -> Request<Bytes> {
    let mut request = about(profile, endpoint, proof, Method::POST, &format!("{}/remix", job_path(source)));
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let text = |text: &str| Value::from(text).to_string();
    let extras = submission.extras.iter().map(|(name, extra)| match extra {
        Extra::Text(value) => (name.as_str(), text(value)),
        Extra::Number(_) | Extra::Flag(_) => (name.as_str(), extra.plain().to_owned()),
    });
    let told = [("callback_url", submission.callback_url), ("prompt", Some(submission.prompt))];
    let told = told.into_iter().filter_map(|(name, value)| Some((name, text(value?))));
    let members: Vec<String> = told.chain(extras).map(|(name, value)| format!("{}:{value}", text(name))).collect();
    *request.body_mut() = format!("{{{}}}", members.join(",")).into();
    request
}

/// A form, posted to `path`.
fn post_form(profile: &Profile, endpoint: &Endpoint, proof: &Proof<'_>, path: &str, form: &Form) -> Request<Bytes> {
    let Encoded { content_type, body } = form.encode();
    let mut request = about(profile, endpoint, proof, Method::POST, path);
    if let Ok(content_type) = HeaderValue::try_from(content_type) {
        request.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    *request.body_mut() = body;
    request
}

#[cfg(test)]
mod tests {
    use super::{about, escape, job_path};
    use crate::provider::{Credential, Endpoint, Proof, azure, openai};
    use crate::secret::Secret;
    use http::Method;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn an_id_never_leaves_its_place_in_the_path() {
        for (id, path) in [
            ("video_1-a~b", "/videos/video_1-a~b"),
            ("..", "/videos/%2E%2E"),
            ("a/../b?c#d", "/videos/a%2F%2E%2E%2Fb%3Fc%23d"),
            ("%2e%2e", "/videos/%252e%252e"),
        ] {
            assert_eq!(job_path(id), path);
        }
    }

    #[test]
    fn a_key_goes_where_the_dialect_wants_it_and_a_token_always_to_the_same_place() {
        let (endpoint, key) = (Endpoint { base_url: "https://up.example/v1".to_owned(), credential: Credential::None }, Secret::new("k1"));
        for (profile, proof, header, value) in [
            (openai::PROFILE, Proof::Key(&key), "authorization", "Bearer k1"),
            (openai::PROFILE, Proof::Bearer(&key), "authorization", "Bearer k1"),
            (azure::PROFILE, Proof::Key(&key), "api-key", "k1"),
            (azure::PROFILE, Proof::Bearer(&key), "authorization", "Bearer k1"),
        ] {
            let request = about(&profile, &endpoint, &proof, Method::GET, "/models");
            assert_eq!(request.headers()[header], value);
            assert_eq!(request.headers().len(), 3, "one proof, and what we accept");
            assert!(!format!("{request:?}").contains("k1"), "a key is not printed with its request");
        }
    }

    #[test]
    fn a_key_or_an_address_that_cannot_be_sent_is_not_fatal() {
        let endpoint = Endpoint { base_url: "not an address".to_owned(), credential: Credential::None };
        let request = about(&openai::PROFILE, &endpoint, &Proof::Key(&Secret::new("a\nb")), Method::GET, "/models");
        assert!(request.uri().host().is_none() && !request.headers().contains_key("authorization"));
    }

    proptest! {
        #[test]
        fn escaping_loses_nothing(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert!(escaped.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_~%".contains(&b)));
            let mut read = Vec::new();
            let mut rest = escaped.as_bytes();
            while let [first, tail @ ..] = rest {
                if *first == b'%' {
                    read.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
                    rest = &tail[2..];
                } else {
                    read.push(*first);
                    rest = tail;
                }
            }
            prop_assert_eq!(read, text.into_bytes());
        }
    }
}
