//! What clients are shown: videos, lists of them, characters and models.
//!
//! Knows no store: the caller fills in plain fields. The invariant is the protocol's: all thirteen
//! fields are always there, integers are integers, `seconds` is a string, and a status is one of
//! four, because one SDK or another fails on anything else.

use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::id::{CharacterId, JobId, ModelName};
use crate::job::State;
use crate::video::{Seconds, Size};
use crate::wire::error::json_bytes;

/// A job's state as clients may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicStatus {
    /// Nobody is at work on it that we know of.
    Queued,
    /// An upstream is at work on it.
    InProgress,
    /// Its clip can be had.
    Completed,
    /// There will be no clip.
    Failed,
}

/// Folds our states into the protocol's four.
pub const fn public_status(state: State) -> PublicStatus {
    match state {
        State::Reserved | State::Waiting | State::Submitting | State::Unknown | State::Accepted => PublicStatus::Queued,
        State::Running => PublicStatus::InProgress,
        State::Completed => PublicStatus::Completed,
        State::Failed | State::Lost | State::Released => PublicStatus::Failed,
    }
}

/// Code and message of a video of which nobody knows whether it is being made.
pub const OUTCOME_UNKNOWN: (&str, &str) = ("upstream_outcome_unknown", "Whether this video was made could not be found out.");

/// A video as its owner sees it.
#[derive(Clone, Debug)]
pub struct VideoView<'a> {
    /// The public id.
    pub id: JobId,
    /// The public model name.
    pub model: &'a ModelName,
    /// Where it stands.
    pub status: PublicStatus,
    /// Percent done; more than 100 is shown as 100.
    pub progress: u8,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was finished.
    pub completed_at: Option<Timestamp>,
    /// When its files go.
    pub expires_at: Option<Timestamp>,
    /// What it was to show.
    pub prompt: Option<&'a str>,
    /// Its frame size.
    pub size: Size,
    /// Its length.
    pub seconds: Seconds,
    /// What it is a remix of.
    pub remixed_from: Option<JobId>,
    /// Code and message of its failure.
    pub error: Option<(&'a str, &'a str)>,
    /// A link that plays it; an addition to the protocol, left out if `None`.
    pub output_url: Option<&'a str>,
    /// Which route serves it; an addition to the protocol, left out if `None`.
    pub route: Option<&'a str>,
    /// Where it stands in line; an addition to the protocol, left out if `None`.
    pub queue: Option<QueueView>,
}

/// A place in line as its owner sees it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct QueueView {
    /// The next to be sent is 1.
    pub position: u32,
    /// How long that is expected to take, whole seconds.
    pub starts_in_seconds: u64,
}

impl Serialize for VideoView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        VideoJson {
            id: self.id.to_string(),
            object: "video",
            model: self.model.as_str(),
            status: self.status,
            progress: self.progress.min(100),
            created_at: self.created_at.as_secs(),
            completed_at: self.completed_at.map(Timestamp::as_secs),
            expires_at: self.expires_at.map(Timestamp::as_secs),
            prompt: self.prompt,
            size: self.size.to_string(),
            seconds: self.seconds.to_string(),
            remixed_from_video_id: self.remixed_from.map(|id| id.to_string()),
            error: self.error.map(|(code, message)| ErrorJson { code, message }),
            output: self.output_url.map(|url| [OutputJson { url }]),
            route: self.route,
            queue: self.queue,
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct VideoJson<'a> {
    id: String,
    object: &'static str,
    model: &'a str,
    status: PublicStatus,
    progress: u8,
    created_at: i64,
    completed_at: Option<i64>,
    expires_at: Option<i64>,
    prompt: Option<&'a str>,
    size: String,
    seconds: String,
    remixed_from_video_id: Option<String>,
    error: Option<ErrorJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<[OutputJson<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueueView>,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct OutputJson<'a> {
    url: &'a str,
}

/// The body that shows one video.
pub fn video(view: &VideoView<'_>) -> Vec<u8> {
    json_bytes(view)
}

/// The body that shows a page of videos; an empty page has `null` for both ends, which is what stops every SDK.
pub fn list(videos: &[VideoView<'_>], has_more: bool) -> Vec<u8> {
    #[derive(Serialize)]
    struct Page<'a> {
        object: &'static str,
        data: &'a [VideoView<'a>],
        first_id: Option<String>,
        last_id: Option<String>,
        has_more: bool,
    }

    let end = |view: Option<&VideoView<'_>>| view.map(|view| view.id.to_string());
    json_bytes(&Page { object: "list", data: videos, first_id: end(videos.first()), last_id: end(videos.last()), has_more })
}

/// The body that confirms a deletion.
pub fn deleted(id: JobId) -> Vec<u8> {
    #[derive(Serialize)]
    struct Deleted {
        id: String,
        object: &'static str,
        deleted: bool,
    }

    json_bytes(&Deleted { id: id.to_string(), object: "video.deleted", deleted: true })
}

/// The body that shows one character; the protocol gives it no `object`.
pub fn character_json(id: CharacterId, name: &str, created_at: Timestamp) -> Vec<u8> {
    #[derive(Serialize)]
    struct Character<'a> {
        id: String,
        name: &'a str,
        created_at: i64,
    }

    json_bytes(&Character { id: id.to_string(), name, created_at: created_at.as_secs() })
}

#[derive(Serialize)]
struct ModelJson<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
}

impl<'a> ModelJson<'a> {
    fn new(name: &'a ModelName, created: Timestamp) -> Self {
        Self { id: name.as_str(), object: "model", created: created.as_secs(), owned_by: "filmgate" }
    }
}

/// The body that lists the models a tenant may ask for.
pub fn models<'a>(names: impl IntoIterator<Item = &'a ModelName>, created: Timestamp) -> Vec<u8> {
    #[derive(Serialize)]
    struct Models<'a> {
        object: &'static str,
        data: Vec<ModelJson<'a>>,
    }

    json_bytes(&Models { object: "list", data: names.into_iter().map(|name| ModelJson::new(name, created)).collect() })
}

/// The body that shows one model.
pub fn model(name: &ModelName, created: Timestamp) -> Vec<u8> {
    json_bytes(&ModelJson::new(name, created))
}

#[cfg(test)]
mod tests;
