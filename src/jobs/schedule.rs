//! The schedule: when a job is asked about next.
//!
//! Pure. Often in its first minute, then less, and less again once it is overdue: the published
//! schedule, which every other reason to ask or not to ask goes through [`interval`] to change.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::eta;
use crate::id::JobId;
use crate::policy::Route;
use crate::store::Job;

/// How long the schedule's first, quicker part lasts.
const EARLY_FOR: Duration = Duration::from_secs(60);
/// How much slower an overdue job is asked about.
const OVERDUE_SLOWER: u32 = 4;

/// When to ask about a job again that was asked about now.
pub fn next(job: &Job, route: &Route, now: Timestamp) -> Timestamp {
    now.after(jittered(interval(job, route, now), job.id, now))
}

/// How long to leave a job alone.
pub fn interval(job: &Job, route: &Route, now: Timestamp) -> Duration {
    if now.since(job.attempted_at) < EARLY_FOR {
        route.poll.early
    } else if is_overdue(job, now) {
        route.poll.late * OVERDUE_SLOWER
    } else {
        route.poll.late
    }
}

/// Whether a clip of that length and size is usually made by now.
pub fn is_overdue(job: &Job, now: Timestamp) -> bool {
    let most = eta::expected(job.seconds, job.size).most_secs;
    now.since(job.attempted_at) > Duration::from_secs(u64::from(most))
}

/// A span, a tenth more or less, so that jobs that were made together are not asked about together.
pub fn jittered(span: Duration, id: JobId, now: Timestamp) -> Duration {
    let lot = (id.seed() ^ u64::from_ne_bytes(now.as_ms().to_ne_bytes())).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    // 0 to 1,023 of the lot onto 90 to 110 percent.
    span * (900 + u32::try_from(lot * 200 / 1023).unwrap_or(100)) / 1000
}
