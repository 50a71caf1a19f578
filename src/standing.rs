//! Standing: the books read against the policy at one moment, for metrics and for the operator's page.
//!
//! The store knows balances by account and period, and open jobs by many keys; the policy knows caps.
//! Here they are laid side by side, so that both readers show the same numbers. Pure: no clock, no
//! SQL, no names of series.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::budget::{self, Account, Booking};
use crate::clock::Timestamp;
use crate::id::{Home, RouteName};
use crate::job::State;
use crate::money::MicroUsd;
use crate::policy::{Budget, Per, Policy};
use crate::store::{Balance, OpenJobs, Overview};

/// What one account may spend and has spent in the period that is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purse {
    /// Whose money.
    pub account: Account,
    /// What the period is: `day`, `week`, `month` or `total`.
    pub per: &'static str,
    /// When the next one begins.
    pub until: Option<Timestamp>,
    /// What policy allows now; `None` is unlimited.
    pub cap: Option<MicroUsd>,
    /// What was paid.
    pub spent: MicroUsd,
    /// What is reserved for jobs that have not ended.
    pub held: MicroUsd,
}

impl Purse {
    /// What is neither spent nor held; `None` without a cap.
    pub fn left(&self) -> Option<MicroUsd> {
        budget::left(self.cap, self.spent.plus(self.held).unwrap_or(MicroUsd::MAX))
    }
}

/// The purse of every account that policy names: the gateway's, the tenants', the routes'.
pub fn purses(policy: &Policy, overview: &Overview, now: Timestamp) -> Vec<Purse> {
    let balances: HashMap<(&str, &str), &Balance> =
        overview.balances.iter().map(|b| ((b.account.as_str(), b.period.as_str()), b)).collect();
    let purse = |account: Account, budget: Option<&Budget>| {
        let booking = Booking::at(account, budget, now);
        let account = booking.account.to_string();
        let balance = balances.get(&(account.as_str(), booking.period.key.as_str()));
        Purse {
            account: booking.account,
            per: word(budget.map_or(Per::Total, |b| b.per)),
            until: booking.period.until,
            cap: booking.cap,
            spent: balance.map_or(MicroUsd::ZERO, |b| b.spent),
            held: balance.map_or(MicroUsd::ZERO, |b| b.held),
        }
    };
    accounts(policy).map(|(account, budget)| purse(account, budget)).collect()
}

/// The accounts that policy names, with their budgets: the gateway's, the tenants', the routes'.
pub fn accounts(policy: &Policy) -> impl Iterator<Item = (Account, Option<&Budget>)> {
    let tenants = policy.tenants.values().map(|t| (Account::Tenant(t.name.clone()), Some(&t.budget)));
    let routes = policy.routes.values().map(|r| (Account::Route(r.name.clone()), r.budget.as_ref()));
    std::iter::once((Account::Gateway, policy.budget.as_ref())).chain(tenants).chain(routes)
}

/// The period as the policy file writes it.
const fn word(per: Per) -> &'static str {
    match per {
        Per::Day => "day",
        Per::Week => "week",
        Per::Month => "month",
        Per::Total => "total",
    }
}

/// Some open jobs: how many, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// How many.
    pub count: u64,
    /// When the oldest of them was made.
    pub oldest_at: Timestamp,
}

/// The open jobs folded by `key`; those without one are left out.
pub fn load_by<'a, K: Ord>(open: &'a [OpenJobs], key: impl Fn(&'a OpenJobs) -> Option<K>) -> BTreeMap<K, Load> {
    let mut loads = BTreeMap::new();
    for jobs in open {
        let Some(key) = key(jobs) else { continue };
        let load = loads.entry(key).or_insert(Load { count: 0, oldest_at: jobs.oldest_at });
        load.count = load.count.saturating_add(jobs.count);
        load.oldest_at = load.oldest_at.min(jobs.oldest_at);
    }
    loads
}

/// How many jobs are with a provider where nobody can ask about them, by route.
pub type LeftBehind = BTreeMap<RouteName, u64>;

/// Those of these jobs that are in no account which `is_asked`.
pub fn left_behind(open: &[OpenJobs], is_asked: impl Fn(&Home) -> bool) -> LeftBehind {
    let mut left = LeftBehind::new();
    for jobs in open.iter().filter(|jobs| !matches!(jobs.state, State::Reserved | State::Waiting)) {
        let home = jobs.home();
        if !is_asked(&home) {
            let count = left.entry(home.route).or_default();
            *count = count.saturating_add(jobs.count);
        }
    }
    left
}

