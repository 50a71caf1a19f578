//! Queues: whose turn it is when several wait for the same routes, and when a place in line comes up.
//!
//! Tenants take turns in proportion to their weights, however many of their jobs wait: each turn moves a
//! tenant's tag on by one over its weight, and the lowest tag is next. Who was away comes back at the tag of
//! now, so that nobody saves turns up. Within one tenant it is the oldest first. Knows ids and numbers only.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use crate::id::{JobId, TenantName};

/// How far one turn moves a tenant of weight 1.
const TURN: u64 = 1_000_000_000;

/// Who had how many turns, as far as that matters for the next one.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    tags: HashMap<TenantName, u64>,
    now: u64,
}

impl Turns {
    /// The tag of a tenant's next turn: the lowest is next.
    pub fn tag(&self, tenant: &TenantName) -> u64 {
        self.tags.get(tenant).copied().unwrap_or(0).max(self.now)
    }

    /// A tenant had its turn.
    pub fn took(&mut self, tenant: &TenantName, weight: u32) {
        self.now = self.tag(tenant);
        self.tags.insert(tenant.clone(), self.now + turn(weight));
        if self.tags.len() > 2 * self.tags.values().filter(|tag| **tag > self.now).count() + 64 {
            // A tag that has passed says what no tag says.
            self.tags.retain(|_, tag| *tag > self.now);
        }
    }
}

fn turn(weight: u32) -> u64 {
    TURN / u64::from(weight.max(1))
}

/// A tenant's jobs that wait for some of the same routes as the others'.
#[derive(Clone, Debug)]
pub struct Waiters {
    /// Whose.
    pub tenant: TenantName,
    /// Its weight.
    pub weight: u32,
    /// Oldest first.
    pub jobs: Vec<JobId>,
}

/// All jobs in the order in which they will have their turns, if nobody comes or goes.
pub fn in_turn(turns: &Turns, waiters: &[Waiters]) -> Vec<JobId> {
    let head = |n: usize, tag: u64, at: usize| waiters.get(n)?.jobs.get(at).map(|id| Reverse((tag, *id, n, at)));
    let mut heads: BinaryHeap<_> = waiters.iter().enumerate().filter_map(|(n, each)| head(n, turns.tag(&each.tenant), 0)).collect();
    let mut order = Vec::with_capacity(waiters.iter().map(|each| each.jobs.len()).sum());
    while let Some(Reverse((tag, id, n, at))) = heads.pop() {
        order.push(id);
        let weight = waiters.get(n).map_or(1, |each| each.weight);
        heads.extend(head(n, tag + turn(weight), at + 1));
    }
    order
}

/// What becomes free where several wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Jobs that the routes may have at a time, together; `None` without a limit.
    pub places: Option<u32>,
    /// Creates a minute, together; `None` without a limit.
    pub rpm: Option<u32>,
}

/// How long it takes until each in line is sent, in their order, by how long their clips take.
///
/// Plays the line: each takes the place that is free first, once the creates of a minute allow it. Of the jobs `under_way`
/// it is known what they take yet. Other places are taken by jobs like those in line, one of which ends after the other.
pub fn starts_in(room: Room, under_way: &[Duration], clips: &[Duration]) -> Vec<Duration> {
    let in_line = u32::try_from(clips.len()).unwrap_or(u32::MAX).max(1);
    let mean = clips.iter().sum::<Duration>() / in_line;
    let share = |whole: Duration, nth: u32, of: u32| whole.mul_f64(f64::from(nth) / f64::from(of.max(1)));
    let mut free: BinaryHeap<Reverse<Duration>> = BinaryHeap::new();
    if let Some(places) = room.places {
        let known = u32::try_from(under_way.len()).unwrap_or(u32::MAX);
        let unknown = places.max(1).saturating_sub(known).min(in_line);
        free.extend(under_way.iter().copied().map(Reverse));
        free.extend((1..=unknown).map(|nth| Reverse(share(mean, nth, places))));
    }
    let starts = (1..).zip(clips).map(|(position, clip)| {
        let by_places = free.pop().map_or(Duration::ZERO, |Reverse(at)| at);
        let by_rpm = room.rpm.map_or(Duration::ZERO, |rpm| share(Duration::from_secs(60), position, rpm));
        let at = by_places.max(by_rpm);
        if room.places.is_some() {
            free.push(Reverse(at + *clip));
        }
        at
    });
    starts.collect()
}

#[cfg(test)]
mod tests;
