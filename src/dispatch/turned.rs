//! Turned: what becomes of an order that nobody takes.
//!
//! Gathers why each candidate was not it, in the plan's order, and says it once, in the end. Knows nothing of
//! money or of the books: nothing was paid to anybody here, and nothing is held any more.

use std::time::Duration;

use crate::halting::Halted;
use crate::id::ModelName;
use crate::metrics::AttemptOutcome;
use crate::money::MicroUsd;
use crate::plan::Candidate;
use crate::provider::{Accepted, RefusedReason, SubmitError};
use crate::refusal::{CapInTheWay, ROUTES_SPENT, Refusal};
use crate::store::JobError;

/// When a route says it is full without saying for how long.
pub const FULL_WAIT: Duration = Duration::from_secs(10);

/// Why each candidate was not it.
#[derive(Debug, Default)]
pub struct Turned {
    why: Vec<String>,
    full: Option<Duration>,
    capped: bool,
    unavailable: bool,
    halted: Option<Halted>,
    gone: usize,
    tenant_full: Option<u32>,
    line_full: Option<(u32, Duration)>,
}

impl Turned {
    /// It has no room.
    pub fn full(&mut self, candidate: &Candidate, wait: Duration) {
        self.why.push(format!("{}: at its limit", candidate.route.name));
        self.full = Some(self.full.map_or(wait, |other| other.min(wait)));
    }

    /// Its tenant has as many jobs in flight as it may: so it is everywhere.
    pub fn tenant_full(&mut self, in_flight: u32) {
        self.tenant_full = Some(in_flight);
    }

    /// As many of its tenant's jobs wait as may, and the first of those is expected to be sent in `wait`.
    pub fn line_full(&mut self, waiting: u32, wait: Duration) {
        self.line_full = Some((waiting, wait));
    }

    /// Whether somebody would take it if it came later.
    pub fn is_worth_waiting(&self) -> bool {
        self.halted.is_none() && (self.full.is_some() || self.tenant_full.is_some())
    }

    /// Whether nothing but caps of routes keeps it from being made: waiting would not help.
    pub fn is_only_capped(&self) -> bool {
        let passes = self.full.is_some() || self.tenant_full.is_some() || self.halted.is_some() || self.unavailable;
        self.capped && !passes
    }

    /// Its account's cap leaves too little.
    pub fn capped(&mut self, candidate: &Candidate) {
        self.why.push(format!("{}: at its cap", candidate.route.name));
        self.capped = true;
    }

    /// It does not have the model any more, and was not asked.
    pub fn gone(&mut self, candidate: &Candidate) {
        self.why.push(format!("{}: does not have the model any more", candidate.route.name));
        self.gone += 1;
    }

    /// It was asked, and did not take it.
    pub fn asked(&mut self, candidate: &Candidate, answer: &Result<Accepted, SubmitError>) {
        self.why.push(format!("{}: {}", candidate.route.name, AttemptOutcome::of(answer).as_str()));
        match answer {
            Err(SubmitError::Refused { reason: RefusedReason::RateLimited | RefusedReason::TooManyJobs, retry_after_secs, .. }) => {
                let wait = retry_after_secs.map_or(FULL_WAIT, Duration::from_secs);
                self.full = Some(self.full.map_or(wait, |other| other.min(wait)));
            }
            Err(SubmitError::Refused { reason: RefusedReason::ModelGone, .. }) => self.gone += 1,
            _ => self.unavailable = true,
        }
    }

    /// Nobody may be asked any more.
    pub fn halted(&mut self, why: Option<Halted>) {
        self.halted = why;
    }

    /// Why the job was not made.
    pub fn error(&self) -> JobError {
        let (code, message) = match &self.halted {
            Some(_) => ("halted", "The operator of this gateway stopped all new videos before this one was ordered."),
            None if self.is_only_capped() => ("insufficient_quota", ROUTES_SPENT),
            None => ("no_route_available", "Nobody could make this video."),
        };
        JobError { code: code.to_owned(), message: message.to_owned() }
    }

    /// What the client is told. A route that is merely busy is worth waiting for, whatever the others said.
    pub fn refusal(self, model: &ModelName, ceiling: MicroUsd) -> Refusal {
        match self {
            Self { halted: Some(why), .. } => why.into(),
            Self { line_full: Some((waiting, wait)), .. } => Refusal::LineFull { waiting, wait },
            Self { tenant_full: Some(in_flight), .. } => Refusal::TenantFull { in_flight },
            Self { why, gone, .. } if gone > 0 && gone == why.len() => Refusal::ModelGone { model: model.clone(), why: why.join("; ") },
            Self { full: Some(wait), .. } => Refusal::RoutesFull { wait },
            Self { capped: true, unavailable: false, why, .. } => Refusal::OverBudget { ceiling, cap: CapInTheWay::Routes(why.join("; ")) },
            Self { why, .. } => Refusal::NoRoute { why: why.join("; "), wait: FULL_WAIT },
        }
    }
}
