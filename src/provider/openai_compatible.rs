//! Whoever else speaks the protocol, more or less: New-API relays, aggregators such as Poe and
//! Merge, self-hosted vLLM-Omni and SGLang.
//!
//! What they differ in does not collide, so one tolerant profile reads them all. Operations that a
//! server does not have it refuses with a 404 or 405, which costs nothing and passes the job on.

use super::codec::{KeyHeader, Operations, Profile, Variants};

/// The tolerant union of them.
pub(super) const PROFILE: Profile = Profile {
    name: "openai_compatible",
    default_base_url: None,
    key_header: KeyHeader::Bearer,
    operations: Operations {
        remix: true,
        edit: true,
        extend: true,
        characters: true,
        list: true,
        delete: true,
        reference_objects: true,
        extras_everywhere: true,
    },
    id_fields: &["id", "task_id"],
    envelope: Some("data"),
    names_result_urls: true,
    // SGLang reads `variant` as an index and answers 404 to the word.
    variants: Variants::VideoOnly,
    reports_cost: true,
    // vLLM-Omni answers the poll of a failed job with the error's own status, and the job as the body.
    fails_polls_of_failed_jobs: true,
    // The distributor of New-API says so before it passes anything on.
    refuses_for_want_of_channel: true,
    complains_in_success: false,
};
