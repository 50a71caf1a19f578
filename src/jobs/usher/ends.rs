//! Ends: when the jobs that take the places of routes will have made room, as far as can be told.
//!
//! For whoever stands in line and wants to know; nothing is decided by it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::eta;
use crate::gateway::Gateway;
use crate::id::RouteName;
use crate::job::State;
use crate::policy::Policy;
use crate::store::{Job, StoreError};

/// Of routes with more places than that the jobs are not looked at one by one: some are always about to end.
const PLACES_MAX: u32 = 256;

/// How long the jobs of each route are expected to take yet.
pub async fn ends(gw: &Gateway, policy: &Policy, routes: HashSet<RouteName>) -> Result<HashMap<RouteName, Vec<Duration>>, StoreError> {
    let now = gw.clock.now();
    let mut ends = HashMap::new();
    for name in routes {
        let Some(route) = policy.routes.get(&name) else { continue };
        if route.limits.in_flight.is_none_or(|places| places > PLACES_MAX) {
            continue;
        }
        let pace = gw.traffic.pace(route, now);
        let mut jobs = gw.store.in_state(State::Accepted, &name).await?;
        jobs.extend(gw.store.in_state(State::Running, &name).await?);
        // What is in an account that the route had before takes none of its places.
        let here = jobs.iter().filter(|job| route.is_at(&job.home()));
        ends.insert(name, here.map(|job| left(job, pace, now)).collect());
    }
    Ok(ends)
}

/// What a job is expected to take yet; one that is overdue, a little.
fn left(job: &Job, pace: f64, now: Timestamp) -> Duration {
    let whole = eta::likely(job.seconds, job.size, 1).mul_f64(pace);
    whole.saturating_sub(now.since(job.attempted_at)).max(whole / 8)
}
