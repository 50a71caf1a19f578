//! What is wrong with a request, in the protocol's words: who is to blame is always the client here.
//!
//! Knows kinds, not status codes. What a client sent is quoted back at most [`QUOTED_CHARS_MAX`]
//! characters long, so that a fault is never bigger than the request was worth.

use serde::Serialize;

/// How much of a client's own text a message repeats.
const QUOTED_CHARS_MAX: usize = 64;

/// What most bodies fit into, bytes.
const BODY_BYTES_USUAL: usize = 1024;

/// What kind of refusal a fault asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The request is malformed or asks for what cannot be asked for.
    Invalid,
    /// A part of it is bigger than any request needs.
    TooLarge,
    /// The body is in no encoding that is read here.
    UnsupportedMedia,
}

/// A request that cannot be read, and what its sender should change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What kind of refusal it asks for.
    pub kind: FaultKind,
    /// The field at fault, as the client wrote it.
    pub param: Option<String>,
    /// The protocol's code, for programs.
    pub code: Option<&'static str>,
    /// What happened and what to do, for people.
    pub message: String,
}

/// Why a form is no wish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The form itself is at fault.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// It names a video by a text that is no id of ours: to be answered as an id nobody has.
    #[error("no video has the id '{0}'")]
    UnknownVideo(String),
    /// It names a character by a text that is no id of ours: to be answered as an id nobody has.
    #[error("no character has the id '{0}'")]
    UnknownCharacter(String),
}

impl Fault {
    /// The body that tells a client of it.
    #[cfg(test)]
    pub fn body(&self) -> Vec<u8> {
        error_body(&self.message, "invalid_request_error", self.param.as_deref(), self.code)
    }

    /// The request as a whole cannot be read.
    pub(super) fn unreadable(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Invalid, param: None, code: None, message: message.into() }
    }

    /// A value that is of the right type and still cannot be.
    pub(super) fn invalid(param: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Invalid, param: Some(shown(param)), code: Some(code), message: message.into() }
    }

    /// A value that `rule` does not allow.
    pub(super) fn bad_value(param: &str, value: &str, rule: &str) -> Self {
        Self::invalid(param, "invalid_value", format!("Invalid value: '{}'. {rule}", shown(value)))
    }

    /// A value of another JSON type than `expected`.
    pub(super) fn wrong_type(param: &str, expected: &str, found: &str) -> Self {
        let message = format!("Invalid type for '{}': expected {expected}, but got {found} instead.", shown(param));
        Self::invalid(param, "invalid_type", message)
    }

    /// A field that has to be there and is not.
    pub(super) fn missing(param: &str) -> Self {
        Self::invalid(param, "missing_required_parameter", format!("Missing required parameter: '{param}'."))
    }

    /// A field that may be given once and came again.
    pub(super) fn twice(param: &str) -> Self {
        let message = format!("'{}' is given more than once. Send it once.", shown(param));
        Self::invalid(param, "invalid_value", message)
    }

    /// A text that is longer than `chars_max`.
    pub(super) fn too_long(param: &str, chars: usize, chars_max: usize) -> Self {
        let message = format!(
            "Invalid '{param}': string too long. Expected a string with maximum length {chars_max}, \
             but got a string with length {chars} instead."
        );
        Self::invalid(param, "string_above_max_length", message)
    }

    /// A file that is bigger than `bytes_max`.
    pub(super) fn too_large(param: &str, bytes_max: usize) -> Self {
        let message = format!("The file in '{param}' is too large: at most {bytes_max} bytes are taken. Send a smaller one.");
        Self { kind: FaultKind::TooLarge, param: Some(shown(param)), code: Some("request_too_large"), message }
    }
}

/// A client's own text, short enough to be repeated to it.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The protocol's error envelope, with all four keys; `kind` is its `type`.
pub fn error_body(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Envelope<'a> {
        error: Inner<'a>,
    }
    #[derive(Serialize)]
    struct Inner<'a> {
        message: &'a str,
        r#type: &'a str,
        param: Option<&'a str>,
        code: Option<&'a str>,
    }

    json_bytes(&Envelope { error: Inner { message, r#type: kind, param, code } })
}

/// A value as JSON text.
pub(super) fn json_bytes(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BODY_BYTES_USUAL);
    // Only maps with odd keys and failing writers can fail here; the types of this module have neither.
    if serde_json::to_writer(&mut bytes, value).is_err() {
        bytes.clear();
    }
    bytes
}
