//! Folds the words that upstreams use for a job's state into ours.

/// What an upstream's word for a state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Not begun.
    Queued,
    /// At work, or a word we do not know: never terminal on a guess.
    Running,
    /// Made.
    Completed,
    /// Not made.
    Failed,
    /// Not made because somebody stopped it.
    Cancelled,
    /// Not made in time.
    Expired,
}

/// The meaning of `word`, whatever its case and whether it is written with `-`, `_` or a space.
pub(super) fn meaning(word: &str) -> Meaning {
    let word = word.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    match word.as_str() {
        "queued" | "pending" | "submitted" | "created" | "preparing" | "starting" | "not_start" | "not_started" | "queueing"
        | "queuing" | "in_queue" | "waiting" | "throttled" | "suspended" => Meaning::Queued,
        "completed" | "complete" | "success" | "succeeded" | "succeed" | "finished" | "done" => Meaning::Completed,
        "failed" | "failure" | "fail" | "error" | "incomplete" | "budget_exceeded" => Meaning::Failed,
        "cancelled" | "canceled" => Meaning::Cancelled,
        "expired" => Meaning::Expired,
        // in_progress, processing, running, generating, preprocessing, dreaming, started, unknown, …
        _ => Meaning::Running,
    }
}
