//! The copies under way: which jobs' clips are being copied, how many at a time, and since when a
//! job's clip could not be.
//!
//! In memory only. After a restart a copy begins anew, and its patience with it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock::Timestamp;
use crate::id::JobId;

/// Copies at a time. Each holds a few pieces of its file in memory.
const AT_A_TIME: usize = 8;
/// Copies that wait for their turn; a job beyond them is told to come again.
const WAITING_MAX: usize = 10_000;
/// However short the patience is, a copy is tried so often.
const TRIES_MIN: u32 = 2;

/// What is under way.
#[derive(Debug)]
pub struct Copies {
    jobs: Mutex<HashMap<JobId, Progress>>,
    seats: Semaphore,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    is_under_way: bool,
    failed: u32,
    failing_since: Option<Timestamp>,
}

/// The right to copy a job's clip, for one try. Dropping it ends the try.
#[derive(Debug)]
pub struct Turn<'a> {
    copies: &'a Copies,
    job: JobId,
}

impl Default for Copies {
    fn default() -> Self {
        Self { jobs: Mutex::default(), seats: Semaphore::new(AT_A_TIME) }
    }
}

impl Copies {
    /// Begins a try; `None` if somebody is at it already, or if too many are.
    pub fn begin(&self, job: JobId) -> Option<Turn<'_>> {
        let mut jobs = self.jobs();
        let is_full = |jobs: &HashMap<JobId, Progress>| jobs.len() >= AT_A_TIME + WAITING_MAX && !jobs.contains_key(&job);
        if is_full(&jobs) {
            // Those that wait for another try may have ended elsewhere; those that have not fail again.
            jobs.retain(|_, progress| progress.is_under_way);
        }
        if is_full(&jobs) {
            return None;
        }
        let progress = jobs.entry(job).or_default();
        if std::mem::replace(&mut progress.is_under_way, true) {
            return None;
        }
        Some(Turn { copies: self, job })
    }

    /// Whether a job's clip has been failing for longer than that.
    pub fn is_hopeless(&self, job: JobId, patience: Duration, now: Timestamp) -> bool {
        let progress = self.jobs().get(&job).copied().unwrap_or_default();
        let failing_for = progress.failing_since.map(|since| now.since(since));
        !progress.is_under_way && progress.failed >= TRIES_MIN && failing_for.is_some_and(|span| span >= patience)
    }

    /// The job has ended.
    pub fn forget(&self, job: JobId) {
        self.jobs().remove(&job);
    }

    /// How many are being copied, and how many wait for their turn or for another try.
    pub fn count(&self) -> (usize, usize) {
        let copying = AT_A_TIME - self.seats.available_permits();
        (copying, self.jobs().len().saturating_sub(copying))
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, Progress>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Waits for one of the seats.
    pub async fn seat(&self) -> Option<SemaphorePermit<'_>> {
        self.copies.seats.acquire().await.ok()
    }

    /// The try came to nothing.
    pub fn failed(&self, now: Timestamp) {
        let mut jobs = self.copies.jobs();
        let progress = jobs.entry(self.job).or_default();
        progress.failed += 1;
        progress.failing_since.get_or_insert(now);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(progress) = self.copies.jobs().get_mut(&self.job) {
            progress.is_under_way = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Copies;
    use crate::clock::Timestamp;
    use crate::id::JobId;

    #[test]
    fn one_try_at_a_time_and_patience_ends() {
        let (copies, job) = (Copies::default(), JobId::mint());
        let (start, patience) = (Timestamp::from_secs(1_000), Duration::from_secs(60));
        let first = copies.begin(job).unwrap();
        assert!(copies.begin(job).is_none(), "somebody is at it");
        assert!(copies.begin(JobId::mint()).is_some());
        first.failed(start);
        drop(first);
        assert!(!copies.is_hopeless(job, Duration::ZERO, start.after(patience)), "one failure is none");

        let second = copies.begin(job).unwrap();
        second.failed(start.after(patience / 2));
        assert!(!copies.is_hopeless(job, patience, start.after(patience)), "it may still succeed");
        drop(second);
        assert!(!copies.is_hopeless(job, patience, start.after(patience / 2)));
        assert!(copies.is_hopeless(job, patience, start.after(patience)));
        copies.forget(job);
        assert!(!copies.is_hopeless(job, Duration::ZERO, start.after(patience)));
    }
}
