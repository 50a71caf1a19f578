//! Levels: writing how things stand, once per scrape.
//!
//! What policy knows is shown even while the store is away. A state without jobs is written as 0, so
//! that an alert can tell "none" from "not known".

use super::names::Names;
use super::series::Levels;
use super::{Health, OTHER, RouteState};
use crate::budget::Account;
use crate::clock::Timestamp;
use crate::job::State;
use crate::money::MicroUsd;
use crate::notice::Kind;
use crate::policy::Policy;
use crate::standing::{LeftBehind, Load, Purse, days_until, load_by, purses, take_places};
use crate::store::{OpenJobs, Overview};

/// Versions, limits, sunsets and the health of what policy enables.
pub fn show_policy(levels: &Levels, names: &Names, policy: &Policy, health: &Health, now: Timestamp) {
    levels.build.set([env!("CARGO_PKG_VERSION")], 1);
    let revision = policy.revision.get(..12).unwrap_or(&policy.revision);
    levels.policy_revision.set([revision], 1);
    for route in policy.routes.values() {
        let label = names.route(route.name.as_str());
        if let Some(max) = route.limits.in_flight {
            levels.route_in_flight_limit.set([label], max.into());
        }
        if let Some(max) = route.limits.rpm {
            levels.route_requests_per_minute_limit.set([label], max.into());
        }
        if !route.enabled {
            continue;
        }
        for (model, offer) in &route.models {
            let labels = [label, names.model(model.as_str())];
            let now_is = health.get(&(route.name.clone(), model.clone())).copied().unwrap_or(RouteState::Closed);
            levels.route_up.set(labels, matches!(now_is, RouteState::Closed | RouteState::HalfOpen).into());
            for state in RouteState::ALL {
                levels.route_state.set([labels[0], labels[1], state.as_str()], (*state == now_is).into());
            }
            if let Some(day) = offer.sunset {
                levels.sunset_days.set(labels, days_until(day, now));
            }
        }
    }
}

/// Open jobs: by state, by tenant, by route, and how long the oldest have waited.
pub fn show_jobs(levels: &Levels, names: &Names, policy: &Policy, overview: &Overview, now: Timestamp) {
    let open = &overview.open;
    for route in policy.routes.keys().map(|route| names.route(route.as_str())) {
        for state in State::ALL.into_iter().filter(|state| !state.is_final()) {
            levels.jobs.set([route, state.as_str()], 0);
        }
        levels.route_in_flight.set([route], 0);
        levels.unknown_jobs.set([route], 0);
    }
    for ((route, state), load) in load_by(open, |jobs| Some((names.route(&jobs.route), jobs.state.as_str()))) {
        levels.jobs.set([route, state], count(load));
        levels.job_age_seconds.set([route, state], age_seconds(load, now));
    }
    for (route, load) in load_by(open, |jobs| take_places(policy, jobs).then(|| names.route(&jobs.route))) {
        levels.route_in_flight.set([route], count(load));
    }
    for route in policy.routes.values().filter(|route| route.drain) {
        levels.route_drain_jobs.set([names.route(route.name.as_str())], 0);
    }
    let drained = |name: &str| policy.routes.get(name).is_some_and(|route| route.drain);
    for (route, load) in load_by(open, |jobs| (jobs.state != State::Reserved && drained(&jobs.route)).then(|| names.route(&jobs.route))) {
        levels.route_drain_jobs.set([route], count(load));
    }
    for (route, load) in load_by(open, |jobs| (jobs.state == State::Unknown).then(|| names.route(&jobs.route))) {
        levels.unknown_jobs.set([route], count(load));
    }
    for (tenant, load) in load_by(open, |jobs| jobs.state.is_in_flight().then(|| names.tenant(&jobs.tenant))) {
        levels.tenant_in_flight.set([tenant], count(load));
    }
    let waiting = |jobs: &OpenJobs| jobs.state == State::Waiting;
    for (labels, load) in load_by(open, |jobs| waiting(jobs).then(|| [names.tenant(&jobs.tenant), names.model(&jobs.model)])) {
        levels.queue_jobs.set(labels, count(load));
        levels.queue_age_seconds.set(labels, age_seconds(load, now));
    }
}

/// Jobs that nobody can ask about.
pub fn show_left_behind(levels: &Levels, names: &Names, policy: &Policy, left_behind: &LeftBehind) {
    for route in policy.routes.keys() {
        levels.former_account_jobs.set([names.route(route.as_str())], 0);
    }
    for (route, jobs) in left_behind {
        levels.former_account_jobs.add([names.route(route.as_str())], i64::try_from(*jobs).unwrap_or(i64::MAX));
    }
}

/// Budgets, suspense and overrun.
pub fn show_money(levels: &Levels, names: &Names, policy: &Policy, overview: &Overview, now: Timestamp) {
    levels.suspense_microusd.set([], overview.suspense.get());
    levels.overrun_microusd.set([], overview.overrun.get());
    for purse in purses(policy, overview, now) {
        let Purse { spent, held, per, .. } = purse;
        match &purse.account {
            Account::Gateway => {
                levels.gateway_budget_spent_microusd.set([per], spent.get());
                levels.gateway_budget_held_microusd.set([per], held.get());
                if let Some((cap, left)) = capped(&purse) {
                    levels.gateway_budget_cap_microusd.set([per], cap.get());
                    levels.gateway_budget_remaining_microusd.set([per], left.get());
                }
            }
            Account::Tenant(tenant) => {
                let labels = [names.tenant(tenant.as_str()), per];
                levels.budget_spent_microusd.add(labels, spent.get());
                levels.budget_held_microusd.add(labels, held.get());
                // Caps of different tenants do not add up to a cap.
                if let (Some((cap, left)), true) = (capped(&purse), labels[0] != OTHER) {
                    levels.budget_cap_microusd.set(labels, cap.get());
                    levels.budget_remaining_microusd.set(labels, left.get());
                }
            }
            Account::Route(route) => {
                let labels = [names.route(route.as_str()), per];
                levels.route_budget_spent_microusd.add(labels, spent.get());
                levels.route_budget_held_microusd.add(labels, held.get());
                if let (Some((cap, left)), true) = (capped(&purse), labels[0] != OTHER) {
                    levels.route_budget_cap_microusd.set(labels, cap.get());
                    levels.route_budget_remaining_microusd.set(labels, left.get());
                }
            }
            // There may be any number of them.
            Account::Key(..) | Account::User(..) => {}
        }
    }
}

/// What is owed to webhooks, and what was given up.
pub fn show_notices(levels: &Levels, overview: &Overview, now: Timestamp) {
    for kind in Kind::ALL {
        let owed = overview.notices.iter().find(|notices| notices.kind == kind);
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let age = owed.and_then(|owed| owed.oldest_at).map_or(0, |at| now.since(at).as_secs());
        levels.owed_notices.set([kind.as_str()], number(owed.map_or(0, |owed| owed.owed)));
        levels.owed_notices_age_seconds.set([kind.as_str()], number(age));
        levels.dead_notices.set([kind.as_str()], number(owed.map_or(0, |owed| owed.dead)));
    }
}

/// The cap and what is left of it, where there is a cap.
fn capped(purse: &Purse) -> Option<(MicroUsd, MicroUsd)> {
    purse.cap.zip(purse.left())
}

fn count(load: Load) -> i64 {
    i64::try_from(load.count).unwrap_or(i64::MAX)
}

fn age_seconds(load: Load, now: Timestamp) -> i64 {
    i64::try_from(now.since(load.oldest_at).as_secs()).unwrap_or(i64::MAX)
}
