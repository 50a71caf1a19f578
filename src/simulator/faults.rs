//! Behaviour on request: what goes wrong, how often, the dice that decide, and whom to tell of ends.
//!
//! Knows nothing of HTTP. Scripts come before chance: while a script has entries, each request
//! takes the next one. Chances are in permille and exclude each other: one request, one fault.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::dialect::{Dialect, Shape};

/// What may happen to an order (create, remix, edit, extend) instead of a plain answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A plain answer: holds a place in a script.
    None,
    /// Read the order, take the job, charge for it, and close the connection without a reply.
    AcceptThenCut,
    /// Read the order, close the connection, and take the job so many milliseconds later.
    AcceptLate(u64),
    /// Take two jobs for one order, charge for both, and close the connection without a reply.
    AcceptTwice,
    /// Close the connection without reading the order.
    CutBeforeRead,
    /// Take the job, charge for it, and answer with this status all the same.
    AcceptThenStatus(u16),
    /// Take the job, charge for it, and answer 200 with this text as the body.
    AcceptThenReply(String),
    /// Take the job and charge for it, then deny knowing it.
    LoseJob,
    /// Take nothing and answer with this status: 401, 429, 503, …
    Refuse(u16),
}

/// What may happen to the retrieval of a job, or of a list, instead of a plain answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PollFault {
    /// A plain answer: holds a place in a script.
    None,
    /// Answer with this status.
    Status(u16),
    /// Answer 200 with this text as the body.
    Reply(String),
    /// A plain answer whose status is a word no client has heard of.
    UnknownStatus,
    /// Close the connection without a reply.
    Cut,
}

/// All misbehaviour at once; `Faults::default()` is none. Fields named like a fault are permille.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Where the dice start: the same seed and the same requests meet the same faults.
    pub seed: u64,
    /// What happens to the next orders, one entry each, before chance has its say.
    pub script: VecDeque<Fault>,
    /// What happens to the next retrievals, likewise.
    pub poll_script: VecDeque<PollFault>,
    /// What happens to the next pages of lists, likewise.
    pub list_script: VecDeque<PollFault>,
    /// Chance of [`Fault::AcceptThenCut`].
    pub accept_then_cut: u16,
    /// Chance of [`Fault::CutBeforeRead`].
    pub cut_before_read: u16,
    /// Chance of accepting and answering 500.
    pub accept_then_500: u16,
    /// Chance of accepting and answering 502.
    pub accept_then_502: u16,
    /// Chance of accepting and answering 503.
    pub accept_then_503: u16,
    /// Chance of accepting and answering 504.
    pub accept_then_504: u16,
    /// Chance of [`Fault::LoseJob`].
    pub lose_job: u16,
    /// Chance of a refusal with 401.
    pub refuse_401: u16,
    /// Chance of a refusal with 429.
    pub refuse_429: u16,
    /// Chance of a refusal with 503.
    pub refuse_503: u16,
    /// The `retry-after` of 429 and 503, word for word.
    pub retry_after: Option<String>,
    /// How long the reply to an order is held back, after the job was taken.
    pub delay_ms: u64,
    /// Whether an `Idempotency-Key` is honoured: an order under one that was taken is answered with its job. Not
    /// a fault; that it is off is.
    pub honour_keys: bool,
    /// How long a new job stays out of lists.
    pub list_lag_ms: u64,
    /// Chance that a retrieval is answered 500.
    pub poll_500: u16,
    /// Chance that a page of a list is answered 500.
    pub list_500: u16,
    /// Chance that a retrieval is answered 404.
    pub poll_404: u16,
    /// Chance of [`PollFault::UnknownStatus`].
    pub unknown_status: u16,
    /// Content breaks off after so many bytes, in the middle of the reply.
    pub stop_after: Option<u64>,
    /// Content ends so many bytes early, under a `content-length` that agrees with it.
    pub content_short_by: u64,
    /// Content stops coming after so many bytes, on a connection that stays open.
    pub content_stalls_after: Option<u64>,
    /// Content is answered with this status and no bytes.
    pub content_status: Option<u16>,
    /// Content is answered with this text as an HTML page, and 200.
    pub content_page: Option<String>,
    /// How often the courier tells of each ended job, instead of once: 0 is never.
    pub webhook_copies: Option<u8>,
    /// Jobs an account may have running; one more is refused as the dialect refuses it.
    pub in_flight_max: Option<u64>,
    /// Dialects that have withdrawn their models: none is listed, and orders for them are refused as that dialect refuses.
    pub withdrawn: BTreeSet<Dialect>,
    /// How long access tokens are good for, instead of an hour.
    pub token_ttl_secs: Option<u64>,
    /// Dialects that take questions about jobs, and do not answer.
    pub hanging: BTreeSet<Dialect>,
    /// Keys that are refused with 401, because they were revoked.
    pub revoked_keys: BTreeSet<String>,
    /// Fresh keys, each with the key whose account it opens.
    pub renewed_keys: BTreeMap<String, String>,
    /// The shape of CometAPI's answers, instead of the one that the model's name asks for.
    pub comet_shape: Option<Shape>,
}

