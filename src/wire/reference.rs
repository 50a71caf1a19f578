//! The picture that a clip starts from, in the five ways clients give it: a file, an object with an
//! address or a file id, the JSON text of such an object, and a bare address.
//!
//! Knows no network: an `https:` address is checked for its form and fetched by nobody here. A
//! `data:` address is a file in disguise and becomes one.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::Uri;

use crate::video::Reference;
use crate::wire::error::Fault;
use crate::wire::form::{Field, Form};
use crate::wire::media;

/// The longest address the protocol allows, characters: room for a picture in a `data:` URL.
const IMAGE_URL_CHARS_MAX: usize = 20_971_520;

/// The longest address of a picture elsewhere, bytes.
const HTTPS_URL_BYTES_MAX: usize = 2_048;

/// The longest file id, bytes.
const FILE_ID_BYTES_MAX: usize = 128;

/// Standard Base64, with or without its padding.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Takes the picture out of a form, if there is one.
pub(super) fn take(form: &mut Form) -> Result<Option<Reference>, Fault> {
    let Some((param, field)) = form.take_any(&["input_reference", "image"])? else { return Ok(None) };
    match field.only().unfold(param)? {
        Field::File(bytes) => media::image(param, bytes).map(Reference::Upload).map(Some),
        Field::Text(url) if has_scheme(&url, "https:") || has_scheme(&url, "data:") => from_url(param, url).map(Some),
        Field::Object(object) => from_object(param, object).map(Some),
        other => Err(Fault::wrong_type(param, "a file, or an object with 'image_url' or 'file_id'", other.kind())),
    }
}

fn from_object(param: &str, mut object: Form) -> Result<Reference, Fault> {
    let (image_url, file_id) = (object.take("image_url"), object.take("file_id"));
    object.finish(Some(param))?;

    match (image_url, file_id) {
        (Some(url), None) => {
            let param = format!("{param}.image_url");
            from_url(&param, url.text(&param)?)
        }
        (None, Some(id)) => {
            let param = format!("{param}.file_id");
            let id = id.text(&param)?;
            if (1..=FILE_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()) {
                Ok(Reference::FileId(id))
            } else {
                Err(Fault::bad_value(&param, &id, "A file id is 1 to 128 visible ASCII characters, such as 'file-abc123'."))
            }
        }
        (Some(_), Some(_)) | (None, None) => {
            let message = format!("'{param}' has to have exactly one of 'image_url' and 'file_id'.");
            Err(Fault::invalid(param, "invalid_value", message))
        }
    }
}

fn from_url(param: &str, url: String) -> Result<Reference, Fault> {
    if url.len() > IMAGE_URL_CHARS_MAX {
        return Err(Fault::too_long(param, url.chars().count(), IMAGE_URL_CHARS_MAX));
    }
    if has_scheme(&url, "data:") {
        return decoded(param, &url);
    }
    if is_plain_https(&url) {
        return Ok(Reference::ImageUrl(url));
    }
    let rule = "An image address is an https: URL of at most 2048 bytes without user name and fragment, or a data: URL in Base64.";
    Err(Fault::bad_value(param, &url, rule))
}

/// The file inside a `data:` URL.
fn decoded(param: &str, url: &str) -> Result<Reference, Fault> {
    let payload = url.split_once(',').and_then(|(head, payload)| {
        let is_base64 = head.rsplit_once(';').is_some_and(|(_, last)| last.eq_ignore_ascii_case("base64"));
        is_base64.then_some(payload)
    });
    match payload.and_then(|payload| BASE64.decode(payload).ok()) {
        Some(bytes) => media::image(param, Bytes::from(bytes)).map(Reference::Upload),
        None => Err(Fault::bad_value(param, url, "A data: URL has to read 'data:image/png;base64,' and then Base64 without line breaks.")),
    }
}

/// An address that cannot mean two things to two readers: ASCII, with a host, without credentials.
fn is_plain_https(url: &str) -> bool {
    let plain = url.len() <= HTTPS_URL_BYTES_MAX && url.bytes().all(|b| b.is_ascii_graphic()) && !url.contains(['#', '\\']);
    let parsed = plain.then(|| url.parse::<Uri>().ok()).flatten();
    parsed.is_some_and(|uri| {
        let host = uri.host().is_some_and(|host| !host.is_empty());
        uri.scheme_str() == Some("https") && host && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    })
}

fn has_scheme(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}
