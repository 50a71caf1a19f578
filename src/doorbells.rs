//! What this process remembers of providers' callbacks: how many are under way, which of them have come
//! before, and which jobs were rung for just now.
//!
//! In memory and bounded. Forgetting costs one look too many, never a job: whatever a callback that is not
//! heeded would have said is found out by asking.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::id::RouteName;

/// Callbacks of one route under way at a time.
const UNDER_WAY_MAX: usize = 64;
/// Callbacks that are known again. At the pace at which they are taken, one route needs ten minutes to have
/// the oldest forgotten, and a signature is good for no longer than that.
const HEARD_MAX: usize = 100_000;
/// A job is looked at on a callback's behalf at most this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Jobs that were rung for just now; past that, those whose second is over are forgotten first, then all.
const RUNG_MAX: usize = 10_000;

/// Callbacks about jobs that nobody knew that are remembered.
const EARLY_MAX: usize = 10_000;

/// Something of a route's: a callback or a job, by the name that the route has for it.
type Key = [u8; 32];

/// The memory.
#[derive(Debug)]
pub struct Doorbells {
    seats: Mutex<HashMap<RouteName, Arc<Semaphore>>>,
    heard: Cache<Key, ()>,
    rung: Mutex<HashMap<Key, Rung>>,
    early: Cache<Key, ()>,
}

/// A job that was looked at.
#[derive(Debug)]
struct Rung {
    at: Instant,
    /// Somebody rang since, so that it is looked at once more.
    again: bool,
}

/// What a bell amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bell {
    /// Look now.
    Now,
    /// Look in so long: it was looked at a moment ago.
    In(Duration),
    /// Nothing: a look is to come already.
    Merged,
}

impl Default for Doorbells {
    fn default() -> Self {
        Self { seats: Mutex::default(), heard: Cache::new(HEARD_MAX), rung: Mutex::default(), early: Cache::new(EARLY_MAX) }
    }
}

impl Doorbells {
    /// Lets one more callback of a route in, unless too many are under way.
    pub fn sit(&self, route: &RouteName) -> Option<OwnedSemaphorePermit> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let seats = seats.entry(route.clone()).or_insert_with(|| Arc::new(Semaphore::new(UNDER_WAY_MAX)));
        seats.clone().try_acquire_owned().ok()
    }

    /// Takes in a callback by its `webhook-id`; `None` if it has come before.
    pub fn hear(&self, route: &RouteName, id: &str) -> Option<Heard<'_>> {
        let (key, mut is_new) = (key(route, id), false);
        let first = || {
            is_new = true;
            Ok::<(), std::convert::Infallible>(())
        };
        match self.heard.get_or_insert_with(&key, first) {
            // Not `then_some`: one that is made only to be dropped would have its callback forgotten.
            Ok(()) => is_new.then(|| Heard { by: self, key: Some(key) }),
            Err(never) => match never {},
        }
    }

    /// Somebody rang for a job.
    pub fn ring(&self, route: &RouteName, upstream_id: &str, now: Instant) -> Bell {
        let mut jobs = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.len() >= RUNG_MAX {
            jobs.retain(|_, rung| rung.again || now.duration_since(rung.at) < LOOK_EVERY);
        }
        if jobs.len() >= RUNG_MAX {
            jobs.clear();
        }
        let Some(rung) = jobs.get_mut(&key(route, upstream_id)) else {
            jobs.insert(key(route, upstream_id), Rung { at: now, again: false });
            return Bell::Now;
        };
        match LOOK_EVERY.checked_sub(now.duration_since(rung.at)).filter(|wait| !wait.is_zero()) {
            None => {
                *rung = Rung { at: now, again: false };
                Bell::Now
            }
            Some(_) if rung.again => Bell::Merged,
            Some(wait) => {
                rung.again = true;
                Bell::In(wait)
            }
        }
    }

    /// Whether the look that was to come is still wanted; it is then taken now.
    pub fn is_wanted(&self, route: &RouteName, upstream_id: &str, now: Instant) -> bool {
        let mut jobs = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rung) = jobs.get_mut(&key(route, upstream_id)) else { return true };
        let wanted = rung.again && now.duration_since(rung.at) >= LOOK_EVERY;
        if wanted {
            *rung = Rung { at: now, again: false };
        }
        wanted
    }

    /// Somebody rang for a job that nobody knows: perhaps because the reply to its creation is still to come.
    pub fn too_early(&self, route: &RouteName, upstream_id: &str) {
        self.early.insert(key(route, upstream_id), ());
    }

    /// Whether somebody rang for a job before it was known.
    pub fn came_early(&self, route: &RouteName, upstream_id: &str) -> bool {
        self.early.remove(&key(route, upstream_id)).is_some()
    }

    /// Forgets routes that the policy does not know any more.
    pub fn retain(&self, known: impl Fn(&RouteName) -> bool) {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).retain(|route, _| known(route));
    }
}

