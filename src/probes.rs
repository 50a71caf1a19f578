//! What this process remembers of its probes: which routes are being probed, and what has been found out.
//!
//! In memory and bounded: a probe's job is in the books. The invariant: a route is probed once at a time.

mod findings;

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::findings::{Content, Findings, ms};
use crate::id::{JobId, RouteName};

/// As many probes are remembered.
const REMEMBERED_MAX: usize = 64;

/// What was found out, and which routes are being probed.
#[derive(Debug, Default)]
pub struct Probes(Mutex<Desk>);

#[derive(Debug, Default)]
struct Desk {
    found: VecDeque<(JobId, Findings)>,
    under_way: HashSet<RouteName>,
}

impl Probes {
    /// What is known of a probe so far.
    pub fn of(&self, id: JobId) -> Option<Findings> {
        self.desk().found.iter().find(|(known, _)| *known == id).map(|(_, found)| found.clone())
    }

    /// Begins one, unless the route has one under way.
    pub fn begin(&self, route: &RouteName) -> bool {
        self.desk().under_way.insert(route.clone())
    }

    /// The route may be probed again.
    pub fn end(&self, route: &RouteName) {
        self.desk().under_way.remove(route);
    }

    /// Begins to know of one.
    pub fn remember(&self, id: JobId, findings: Findings) {
        let mut desk = self.desk();
        desk.found.push_back((id, findings));
        while desk.found.len() > REMEMBERED_MAX {
            desk.found.pop_front();
        }
    }

    /// Adds to what is known of one.
    pub fn learn(&self, id: JobId, learn: impl FnOnce(&mut Findings)) {
        if let Some((_, found)) = self.desk().found.iter_mut().find(|(known, _)| *known == id) {
            learn(found);
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
