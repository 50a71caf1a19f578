//! Budgets: which period a moment belongs to, and whom a hold is booked against.
//!
//! Pure: no clock, no SQL. A period is a half-open range of instants, computed once in the budget's
//! own time zone and stored with the hold; hold, settle and release of a job all book to it, whatever
//! the date on which they happen.

use std::fmt;

use crate::clock::Timestamp;
use crate::id::{RouteName, TenantName};
use crate::money::MicroUsd;
use crate::policy::{Budget, Per};

/// Whose money it is: one row of the balances for each of its periods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// Everything together.
    Gateway,
    /// A tenant.
    Tenant(TenantName),
    /// A route's account at its provider.
    Route(RouteName),
}

/// `gateway`, `tenant:NAME` or `route:NAME`: as columns write it.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.write_str("gateway"),
            Self::Tenant(name) => write!(f, "tenant:{name}"),
            Self::Route(name) => write!(f, "route:{name}"),
        }
    }
}

/// One account's share in a hold: which period it books to and what that period is capped at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// Whose money.
    pub account: Account,
    /// The period.
    pub period: Period,
    /// The cap in force when the hold is made; `None` is unlimited.
    pub cap: Option<MicroUsd>,
}

impl Booking {
    /// Books `account` against `budget` at the moment `now`. Without a budget nothing is capped and
    /// all time is one period: the balance is still kept.
    pub fn at(account: Account, budget: Option<&Budget>, now: Timestamp) -> Self {
        match budget {
            Some(budget) => Self { account, period: Period::of(budget, now), cap: budget.cap },
            None => Self { account, period: Period::total(), cap: None },
        }
    }
}

/// A stretch of time that a cap is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its name, unique per account: `total`, `month:2026-11`, `week:2026-11-23`, `day:2026-11-23`,
    /// with the day it begins on in the budget's zone.
    pub key: String,
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it; `None` for ever.
    pub until: Option<Timestamp>,
}

impl Period {
    /// All time.
    pub fn total() -> Self {
        Self { key: "total".to_owned(), from: Timestamp::from_ms(0), until: None }
    }

    /// The period of `budget` that `now` falls into.
    pub fn of(budget: &Budget, now: Timestamp) -> Self {
        let _ = (budget.per == Per::Total, now);
        todo!("store helper")
    }
}
