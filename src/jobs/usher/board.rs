//! The board: where everybody stands who waits, and for how long yet.
//!
//! Pure. Lines that share a route, directly or by others, wait for each other: their jobs are counted together.

use std::collections::{HashMap, HashSet};

use super::heads::Heads;
use crate::eta;
use crate::hall::{Board, Place, Waiting};
use crate::id::{JobId, RouteName, TenantName};
use crate::policy::Policy;
use crate::queue::{Room, Turns, Waiters, in_turn, starts_in};
use crate::store::{Line, Standing};

/// Works out where everybody stands.
pub fn board(policy: &Policy, turns: &Turns, heads: &Heads, lines: &[Line], standing: Vec<Standing>) -> Board {
    let mut board = Board::default();
    let mut jobs: HashMap<(TenantName, String), Vec<JobId>> = HashMap::new();
    for each in standing {
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
        for (position, id) in (1..).zip(order) {
            board.places.insert(id, Place { position, starts_in: starts_in(position, room) });
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

/// What becomes free on some routes, by their limits and by how long an ordinary clip takes.
fn room(policy: &Policy, routes: &HashSet<RouteName>) -> Room {
    let routes: Vec<_> = routes.iter().filter_map(|route| policy.routes.get(route)).collect();
    let sum = |limits: Vec<Option<u32>>| limits.into_iter().try_fold(0_u32, |sum, limit| Some(sum.saturating_add(limit?)));
    let speed = routes.iter().map(|route| if route.simulated { route.speed.max(1) } else { 1 }).min().unwrap_or(1);
    Room {
        places: sum(routes.iter().map(|route| route.limits.in_flight).collect()),
        rpm: sum(routes.iter().map(|route| route.limits.rpm).collect()),
        clip: eta::usual() / speed,
    }
}
