//! What a probe finds out, and what the policy should say of it. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::policy::{Route, UnknownPolicy};
use crate::provider::ListedJob;
use crate::store::Job;

/// The grace is so many times what was measured…
const GRACE_TIMES: u64 = 20;
/// …and not less than this, seconds: one probe on a quiet day is no proof.
const GRACE_SECS_MIN: u64 = 120;
/// When a listed job was made may differ by this much for it to be found again.
const SLACK_MS: u64 = 120_000;

/// What is known of a probe. What has not been found out yet, and what cannot be, is `null`.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// The job.
    pub id: String,
    /// Its route.
    pub route: String,
    /// The dialect that route speaks.
    pub provider: &'static str,
    /// The public model.
    pub model: String,
    /// What the route calls it.
    pub upstream_model: String,
    /// Its length.
    pub seconds: u32,
    /// Its size.
    pub size: String,
    /// What it is to cost.
    pub price: String,
    /// What the route calls the job.
    pub upstream_id: Option<String>,
    /// Where it is in its life.
    pub state: &'static str,
    /// 0 to 100.
    pub progress: u8,
    /// From sending it to the route's answer.
    pub accept_ms: Option<u64>,
    /// What the route's list is good for.
    pub list: List,
    /// From the answer to its end, as the poller saw it.
    pub made_ms: Option<u64>,
    /// What the books say that it cost.
    pub cost: Option<String>,
    /// What the route says that it cost.
    pub reported_cost: Option<String>,
    /// Why it was not made.
    pub error: Option<String>,
    /// The clip.
    pub content: Option<Content>,
    /// Whether looking has ended.
    pub done: bool,
    /// Lines for the route's part of the policy.
    pub policy: Vec<String>,
}

/// What the route's list is good for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct List {
    /// Whether there is one.
    pub exists: Option<bool>,
    /// From the answer to its first appearance there.
    pub lag_ms: Option<u64>,
    /// What the list says of when it was made, less when it was sent by our clock.
    pub created_at_skew_ms: Option<i64>,
    /// Whether it shows the prompt as it was sent.
    pub shows_prompt: Option<bool>,
    /// Likewise the length.
    pub shows_seconds: Option<bool>,
    /// Likewise the size.
    pub shows_size: Option<bool>,
    /// Whether an attempt whose answer is lost can be found again there.
    pub adoptable: Option<bool>,
    /// Why it could not be read the last time.
    pub fault: Option<String>,
}

/// The clip, as it was fetched.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Content {
    /// How many bytes came.
    pub bytes: u64,
    /// Whether they begin as an MP4 file does.
    pub is_mp4: bool,
    /// How long it took.
    pub ms: u64,
    /// Why it could not be fetched whole.
    pub fault: Option<String>,
}

impl Findings {
    /// What is known once the route has answered.
    pub fn of(job: &Job, route: &Route, accept: Duration) -> Self {
        Self {
            id: job.id.to_string(),
            route: job.route.to_string(),
            provider: route.provider.name(),
            model: job.model.to_string(),
            upstream_model: job.upstream_model.clone(),
            seconds: job.seconds.get(),
            size: job.size.to_string(),
            price: job.price.to_string(),
            upstream_id: job.upstream_id.clone(),
            state: job.state.as_str(),
            progress: job.progress,
            accept_ms: job.upstream_id.as_ref().map(|_| ms(accept)),
            list: List::default(),
            made_ms: None,
            cost: None,
            reported_cost: None,
            error: None,
            content: None,
            done: false,
            policy: Vec::new(),
        }
    }

    /// What the policy should say.
    pub fn advise(&mut self, route: &Route) {
        let unknown = &route.unknown;
        let (note, grace) = match (&self.list, self.accept_ms) {
            (List { adoptable: Some(true), lag_ms: Some(lag), .. }, Some(accept)) => {
                let grace = Duration::from_secs(lag.saturating_add(accept).saturating_mul(GRACE_TIMES).div_ceil(1_000).max(GRACE_SECS_MIN));
                let lag = format!("{lag} ms after its answer, which took {accept} ms");
                (format!("its list showed the job {lag}: an attempt whose answer is lost is found again there"), grace)
            }
            (List { exists: Some(false), .. }, _) => {
                ("it has no list: an attempt whose answer is lost ends by `give_up` and `counts_as`".to_owned(), unknown.grace)
            }
            (List { adoptable: Some(false), .. }, _) => {
                let note = "its list does not show enough of a job: an attempt whose answer is lost ends by `give_up` and `counts_as`";
                (note.to_owned(), unknown.grace)
            }
            _ => (
                "its list never showed the job: an attempt whose answer is lost ends by `give_up` and `counts_as`".to_owned(),
                unknown.grace,
            ),
        };
        self.policy = vec![format!("# [routes.{}]: {note}", self.route), line(unknown, grace, route.submit_timeout)];
    }
}

impl List {
    /// What it shows of a job of ours.
    pub fn show(&mut self, job: &Job, listed: &ListedJob, lag: Duration, by_our_clock: i64) {
        let sent = job.attempted_at.as_ms();
        let shows =
            [listed.prompt.as_deref() == Some(job.prompt.as_str()), listed.seconds == Some(job.seconds), listed.size == Some(job.size)];
        self.lag_ms = Some(ms(lag));
        self.created_at_skew_ms = Some(listed.created_at.as_ms().saturating_sub(sent));
        self.shows_prompt = Some(shows[0]);
        self.shows_seconds = Some(shows[1]);
        self.shows_size = Some(shows[2]);
        self.adoptable = Some(shows.iter().all(|shown| *shown) && by_our_clock.abs_diff(sent) <= SLACK_MS);
        self.fault = None;
    }
}

/// The whole key, so that it can take the place of one that is there.
fn line(unknown: &UnknownPolicy, grace: Duration, submit_timeout: Duration) -> String {
    let (tell_after, shared) = (unknown.tell_after.as_secs(), unknown.shared_account);
    // A policy that gives up before its grace is over is a fault.
    let give_up = unknown.give_up.max(grace + submit_timeout).as_secs();
    let counts_as = if unknown.counts_as_spent { "spent" } else { "free" };
    let grace = grace.as_secs();
    format!(
        "unknown = {{ grace = \"{grace}s\", give_up = \"{give_up}s\", counts_as = \"{counts_as}\", tell_after = \"{tell_after}s\", shared_account = {shared} }}"
    )
}

/// Whole milliseconds.
pub fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
