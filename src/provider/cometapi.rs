//! CometAPI: an aggregator whose one path answers in four shapes, by the model behind it.
//!
//! A flat OpenAI object; a `data` envelope with `SUCCESS` and the address of the bytes in
//! `fail_reason`; `succeeded` with an `output` list; `completed` with `video_url` or `url`. It
//! lists and deletes nothing, so what it may have taken unseen cannot be looked up.

use super::codec::{KeyHeader, Operations, Profile, Variants};

/// CometAPI.
pub(super) const PROFILE: Profile = Profile {
    name: "cometapi",
    default_base_url: Some("https://api.cometapi.com/v1"),
    key_header: KeyHeader::Bearer,
    operations: Operations {
        remix: false,
        edit: false,
        extend: false,
        characters: false,
        list: false,
        delete: false,
        reference_objects: false,
        extras_everywhere: false,
    },
    id_fields: &["id", "task_id"],
    envelope: Some("data"),
    names_result_urls: true,
    variants: Variants::All,
    reports_cost: false,
    fails_polls_of_failed_jobs: false,
    // Its distributor says 503 `model_not_found` when it has no channel to pass the request on to.
    refuses_for_want_of_channel: true,
    complains_in_success: true,
};
