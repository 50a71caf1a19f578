//! Folds the words that upstreams use for a job's state into ours.

/// What an upstream's word for a state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Not begun.
    Queued,
    /// At work.
    Running,
    /// Nobody knows: taken for being at work, as nothing ends on a guess.
    Unknown,
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
        "in_progress" | "processing" | "running" | "generating" | "preprocessing" | "rendering" | "dreaming" | "started" | "active"
        | "uploading" => Meaning::Running,
        _ => Meaning::Unknown,
    }
}

/// Whether anybody ever said what this word means.
pub fn is_known_status(word: &str) -> bool {
    meaning(word) != Meaning::Unknown
}

#[cfg(test)]
mod tests {
    use super::{Meaning, meaning};

    #[test]
    fn every_word_that_was_seen_has_its_meaning() {
        for (words, expected) in [
            ("queued QUEUED pending submitted not_start preparing created starting in_queue IN-QUEUE Queueing THROTTLED", Meaning::Queued),
            ("in_progress in-progress IN_PROGRESS processing running generating preprocessing dreaming", Meaning::Running),
            ("completed complete success SUCCESS succeeded SUCCEEDED succeed finished done", Meaning::Completed),
            ("failed FAILURE failure fail Fail error incomplete", Meaning::Failed),
            ("cancelled canceled CANCELED", Meaning::Cancelled),
            ("expired EXPIRED", Meaning::Expired),
        ] {
            for word in words.split(' ') {
                assert_eq!(meaning(word), expected, "{word}");
            }
        }
    }

    #[test]
    fn a_word_that_was_never_seen_ends_nothing() {
        for word in ["", "unknown", "resting", "not failed", "completed?", "終"] {
            assert_eq!(meaning(word), Meaning::Unknown, "{word}");
        }
    }
}
