//! Views: what the operator's page is told, as plain values that serialize to its JSON.
//!
//! Pure: policy, books and the process's own facts come in, a value goes out. Money is a decimal
//! string, because a JSON number is a float to the page; shares of a cap are whole thousandths,
//! computed here, so that the page does no arithmetic with money. Prompts, keys, addresses of results
//! and upstream messages never appear.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::queue::PlaceView;
use crate::budget::Account;
use crate::clock::Timestamp;
use crate::hall::Place;
use crate::halting::Halted;
use crate::health::Standing;
use crate::id::{JobId, ModelName};
use crate::job::State;
use crate::metrics::RouteState;
use crate::money::MicroUsd;
use crate::policy::{Offer, Policy, Price, Route, Tenant};
use crate::standing::{Load, Purse, days_until, load_by, purses, take_places};
use crate::store::{Halt, Job, Overview};
use crate::video::SizeClass;

/// What the process knows of itself.
#[derive(Clone, Debug)]
pub struct Process {
    /// When it began.
    pub started_at: Timestamp,
    /// The latest reading of the policy file.
    pub reload: Reload,
    /// Why nothing is bought, if that is so.
    pub halted: Option<Halted>,
    /// What is to be said beside the policy file's warnings.
    pub warnings: Vec<String>,
}

/// A time in which nothing is or was bought.
#[derive(Debug, Serialize)]
pub struct HaltView {
    reason: String,
    by: Option<String>,
    at: Option<i64>,
    ended_by: Option<String>,
    ended_at: Option<i64>,
}

impl HaltView {
    /// What stops everything at present.
    pub fn of(why: Option<&Halted>) -> Option<Self> {
        let alone = |reason: &str| Self { reason: reason.to_owned(), by: None, at: None, ended_by: None, ended_at: None };
        Some(match why? {
            Halted::ByOperator(halt) => Self::of_books(halt),
            Halted::ByFile => alone("the policy file says `halt = true`"),
            Halted::NotKnown => alone("the books did not say lately that it is permitted"),
        })
    }

    /// One that the books remember.
    pub fn of_books(halt: &Halt) -> Self {
        Self {
            reason: halt.reason.clone(),
            by: Some(halt.by.clone()),
            at: Some(halt.at.as_secs()),
            ended_by: halt.ended_by.clone(),
            ended_at: halt.ended_at.map(Timestamp::as_secs),
        }
    }
}

/// How the latest reading of the policy file went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reload {
    /// When, in Unix seconds.
    pub at: i64,
    /// Why the file was refused, as the operator is told; `None` if it is in force.
    pub fault: Option<String>,
    /// What the file in force changed, a line each; secrets are covered.
    pub changes: Vec<String>,
}

/// Tells how a model stands on a route.
pub type Stand<'a> = &'a dyn Fn(&Route, &ModelName) -> Standing;

/// `/api/status`
#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    revision: String,
    now: i64,
    uptime_seconds: u64,
    reload: Reload,
    halted: Option<HaltView>,
    warnings: Vec<String>,
    /// Why the books could not be read; what comes from them is then empty.
    store_fault: Option<String>,
    suspense: Option<String>,
    overrun: Option<String>,
    dead_notices: Option<u64>,
    gateway: Option<PurseView>,
    states: Vec<StateView>,
    routes: Vec<RouteView>,
    tenants: Vec<TenantView>,
}

/// A budget in its current period.
#[derive(Debug, Serialize)]
struct PurseView {
    per: &'static str,
    until: Option<i64>,
    cap: Option<String>,
    spent: String,
    held: String,
    left: Option<String>,
    /// Thousandths of the cap, at most 1000 together.
    spent_permille: i64,
    held_permille: i64,
    /// The highest of the budget's warning marks, in per cent, that spent and held have reached.
    warned: Option<u8>,
}

/// Jobs in one state.
#[derive(Debug, Serialize)]
struct StateView {
    state: &'static str,
    count: u64,
    oldest_seconds: Option<u64>,
}

/// One route.
#[derive(Debug, Serialize)]
struct RouteView {
    name: String,
    provider: &'static str,
    region: Option<String>,
    enabled: bool,
    /// Whether it takes nothing new; then, how many jobs it has yet to end.
    drain: bool,
    open_jobs: Option<u64>,
    in_flight: Option<u64>,
    in_flight_max: Option<u32>,
    requests_per_minute_max: Option<u32>,
    purse: Option<PurseView>,
    offers: Vec<OfferView>,
}

