//! Routes: one account at one provider each, with what it may be asked for and what ends what it does not answer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Budget, Limits, Offer};
use crate::id::{AccountId, Home, ModelName, RouteName};
use crate::provider::{Endpoint, Provider};
use crate::secret::Secret;

/// One way to get video made.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name in the file.
    pub name: RouteName,
    /// The dialect it speaks.
    pub provider: &'static dyn Provider,
    /// Whether it is the simulator inside this process, whose address is known once it runs.
    pub simulated: bool,
    /// Where it is and how we prove who we are.
    pub endpoint: Endpoint,
    /// Which account that is.
    pub account: AccountId,
    /// `false` takes it out of every plan; jobs that it has are followed to their end.
    pub enabled: bool,
    /// Whether it takes nothing new but what is made from its own clips.
    pub drain: bool,
    /// Where it processes.
    pub region: Option<String>,
    /// Its account's limits.
    pub limits: Limits,
    /// Its account's cap, if it has one.
    pub budget: Option<Budget>,
    /// What it offers, by public name.
    pub models: BTreeMap<ModelName, Offer>,
    /// When its jobs are asked about.
    pub poll: PollSchedule,
    /// The longest wait for the reply to a submission; past it the outcome is unknown.
    pub submit_timeout: Duration,
    /// Whether it knows a submission again by its `Idempotency-Key`, so that one may be sent again.
    pub idempotency_key: bool,
    /// Whether a failed job is billed there.
    pub bills_failed: bool,
    /// What ends an attempt whose outcome is unknown.
    pub unknown: UnknownPolicy,
    /// What ends a job that its upstream took and denies.
    pub lost: WrittenOff,
    /// When it is better asked last.
    pub breaker: BreakerPolicy,
    /// Hosts that result addresses may be on, beside the endpoint's own; `*.` matches subdomains.
    pub content_hosts: Vec<String>,
    /// How its provider reaches us to tell of one attempt each, if it is asked to.
    pub callback_url: Option<String>,
    /// Verifies its callbacks; several while one is being replaced.
    pub webhook_secrets: Vec<Secret>,
    /// How many times faster than real life it works, if it is the simulator; 1 otherwise.
    pub speed: u32,
}

impl Route {
    /// Whether it takes jobs that could go elsewhere.
    pub const fn takes_new(&self) -> bool {
        self.enabled && !self.drain
    }

    /// Whether what is there is in its account, as far as is known.
    pub fn is_at(&self, home: &Home) -> bool {
        self.name == home.route && home.account.as_ref().is_none_or(|account| *account == self.account)
    }

    /// Where what it takes now is.
    pub fn home(&self) -> Home {
        Home { route: self.name.clone(), account: Some(self.account.clone()) }
    }
}

/// When a route's jobs are asked about: often in the first minute, then less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollSchedule {
    /// Between polls in the first minute.
    pub early: Duration,
    /// Between polls afterwards.
    pub late: Duration,
    /// The most questions that the account is asked in a minute, lists included.
    pub rate: u32,
}

/// When one of a route's models is asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// After so many failures in a row.
    pub failures: u32,
    /// Or after this share of failures, in thousandths…
    pub permille: u32,
    /// …of at least so many answers…
    pub count_min: u32,
    /// …within this time.
    pub window: Duration,
    /// For how long at the least; longer each time that it opens again without having been well.
    pub rest: Duration,
}

/// What ends an attempt whose outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPolicy {
    /// How long after the attempt a missing job counts as never accepted, where the upstream lists its jobs.
    pub grace: Duration,
    /// How long after the attempt policy ends it without evidence.
    pub give_up: Duration,
    /// Whether it then counts as spent.
    pub counts_as_spent: bool,
    /// How long after the attempt its client is told that it failed, though its money is still held.
    pub tell_after: Duration,
    /// Whether others order on the same account.
    pub shared_account: bool,
}

impl UnknownPolicy {
    /// What ends it without evidence.
    pub const fn written_off(&self) -> WrittenOff {
        WrittenOff { give_up: self.give_up, counts_as_spent: self.counts_as_spent }
    }
}

/// How what has no evidence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenOff {
    /// How long after the attempt.
    pub give_up: Duration,
    /// Whether it then counts as spent.
    pub counts_as_spent: bool,
}
