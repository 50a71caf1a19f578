//! Rate limits: requests per minute, by tenant and by route, paid and free ones apart, and callbacks.
//!
//! Jobs in flight are not counted here: those are rows, counted by the store, so that they survive a
//! restart. A cell outlives every reload that leaves its quota and its route's account alone. Knows only authenticated tenants
//! and routes of the policy, so the maps are bounded by the file.

mod pace;

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::id::{Home, RouteName, TenantName};
use crate::policy::{Policy, Route, Tenant};
use pace::Pace;

/// Callbacks of one route that are seen to in a minute: a tenth of them at once, the rest at an even pace.
const CALLBACKS_PER_MINUTE: u32 = 6_000;

/// The limiter said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// When one more would pass.
    pub wait: Duration,
}

/// What is left after a request passed, for `x-ratelimit-*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Requests per minute.
    pub rpm: u32,
    /// How many more would pass at once.
    pub left: u32,
}

/// How many requests would pass at once, of how many a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Requests per minute.
    pub rpm: u32,
    /// How many would pass at once.
    pub left: u32,
}

/// Every rate limit.
#[derive(Debug, Default)]
pub struct Limits {
    tenants: Cells<TenantName>,
    routes: Cells<Home>,
    questions: Mutex<HashMap<Home, Pace>>,
    callbacks: Mutex<HashMap<RouteName, Pace>>,
}

impl Limits {
    /// Counts one create of a tenant; `None` if it has no such limit.
    pub fn admit(&self, tenant: &Tenant) -> Result<Option<Passed>, Limited> {
        tenant.limits.rpm.map(|rpm| self.tenants.take(&tenant.name, rpm)).transpose()
    }

    /// Counts one create on a route.
    pub fn take(&self, route: &Route) -> Result<(), Limited> {
        match route.limits.rpm {
            Some(rpm) => self.routes.take(&route.home(), rpm).map(|_| ()),
            None => Ok(()),
        }
    }

    /// How many creates of a tenant would pass now, without counting any; `None` if it has no such limit.
    pub fn room_of_tenant(&self, tenant: &Tenant) -> Option<Room> {
        tenant.limits.rpm.map(|rpm| self.tenants.room(&tenant.name, rpm))
    }

    /// Likewise on a route.
    pub fn room_of_route(&self, route: &Route) -> Option<Room> {
        route.limits.rpm.map(|rpm| self.routes.room(&route.home(), rpm))
    }

    /// Counts up to `wanted` questions to a route that cost nothing; answers how many may be asked now.
    pub fn ask(&self, route: &Route, wanted: u32) -> u32 {
        self.pace(route, |pace| pace.take(wanted, Instant::now()))
    }

    /// Takes back the count of `n` questions that were not asked after all.
    pub fn unask(&self, route: &Route, n: u32) {
        self.pace(route, |pace| pace.give_back(n));
    }

    /// How long it takes until a route may be asked one more question.
    pub fn ask_in(&self, route: &Route) -> Duration {
        self.pace(route, |pace| pace.wait(Instant::now()))
    }

    /// Counts one callback of a route; whether it may be seen to now.
    pub fn hear(&self, route: &RouteName) -> bool {
        let (mut callbacks, now) = (self.callbacks.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        let pace = callbacks.entry(route.clone()).or_insert_with(|| Pace::new(CALLBACKS_PER_MINUTE, now));
        pace.take(1, now) == 1
    }

    fn pace<T>(&self, route: &Route, act: impl FnOnce(&mut Pace) -> T) -> T {
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = questions.entry(route.home()).or_insert_with(|| Pace::new(route.poll.rate, Instant::now()));
        if pace.rate() != route.poll.rate {
            *pace = Pace::new(route.poll.rate, Instant::now());
        }
        act(pace)
    }

    /// Forgets whom the policy does not know any more.
    pub fn retain(&self, policy: &Policy) {
        self.tenants.retain(|name| policy.tenants.contains_key(name));
        self.routes.retain(|home| policy.routes.get(&home.route).is_some_and(|route| Some(&route.account) == home.account.as_ref()));
        // Jobs on a retired route are asked about to their end.
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        questions.retain(|home, _| policy.all_of(&home.route).any(|route| Some(&route.account) == home.account.as_ref()));
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| policy.route_of(name).is_some());
    }
}

/// One bucket per name: a minute's worth of requests, refilled evenly over the minute.
#[derive(Debug)]
struct Cells<K>(Mutex<HashMap<K, Cell>>);

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

#[derive(Debug)]
struct Cell {
    rpm: u32,
    bucket: Arc<Bucket>,
    /// What was left when somebody last asked, and when that was: a bucket cannot be looked into.
    seen: Option<(u32, Instant)>,
}

impl<K> Default for Cells<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Hash + Eq + Clone> Cells<K> {
    fn take(&self, name: &K, rpm: u32) -> Result<Passed, Limited> {
        // The policy has no limit of zero; if one came here all the same, one a minute is the least wrong.
        let quota = Quota::per_minute(NonZeroU32::new(rpm).unwrap_or(NonZeroU32::MIN));
        let taken = match self.bucket(name, rpm, quota).check() {
            Ok(state) => Ok(Passed { rpm, left: state.remaining_burst_capacity() }),
            Err(until) => Err(Limited { wait: until.wait_time_from(DefaultClock::default().now()) }),
        };
        let left = taken.map_or(0, |passed| passed.left);
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.get_mut(name).filter(|cell| cell.rpm == rpm) {
            cell.seen = Some((left, Instant::now()));
        }
        taken
    }

    fn room(&self, name: &K, rpm: u32) -> Room {
        let cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = cells.get(name).filter(|cell| cell.rpm == rpm).and_then(|cell| cell.seen);
        let left = seen.map_or(rpm, |(left, at)| {
            let refilled = at.elapsed().as_millis() * u128::from(rpm) / 60_000;
            left.saturating_add(u32::try_from(refilled).unwrap_or(u32::MAX)).min(rpm)
        });
        Room { rpm, left }
    }

    fn bucket(&self, name: &K, rpm: u32, quota: Quota) -> Arc<Bucket> {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match cells.get(name) {
            Some(cell) if cell.rpm == rpm => cell.bucket.clone(),
            _ => {
                let bucket = Arc::new(RateLimiter::direct(quota).with_middleware());
                cells.insert(name.clone(), Cell { rpm, bucket: bucket.clone(), seen: None });
                bucket
            }
        }
    }

    fn retain(&self, known: impl Fn(&K) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| known(name));
    }
}
