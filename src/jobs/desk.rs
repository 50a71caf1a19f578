//! What the poller keeps in mind from one round to the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::watch::Watch;
use crate::id::RouteName;
use crate::store::Postponed;

/// How often it is said again that an account is missing.
const REMIND: Duration = Duration::from_secs(60);

/// The poller's desk.
#[derive(Debug, Default)]
pub struct Desk {
    /// What is remembered of single jobs.
    pub watch: Arc<Watch>,
    later: Mutex<Vec<Postponed>>,
    /// Of which routes it was said that nobody can be asked about jobs there, and when.
    said: Mutex<HashMap<RouteName, Instant>>,
}

impl Desk {
    /// Whether it is to be said, for the first time or again, that nobody can be asked about jobs there.
    pub fn is_to_be_said(&self, route: &RouteName) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|_, at| at.elapsed() < REMIND);
        let is_new = !said.contains_key(route);
        if is_new {
            said.insert(route.clone(), Instant::now());
        }
        is_new
    }

    /// Keeps a job without news until the next round puts it off with the others.
    pub fn put_off(&self, job: Postponed) {
        self.later.lock().unwrap_or_else(PoisonError::into_inner).push(job);
    }

    /// Those that wait to be put off.
    pub fn take_later(&self) -> Vec<Postponed> {
        std::mem::take(&mut *self.later.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
