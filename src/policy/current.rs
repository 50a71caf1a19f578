//! The policy in force, and those before it that something under way still goes by.
//!
//! A policy of a hundred thousand tenants takes long to let go of. So who was the last to use one that is not in
//! force any more does not pay for that: it is kept here until nobody uses it, and let go of by whoever swaps.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::Policy;

/// The policy in force, swapped as a whole.
#[derive(Debug)]
pub struct Current {
    in_force: ArcSwap<Policy>,
    outgoing: Mutex<Vec<Arc<Policy>>>,
}

impl Current {
    /// Puts the first one in force.
    pub fn new(policy: Policy) -> Self {
        Self { in_force: ArcSwap::from_pointee(policy), outgoing: Mutex::default() }
    }

    /// The policy in force now. Taken once per request.
    pub fn snapshot(&self) -> Arc<Policy> {
        self.in_force.load_full()
    }

    /// Puts another one in force.
    pub fn swap(&self, policy: Policy) {
        let old = self.in_force.swap(Arc::new(policy));
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).push(old);
    }

    /// Lets go of those that nobody uses any more. May take long: not for a thread that answers requests.
    pub fn let_go(&self) {
        let unused = {
            let mut outgoing = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
            outgoing.extract_if(.., |old| Arc::strong_count(old) == 1).collect::<Vec<_>>()
        };
        drop(unused);
    }

    /// How many are still used.
    pub fn outgoing(&self) -> usize {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
