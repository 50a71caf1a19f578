//! Rate limits: requests per minute, by tenant and by route.
//!
//! Jobs in flight are not counted here: those are rows, counted by the store, so that they survive a
//! restart. A cell outlives every reload that leaves its quota alone. Knows only authenticated tenants
//! and routes of the policy, so the maps are bounded by the file.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::id::{RouteName, TenantName};
use crate::policy::{Policy, Route, Tenant};

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

/// Every rate limit.
#[derive(Debug, Default)]
pub struct Limits {
    tenants: Cells<TenantName>,
    routes: Cells<RouteName>,
}

impl Limits {
    /// Counts one create of a tenant; `None` if it has no such limit.
    pub fn admit(&self, tenant: &Tenant) -> Result<Option<Passed>, Limited> {
        tenant.limits.rpm.map(|rpm| self.tenants.take(&tenant.name, rpm)).transpose()
    }

    /// Counts one create on a route.
    pub fn take(&self, route: &Route) -> Result<(), Limited> {
        match route.limits.rpm {
            Some(rpm) => self.routes.take(&route.name, rpm).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Forgets whom the policy does not know any more.
    pub fn retain(&self, policy: &Policy) {
        self.tenants.retain(|name| policy.tenants.contains_key(name));
        self.routes.retain(|name| policy.routes.contains_key(name));
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
        match self.bucket(name, rpm, quota).check() {
            Ok(state) => Ok(Passed { rpm, left: state.remaining_burst_capacity() }),
            Err(until) => Err(Limited { wait: until.wait_time_from(DefaultClock::default().now()) }),
        }
    }

    fn bucket(&self, name: &K, rpm: u32, quota: Quota) -> Arc<Bucket> {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match cells.get(name) {
            Some(cell) if cell.rpm == rpm => cell.bucket.clone(),
            _ => {
                let bucket = Arc::new(RateLimiter::direct(quota).with_middleware());
                cells.insert(name.clone(), Cell { rpm, bucket: bucket.clone() });
                bucket
            }
        }
    }

    fn retain(&self, known: impl Fn(&K) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| known(name));
    }
}
