//! Adoption: which jobs of an upstream's own list are attempts of ours whose reply was lost.
//!
//! Pure. A wrong adoption would hand one tenant another's video, so the rule errs towards none: an
//! attempt whose inputs the list does not show, or that looks the same as another tenant's, is left for
//! policy to end. Two attempts of one tenant that look the same may be swapped; they are the same wish.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::provider::ListedJob;
use crate::store::Job;

/// Clocks and replies may differ by this much.
const SLACK: Duration = Duration::from_secs(120);

/// What two jobs must share to be the same as far as a list shows. Not the model: some upstreams list
/// their own name for it and not the one we sent.
type Looks<'a> = (&'a str, u32, String);

/// Pairs attempts of unknown outcome with listed jobs that no attempt has.
///
/// `timeout` is how long after its start an attempt could still have been accepted.
pub fn adopt<'a>(
    unknown: &'a [Arc<Job>],
    listed: &'a [ListedJob],
    taken: &HashSet<String>,
    timeout: Duration,
) -> Vec<(&'a Job, &'a ListedJob)> {
    let mut groups: BTreeMap<Looks<'_>, Vec<&Job>> = BTreeMap::new();
    for job in unknown {
        groups.entry(looks(job)).or_default().push(job);
    }
    let mut pairs = Vec::new();
    for (looks, mut attempts) in groups {
        let one_tenant = attempts.iter().all(|job| job.tenant == attempts[0].tenant);
        let one_model = attempts.iter().all(|job| job.upstream_model == attempts[0].upstream_model);
        if !one_tenant || !one_model || attempts.iter().any(|job| job.hidden_inputs) {
            continue;
        }
        attempts.sort_by_key(|job| (job.attempted_at, job.id));
        let mut candidates: Vec<&ListedJob> =
            listed.iter().filter(|listed| !taken.contains(&listed.upstream_id) && listed_looks(listed) == Some(looks.clone())).collect();
        candidates.sort_by_key(|listed| listed.created_at);
        let mut candidates = candidates.into_iter().peekable();
        for job in attempts {
            while candidates.next_if(|listed| listed.created_at < earliest(job)).is_some() {}
            if let Some(listed) = candidates.next_if(|listed| listed.created_at <= job.attempted_at.after(timeout).after(SLACK)) {
                pairs.push((job, listed));
            }
        }
    }
    pairs
}

/// Lists show whole seconds.
fn earliest(job: &Job) -> Timestamp {
    job.attempted_at.before(SLACK)
}

fn looks(job: &Job) -> Looks<'_> {
    (&job.prompt, job.seconds.get(), job.size.to_string())
}

/// How a listed job looks, if the list shows enough to tell.
fn listed_looks(listed: &ListedJob) -> Option<Looks<'_>> {
    Some((listed.prompt.as_deref()?, listed.seconds?.get(), listed.size?.to_string()))
}
