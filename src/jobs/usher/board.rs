//! The board: where everybody stands who waits, and for how long yet.
//!
//! Pure. Lines that share a route, directly or by others, wait for each other: their jobs are counted together.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::heads::Heads;
use crate::clock::Timestamp;
use crate::eta;
use crate::hall::{Board, Place, Waiting};
use crate::id::{JobId, RouteName, TenantName};
use crate::policy::Policy;
use crate::queue::{Room, Turns, Waiters, in_turn, starts_in};
use crate::store::{Line, Standing};
use crate::traffic::Traffic;

/// What places are worked out from.
pub struct Known<'a> {
    /// In force.
    pub policy: &'a Policy,
    /// Who had how many.
    pub turns: &'a Turns,
    /// Who may make what.
    pub heads: &'a Heads,
    /// How long clips take.
    pub traffic: &'a Traffic,
    /// And how long those take yet that are being made, where that was looked at.
    pub ends: &'a HashMap<RouteName, Vec<Duration>>,
    /// The time.
    pub now: Timestamp,
}

/// Works out where everybody stands.
pub fn board(known: &Known<'_>, lines: &[Line], standing: Vec<Standing>) -> Board {
    let Known { policy, turns, heads, .. } = known;
    let mut board = Board::default();
    let mut jobs: HashMap<(TenantName, String), Vec<JobId>> = HashMap::new();
    let mut clips: HashMap<JobId, Duration> = HashMap::new();
    for each in standing {
        clips.insert(each.id, eta::likely(each.seconds, each.size, 1));
        jobs.entry((each.tenant, each.lane)).or_default().push(each.id);
    }
    for (routes, members) in halls(heads, lines) {
        let mut by_tenant: HashMap<&TenantName, Vec<JobId>> = HashMap::new();
        let mut counts: HashMap<&TenantName, u32> = HashMap::new();
        for line in members {
            let count = counts.entry(&line.tenant).or_default();
            *count = count.saturating_add(line.jobs);
            let ids = jobs.remove(&(line.tenant.clone(), line.lane.clone())).unwrap_or_default();
            by_tenant.entry(&line.tenant).or_default().extend(ids);
        }
        let firsts: HashMap<TenantName, JobId> =
            by_tenant.iter().filter_map(|(tenant, jobs)| Some(((*tenant).clone(), *jobs.iter().min()?))).collect();
        let waiters = by_tenant.into_iter().map(|(tenant, mut jobs)| {
            jobs.sort_unstable();
            Waiters { tenant: tenant.clone(), weight: policy.tenants.get(tenant).map_or(1, |tenant| tenant.weight), jobs }
        });
        let order = in_turn(turns, &waiters.collect::<Vec<_>>());
        let room = room(policy, &routes);
        let pace = pace(known, &routes);
        let clips: Vec<Duration> = order.iter().map(|id| clips.get(id).copied().unwrap_or_default().mul_f64(pace)).collect();
        let under_way: Vec<Duration> = routes.iter().filter_map(|route| known.ends.get(route)).flatten().copied().collect();
        for ((position, id), starts_in) in (1..).zip(order).zip(starts_in(room, &under_way, &clips)) {
            board.places.insert(id, Place { position, starts_in });
        }
        let mut names: Vec<RouteName> = routes.iter().cloned().collect();
        names.sort_unstable();
        board.waiting.extend(counts.into_iter().map(|(tenant, jobs)| {
            let head = firsts.get(tenant).and_then(|id| Some((*id, *board.places.get(id)?)));
            Waiting { tenant: tenant.clone(), routes: names.clone(), jobs, head, room }
        }));
        for (tenant, first) in firsts {
            let Some(place) = board.places.get(&first) else { continue };
            let known = board.firsts.entry(tenant).or_insert(*place);
            if place.starts_in < known.starts_in {
                *known = *place;
            }
        }
        board.waited_for.extend(routes);
    }
    board
}

/// Lines that share a route, directly or by others: they wait for each other.
fn halls<'l>(heads: &Heads, lines: &'l [Line]) -> Vec<(HashSet<RouteName>, Vec<&'l Line>)> {
    let mut halls: Vec<(HashSet<RouteName>, Vec<&Line>)> = Vec::new();
    for line in lines {
        let mut routes: HashSet<RouteName> = heads.routes(line).into_iter().collect();
        let mut members = vec![line];
        let (touching, apart): (Vec<_>, Vec<_>) = halls.into_iter().partition(|(others, _)| !others.is_disjoint(&routes));
        halls = apart;
        for (others, theirs) in touching {
            routes.extend(others);
            members.extend(theirs);
        }
        halls.push((routes, members));
    }
    halls
}

/// What becomes free on some routes, by their limits.
fn room(policy: &Policy, routes: &HashSet<RouteName>) -> Room {
    let routes: Vec<_> = routes.iter().filter_map(|route| policy.routes.get(route)).collect();
    let sum = |limits: Vec<Option<u32>>| limits.into_iter().try_fold(0_u32, |sum, limit| Some(sum.saturating_add(limit?)));
    Room {
        places: sum(routes.iter().map(|route| route.limits.in_flight).collect()),
        rpm: sum(routes.iter().map(|route| route.limits.rpm).collect()),
    }
}

/// How much longer than by the table clips take on some routes: each makes as many as it has places and is fast.
fn pace(known: &Known<'_>, routes: &HashSet<RouteName>) -> f64 {
    let routes = routes.iter().filter_map(|route| known.policy.routes.get(route));
    let (places, done) = routes.fold((0.0, 0.0), |(places, done), route| {
        let here = f64::from(route.limits.in_flight.unwrap_or(1).max(1));
        (places + here, done + here / known.traffic.pace(route, known.now))
    });
    if done > 0.0 { places / done } else { 1.0 }
}
