//! The breaker of one model on one route: when it is better asked last, and when it is tried again.
//!
//! A pure machine: moments are handed in, nothing is looked up. It knows neither routes nor jobs, and it
//! ejects nobody: whoever reads it decides what "last" means. The invariants: it opens at its thresholds
//! and not below; what failed is tried again only once its rest is over *and* a free question was
//! answered; what asked to be left alone is well again when its time is up.
//!
//! ```text
//!            failures in a row, or their share      rest over, and a free question is answered
//!   CLOSED ───────────────────────────────▶ OPEN ─────────────────────────────────▶ HALF-OPEN
//!      ▲  ▲                                  │ ▲                                        │   │
//!      │  └── by request, and time is up ────┘ └──────────── the trial failed ──────────┘   │
//!      └──────────────────────────── a submission was answered ─────────────────────────────┘
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::policy::BreakerPolicy;

/// The longest rest that a route can ask for.
pub const REQUEST_MAX: Duration = Duration::from_secs(3_600);
/// A rest is at most so many doublings of what policy says.
const DOUBLINGS_MAX: u32 = 4;
/// A window is kept in so many slices.
const SLICES: u32 = 6;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// To make a clip.
    Submit,
    /// How one is doing.
    Poll,
}

/// Why it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Too many failures in a row.
    Failures,
    /// Too large a share of failures.
    Rate,
    /// The route asked to be left alone.
    Request,
}

/// Where the machine stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It is well.
    #[default]
    Closed,
    /// It is asked last.
    Open {
        /// Since when.
        since: Timestamp,
        /// Until when, at the least.
        until: Timestamp,
        /// Why.
        cause: Cause,
    },
    /// One job is let through at a time, to see.
    HalfOpen {
        /// Since when.
        since: Timestamp,
        /// Why it was open.
        cause: Cause,
        /// Until when nobody else is, because somebody was.
        trial_until: Option<Timestamp>,
    },
}

/// The machine.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    state: State,
    submits: Tally,
    polls: Tally,
    /// How often it opened without having been well in between.
    openings: u32,
}

impl Breaker {
    /// Where it stands.
    pub fn state(&self, now: Timestamp) -> State {
        match self.state {
            State::Open { until, cause: Cause::Request, .. } if until <= now => State::Closed,
            state => state,
        }
    }

    /// Whether it is better asked last.
    pub fn is_asked_last(&self, now: Timestamp) -> bool {
        match self.state(now) {
            State::Closed => false,
            State::Open { .. } => true,
            State::HalfOpen { trial_until, .. } => trial_until.is_some_and(|until| until > now),
        }
    }

    /// Whether it rests because it failed, and not because it asked to.
    pub fn is_failing(&self, now: Timestamp) -> bool {
        matches!(self.state(now), State::Open { cause: Cause::Failures | Cause::Rate, .. })
    }

    /// Whether an answer to a free question would half-open it.
    pub fn wants_a_free_answer(&self, now: Timestamp) -> bool {
        matches!(self.state(now), State::Open { until, cause: Cause::Failures | Cause::Rate, .. } if until <= now)
    }

    /// A question was answered soundly, whatever was said.
    pub fn answered(&mut self, question: Question, now: Timestamp, policy: &BreakerPolicy) {
        self.state = self.state(now);
        self.tally(question).note(true, now, policy.window);
        match (question, self.state) {
            (Question::Submit, State::Closed | State::Open { cause: Cause::Request, .. }) => self.openings = 0,
            (Question::Submit, _) => *self = Self::default(),
            (Question::Poll, _) => self.free_answer(now),
        }
    }

    /// A question was not answered, or with trouble of the route's own; why it has opened, if it has just now.
    pub fn failed(&mut self, question: Question, now: Timestamp, policy: &BreakerPolicy) -> Option<Cause> {
        self.state = self.state(now);
        let tally = self.tally(question);
        tally.note(false, now, policy.window);
        let cause = match self.state {
            State::Closed => self.tally(question).verdict(now, policy)?,
            State::HalfOpen { cause, .. } => cause,
            // Those that were under way when it opened tell nothing new.
            State::Open { .. } => return None,
        };
        self.open(now, policy.rest * 2_u32.saturating_pow(self.openings.min(DOUBLINGS_MAX)), cause);
        self.openings = self.openings.saturating_add(1);
        Some(cause)
    }

