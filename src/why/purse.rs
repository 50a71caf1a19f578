//! Purses: whom a wish would be held against, each with its cap, and what is in them once somebody who knows has looked.

use serde::Serialize;

use super::question::to_the_second;
use crate::budget::{self, Account, Booking, bookings};
use crate::clock::Timestamp;
use crate::money::MicroUsd;
use crate::plan::Plan;
use crate::policy::{Budget, Key, Policy, Tenant};

/// Somebody whom a wish would be held against.
#[derive(Clone, Debug, Serialize)]
pub struct PurseLine {
    /// In words: `acme's key ci`.
    pub whose: String,
    /// As the books write it: `key:acme/ci`.
    account: String,
    /// The period that its cap is for, as the books write it: `month:2026-11`.
    period: String,
    /// When that ends, in UTC.
    until: Option<String>,
    /// What would be held: against a route what it takes, against everybody else the ceiling.
    needs: Option<String>,
    /// `null` is unlimited.
    cap: Option<String>,
    /// As far as somebody who knows has put it here.
    #[serde(flatten)]
    pub content: Option<Content>,
    #[serde(skip)]
    booking: Booking,
    #[serde(skip)]
    amount: Option<MicroUsd>,
}

/// What is in a purse.
#[derive(Clone, Debug, Serialize)]
pub struct Content {
    spent: String,
    held: String,
    /// `null` without a cap.
    left: Option<String>,
    /// Whether what would be held fits under the cap.
    pub fits: bool,
}

impl PurseLine {
    fn new(booking: Booking, amount: Option<MicroUsd>) -> Self {
        Self {
            whose: booking.account.whose(),
            account: booking.account.to_string(),
            period: booking.period.key.clone(),
            until: booking.period.until.map(to_the_second),
            needs: amount.map(|amount| amount.to_string()),
            cap: booking.cap.map(|cap| cap.to_string()),
            content: None,
            booking,
            amount,
        }
    }

    /// Where to look.
    pub const fn booking(&self) -> &Booking {
        &self.booking
    }

    /// Puts in what the books say.
    pub fn fill(&mut self, spent: MicroUsd, held: MicroUsd) {
        let used = spent.plus(held).unwrap_or(MicroUsd::MAX);
        let left = budget::left(self.booking.cap, used);
        let fits = self.amount.is_none_or(|amount| budget::fits(self.booking.cap, used, amount));
        self.content = Some(Content { spent: spent.to_string(), held: held.to_string(), left: left.map(|left| left.to_string()), fits });
    }

    /// Whether the wish is refused for it; a route is only passed over.
    pub fn refuses(&self) -> bool {
        !self.is_routes() && self.content.as_ref().is_some_and(|content| !content.fits)
    }

    /// Whether it is a route's.
    pub const fn is_routes(&self) -> bool {
        matches!(self.booking.account, Account::Route(_))
    }

    /// That it does not fit, in words.
    pub fn objection(&self) -> Option<String> {
        let content = self.content.as_ref().filter(|content| !content.fits)?;
        let (needs, left) = (self.needs.as_deref()?, content.left.as_deref()?);
        let outcome = if self.is_routes() { "it is passed over" } else { "it would be refused" };
        // What needs no more than is left does not fit only where the cap is passed.
        if needs == left {
            return Some(format!("more than the cap of {} is used already: {outcome}", self.whose));
        }
        Some(format!("{needs} USD do not fit under the cap of {}, which has {left} left: {outcome}", self.whose))
    }
}

/// Whom a wish would be held against, in the order in which a refusal is told; routes stand behind the others.
pub(super) fn purses(
    policy: &Policy,
    tenant: &Tenant,
    key: Option<&Key>,
    user: Option<&str>,
    plan: Option<&Plan>,
    at: Timestamp,
) -> Vec<PurseLine> {
    let ceiling = plan.map(Plan::ceiling);
    let held = bookings(policy, tenant, key, user, at).into_iter().map(|booking| PurseLine::new(booking, ceiling));
    let routes = plan.iter().flat_map(|plan| &plan.candidates).map(|candidate| {
        let account = Account::Route(candidate.route.name.clone());
        PurseLine::new(Booking::at(account, candidate.route.budget.as_ref(), at), Some(candidate.price))
    });
    held.chain(routes).collect()
}

/// What was left unsaid and decides about caps.
pub(super) fn unsaid(tenant: &Tenant, key: Option<&Key>) -> Vec<String> {
    let has_cap = |budget: &Option<Budget>| budget.as_ref().is_some_and(|budget| budget.cap.is_some());
    let capped: Vec<&str> = tenant.keys.iter().filter(|key| has_cap(&key.budget)).map(|key| key.name.as_str()).collect();
    if key.is_some() || capped.is_empty() {
        return Vec::new();
    }
    let (few, more) = capped.split_at(capped.len().min(5));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    vec![format!("no key is said: those of {} with a cap of their own are {}{more}", tenant.name, few.join(", "))]
}