/// One model on a route.
#[derive(Debug, Serialize)]
struct OfferView {
    model: String,
    upstream_model: String,
    seconds: Vec<u32>,
    sizes: Vec<String>,
    prices: Vec<PriceView>,
    sunset: Option<String>,
    sunset_days: Option<i64>,
    /// `closed`, `open`, `half_open`, `gone` or `key_refused`.
    state: &'static str,
    /// Whether it is asked in its turn.
    up: bool,
    since: Option<i64>,
    until: Option<i64>,
    why: Option<String>,
}

/// What a second costs.
#[derive(Debug, Serialize)]
struct PriceView {
    /// For which sizes; for all of them if it does not say.
    size_class: Option<String>,
    amount: String,
}

/// One tenant.
#[derive(Debug, Serialize)]
struct TenantView {
    name: String,
    residency: Option<String>,
    in_flight: Option<u64>,
    in_flight_max: Option<u32>,
    purse: Option<PurseView>,
}

/// How things stand, or, when the books cannot be read, what is known without them.
pub fn status(policy: &Policy, overview: Result<&Overview, String>, stand: Stand<'_>, process: &Process, now: Timestamp) -> Status {
    let nothing = Overview::default();
    let (overview, store_fault) = match overview {
        Ok(overview) => (overview, None),
        Err(fault) => (&nothing, Some(fault)),
    };
    // Without the books no number of theirs is shown: 0 would be a lie.
    let readable = store_fault.is_none();
    let known = if readable { purses(policy, overview, now) } else { Vec::new() };
    let purses: BTreeMap<&Account, &Purse> = known.iter().map(|purse| (&purse.account, purse)).collect();
    let purse = |account: Account, warn: &[u8]| purses.get(&account).map(|purse| purse_view(purse, warn));

    let by_route = load_by(&overview.open, |jobs| take_places(policy, jobs).then_some(jobs.route.as_str()));
    let open_on = load_by(&overview.open, |jobs| (jobs.state != State::Reserved).then_some(jobs.route.as_str()));
    let by_tenant = load_by(&overview.open, |jobs| jobs.state.is_in_flight().then_some(jobs.tenant.as_str()));
    let in_flight = |loads: &BTreeMap<&str, Load>, name: &str| readable.then(|| loads.get(name).map_or(0, |load| load.count));

    let route = |route: &Arc<Route>| RouteView {
        name: route.name.to_string(),
        provider: route.provider.name(),
        region: route.region.clone(),
        enabled: route.enabled,
        drain: route.drain,
        open_jobs: in_flight(&open_on, route.name.as_str()),
        in_flight: in_flight(&by_route, route.name.as_str()),
        in_flight_max: route.limits.in_flight,
        requests_per_minute_max: route.limits.rpm,
        purse: purse(Account::Route(route.name.clone()), route.budget.as_ref().map_or(&[][..], |b| &b.warn)),
        offers: route.models.iter().map(|(model, offer)| offer_view(route, model, offer, stand(route, model), now)).collect(),
    };
    let tenant = |tenant: &Arc<Tenant>| TenantView {
        name: tenant.name.to_string(),
        residency: tenant.residency.clone(),
        in_flight: in_flight(&by_tenant, tenant.name.as_str()),
        in_flight_max: tenant.limits.in_flight,
        purse: purse(Account::Tenant(tenant.name.clone()), &tenant.budget.warn),
    };
    Status {
        version: env!("CARGO_PKG_VERSION"),
        revision: policy.revision.clone(),
        now: now.as_secs(),
        uptime_seconds: now.since(process.started_at).as_secs(),
        reload: process.reload.clone(),
        halted: HaltView::of(process.halted.as_ref()),
        warnings: policy.warnings.iter().chain(&process.warnings).cloned().collect(),
        store_fault,
        suspense: readable.then(|| overview.suspense.to_string()),
        overrun: readable.then(|| overview.overrun.to_string()),
        dead_notices: readable.then(|| overview.notices.iter().map(|notices| notices.dead).sum()),
        gateway: purse(Account::Gateway, policy.budget.as_ref().map_or(&[][..], |b| &b.warn)),
        states: if readable { state_views(overview, now) } else { Vec::new() },
        routes: policy.routes.values().map(route).collect(),
        tenants: policy.tenants.values().map(tenant).collect(),
    }
}

fn purse_view(purse: &Purse, warn: &[u8]) -> PurseView {
    let spent_permille = permille(purse.spent, purse.cap).min(1000);
    let held_permille = permille(purse.held, purse.cap).min(1000 - spent_permille);
    let used = purse.spent.plus(purse.held).unwrap_or(MicroUsd::MAX);
    let percent = permille(used, purse.cap) / 10;
    PurseView {
        per: purse.per,
        until: purse.until.map(Timestamp::as_secs),
        cap: purse.cap.map(|cap| cap.to_string()),
        spent: purse.spent.to_string(),
        held: purse.held.to_string(),
        left: purse.left().map(|left| left.to_string()),
        spent_permille,
        held_permille,
        warned: purse.cap.and_then(|_| warn.iter().copied().filter(|mark| i64::from(*mark) <= percent).max()),
    }
}

