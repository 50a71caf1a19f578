//! Budgets: which period a moment belongs to, and whom a hold is booked against.
//!
//! Pure: no clock, no SQL. A period is a half-open range of instants, computed once in the budget's
//! own time zone and stored with the hold; hold, settle and release of a job all book to it, whatever
//! the date on which they happen.

mod bookings;
mod cap;

use std::fmt;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Error, Span};
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::id::{RouteName, TenantName};
use crate::money::MicroUsd;
use crate::policy::{Budget, Per};

pub use bookings::{bookings, whoever};
pub use cap::{fits, left};

impl Account {
    /// Whose money it is, in the operator's words.
    pub fn whose(&self) -> String {
        match self {
            Self::Gateway => "the gateway".to_owned(),
            Self::Tenant(tenant) => tenant.to_string(),
            Self::Route(route) => format!("route {route}"),
            Self::Key(tenant, key) => format!("{tenant}'s key {key}"),
            Self::User(tenant, Some(user)) => format!("{tenant}'s end user {user}"),
            Self::User(tenant, None) => format!("{tenant}'s requests that name no end user"),
        }
    }

    /// The tenant whose money it is, or that may spend it; `None` if it is the operator's.
    pub const fn tenant(&self) -> Option<&TenantName> {
        match self {
            Self::Tenant(name) | Self::Key(name, _) | Self::User(name, _) => Some(name),
            Self::Gateway | Self::Route(_) => None,
        }
    }
}

/// Whose money it is: one row of the balances for each of its periods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// Everything together.
    Gateway,
    /// A tenant.
    Tenant(TenantName),
    /// A route's account at its provider.
    Route(RouteName),
    /// One of a tenant's keys, by its name.
    Key(TenantName, String),
    /// One of a tenant's end users; all requests that name none are one user together.
    User(TenantName, Option<String>),
}

/// The longest end user's name that columns write as it is, bytes.
const USER_BYTES_MAX: usize = 64;

/// `gateway`, `tenant:NAME`, `route:NAME`, `key:TENANT/NAME` or `user:TENANT/NAME`: as columns write it. A long name of
/// an end user is written as its hash; no name is empty.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.write_str("gateway"),
            Self::Tenant(name) => write!(f, "tenant:{name}"),
            Self::Route(name) => write!(f, "route:{name}"),
            Self::Key(tenant, key) => write!(f, "key:{tenant}/{key}"),
            Self::User(tenant, None) => write!(f, "user:{tenant}/"),
            Self::User(tenant, Some(user)) if user.len() <= USER_BYTES_MAX => write!(f, "user:{tenant}/{user}"),
            Self::User(tenant, Some(user)) => {
                write!(f, "user:{tenant}/sha256:")?;
                Sha256::digest(user).iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
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
    /// Percentages of the cap that the account's owner is told of when they are used, beside its end; `None`
    /// if nobody is told.
    pub marks: Option<Vec<u8>>,
}

impl Booking {
    /// Books `account` against `budget` at the moment `now`. Without a budget nothing is capped and
    /// all time is one period: the balance is still kept.
    pub fn at(account: Account, budget: Option<&Budget>, now: Timestamp) -> Self {
        match budget {
            Some(budget) => Self { account, period: Period::of(budget, now), cap: budget.cap, marks: None },
            None => Self { account, period: Period::total(), cap: None, marks: None },
        }
    }

    /// Likewise, with the owner of the account told when these percentages of the cap are used.
    pub fn telling(self, marks: &[u8]) -> Self {
        Self { marks: Some(marks.to_vec()), ..self }
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
        // The arithmetic can only fail at the ends of the calendar, which a clamped moment keeps away from.
        let now = Timestamp::from_ms(now.as_ms().clamp(0, LATEST_MS));
        let found = match budget.per {
            Per::Day => Self::civil(budget, now, "day", Ok, Span::new().days(1)),
            Per::Week => Self::civil(budget, now, "week", monday, Span::new().weeks(1)),
            Per::Month => Self::civil(budget, now, "month", |day| Ok(day.first_of_month()), Span::new().months(1)),
            Per::Total => return Self::total(),
        };
        found.unwrap_or_else(|_| Self::total())
    }

    /// The stretch of `length` that begins on the day `first` makes of today.
    ///
    /// The calendar only proposes: where clocks were set back across midnight, a few instants read as
    /// the day before although the new day had begun. They belong to the period that had begun, so
    /// that periods touch and never overlap.
    fn civil(budget: &Budget, now: Timestamp, word: &str, first: fn(Date) -> Result<Date, Error>, length: Span) -> Result<Self, Error> {
        let zone = &budget.timezone;
        let today = jiff::Timestamp::from_millisecond(now.as_ms())?.to_zoned(zone.clone()).date();
        let mut begins = first(today)?;
        let (mut from, mut until) = (midnight(begins, zone)?, midnight(begins.checked_add(length)?, zone)?);
        if now >= until {
            begins = begins.checked_add(length)?;
            (from, until) = (until, midnight(begins.checked_add(length)?, zone)?);
        } else if now < from {
            begins = begins.checked_sub(length)?;
            (from, until) = (midnight(begins, zone)?, from);
        }
        let key = match budget.per {
            Per::Month => format!("{word}:{:04}-{:02}", begins.year(), begins.month()),
            Per::Day | Per::Week | Per::Total => format!("{word}:{begins}"),
        };
        Ok(Self { key, from, until: Some(until) })
    }
}

/// The last moment that is told from others: the year 9000 begins.
const LATEST_MS: i64 = 221_845_392_000_000;

/// The first instant of `day` where `zone` is kept; the first after the gap if midnight was skipped.
fn midnight(day: Date, zone: &TimeZone) -> Result<Timestamp, Error> {
    Ok(Timestamp::from_ms(day.to_zoned(zone.clone())?.timestamp().as_millisecond()))
}

/// The Monday of `day`'s week.
fn monday(day: Date) -> Result<Date, Error> {
    day.checked_sub(Span::new().days(day.weekday().since(Weekday::Monday)))
}

#[cfg(test)]
mod tests;
