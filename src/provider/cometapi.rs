//! CometAPI, an aggregator.

use crate::provider::codec::Profile;

/// CometAPI.
pub(super) const PROFILE: Profile = Profile { name: "cometapi", default_base_url: Some("https://api.cometapi.com/v1") };
