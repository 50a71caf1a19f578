//! Notices: events that are owed to somebody's webhook, and how they are worded.
//!
//! Pure. Says what is worth an event, what the event says and when it is sent again; knows no socket
//! and no SQL. A notice is owed once: two with the same addressee, kind and subject are one. What is
//! sent has OpenAI's shape, and says which video or which budget, never a prompt or an address.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::budget::{Account, Booking};
use crate::clock::Timestamp;
use crate::id::{JobId, NoticeId, TenantName};
use crate::job::{State, Step};
use crate::money::MicroUsd;

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Addressee {
    /// Who runs the gateway: `[alerts] webhook`.
    Operator,
    /// A tenant: `[tenants.NAME] webhook`.
    Tenant(TenantName),
}

/// `operator` or `tenant:NAME`: as columns write it.
impl fmt::Display for Addressee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Tenant(name) => write!(f, "tenant:{name}"),
        }
    }
}

/// The text names nobody who can be told, or no kind of notice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is of no notice")]
pub struct BadNotice(String);

impl FromStr for Addressee {
    type Err = BadNotice;

    fn from_str(text: &str) -> Result<Self, BadNotice> {
        match (text, text.strip_prefix("tenant:")) {
            ("operator", _) => Ok(Self::Operator),
            (_, Some(name)) => Ok(Self::Tenant(TenantName::new(name))),
            _ => Err(BadNotice(text.to_owned())),
        }
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A clip can be fetched.
    VideoCompleted,
    /// There will be no clip.
    VideoFailed,
    /// A percentage of a cap is used that was worth a warning.
    BudgetWarning,
    /// A cap is used up.
    BudgetExhausted,
    /// It has been unknown for long whether a route accepted an attempt.
    UnknownAttempts,
    /// A provider took money that no job explains.
    Suspense,
    /// A provider took more than was held.
    Overrun,
    /// A route does not take our key.
    KeyRefused,
    /// A provider says that it does not have a model any more.
    ModelGone,
    /// Jobs are in an account that no route is of any more, and are not asked about.
    FormerAccount,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::VideoCompleted,
        Self::VideoFailed,
        Self::BudgetWarning,
        Self::BudgetExhausted,
        Self::UnknownAttempts,
        Self::Suspense,
        Self::Overrun,
        Self::KeyRefused,
        Self::ModelGone,
        Self::FormerAccount,
    ];

    /// The event's `type`, and what columns and metrics write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VideoCompleted => "video.completed",
            Self::VideoFailed => "video.failed",
            Self::BudgetWarning => "budget.warning",
            Self::BudgetExhausted => "budget.exhausted",
            Self::UnknownAttempts => "alert.unknown_attempts",
            Self::Suspense => "alert.suspense",
            Self::Overrun => "alert.overrun",
            Self::KeyRefused => "alert.key_refused",
            Self::ModelGone => "alert.model_gone",
            Self::FormerAccount => "alert.former_account",
        }
    }
}

impl FromStr for Kind {
    type Err = BadNotice;

    fn from_str(text: &str) -> Result<Self, BadNotice> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| BadNotice(text.to_owned()))
    }
}

/// A notice that is about to be owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotice {
    /// Who is told.
    pub to: Addressee,
    /// Of what kind of event.
    pub kind: Kind,
    /// About what: with addressee and kind, what makes two of them the same one.
    pub subject: String,
    /// The event's `data`.
    pub data: Value,
    /// The moment.
    pub at: Timestamp,
}

/// The event as OpenAI writes one.
#[derive(Serialize)]
struct Event<'a> {
    id: String,
    object: &'static str,
    created_at: i64,
    r#type: &'static str,
    data: &'a Value,
}

