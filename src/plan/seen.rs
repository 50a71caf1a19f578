//! What was seen of routes lately, as far as a plan asks.

use std::fmt::Debug;
use std::time::Duration;

use super::Candidate;
use crate::clock::Timestamp;
use crate::eta;
use crate::id::ModelName;
use crate::policy::Route;

/// Knows how routes did lately: that decides the order among those that may serve, and whether one has the model at all.
pub trait Seen: Debug + Send + Sync {
    /// How long the clip may take that a candidate would make.
    fn takes(&self, candidate: &Candidate, model: &ModelName, at: Timestamp) -> Duration;

    /// How many jobs a route has in flight.
    fn in_flight(&self, route: &Route) -> u32;

    /// Whether a route has a model that it offers, as far as its provider has not said otherwise.
    fn has(&self, _: &Route, _: &ModelName) -> bool {
        true
    }
}

/// Has seen nothing: clips take what the table says, every route is idle, and has what it offers.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Seen for Nothing {
    fn takes(&self, candidate: &Candidate, _: &ModelName, _: Timestamp) -> Duration {
        eta::likely(candidate.seconds, candidate.size, candidate.route.speed)
    }

    fn in_flight(&self, _: &Route) -> u32 {
        0
    }
}
