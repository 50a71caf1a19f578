//! What is remembered of requests that may be sent again, so that a resend is taken for what it is.
//!
//! An SDK sends a create again for one of two reasons: its answer was lost, or we refused it with an
//! invitation to come back. Only the first is a resend of a job that exists. So a refusal is remembered
//! until the resend that it explains; and a job that somebody asked about is known to its client. All of
//! it in memory and bounded: forgetting errs towards too few paid jobs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quick_cache::sync::Cache;

use crate::clock::Timestamp;
use crate::id::{JobId, TenantName};

/// An SDK sends again within its time-out of ten minutes, and a little.
pub const AGAIN_WITHIN: Duration = Duration::from_secs(15 * 60);
/// Young jobs that somebody asked about.
const SEEN_MAX: usize = 100_000;
/// Jobs whose client hung up before it was answered; past that all are forgotten.
const CUT_OFF_MAX: usize = 10_000;
/// Kinds of refusals that are remembered; past that, those that are too old are forgotten first, then all.
const REFUSED_MAX: usize = 10_000;

/// A refused request, as far as its resend can be told by it: whose, for what (unless it was refused
/// before that was read), and how often it had been sent before.
type Refused = (TenantName, Option<[u8; 32]>, u32);

/// Jobs whose client hung up before it was answered, by whose they are and what was wished for.
#[derive(Debug, Default)]
struct CutOff {
    jobs: HashMap<(TenantName, [u8; 32]), VecDeque<JobId>>,
    count: usize,
}

/// The memory.
#[derive(Debug)]
pub struct Sendings {
    seen: Cache<JobId, ()>,
    cut_off: Mutex<CutOff>,
    refused: Mutex<HashMap<Refused, (u32, Timestamp)>>,
}

impl Default for Sendings {
    fn default() -> Self {
        Self { seen: Cache::new(SEEN_MAX), cut_off: Mutex::default(), refused: Mutex::new(HashMap::new()) }
    }
}

impl Sendings {
    /// Somebody asked about a job: its client knows its id.
    pub fn saw(&self, id: JobId, created_at: Timestamp, now: Timestamp) {
        if now.since(created_at) < AGAIN_WITHIN && !self.seen.contains_key(&id) {
            self.seen.insert(id, ());
        }
    }

    /// Whether somebody asked about it.
    pub fn has_seen(&self, id: JobId) -> bool {
        self.seen.contains_key(&id)
    }

    /// A create is about to be answered with this job. If what this returns is dropped before it is told of
    /// the answer, nobody was there to hear it.
    pub fn answering(&self, tenant: &TenantName, fingerprint: [u8; 32], id: JobId) -> Answering<'_> {
        Answering { sendings: self, of: Some((tenant.clone(), fingerprint)), id }
    }

    /// A job that was wished for in these words and whose client hung up before it was answered: the oldest
    /// that nobody has taken yet.
    pub fn take_cut_off(&self, tenant: &TenantName, fingerprint: [u8; 32]) -> Option<JobId> {
        let mut cut_off = self.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
        let alike = (tenant.clone(), fingerprint);
        let jobs = cut_off.jobs.get_mut(&alike)?;
        let oldest = jobs.pop_front();
        if jobs.is_empty() {
            cut_off.jobs.remove(&alike);
        }
        cut_off.count = cut_off.count.saturating_sub(usize::from(oldest.is_some()));
        oldest
    }

    /// The `sent`-th sending of a create was refused with an invitation to come back.
    pub fn refused(&self, tenant: &TenantName, fingerprint: Option<[u8; 32]>, sent: u32, now: Timestamp) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= REFUSED_MAX {
            refused.retain(|_, (_, at)| now.since(*at) < AGAIN_WITHIN);
        }
        if refused.len() >= REFUSED_MAX {
            refused.clear();
        }
        let (count, at) = refused.entry((tenant.clone(), fingerprint, sent)).or_insert((0, now));
        *count = count.saturating_add(1);
        *at = now;
    }

    /// Whether a refusal of ours explains the `resend`-th resend. Each refusal explains one.
    pub fn explains(&self, tenant: &TenantName, fingerprint: [u8; 32], resend: u32, now: Timestamp) -> bool {
        let Some(sent) = resend.checked_sub(1) else { return false };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        [Some(fingerprint), None].into_iter().any(|of| {
            let key = (tenant.clone(), of, sent);
            let Some((count, at)) = refused.get_mut(&key) else { return false };
            let fresh = now.since(*at) < AGAIN_WITHIN;
            *count -= 1;
            if *count == 0 {
                refused.remove(&key);
            }
            fresh
        })
    }
}

/// A create whose client waits for its answer.
#[derive(Debug)]
pub struct Answering<'a> {
    sendings: &'a Sendings,
    of: Option<(TenantName, [u8; 32])>,
    id: JobId,
}

impl Answering<'_> {
    /// There is an answer, and somebody to give it to.
    pub fn answered(mut self) {
        self.of = None;
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        let Some(of) = self.of.take() else { return };
        let mut cut_off = self.sendings.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
        if cut_off.count >= CUT_OFF_MAX {
            *cut_off = CutOff::default();
        }
        cut_off.count += 1;
        cut_off.jobs.entry(of).or_default().push_back(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::Sendings;
    use crate::clock::Timestamp;
    use crate::id::{JobId, TenantName};

    #[test]
    fn who_hangs_up_is_remembered() {
        let (sendings, acme) = (Sendings::default(), TenantName::new("acme"));
        let (heard, unheard) = (JobId::mint(), [JobId::mint(), JobId::mint()]);
        sendings.answering(&acme, [1; 32], heard).answered();
        for id in unheard {
            drop(sendings.answering(&acme, [1; 32], id));
        }
        let take = || sendings.take_cut_off(&acme, [1; 32]);
        assert_eq!(sendings.take_cut_off(&acme, [2; 32]), None);
        assert_eq!(sendings.take_cut_off(&TenantName::new("other"), [1; 32]), None);
        assert_eq!([take(), take(), take()], [Some(unheard[0]), Some(unheard[1]), None]);
    }

    #[test]
    fn each_refusal_explains_one_resend() {
        let (sendings, acme, now) = (Sendings::default(), TenantName::new("acme"), Timestamp::from_secs(0));
        let explains = |resend| sendings.explains(&acme, [1; 32], resend, now);
        assert!(!explains(1));
        sendings.refused(&acme, Some([1; 32]), 0, now);
        sendings.refused(&acme, None, 0, now);
        sendings.refused(&acme, Some([2; 32]), 0, now);
        sendings.refused(&TenantName::new("other"), None, 0, now);
        assert!(!explains(2), "that was another sending");
        assert!(explains(1) && explains(1) && !explains(1));
        sendings.refused(&acme, Some([1; 32]), 1, now);
        assert!(!sendings.explains(&acme, [1; 32], 2, Timestamp::from_secs(901)), "long ago");
    }
}