impl NewNotice {
    /// The event's text, which is signed and sent as it is, however often.
    pub fn body(&self, id: NoticeId) -> String {
        let event =
            Event { id: id.to_string(), object: "event", created_at: self.at.as_secs(), r#type: self.kind.as_str(), data: &self.data };
        // Texts and numbers only: there is nothing in it that cannot be written.
        serde_json::to_string(&event).unwrap_or_default()
    }
}

/// What a tenant is owed for a step of its job, if it is the one that ends it as far as its client sees.
///
/// A job that was released well within `answer_after` was refused in the answer to its creation: its
/// client has heard, and may never learn the id.
pub fn of_step(
    tenant: &TenantName,
    job: JobId,
    created_at: Timestamp,
    step: Step,
    at: Timestamp,
    answer_after: Duration,
) -> Option<NewNotice> {
    if !step.from.is_awaited() || step.to.is_awaited() {
        return None;
    }
    if step.to == State::Released && at.since(created_at) * 2 < answer_after {
        return None;
    }
    let kind = if step.to == State::Completed { Kind::VideoCompleted } else { Kind::VideoFailed };
    Some(NewNotice { to: Addressee::Tenant(tenant.clone()), kind, subject: job.to_string(), data: json!({ "id": job.to_string() }), at })
}

/// What is owed once `used` of a booking's cap is spent or held: the highest of its marks that is
/// reached, and the end of the cap. Owed again and again; the same ones are one.
pub fn of_use(booking: &Booking, used: MicroUsd, at: Timestamp) -> Vec<NewNotice> {
    let (Some(cap), Some(marks)) = (booking.cap, &booking.marks) else { return Vec::new() };
    let reached = |percent: u8| i128::from(used.get()) * 100 >= i128::from(cap.get()) * i128::from(percent);
    let highest = marks.iter().copied().filter(|mark| reached(*mark)).max();
    let warning = highest.map(|percent| of_budget(booking, cap, Kind::BudgetWarning, Some(percent), at));
    warning.into_iter().chain(reached(100).then(|| of_budget(booking, cap, Kind::BudgetExhausted, None, at))).collect()
}

/// What is owed when a hold did not fit under a booking's cap.
pub fn of_refusal(booking: &Booking, at: Timestamp) -> Option<NewNotice> {
    let cap = booking.cap.filter(|_| booking.marks.is_some())?;
    Some(of_budget(booking, cap, Kind::BudgetExhausted, None, at))
}

/// What the operator is owed for something that a person should look at.
pub fn of_alert(kind: Kind, subject: String, data: Value, at: Timestamp) -> NewNotice {
    NewNotice { to: Addressee::Operator, kind, subject, data, at }
}

/// A cap that was raised is another one: its marks are told of anew.
fn of_budget(booking: &Booking, cap: MicroUsd, kind: Kind, percent: Option<u8>, at: Timestamp) -> NewNotice {
    let Booking { account, period, .. } = booking;
    let to = account.tenant().map_or(Addressee::Operator, |name| Addressee::Tenant(name.clone()));
    let what = percent.map_or_else(|| period.key.clone(), |percent| format!("{}/{percent}", period.key));
    let id = match account {
        Account::Tenant(_) => what,
        Account::Gateway | Account::Route(_) | Account::Key(..) | Account::User(..) => format!("{account}/{what}"),
    };
    let mut data = json!({ "id": id, "period": period.key, "cap": cap.to_string(), "currency": "USD" });
    if let (Some(percent), Some(data)) = (percent, data.as_object_mut()) {
        data.insert("percent".to_owned(), percent.into());
    }
    NewNotice { to, kind, subject: format!("{id} of {cap}"), data, at }
}

/// How long to wait after the first, second, … try that failed: Standard Webhooks' schedule, about 28 hours.
const WAITS: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(10 * 3_600),
];

/// When a notice is sent again that has failed `tries` times by now; `None` if that is often enough.
///
/// Up to a tenth later than the schedule says, by the notice's own lot, so that what failed together
/// does not come back together.
pub fn next_try(id: NoticeId, tries: u32, now: Timestamp) -> Option<Timestamp> {
    let wait = usize::try_from(tries).ok()?.checked_sub(1).and_then(|failed| WAITS.get(failed))?;
    let lot = u32::try_from(id.seed() % 101).unwrap_or(0);
    Some(now.after(*wait + *wait * lot / 1_000))
}

#[cfg(test)]
mod tests;
