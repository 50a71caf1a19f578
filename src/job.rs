//! The life of a job: one pure table of states and events, and what each edge does to the hold.
//!
//! Knows no SQL, clock or socket. Only [`step`] decides a state; only `store.apply` writes one. The
//! invariant: a hold ends exactly once, on the edge into a final state, and from [`State::Submitting`]
//! on only evidence or a written policy ends it; time alone never does.

use std::fmt;
use std::str::FromStr;

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Money is held, nothing is sent, nothing is being sent.
    Reserved,
    /// Money is held, nothing is sent; it stands in line until somebody has room.
    Waiting,
    /// An attempt is on disk; its request may be on the wire.
    Submitting,
    /// An attempt may or may not have been accepted.
    Unknown,
    /// The upstream has it and has not begun.
    Accepted,
    /// The upstream is at work.
    Running,
    /// Made, and paid for.
    Completed,
    /// Not made.
    Failed,
    /// The upstream had it and does not know it any more. Its money stays held until policy ends it.
    Lost,
    /// Never made: refused everywhere, or given up before it was sent.
    Released,
}

impl State {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 10] = [
        Self::Reserved,
        Self::Waiting,
        Self::Submitting,
        Self::Unknown,
        Self::Accepted,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Lost,
        Self::Released,
    ];

    /// The state as columns, metrics and logs write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Waiting => "waiting",
            Self::Submitting => "submitting",
            Self::Unknown => "unknown",
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Released => "released",
        }
    }

    /// Whether the life is over.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Released)
    }

    /// Whether the job takes one of its route's in-flight places.
    pub const fn is_in_flight(self) -> bool {
        matches!(self, Self::Submitting | Self::Unknown | Self::Accepted | Self::Running)
    }

    /// Whether the job takes one of its tenant's in-flight places. One that stands in line takes none: the line has
    /// bounds of its own.
    pub const fn has_tenants_place(self) -> bool {
        matches!(self, Self::Reserved) || self.is_in_flight()
    }

    /// Whether its client waits for it, and has not been told that it ended.
    pub const fn is_awaited(self) -> bool {
        matches!(self, Self::Waiting) || self.has_tenants_place()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is not a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no state of a job is called {0:?}")]
pub struct BadState(String);

impl FromStr for State {
    type Err = BadState;

    fn from_str(text: &str) -> Result<Self, BadState> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| BadState(text.to_owned()))
    }
}

/// Something that happened to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// An attempt was written down, before its first byte leaves.
    Attempted,
    /// Nobody has room for it at present, and it may wait.
    Lined,
    /// It stood in line for as long as it may.
    Expired,
    /// The upstream gave it an id.
    Accepted,
    /// This route will not have it and nobody was paid: another may be asked.
    TurnedAway,
    /// The wish itself was refused.
    Rejected,
    /// No route is left to ask.
    Exhausted,
    /// The attempt's outcome cannot be known from its reply, or there was no reply.
    Unclear,
    /// The upstream says it is waiting.
    Queued,
    /// The upstream says it is at work.
    Running,
    /// The upstream says it is made.
    Finished,
    /// The upstream says it failed, and does not bill for that.
    Failed,
    /// The upstream says it failed, and this route bills for that.
    FailedBilled,
    /// The upstream does not know it any more.
    Vanished,
    /// There is evidence that the attempt was never accepted.
    Absent,
    /// Written policy ends what has no evidence, an unknown attempt or a lost job: it counts as spent.
    WrittenOffSpent,
    /// Written policy ends what has no evidence: it counts as never billed.
    WrittenOffFree,
}

#[cfg(test)]
impl Event {
    /// Every event.
    pub const ALL: [Self; 17] = [
        Self::Attempted,
        Self::Lined,
        Self::Expired,
        Self::Accepted,
        Self::TurnedAway,
        Self::Rejected,
        Self::Exhausted,
        Self::Unclear,
        Self::Queued,
        Self::Running,
        Self::Finished,
        Self::Failed,
        Self::FailedBilled,
        Self::Vanished,
        Self::Absent,
        Self::WrittenOffSpent,
        Self::WrittenOffFree,
    ];
}

/// What an edge does to the money that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Nothing: it stays held.
    Keep,
    /// It becomes spend, at the price of the route that made the clip; the rest is given back.
    Settle,
    /// It is given back whole.
    Release,
}

/// One edge: decided here, written by the store in one transaction with the money. Nobody but [`step`] can
/// make one, so no store can be told to write an edge that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The state the job must still be in.
    pub from: State,
    /// The state it gets.
    pub to: State,
    /// What happens to the hold.
    pub hold: Hold,
    /// Only this module can write it.
    _from_the_table: (),
}

#[cfg(test)]
impl Step {
    /// The same edge, leaving another state: what the table would never say.
    pub fn leaving(self, from: State) -> Self {
        Self { from, ..self }
    }
}

/// The event cannot happen to a job in that state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {from} cannot see {event:?}")]
pub struct IllegalStep {
    /// The state.
    pub from: State,
    /// The event.
    pub event: Event,
}

/// What becomes of a job in state `from` when `event` happens.
///
/// A late reply is legal: a process that was paused while another gave its attempt up as unknown
/// still knows the id, so `Unknown` accepts whatever `Submitting` does.
pub fn step(from: State, event: Event) -> Result<Step, IllegalStep> {
    use {Event as E, Hold as H, State as S};

    let (to, hold) = match (from, event) {
        (S::Reserved | S::Waiting, E::Attempted) => (S::Submitting, H::Keep),
        (S::Reserved, E::Lined) => (S::Waiting, H::Keep),
        (S::Reserved | S::Waiting, E::Exhausted | E::Rejected) => (S::Released, H::Release),
        (S::Waiting, E::Expired) => (S::Released, H::Release),

        (S::Submitting, E::Unclear) => (S::Unknown, H::Keep),
        (S::Submitting | S::Unknown, E::Accepted | E::Queued) => (S::Accepted, H::Keep),
        (S::Submitting, E::TurnedAway) => (S::Reserved, H::Keep),
        (S::Submitting | S::Unknown, E::Rejected | E::Exhausted) => (S::Released, H::Release),

        (S::Unknown, E::Unclear) => (S::Unknown, H::Keep),
        (S::Unknown, E::TurnedAway | E::Absent | E::WrittenOffFree) => (S::Released, H::Release),
        (S::Accepted | S::Running | S::Unknown | S::Lost, E::WrittenOffSpent) => (S::Failed, H::Settle),

        (S::Accepted, E::Queued) => (S::Accepted, H::Keep),
        (S::Accepted | S::Running, E::Running) => (S::Running, H::Keep),
        (S::Running, E::Queued) => (S::Running, H::Keep),
        (S::Accepted | S::Running, E::Finished) => (S::Completed, H::Settle),
        (S::Accepted | S::Running, E::Failed) => (S::Failed, H::Release),
        (S::Accepted | S::Running, E::FailedBilled) => (S::Failed, H::Settle),
        (S::Accepted | S::Running, E::Vanished) => (S::Lost, H::Keep),
        (S::Accepted | S::Running | S::Lost, E::WrittenOffFree) => (S::Failed, H::Release),

        (from, event) => return Err(IllegalStep { from, event }),
    };
    Ok(Step { from, to, hold, _from_the_table: () })
}

#[cfg(test)]
mod tests;
