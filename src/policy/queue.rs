//! `queue`: whether what is full is waited for, how many may, and for how long.

use std::time::Duration;

use super::{Rule, Tenant};

/// Waiting in line instead of being refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How many jobs of one tenant may wait at a time.
    pub max: u32,
    /// For how long each may.
    pub wait: Duration,
}

impl Queue {
    /// What a rule and a tenant say together: the smaller of each. `None` if nobody may wait.
    pub fn of(rule: Option<&Rule>, tenant: &Tenant) -> Option<Self> {
        let both = match (rule.and_then(|rule| rule.queue), tenant.queue) {
            (Some(one), Some(other)) => Some(Self { max: one.max.min(other.max), wait: one.wait.min(other.wait) }),
            (one, other) => one.or(other),
        };
        both.filter(|queue| queue.max > 0)
    }
}