/// Whom to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// An `http://` address.
    pub url: String,
    /// The signing secret: `whsec_` and base64, or any text as it is.
    pub secret: String,
}

/// The faults in force, and the dice.
#[derive(Debug, Default)]
pub struct Misfortune {
    faults: Faults,
    dice: u64,
}

impl Misfortune {
    /// Puts other faults in force.
    pub fn replace(&mut self, faults: Faults) {
        self.dice = faults.seed;
        self.faults = faults;
    }

    /// The faults in force; scripts without what has already happened.
    pub fn in_force(&self) -> &Faults {
        &self.faults
    }

    /// What happens to the next order.
    pub fn next_order(&mut self) -> Fault {
        if let Some(scripted) = self.faults.script.pop_front() {
            return scripted;
        }
        let faults = &self.faults;
        let chances = [
            (faults.accept_then_cut, Fault::AcceptThenCut),
            (faults.cut_before_read, Fault::CutBeforeRead),
            (faults.accept_then_500, Fault::AcceptThenStatus(500)),
            (faults.accept_then_502, Fault::AcceptThenStatus(502)),
            (faults.accept_then_503, Fault::AcceptThenStatus(503)),
            (faults.accept_then_504, Fault::AcceptThenStatus(504)),
            (faults.lose_job, Fault::LoseJob),
            (faults.refuse_401, Fault::Refuse(401)),
            (faults.refuse_429, Fault::Refuse(429)),
            (faults.refuse_503, Fault::Refuse(503)),
        ];
        pick(chances, self.roll()).unwrap_or(Fault::None)
    }

    /// What happens to the next retrieval.
    pub fn next_poll(&mut self) -> PollFault {
        if let Some(scripted) = self.faults.poll_script.pop_front() {
            return scripted;
        }
        let faults = &self.faults;
        let chances = [
            (faults.poll_500, PollFault::Status(500)),
            (faults.poll_404, PollFault::Status(404)),
            (faults.unknown_status, PollFault::UnknownStatus),
        ];
        pick(chances, self.roll()).unwrap_or(PollFault::None)
    }

    /// What happens to the next page of a list.
    pub fn next_list(&mut self) -> PollFault {
        if let Some(scripted) = self.faults.list_script.pop_front() {
            return scripted;
        }
        if self.faults.list_500 == 0 {
            return PollFault::None;
        }
        pick([(self.faults.list_500, PollFault::Status(500))], self.roll()).unwrap_or(PollFault::None)
    }

    /// A number below 1,000, by SplitMix64.
    fn roll(&mut self) -> u16 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        u16::try_from(mixed % 1_000).unwrap_or(0)
    }
}

/// The entry whose share of the thousand the roll fell into, if it fell into any.
fn pick<T, const N: usize>(chances: [(u16, T); N], roll: u16) -> Option<T> {
    let mut reached = 0_u16;
    chances.into_iter().find_map(|(permille, fault)| {
        reached = reached.saturating_add(permille);
        (roll < reached).then_some(fault)
    })
}
