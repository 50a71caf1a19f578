//! What the poller keeps in mind from one round to the next.

use std::sync::{Arc, Mutex, PoisonError};

use super::watch::Watch;
use crate::store::Postponed;

/// The poller's desk.
#[derive(Debug, Default)]
pub struct Desk {
    /// What is remembered of single jobs.
    pub watch: Arc<Watch>,
    later: Mutex<Vec<Postponed>>,
}

impl Desk {
    /// Keeps a job without news until the next round puts it off with the others.
    pub fn put_off(&self, job: Postponed) {
        self.later.lock().unwrap_or_else(PoisonError::into_inner).push(job);
    }

    /// Those that wait to be put off.
    pub fn take_later(&self) -> Vec<Postponed> {
        std::mem::take(&mut *self.later.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
