//! A job: what was ordered, and how it stands at a given moment. Pure.
//!
//! A job is written once and never updated but for its deletion. How it stands follows from the
//! record and the time, so nothing runs in the background, and a restart loses nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::dialect::{Dialect, Shape};
use crate::clock::Timestamp;
use crate::video::Size;

/// One accepted order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The id that the client knows it by.
    pub id: String,
    /// The dialect it was ordered in.
    pub dialect: Dialect,
    /// Who ordered and pays for it.
    pub account: String,
    /// `create`, `remix`, `edit` or `extend`.
    pub operation: String,
    /// The model, as ordered.
    pub model: String,
    /// The prompt, as ordered.
    pub prompt: String,
    /// Length of the clip.
    pub seconds: u32,
    /// The part of the length that is charged.
    pub billed_seconds: u32,
    /// Frame width in pixels.
    pub width: u16,
    /// Frame height in pixels.
    pub height: u16,
    /// The clip it was remixed from.
    pub remixed_from: Option<String>,
    /// When it was accepted.
    pub created_at_ms: i64,
    /// How long it takes from then to its end.
    pub takes_ms: u64,
    /// What it costs if it is made.
    pub price_microusd: i64,
    /// How it will end.
    pub ending: Ending,
    /// Whether we deny knowing it.
    pub lost: bool,
    /// Whether its owner deleted it.
    pub deleted: bool,
    /// The wish it came from, if the order told.
    pub intent: Option<String>,
    /// Who shall be told when it ends.
    #[serde(default)]
    pub callback_url: Option<String>,
    /// What was asked for beyond the protocol, as it arrived.
    #[serde(default)]
    pub extras: BTreeMap<String, String>,
    /// How CometAPI speaks of it.
    pub shape: Shape,
}

/// How a job will end, settled when it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With a clip.
    Made,
    /// With an internal error.
    Broken,
    /// With a refusal by moderation, after the work was done.
    Blocked,
}

impl Ending {
    /// What the markers in a prompt ask for.
    pub fn asked_for_in(prompt: &str) -> Self {
        if prompt.contains("[fail]") {
            Self::Broken
        } else if prompt.contains("[moderation-late]") {
            Self::Blocked
        } else {
            Self::Made
        }
    }
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waiting: the first tenth of its time.
    Queued,
    /// Being made, 1 to 99 percent done.
    Running(u8),
    /// Made.
    Completed,
    /// Ended without a clip.
    Failed {
        /// Why, in the protocol's word.
        code: &'static str,
        /// Why, in a sentence.
        message: &'static str,
    },
}

impl Job {
    /// How it stands at `now`.
    pub fn stage(&self, now: Timestamp) -> Stage {
        let elapsed_ms = u64::try_from(now.as_ms() - self.created_at_ms).unwrap_or(0);
        if elapsed_ms >= self.takes_ms {
            return match self.ending {
                Ending::Made => Stage::Completed,
                Ending::Broken => {
                    Stage::Failed { code: "video_generation_failed", message: "Video generation failed due to an internal error." }
                }
                Ending::Blocked => {
                    Stage::Failed { code: "moderation_blocked", message: "Your request was blocked by our moderation system." }
                }
            };
        }
        let percent = elapsed_ms * 100 / self.takes_ms;
        if percent < 10 { Stage::Queued } else { Stage::Running(u8::try_from(percent).unwrap_or(99)) }
    }

    /// When it ends or ended.
    pub fn ends_at(&self) -> Timestamp {
        Timestamp::from_ms(self.created_at_ms.saturating_add(i64::try_from(self.takes_ms).unwrap_or(i64::MAX)))
    }

    /// Its frame size.
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }

    /// What its file says of where it came from, for those who look for one account's bytes in
    /// another's reply.
    pub fn watermark(&self) -> String {
        format!("filmgate-simulator {} {}", self.account, self.id)
    }
}

/// Bits for decisions that must be stable for this id.
pub fn seed_of(id: &str) -> u64 {
    let digest = Sha256::digest(id.as_bytes());
    digest.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}
