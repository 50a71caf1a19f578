//! Traffic: how long clips take on each route and how busy each is, as far as this process has seen.
//!
//! Advice for the order of a plan, nothing more: the store keeps the limits themselves. What was seen fades. The
//! table of [`eta`] counts for one clip, each clip seen for one too and for half as much every quarter
//! of an hour, so that a route that was slow is tried again, and one that nobody has tried stands as the table has
//! it. Survives reloads; the map of clips is bounded, and starts afresh with the process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::eta;
use crate::id::{ModelName, RouteName};
use crate::plan::{Candidate, Seen};
use crate::policy::Route;
use crate::store::Job;
use crate::video::{Seconds, SizeClass};

/// After this time a clip that was seen counts for half as much.
const HALF_LIFE: Duration = Duration::from_secs(15 * 60);
/// A clip that took longer was not followed all the while.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// The most kinds of clips that are remembered.
const KINDS_MAX: usize = 10_000;
/// How often it is counted again how busy routes are, where that decides.
pub const COUNTED_EVERY: Duration = Duration::from_millis(500);

/// What was seen.
#[derive(Debug, Default)]
pub struct Traffic {
    paces: Mutex<HashMap<Kind, Pace>>,
    /// How long the ordinary clip would have taken, going by all clips of a route.
    ordinary: Mutex<HashMap<RouteName, Pace>>,
    busy: Mutex<HashMap<RouteName, Busy>>,
}

/// What clips are alike in that take about the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    route: RouteName,
    model: ModelName,
    seconds: Seconds,
    class: SizeClass,
}

/// How long clips of a kind took: a sum whose parts fade with their age.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    /// Milliseconds, each by its weight.
    sum_ms: f64,
    /// Of how many clips, each by its weight.
    weight: f64,
    /// As of when.
    at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default)]
struct Busy {
    /// Jobs of all replicas in flight, as of the last count.
    counted: u32,
    /// Those that this process has sent there since.
    since: u32,
}

impl Pace {
    /// Nothing seen.
    const fn new(at: Timestamp) -> Self {
        Self { sum_ms: 0.0, weight: 0.0, at }
    }

    /// As it has faded by then.
    fn faded(self, at: Timestamp) -> Self {
        let kept = 0.5_f64.powf(at.since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64());
        Self { sum_ms: self.sum_ms * kept, weight: self.weight * kept, at: at.max(self.at) }
    }

    /// With one more clip.
    fn seeing(self, took: Duration, at: Timestamp) -> Self {
        let faded = self.faded(at);
        Self { sum_ms: faded.sum_ms + took.min(LONGEST).as_secs_f64() * 1_000.0, weight: faded.weight + 1.0, ..faded }
    }

    /// What the next clip may take, where the table says `usual`.
    fn expects(self, usual: Duration, at: Timestamp) -> Duration {
        let faded = self.faded(at);
        Duration::from_secs_f64((usual.as_secs_f64() * 1_000.0 + faded.sum_ms) / (1.0 + faded.weight) / 1_000.0)
    }
}

impl Traffic {
    /// A job was completed.
    pub fn made(&self, job: &Job) {
        let Some(ended_at) = job.ended_at else { return };
        let kind = Kind { route: job.route.clone(), model: job.model.clone(), seconds: job.seconds, class: job.size.class() };
        let mut paces = locked(&self.paces);
        if paces.len() >= KINDS_MAX && !paces.contains_key(&kind) {
            let oldest = paces.iter().min_by_key(|(_, pace)| pace.at).map(|(kind, _)| kind.clone());
            oldest.and_then(|kind| paces.remove(&kind));
        }
        let pace = paces.entry(kind).or_insert(Pace::new(ended_at));
        let took = ended_at.since(job.attempted_at);
        *pace = pace.seeing(took, ended_at);
        drop(paces);
        let share = eta::usual().as_secs_f64() / eta::likely(job.seconds, job.size, 1).as_secs_f64();
        let mut ordinary = locked(&self.ordinary);
        let pace = ordinary.entry(job.route.clone()).or_insert(Pace::new(ended_at));
        *pace = pace.seeing(took.min(LONGEST).mul_f64(share), ended_at);
    }

    /// How many times as long as by the table a clip takes on a route, whatever its kind.
    pub fn pace(&self, route: &Route, at: Timestamp) -> f64 {
        let usual = eta::usual() / route.speed.max(1);
        let expected = locked(&self.ordinary).get(&route.name).map_or(usual, |pace| pace.expects(usual, at));
        expected.as_secs_f64() / eta::usual().as_secs_f64()
    }

    /// A job was sent to a route.
    pub fn sent(&self, route: &RouteName) {
        if let Some(busy) = locked(&self.busy).get_mut(route) {
            busy.since = busy.since.saturating_add(1);
        }
    }

    /// How many jobs each route has in flight was counted, where that decides.
    pub fn counted(&self, routes: impl IntoIterator<Item = (RouteName, u32)>) {
        *locked(&self.busy) = routes.into_iter().map(|(route, counted)| (route, Busy { counted, since: 0 })).collect();
    }

    /// Forgets routes that the policy does not know any more.
    pub fn retain(&self, known: impl Fn(&RouteName) -> bool) {
        locked(&self.paces).retain(|kind, _| known(&kind.route));
        locked(&self.ordinary).retain(|route, _| known(route));
    }
}

impl Seen for Traffic {
    fn takes(&self, candidate: &Candidate, model: &ModelName, at: Timestamp) -> Duration {
        let (route, seconds, size) = (&candidate.route, candidate.seconds, candidate.size);
        let kind = Kind { route: route.name.clone(), model: model.clone(), seconds, class: size.class() };
        let usual = eta::likely(seconds, size, route.speed);
        locked(&self.paces).get(&kind).map_or(usual, |pace| pace.expects(usual, at))
    }

    fn in_flight(&self, route: &Route) -> u32 {
        locked(&self.busy).get(&route.name).map_or(0, |busy| busy.counted.saturating_add(busy.since))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
