//! The one scheduler of questions: which routes have jobs that are due, and a lane for each of them.
//!
//! A turn of a lane is a walk down the upstream's list where more than a few jobs are due and there is a
//! list; otherwise it asks about as many of them as the lane has seats and the account's rate has
//! questions left, those that have waited longest first. Jobs about which nothing new was learnt are
//! put off together, by one write for all routes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, warn};

use super::advance::advance;
use super::desk::Desk;
use super::lane::Lane;
use super::settle::After;
use super::walk::{self, walk};
use crate::accounts::{Way, of_left_behind};
use crate::gateway::Gateway;
use crate::id::{Home, RouteName};
use crate::policy::Policy;
use crate::store::{Due, Postponed, StoreError};

/// A claim is good for this long: longer than a poll can take.
const LEASE: Duration = Duration::from_secs(60);
/// How often the books are asked who is due, when nothing rings.
const TICK: Duration = Duration::from_millis(200);

/// Runs until the gateway stops.
pub async fn run(gw: Arc<Gateway>) {
    let desk = Arc::new(Desk::default());
    let mut lanes = HashMap::new();
    while !gw.stop.is_cancelled() {
        if let Err(why) = round(&gw, &desk, &mut lanes).await {
            warn!(%why, "nobody can be asked about, for now");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::select! {
            () = gw.stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
            () = gw.due.notified() => {}
        }
    }
}

/// Puts off whoever has no news, and gives each route that has jobs due a turn.
async fn round(gw: &Arc<Gateway>, desk: &Arc<Desk>, lanes: &mut HashMap<Home, Arc<Lane>>) -> Result<(), StoreError> {
    let now = gw.clock.now();
    let later = desk.take_later();
    if !later.is_empty() {
        // If this fails their claims lapse, and they are asked about again.
        gw.store.postpone(later, now).await?;
    }
    let (due, policy) = (gw.store.due(now).await?, gw.policy.snapshot());
    for route in policy.routes.keys() {
        let waiting = due.iter().filter(|due| due.home.route == *route);
        let jobs = waiting.clone().map(|due| due.jobs).sum();
        gw.metrics.poll_due(route, jobs, waiting.map(|due| now.since(due.since)).max().unwrap_or_default());
    }
    lanes.retain(|home, _| gw.accounts.way(&policy, home).is_some() || due.iter().any(|due| due.home == *home));
    let mut left_behind = BTreeSet::new();
    for due in due {
        let lane = lanes.entry(due.home.clone()).or_default();
        match gw.accounts.way(&policy, &due.home) {
            Some(way) => turn(gw, desk, lane, &way, &due).await?,
            None => drop(left_behind.insert(due.home.route)),
        }
    }
    for route in left_behind.iter().filter(|route| desk.is_to_be_said(route)) {
        say_left_behind(gw, &policy, route).await?;
    }
    Ok(())
}

/// Says how many of a route's jobs nobody can ask about, due or not, and what is to be done about them.
async fn say_left_behind(gw: &Gateway, policy: &Policy, route: &RouteName) -> Result<(), StoreError> {
    let inhabited = gw.store.inhabited().await?;
    let there = inhabited.iter().filter(|left| left.home.route == *route && gw.accounts.way(policy, &left.home).is_none());
    let jobs = there.map(|left| left.jobs).sum();
    error!(route.name = %route, jobs, "{}", of_left_behind(policy, route, jobs));
    Ok(())
}

/// Asks about as many of an account's jobs as may be asked about now.
async fn turn(gw: &Arc<Gateway>, desk: &Arc<Desk>, lane: &Arc<Lane>, way: &Way, due: &Due) -> Result<(), StoreError> {
    if lane.is_walked() {
        return Ok(());
    }
    let route = way.route();
    if due.jobs >= walk::WORTHWHILE
        && let Some(begun) = lane.begin_walk()
    {
        let (gw, desk, lane, route, due) = (gw.clone(), desk.clone(), lane.clone(), route.clone(), due.clone());
        gw.clone().tasks.spawn(async move {
            let pause = walk(&gw, &desk, &lane, &route, &due).await;
            lane.leave_list_alone(pause);
            drop(begun);
            gw.due.notify_one();
        });
        return Ok(());
    }
    let room = lane.room().min(u32::try_from(due.jobs).unwrap_or(u32::MAX));
    let granted = gw.limits.ask(route, room);
    if granted == 0 {
        return Ok(());
    }
    let leased = gw.store.lease_due(&due.home, gw.clock.now(), LEASE, granted).await?;
    let unused = granted - u32::try_from(leased.jobs.len()).unwrap_or(granted).min(granted);
    gw.limits.unask(route, unused);
    let has_more = due.jobs > u64::from(granted);
    for job in leased.jobs {
        let Some(seat) = lane.sit() else { break };
        let (gw, desk, lane, way) = (gw.clone(), desk.clone(), lane.clone(), way.clone());
        gw.clone().tasks.spawn(async move {
            match advance(&gw, &desk.watch, &lane, &way, &job).await {
                Ok(After::Same(due_at)) => {
                    desk.put_off(Postponed { id: job.id, version: job.version, claim: Some(leased.until), due_at });
                }
                Ok(After::Moved | After::Overtaken) => {}
                Err(stuck) => warn!(job.id = %job.id, %stuck, "a job was not moved on; its claim lapses and it is asked about again"),
            }
            drop(seat);
            if has_more {
                gw.due.notify_one();
            }
        });
    }
    Ok(())
}
