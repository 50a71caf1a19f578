//! What is remembered of jobs from one poll to the next: who is denied, who was found overdue, and of whom
//! the upstream took its word back.
//!
//! In memory only. Forgetting it at a restart makes the verdict on a denied job later, which is the
//! safe side, and counts an overdue one once more.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::JobId;

/// A job that its upstream does not know may be lost after so many answers of that kind…
const DENIED_TIMES: u32 = 5;
/// …that span at least this long.
const DENIED_FOR: Duration = Duration::from_secs(600);

/// The jobs that are worth remembering.
#[derive(Debug, Default)]
pub struct Watch {
    denied: Mutex<HashMap<JobId, (u32, Timestamp)>>,
    overdue: Mutex<HashSet<JobId>>,
    contradicted: Mutex<HashSet<JobId>>,
    strange: Mutex<HashSet<JobId>>,
}

impl Watch {
    /// Its upstream knows it after all, or did not say.
    pub fn found(&self, id: JobId) {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Counts one more answer that its upstream does not know it, and tells whether that is enough to be lost.
    pub fn is_denied(&self, id: JobId, now: Timestamp) -> bool {
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        let (times, since) = denied.entry(id).or_insert((0, now));
        *times = times.saturating_add(1);
        *times >= DENIED_TIMES && now.since(*since) >= DENIED_FOR
    }

    /// Whether nobody had noticed yet that its upstream now tells its end otherwise.
    pub fn is_newly_contradicted(&self, id: JobId) -> bool {
        self.contradicted.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    /// Whether nobody had noticed yet that it is overdue.
    pub fn is_newly_overdue(&self, id: JobId) -> bool {
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    /// Whether nobody had noticed yet that what its route shows now does not know it.
    pub fn is_newly_strange(&self, id: JobId) -> bool {
        self.strange.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    /// It has ended.
    pub fn forget(&self, id: JobId) {
        self.found(id);
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.strange.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}
