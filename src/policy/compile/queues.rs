//! `queue`: how many jobs may wait and for how long, the same shape for a rule and for a tenant.

use std::fmt;
use std::time::Duration;

use super::Pass;
use crate::policy::file::forms::Placed;
use crate::policy::{Queue, file};

/// The most jobs of one tenant that may wait.
const MAX: u32 = 100_000;
/// How long one waits if the file does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// The longest wait, and the shortest that is worth a place.
const WAIT: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);

/// A queue. `base` is the path of the table. `None` if it has a fault, which was told.
pub(super) fn compile(base: &dyn fmt::Display, queue: &Placed<file::Queue>, pass: &mut Pass<'_>) -> Option<Queue> {
    let wait = pass.duration(format_args!("{base}.wait"), &queue.value.wait, WAIT_DEFAULT, WAIT);
    if queue.value.max.is_none() {
        let remedy = "add max = 100: how many jobs of one tenant may wait";
        pass.faults.add_missing(&queue.at, format_args!("{base}.max"), "this queue does not say how many may wait", remedy);
    }
    let max = pass.number(format_args!("{base}.max"), &queue.value.max, 0..=MAX)?;
    Some(Queue { max, wait })
}
