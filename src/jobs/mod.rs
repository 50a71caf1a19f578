//! The durable half: what happens to a job after its creation was answered.
//!
//! `poller` finds who is due, `advance` moves one job by one step, `sweeper` finds out about attempts
//! whose outcome nobody knows. All of them can be killed at any instant; what they were doing is done
//! again, and doing it again costs a question.

mod adopt;
mod advance;
mod poller;
mod sweeper;
mod watch;

use std::sync::Arc;

use crate::gateway::Gateway;

/// Starts the workers, in tasks that a stop waits for.
pub fn start(gw: &Arc<Gateway>) {
    gw.tasks.spawn(poller::run(gw.clone()));
    gw.tasks.spawn(sweeper::run(gw.clone()));
}
