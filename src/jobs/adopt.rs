//! Adoption: which jobs of an upstream's own list are attempts of ours whose reply was lost.
//!
//! Pure. A wrong adoption would hand one tenant another's video, so the rule errs towards none: an
//! attempt whose inputs the list does not show, or that looks the same as another tenant's, is left for
//! policy to end, and so is one that may be of another route to the same account. Two attempts of one tenant that look the same may be swapped; they are the same wish.
//! What looks like our attempts and is more than they are was made, and charged, for nobody.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::money::MicroUsd;
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
    /// Attempts through another route to the same account whose outcome is not known yet.
    pub rivals: &'a [Arc<Job>],
    /// Attempts on the account that ended on a conclusion and not on an answer: what is listed may be theirs.
    pub gone: &'a [Arc<Job>],
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

impl<'a> Adoption<'a> {
    /// The listed jobs that still nobody has.
    pub fn free(&self, scene: &Scene<'a>) -> Vec<&'a ListedJob> {
        let is_adopted = |listed: &ListedJob| self.pairs.iter().any(|(_, adopted)| adopted.upstream_id == listed.upstream_id);
        scene.listed.iter().filter(|listed| !scene.taken.contains(&listed.upstream_id) && !is_adopted(listed)).collect()
    }
}

/// Listed jobs that nobody has and that look like an attempt whose hold has ended, each with that attempt: they were
/// made after all. Those that may be an open attempt's, and as many as count as spent already, are none.
pub fn turned_up<'a>(scene: &Scene<'a>, free: &[&'a ListedJob]) -> Vec<(&'a Job, &'a ListedJob)> {
    let open: HashSet<Looks<'_>> = [scene.unknown, scene.submitting, scene.rivals].into_iter().flatten().map(|job| looks(job)).collect();
    let mut paid: BTreeMap<Looks<'_>, usize> = BTreeMap::new();
    for job in scene.gone.iter().filter(|job| job.cost.is_some_and(|cost| cost > MicroUsd::ZERO)) {
        *paid.entry(looks(job)).or_default() += 1;
    }
    let mut late = Vec::new();
    for listed in free {
        let Some(seen) = listed_looks(listed).filter(|seen| !open.contains(seen)) else { continue };
        // Lists show whole seconds.
        let made_since = |job: &&Arc<Job>| listed.created_at >= job.attempted_at.before(Duration::from_secs(1));
        let Some(job) = scene.gone.iter().filter(|job| looks(job) == seen).find(made_since) else { continue };
        match paid.get_mut(&seen).filter(|left| **left > 0) {
            Some(left) => *left -= 1,
            None => late.push((&**job, *listed)),
        }
    }
    late
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
        if !one_tenant || !one_model || attempts.iter().any(|job| job.has_unseen_inputs()) {
            continue;
        }
        let on_the_wire: Vec<&Arc<Job>> = scene.submitting.iter().filter(|job| self::looks(job) == looks).collect();
        let alike = |jobs: &'a [Arc<Job>]| jobs.iter().filter(|job| self::looks(job) == looks);
        let anothers = |job: &&Arc<Job>| job.tenant != attempts[0].tenant;
        let oldest = attempts.iter().map(|job| earliest(job)).min();
        let gone = alike(scene.gone).filter(|job| Some(latest(job, scene.timeout)) >= oldest);
        if on_the_wire.iter().any(anothers) || alike(scene.rivals).next().is_some() || gone.clone().any(|job| anothers(&job)) {
            continue;
        }
        let others = on_the_wire.len() + gone.count();
        adopt_alike(scene, &looks, attempts, others, &mut adoption);
    }
    adoption
}

/// Pairs attempts that look the same, oldest first, with the listed jobs that look like them.
fn adopt_alike<'a>(scene: &Scene<'a>, looks: &Looks<'_>, mut attempts: Vec<&'a Job>, others: usize, adoption: &mut Adoption<'a>) {
    attempts.sort_by_key(|job| (job.attempted_at, job.id));
    let (first, last) = (attempts[0], attempts[attempts.len() - 1]);
    let mut candidates: Vec<&ListedJob> = scene
        .listed
        .iter()
        .filter(|listed| !scene.taken.contains(&listed.upstream_id) && listed_looks(listed).as_ref() == Some(looks))
        .filter(|listed| earliest(first) <= listed.created_at && listed.created_at <= latest(last, scene.timeout))
        .collect();
    let explained = attempts.len() + others;
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
    adoption.extra.extend(left.into_iter().skip(others));
}

/// Whether a listed job that nobody has may be an attempt: as long as it may, the attempt is not absent.
pub fn could_be(job: &Job, listed: &ListedJob, timeout: Duration) -> bool {
    let looks_like_it = listed_looks(listed).is_none_or(|listed| listed == looks(job));
    looks_like_it && earliest(job) <= listed.created_at && listed.created_at <= latest(job, timeout)
}

/// Lists show whole seconds.
fn earliest(job: &Job) -> Timestamp {
    job.attempted_at.before(SLACK)
}

fn latest(job: &Job, timeout: Duration) -> Timestamp {
    job.attempted_at.after(timeout).after(SLACK)
}

/// How an attempt looks.
fn looks(job: &Job) -> Looks<'_> {
    (&job.prompt, job.seconds.get(), job.size.to_string())
}

/// How a listed job looks, if the list shows enough to tell.
fn listed_looks(listed: &ListedJob) -> Option<Looks<'_>> {
    Some((listed.prompt.as_deref()?, listed.seconds?.get(), listed.size?.to_string()))
}