/// Whether these jobs take places in flight on their route, as its limit is held to: what is in an account that the route
/// had before takes none.
pub fn take_places(policy: &Policy, jobs: &OpenJobs) -> bool {
    let present = || policy.routes.get(jobs.route.as_str());
    jobs.state.is_in_flight() && present().is_none_or(|route| route.is_at(&jobs.home()))
}

/// How many days `day` lies ahead of the UTC date at `now`: 0 on the day itself, negative after it.
pub fn days_until(day: Date, now: Timestamp) -> i64 {
    let today = jiff::Timestamp::from_millisecond(now.as_ms()).unwrap_or(jiff::Timestamp::MAX).to_zoned(TimeZone::UTC).date();
    day.duration_since(today).as_hours() / 24
}

#[cfg(test)]
pub mod sample;

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::sample::{NOON, overview, policy, usd};
    use super::{LeftBehind, Load, Purse, days_until, left_behind, load_by, purses};
    use crate::budget::Account;
    use crate::clock::Timestamp;
    use crate::id::RouteName;
    use crate::job::State;
    use crate::money::MicroUsd;
    use crate::store::OpenJobs;

    fn open(route: &str, state: State, count: u64, oldest_at_secs: i64) -> OpenJobs {
        let oldest_at = Timestamp::from_secs(oldest_at_secs);
        OpenJobs { tenant: "acme".into(), route: route.into(), model: "sora-2".into(), account: None, state, count, oldest_at }
    }

    #[test]
    fn open_jobs_are_added_up_and_the_oldest_is_kept() {
        let jobs = [
            open("east", State::Running, 2, 50),
            open("east", State::Accepted, 3, 40),
            open("west", State::Running, 1, 60),
            open("west", State::Reserved, 9, 10),
        ];
        let loads = load_by(&jobs, |j| j.state.is_in_flight().then_some(j.route.as_str()));
        let expected = [
            ("east", Load { count: 5, oldest_at: Timestamp::from_secs(40) }),
            ("west", Load { count: 1, oldest_at: Timestamp::from_secs(60) }),
        ];
        assert_eq!(loads.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_purse_is_the_running_period_under_the_cap_of_today() {
        let purses = purses(&policy(), &overview(), NOON);
        let accounts: Vec<String> = purses.iter().map(|purse| purse.account.to_string()).collect();
        assert_eq!(accounts, ["gateway", "tenant:acme", "tenant:demo", "route:east", "route:west"]);
        let acme = &purses[1];
        assert_eq!((acme.spent, acme.held), (usd("412.80"), usd("4.80")), "last month is over");
        assert_eq!((acme.per, acme.cap, acme.left()), ("month", Some(usd("500.00")), Some(usd("82.40"))), "the cap was raised since");
        assert_eq!(acme.until, Some(Timestamp::from_secs(1_796_083_200)));
        assert_eq!(purses[2].left(), None);
    }

    #[test]
    fn a_model_has_no_days_left_on_its_last_day() {
        assert_eq!(days_until(date(2026, 11, 23), NOON), 0);
        assert_eq!(days_until(date(2026, 12, 23), NOON), 30);
        assert_eq!(days_until(date(2026, 11, 22), NOON), -1);
    }

    #[test]
    fn what_nobody_can_ask_about_is_left_behind_but_not_what_was_never_sent() {
        let open = overview().open;
        assert_eq!(left_behind(&open, |_| true), LeftBehind::new());
        let left = left_behind(&open, |_| false);
        assert_eq!(left, LeftBehind::from([(RouteName::new("east"), 4)]), "without the two that wait");
    }

    #[test]
    fn a_cap_lowered_below_what_is_gone_leaves_nothing() {
        let mut purse = Purse {
            account: Account::Gateway,
            per: "total",
            until: None,
            cap: Some(MicroUsd::new(10)),
            spent: MicroUsd::new(7),
            held: MicroUsd::new(2),
        };
        assert_eq!(purse.left(), Some(MicroUsd::new(1)));
        purse.cap = Some(MicroUsd::new(5));
        assert_eq!(purse.left(), Some(MicroUsd::ZERO));
        purse.cap = None;
        assert_eq!(purse.left(), None);
    }
}
