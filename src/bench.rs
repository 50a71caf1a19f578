//! A window for `benches/`: the parts that are measured one by one, as they are.
//!
//! Names only. It adds nothing, is no part of what the crate promises, and nothing in here uses it.

pub use crate::auth::authenticate;
pub use crate::budget::{Account, Booking};
pub use crate::clock::{Clock, Timestamp};
pub use crate::id::{AccountId, AttemptId, JobId, ModelName, RouteName, TenantName};
pub use crate::job::{Event, State, step};
pub use crate::link::Links;
pub use crate::money::MicroUsd;
pub use crate::plan::{Candidate, Moment, plan};
pub use crate::policy::Policy;
pub use crate::policy::compile::{SecretSource, compile};
pub use crate::price::of as price_of;
pub use crate::provider::{Credential, Endpoint, Proof, Submission, SubmissionOrigin, by_name};
pub use crate::secret::Secret;
pub use crate::store::{Facts, Job, NewAttempt, NewJob, Postgres, Sqlite, Store};
pub use crate::video::{Extras, MediaType, Origin, Reference, Seconds, Size, Upload, Wish};
pub use crate::wire::{VideoView, create as read_wish, public_status, read_form, video as show_video};