    /// It asked to be left alone for a while. That ends no other rest early.
    pub fn asks_for_rest(&mut self, wait: Duration, now: Timestamp) {
        let until = now.after(wait.min(REQUEST_MAX));
        self.state = self.state(now);
        match &mut self.state {
            State::Open { until: resting, .. } => *resting = until.max(*resting),
            // It has not shown yet that it is well.
            &mut State::HalfOpen { cause, .. } => self.state = State::Open { since: now, until, cause },
            state => *state = State::Open { since: now, until, cause: Cause::Request },
        }
    }

    /// A free question was answered: if its rest is over, one job may be tried.
    pub fn free_answer(&mut self, now: Timestamp) {
        if self.wants_a_free_answer(now)
            && let State::Open { cause, .. } = self.state
        {
            self.state = State::HalfOpen { since: now, cause, trial_until: None };
        }
    }

    /// A free question was not answered: it rests on.
    pub fn free_failure(&mut self, now: Timestamp, policy: &BreakerPolicy) {
        if self.wants_a_free_answer(now)
            && let State::Open { until, .. } = &mut self.state
        {
            *until = now.after(policy.rest);
        }
    }

    /// A job is submitted to it: while it is on trial, nobody else is for so long, unless the outcome is known earlier.
    pub fn asking(&mut self, now: Timestamp, span: Duration) {
        if let State::HalfOpen { trial_until, .. } = &mut self.state {
            *trial_until = Some(now.after(span));
        }
    }

    fn open(&mut self, now: Timestamp, rest: Duration, cause: Cause) {
        self.state = State::Open { since: now, until: now.after(rest), cause };
        (self.submits, self.polls) = (Tally::default(), Tally::default());
    }

    fn tally(&mut self, question: Question) -> &mut Tally {
        // Apart, so that many polls that are answered do not hide that nothing new is taken.
        match question {
            Question::Submit => &mut self.submits,
            Question::Poll => &mut self.polls,
        }
    }
}

/// How one kind of question went lately.
#[derive(Clone, Debug, Default)]
struct Tally {
    failures_in_a_row: u32,
    slices: VecDeque<Slice>,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    number: i64,
    answers: u32,
    failures: u32,
}

impl Tally {
    fn note(&mut self, well: bool, now: Timestamp, window: Duration) {
        self.failures_in_a_row = if well { 0 } else { self.failures_in_a_row.saturating_add(1) };
        let number = slice_number(now, window);
        self.forget(number);
        match self.slices.back_mut() {
            Some(slice) if slice.number == number => slice.count(well),
            _ => {
                let mut slice = Slice { number, answers: 0, failures: 0 };
                slice.count(well);
                self.slices.push_back(slice);
            }
        }
    }

    fn forget(&mut self, number: i64) {
        // Also what a window of another length has left, or a clock that was behind.
        self.slices.retain(|slice| slice.number <= number && slice.number > number - i64::from(SLICES));
    }

    /// Why it should open, if it should.
    fn verdict(&mut self, now: Timestamp, policy: &BreakerPolicy) -> Option<Cause> {
        if self.failures_in_a_row >= policy.failures {
            return Some(Cause::Failures);
        }
        self.forget(slice_number(now, policy.window));
        let (answers, failures) =
            self.slices.iter().fold((0_u64, 0_u64), |(all, bad), slice| (all + u64::from(slice.answers), bad + u64::from(slice.failures)));
        let is_share = failures * 1_000 >= answers * u64::from(policy.permille);
        (answers >= u64::from(policy.count_min) && is_share).then_some(Cause::Rate)
    }
}

impl Slice {
    fn count(&mut self, well: bool) {
        self.answers = self.answers.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(!well));
    }
}

fn slice_number(now: Timestamp, window: Duration) -> i64 {
    let slice_ms = i64::try_from((window / SLICES).as_millis()).unwrap_or(i64::MAX).max(1);
    now.as_ms().div_euclid(slice_ms)
}

#[cfg(test)]
mod tests;
