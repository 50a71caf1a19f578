//! Whoever else speaks the protocol, more or less: relays, aggregators, self-hosted model servers.

use crate::provider::codec::Profile;

/// The tolerant union of them.
pub(super) const PROFILE: Profile = Profile { name: "openai_compatible", default_base_url: None };
