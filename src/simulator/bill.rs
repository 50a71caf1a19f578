//! The bill and the tally of requests, in the words that tests and `GET /_simulator/…` read.
//!
//! Only shapes; `books` fills them in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dialect::Dialect;

/// What all accounts owe at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// Everything accepted that has not failed, finished or not.
    pub total_microusd: i64,
    /// The part of the total that is finished.
    pub completed_microusd: i64,
    /// Every job ever accepted, in order, failed, lost and deleted ones included.
    pub jobs: Vec<BilledJob>,
}

/// One line of the bill: one accepted job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BilledJob {
    /// Whose it is: see [`account_of`](super::account_of).
    pub account: String,
    /// The dialect it was ordered in.
    pub dialect: Dialect,
    /// The id that the client was given, or would have been given had the line not been cut.
    pub upstream_id: String,
    /// `create`, `remix`, `edit` or `extend`.
    pub operation: String,
    /// The model as ordered: on Azure a deployment's name.
    pub model: String,
    /// Seconds of clip that are charged: of an extension only what was added.
    pub seconds: u32,
    /// The frame size, `720x1280`.
    pub size: String,
    /// What it costs; 0 once it has failed.
    pub microusd: i64,
    /// When it was accepted.
    pub created_at_ms: i64,
    /// How it stands.
    pub outcome: Outcome,
    /// Whether the simulator denies knowing it, though it is charged.
    pub lost: bool,
    /// The wish it came from, if the order carried `x-simulator-intent` or `#intent:…` in its prompt.
    pub intent: Option<String>,
    /// What was asked for beyond the protocol, as it arrived: a JSON value, or text.
    #[serde(default)]
    pub extras: BTreeMap<String, String>,
}

/// How a job stands at the moment of the bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Queued or being made.
    Running,
    /// Made.
    Completed,
    /// Ended without a clip, and free of charge.
    Failed,
}

/// What was asked of the simulator since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests that carried an accepted credential, as `dialect/operation`: `openai/create`.
    pub requests: BTreeMap<String, u64>,
    /// Access tokens issued.
    pub tokens: u64,
    /// The most jobs that ever ran at once, as `dialect/account`.
    pub in_flight_max: BTreeMap<String, u64>,
}

impl Stats {
    /// Requests for `operation` over all dialects.
    pub fn count(&self, operation: &str) -> u64 {
        self.requests.iter().filter(|(key, _)| key.rsplit('/').next() == Some(operation)).map(|(_, count)| count).sum()
    }
}