/// `part` in thousandths of `cap`, rounded down: 0 without a cap, all of it under a cap of nothing.
pub(super) fn permille(part: MicroUsd, cap: Option<MicroUsd>) -> i64 {
    match cap.map(MicroUsd::get) {
        None => 0,
        Some(cap) if cap <= 0 => 1000,
        Some(cap) => i64::try_from(i128::from(part.get().max(0)) * 1000 / i128::from(cap)).unwrap_or(i64::MAX),
    }
}

fn state_views(overview: &Overview, now: Timestamp) -> Vec<StateView> {
    let loads = load_by(&overview.open, |jobs| Some(jobs.state.as_str()));
    let open = State::ALL.into_iter().filter(|state| !state.is_final());
    open.map(|state| {
        let load = loads.get(state.as_str());
        StateView {
            state: state.as_str(),
            count: load.map_or(0, |load| load.count),
            oldest_seconds: load.map(|load| now.since(load.oldest_at).as_secs()),
        }
    })
    .collect()
}

fn offer_view(route: &Route, model: &ModelName, offer: &Offer, standing: Standing, now: Timestamp) -> OfferView {
    OfferView {
        model: model.to_string(),
        upstream_model: offer.upstream_model.clone(),
        seconds: offer.seconds.iter().map(|seconds| seconds.get()).collect(),
        sizes: offer.sizes.iter().map(ToString::to_string).collect(),
        prices: match &offer.price {
            Price::Flat(amount) => vec![PriceView { size_class: None, amount: amount.to_string() }],
            Price::BySize(prices) => {
                let price = |(class, amount): (&SizeClass, &MicroUsd)| PriceView {
                    size_class: Some(class.to_string()),
                    amount: amount.to_string(),
                };
                prices.iter().map(price).collect()
            }
        },
        sunset: offer.sunset.map(|day| day.to_string()),
        sunset_days: offer.sunset.map(|day| days_until(day, now)),
        state: standing.state().as_str(),
        up: matches!(standing.state(), RouteState::Closed | RouteState::HalfOpen),
        since: standing.since().map(Timestamp::as_secs),
        until: standing.until().map(Timestamp::as_secs),
        why: standing.why(route),
    }
}

/// `/api/jobs`
#[derive(Debug, Serialize)]
pub struct JobsView {
    now: i64,
    jobs: Vec<JobView>,
}

/// One job, without what it shall show.
#[derive(Debug, Serialize)]
struct JobView {
    id: String,
    tenant: String,
    operation: String,
    model: String,
    route: String,
    upstream_model: String,
    upstream_id: Option<String>,
    state: &'static str,
    progress: u8,
    seconds: u32,
    size: String,
    attempts: u32,
    /// What is or was held.
    ceiling: String,
    /// What it costs if its latest attempt makes it.
    price: String,
    /// What it did cost.
    cost: Option<String>,
    error_code: Option<String>,
    created_at: i64,
    ended_at: Option<i64>,
    deleted: bool,
    /// Where it stands, if it waits.
    queue: Option<PlaceView>,
}

/// The newest jobs, in the order given, and where those stand that wait.
pub fn jobs(jobs: &[Arc<Job>], place: &dyn Fn(JobId) -> Option<Place>, now: Timestamp) -> JobsView {
    JobsView { now: now.as_secs(), jobs: jobs.iter().map(|job| job_view(job, place)).collect() }
}

fn job_view(job: &Job, place: &dyn Fn(JobId) -> Option<Place>) -> JobView {
    JobView {
        id: job.id.to_string(),
        tenant: job.tenant.to_string(),
        operation: job.operation.clone(),
        model: job.model.to_string(),
        route: job.route.to_string(),
        upstream_model: job.upstream_model.clone(),
        upstream_id: job.upstream_id.clone(),
        state: job.state.as_str(),
        progress: job.progress,
        seconds: job.seconds.get(),
        size: job.size.to_string(),
        attempts: job.attempts,
        ceiling: job.ceiling.to_string(),
        price: job.price.to_string(),
        cost: job.cost.map(|cost| cost.to_string()),
        error_code: job.error.as_ref().map(|error| error.code.clone()),
        created_at: job.created_at.as_secs(),
        ended_at: job.ended_at.map(Timestamp::as_secs),
        deleted: job.deleted_at.is_some(),
        queue: (job.state == State::Waiting).then(|| place(job.id)).flatten().map(PlaceView::from),
    }
}

#[cfg(test)]
mod tests;
