//! The tenants' surface: `/v1/videos` and what belongs to it.
//!
//! Promises OpenAI's behaviour as its SDKs see it. Where we differ:
//!
//! * A job's life is answered from our own state; a client's poll never travels upstream.
//! * Whatever is not this tenant's own is refused exactly as what does not exist.
//! * A completed job also carries `output: [{"url"}]`, a signed link that ends.
//! * Content answers `Range` requests.
//! * Paging goes by position in the order of ids, so any text is a legal `after`, and a page after the
//!   last is empty with `last_id: null`, which is what ends the Java SDK's loop.

mod archived;
mod caps;
pub mod character;
pub mod content;
pub mod create;
mod doorstep;
mod guarding;
mod intake;
pub mod models;
pub mod read;
pub mod remove;
mod resend;
mod pinning;
mod view;

pub use intake::Caller;
