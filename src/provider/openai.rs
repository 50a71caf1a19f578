//! OpenAI: the dialect that all the others are variations of, and the simulator, which speaks it.

use crate::provider::codec::Profile;

/// OpenAI itself.
pub(super) const PROFILE: Profile = Profile { name: "openai", default_base_url: Some("https://api.openai.com/v1") };

/// The simulator; its address is known once it runs.
pub(super) const SIMULATOR: Profile = Profile { name: "simulator", default_base_url: None };
