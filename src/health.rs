//! Health: which routes answered lately.
//!
//! Advice for the order of a plan, nothing more: a route that seems down is asked last, never left out,
//! so that a mistake here costs a second and not a job. Fed by the outcomes of submissions and polls;
//! survives reloads.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::id::RouteName;

/// Failures in a row after which a route seems down.
const FAILURES_IN_A_ROW: u32 = 5;
/// How long it then does.
const REST: Duration = Duration::from_secs(30);

/// What we know of every route.
#[derive(Debug, Default)]
pub struct Health(Mutex<HashMap<RouteName, Lately>>);

#[derive(Debug, Default)]
struct Lately {
    failures: u32,
    resting_until: Option<Instant>,
    /// Whether it rests because it asked to, and not because it failed.
    by_request: bool,
    /// Whether it did not take our key when it was last asked.
    refuses_key: bool,
}

impl Health {
    /// The route gave a sound answer, whatever it said.
    pub fn answered(&self, route: &RouteName) {
        self.change(route, |lately| *lately = Lately::default());
    }

    /// The route could not be reached, or answered that it is broken.
    pub fn failed(&self, route: &RouteName) {
        self.change(route, |lately| {
            lately.failures += 1;
            if lately.failures >= FAILURES_IN_A_ROW {
                (lately.resting_until, lately.by_request) = (Some(Instant::now() + REST), false);
            }
        });
    }

    /// The route did not take our key.
    pub fn refused_key(&self, route: &RouteName) {
        self.change(route, |lately| lately.refuses_key = true);
    }

    /// The routes that did not take our key when they were last asked.
    pub fn refusing_keys(&self) -> Vec<RouteName> {
        let lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately.iter().filter(|(_, lately)| lately.refuses_key).map(|(route, _)| route.clone()).collect()
    }

    /// The route asked to be left alone for a while.
    pub fn rests(&self, route: &RouteName, wait: Duration) {
        self.change(route, |lately| (lately.resting_until, lately.by_request) = (Some(Instant::now() + wait), true));
    }

    /// Whether the route is better asked last.
    pub fn is_resting(&self, route: &RouteName) -> bool {
        let lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately.get(route).and_then(|l| l.resting_until).is_some_and(|until| until > Instant::now())
    }

    /// Whether the route seems down, so that a free question is worth asking: an answer ends its rest.
    pub fn is_failing(&self, route: &RouteName) -> bool {
        let lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately.get(route).is_some_and(|l| !l.by_request && l.resting_until.is_some_and(|until| until > Instant::now()))
    }

    /// Forgets routes that the policy does not know any more.
    pub fn retain(&self, known: impl Fn(&RouteName) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|route, _| known(route));
    }

    fn change(&self, route: &RouteName, change: impl FnOnce(&mut Lately)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(route.clone()).or_default());
    }
}