/// A callback that is being seen to. Dropped before it was, it has not come.
#[derive(Debug)]
pub struct Heard<'a> {
    by: &'a Doorbells,
    key: Option<Key>,
}

impl Heard<'_> {
    /// It was seen to: when it comes again, nothing is done.
    pub fn keep(mut self) {
        self.key = None;
    }
}

impl Drop for Heard<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.by.heard.remove(&key);
        }
    }
}

/// Of a fixed length, however long a name the other side chose.
fn key(route: &RouteName, name: &str) -> Key {
    Sha256::new().chain_update(route.as_str()).chain_update([0]).chain_update(name).finalize().into()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Bell, Doorbells, RUNG_MAX, UNDER_WAY_MAX};
    use crate::id::RouteName;

    #[test]
    fn a_job_is_looked_at_once_a_second_however_often_it_rings() {
        let (bells, north, south, start) = (Doorbells::default(), RouteName::new("north"), RouteName::new("south"), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(bells.ring(&north, "job", at(0)), Bell::Now);
        assert_eq!(bells.ring(&south, "job", at(0)), Bell::Now, "an id is a route's own");
        assert_eq!(bells.ring(&north, "job", at(400)), Bell::In(Duration::from_millis(600)));
        assert_eq!(bells.ring(&north, "job", at(500)), Bell::Merged);
        assert!(!bells.is_wanted(&north, "job", at(999)), "not before its second is over");
        assert!(bells.is_wanted(&north, "job", at(1_000)), "what rang meanwhile is not lost");
        assert!(!bells.is_wanted(&north, "job", at(2_000)), "once is enough");
        assert_eq!(bells.ring(&north, "job", at(2_000)), Bell::Now);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (bells, north, now) = (Doorbells::default(), RouteName::new("north"), Instant::now());
        for n in 0..3 * RUNG_MAX {
            assert_eq!(bells.ring(&north, &n.to_string(), now), Bell::Now);
        }
        assert!(bells.rung.lock().unwrap().len() <= RUNG_MAX);
        let seats: Vec<_> = (0..UNDER_WAY_MAX).map(|_| bells.sit(&north).unwrap()).collect();
        assert!(bells.sit(&north).is_none() && bells.sit(&RouteName::new("south")).is_some());
        drop(seats);
        assert!(bells.sit(&north).is_some());
    }

    #[test]
    fn a_callback_counts_as_heard_once_it_was_seen_to() {
        let (bells, north) = (Doorbells::default(), RouteName::new("north"));
        let first = bells.hear(&north, "msg_1").unwrap();
        assert!(bells.hear(&north, "msg_1").is_none(), "somebody is at it");
        drop(first);
        bells.hear(&north, "msg_1").expect("it was not seen to").keep();
        for _ in 0..3 {
            assert!(bells.hear(&north, "msg_1").is_none(), "however often it comes");
        }
        assert!(bells.hear(&RouteName::new("south"), "msg_1").is_some());
    }
}
