//! OpenAI: the dialect that all the others are variations of, and the simulator, which speaks it.
//!
//! OpenAI itself switched this surface off on 2026-09-24; relays and private deployments still
//! speak it to the letter, and then only `base_url` differs.

use super::codec::{KeyHeader, Operations, Profile, Variants};

/// OpenAI itself.
pub(super) const PROFILE: Profile = Profile {
    name: "openai",
    default_base_url: Some("https://api.openai.com/v1"),
    key_header: KeyHeader::Bearer,
    operations: Operations {
        remix: true,
        edit: true,
        extend: true,
        characters: true,
        list: true,
        delete: true,
        reference_objects: true,
        extras_everywhere: false,
    },
    id_fields: &["id"],
    envelope: None,
    names_result_urls: false,
    variants: Variants::All,
    reports_cost: false,
    fails_polls_of_failed_jobs: false,
    refuses_for_want_of_channel: false,
    complains_in_success: false,
};

/// The simulator; its address is known once it runs.
pub(super) const SIMULATOR: Profile = Profile { name: "simulator", default_base_url: None, ..PROFILE };
