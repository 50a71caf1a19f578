//! What is remembered of jobs from one poll to the next: who is missing, and who was found overdue.
//!
//! In memory only. Forgetting it at a restart makes the verdict on a missing job later, which is the
//! safe side, and counts an overdue one once more.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::JobId;

/// A job that its upstream does not know is lost after so many answers of that kind…
const MISSING_TIMES: u32 = 5;
/// …that span at least this long.
const MISSING_FOR: Duration = Duration::from_secs(600);

/// The jobs that are worth remembering.
#[derive(Debug, Default)]
pub struct Watch {
    missing: Mutex<HashMap<JobId, (u32, Timestamp)>>,
    overdue: Mutex<HashSet<JobId>>,
}

impl Watch {
    /// Its upstream knows it after all, or did not say.
    pub fn found(&self, id: JobId) {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Counts one more answer that its upstream does not know it, and tells whether that is enough to be lost.
    pub fn is_lost(&self, id: JobId, now: Timestamp) -> bool {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let (times, since) = missing.entry(id).or_insert((0, now));
        *times += 1;
        *times >= MISSING_TIMES && now.since(*since) >= MISSING_FOR
    }

    /// Whether nobody had noticed yet that it is overdue.
    pub fn is_newly_overdue(&self, id: JobId) -> bool {
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    /// It has ended.
    pub fn forget(&self, id: JobId) {
        self.found(id);
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}
