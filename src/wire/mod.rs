//! The public JSON of `/v1/videos`, and only that: reading wishes, writing videos, lists and errors.
//!
//! Pure: no socket, no store, no clock, no status codes (those are `refusal`'s). Lenient in what it
//! reads, because real SDKs and old blog posts differ; exact in what it writes, because strict SDKs
//! reject a missing field or a float where an integer belongs. A [`Form`] is one tree, whatever
//! encoding it came in; a wish that leaves here is made of checked words only.
//!
//! The caller has bounded the body, refused a `Content-Encoding`, and knows what a plan offers: the
//! lengths and sizes that can be had are not known here.
//!
//! # Known quirks
//!
//! What is accepted although the protocol does not ask for it:
//!
//! - JSON and multipart on every operation. What is not declared as multipart is JSON if the body
//!   starts with `{`. An absent body is an empty form.
//! - `seconds` as an integer; `duration` for `seconds`; `image` for `input_reference`, and for
//!   either a bare `https:` or `data:` URL. Other bare text is refused as the real API does.
//! - In multipart: `f[key]`, `f[]`, `f[][key]`, `f.key`, and the JSON text of an object or a list.
//!   A file input left empty by a browser counts as not given.
//! - `null` counts as not given.
//! - `user` is kept for caps, rules and reports, and may come as a header instead. `model` on edits and
//!   extensions is for uploaded clips.
//! - `n` of 1, `quality` of `standard` and any `metadata` are taken and have no effect.
//! - Fields beyond the protocol that the caller names, because some route takes them: texts, numbers, booleans.
//!
//! Everything else that is not of the operation is refused by name: a field that is silently
//! dropped is a clip that was paid for and not wanted.
//!
//! The type of a file is told from its first bytes; what a client claims about it is not read.

mod character;
mod error;
mod fingerprint;
mod form;
mod json;
mod list;
mod media;
mod multipart;
mod range;
mod reference;
mod video;
mod wish;

pub use character::{NewCharacter, character};
pub use error::{Fault, FaultKind, FormError, error_body};
pub use fingerprint::fingerprint;
pub use form::{Form, read_form};
pub use list::{ListQuery, link_token, page, query_value, variant};
pub use media::check_reference_size;
pub use range::{Wanted, wanted as wanted_range};
pub use video::{OUTCOME_UNKNOWN, QueueView, VideoView, character_json, deleted, list, model, models, public_status, video};
pub use wish::{create, edit, end_user, extend, name_end_user, remix};

#[cfg(test)]
mod tests;
