//! Adoption: which jobs of an upstream's own list are attempts of ours whose reply was lost.
//!
//! Pure. A wrong adoption would hand one tenant another's video, so the rule errs towards none: an
//! attempt whose inputs the list does not show, or that looks the same as another tenant's, is left for
//! policy to end. Two attempts of one tenant that look the same may be swapped; they are the same wish.
//! What looks like our attempts and is more than they are was made, and charged, for nobody.

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

/// What is known of a route at one moment.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Attempts of unknown outcome.
    pub unknown: &'a [Arc<Job>],
    /// Attempts that are on the wire: a job in the list may be theirs, and they will say so themselves.
    pub submitting: &'a [Arc<Job>],
    /// The upstream's list.
    pub listed: &'a [ListedJob],
    /// The upstream's ids that an attempt has.
    pub taken: &'a HashSet<String>,
    /// How long after its start an attempt could still have been accepted.
    pub timeout: Duration,
    /// Whether others order on the same account: what looks like ours may then be theirs.
    pub shared_account: bool,
}

/// What the list says of them.
#[derive(Debug, Default)]
pub struct Adoption<'a> {
    /// Attempts, each with the listed job that it is.
    pub pairs: Vec<(&'a Job, &'a ListedJob)>,
    /// Listed jobs that look like an attempt, when every such attempt has one already.
    pub extra: Vec<(&'a Job, &'a ListedJob)>,
}

/// Pairs attempts of unknown outcome with listed jobs that no attempt has.
pub fn adopt<'a>(scene: &Scene<'a>) -> Adoption<'a> {
    let mut groups: BTreeMap<Looks<'_>, Vec<&Job>> = BTreeMap::new();
    for job in scene.unknown {
        groups.entry(looks(job)).or_default().push(job);
    }
    let mut adoption = Adoption::default();
    for (looks, attempts) in groups {
        let one_tenant = attempts.iter().all(|job| job.tenant == attempts[0].tenant);
        let one_model = attempts.iter().all(|job| job.upstream_model == attempts[0].upstream_model);
        if !one_tenant || !one_model || attempts.iter().any(|job| job.hidden_inputs) {
            continue;
        }
        let on_the_wire: Vec<&Arc<Job>> = scene.submitting.iter().filter(|job| self::looks(job) == looks).collect();
        if on_the_wire.iter().any(|job| job.tenant != attempts[0].tenant) {
            continue;
        }
        adopt_alike(scene, &looks, attempts, on_the_wire.len(), &mut adoption);
    }
    adoption
}

/// Pairs attempts that look the same, oldest first, with the listed jobs that look like them.
fn adopt_alike<'a>(scene: &Scene<'a>, looks: &Looks<'_>, mut attempts: Vec<&'a Job>, on_the_wire: usize, adoption: &mut Adoption<'a>) {
    attempts.sort_by_key(|job| (job.attempted_at, job.id));
    let (first, last) = (attempts[0], attempts[attempts.len() - 1]);
    let mut candidates: Vec<&ListedJob> = scene
        .listed
        .iter()
        .filter(|listed| !scene.taken.contains(&listed.upstream_id) && listed_looks(listed).as_ref() == Some(looks))
        .filter(|listed| earliest(first) <= listed.created_at && listed.created_at <= latest(last, scene.timeout))
        .collect();
    let explained = attempts.len() + on_the_wire;
    if scene.shared_account && candidates.len() > explained {
        return;
    }
    candidates.sort_by_key(|listed| listed.created_at);
    let mut left = Vec::new();
    let mut attempts = attempts.into_iter().peekable();
    for listed in candidates {
        // Whoever could only have been accepted before this one was made has none.
        while attempts.next_if(|job| latest(job, scene.timeout) < listed.created_at).is_some() {}
        match attempts.next_if(|job| earliest(job) <= listed.created_at) {
            Some(job) => adoption.pairs.push((job, listed)),
            None => left.push((first, listed)),
        }
    }
    adoption.extra.extend(left.into_iter().skip(on_the_wire));
}

/// Lists show whole seconds.
fn earliest(job: &Job) -> Timestamp {
    job.attempted_at.before(SLACK)
}

fn latest(job: &Job, timeout: Duration) -> Timestamp {
    job.attempted_at.after(timeout).after(SLACK)
}

/// How an attempt looks.
pub fn looks(job: &Job) -> Looks<'_> {
    (&job.prompt, job.seconds.get(), job.size.to_string())
}

/// How a listed job looks, if the list shows enough to tell.
pub fn listed_looks(listed: &ListedJob) -> Option<Looks<'_>> {
    Some((listed.prompt.as_deref()?, listed.seconds?.get(), listed.size?.to_string()))
}
