//! Attempts whose outcome nobody knows, and what the upstream's own list says of them.
//!
//! A lost reply is found in the list and adopted. An attempt counts as never accepted only after its
//! grace, after several whole readings of the list in which it was absent, each fresh enough to show
//! something that was made after it. What was made and charged and is nobody's goes into suspense.
//! What has no evidence is left to the route's written policy; see [`super::sweeper`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tracing::{error, info, warn};

use super::account::Account;
use super::adopt::{Adoption, Scene, adopt, could_be, turned_up};
use super::pages;
use super::sweeper::{apply, end, give_up};
use crate::accounts::Way;
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::id::{AccountId, Home, JobId, RouteName};
use crate::job::{Event, State};
use crate::money::MicroUsd;
use crate::policy::{Policy, Route};
use crate::provider::ListedJob;
use crate::store::{Facts, Inhabited, Job, StoreError, Unexplained};

/// Pages of an upstream's list that a reading takes at most.
const PAGES_MAX: usize = 10;
/// Whole readings of the list in which an attempt was absent before that means anything.
const READINGS_MIN: u32 = 3;
/// How long a released attempt is still looked for: its release was a conclusion and not an answer.
const LOOKED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How often it is, when nothing else asks for the list.
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(10 * 60);

/// Listed jobs that are remembered as nobody's; `reconcile` finds the others.
const EXTRA_MAX: usize = 1_000;

/// What is remembered from one reading to the next. Forgetting it makes verdicts later, never earlier.
#[derive(Debug, Default)]
pub struct Readings {
    absent: Mutex<HashMap<JobId, u32>>,
    latest: Mutex<HashMap<Home, Timestamp>>,
    /// What seems to be nobody's, by route and upstream id, until its own attempt has had the time to say otherwise.
    extra: Mutex<HashMap<(RouteName, String), Extra>>,
}

/// A job in an upstream's list that no attempt of ours explains.
#[derive(Clone, Debug)]
struct Extra {
    created_at: Timestamp,
    amount: MicroUsd,
    note: String,
}

impl Readings {
    /// Counts one more whole reading without the attempt; how many there were.
    fn without(&self, id: JobId) -> u32 {
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        let times = absent.entry(id).or_default();
        *times += 1;
        *times
    }

    fn forget(&self, id: JobId) {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Remembers a listed job that looks like `like` and is none of its attempts.
    fn extra(&self, route: &RouteName, like: &Job, listed: &ListedJob, what: &str) {
        let mut extra = self.extra.lock().unwrap_or_else(PoisonError::into_inner);
        if extra.len() < EXTRA_MAX {
            let note = format!("{what}; looks like {}", like.id);
            let key = (route.clone(), listed.upstream_id.clone());
            extra.entry(key).or_insert(Extra { created_at: listed.created_at, amount: like.price, note });
        }
    }

    /// Takes out what has been nobody's for as long as an attempt may be without its reply.
    fn ripe(&self, name: &RouteName, route: &Route, now: Timestamp) -> Vec<Unexplained> {
        let mut extra = self.extra.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ripe =
            |of: &RouteName, extra: &Extra| of == name && now > extra.created_at.after(route.submit_timeout).after(route.unknown.grace);
        let ripe = extra.extract_if(|(of, _), extra| is_ripe(of, extra));
        let charge = |((route, upstream_id), Extra { amount, note, .. })| Unexplained { route, upstream_id, amount, note, at: now };
        ripe.map(charge).collect()
    }

    /// Whether the list was read lately; if not, it will be now.
    fn was_lately(&self, home: &Home, now: Timestamp) -> bool {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        match latest.get(home) {
            Some(at) if now.since(*at) < LOOKED_FOR_EVERY => true,
            _ => {
                latest.insert(home.clone(), now);
                false
            }
        }
    }
}

/// Looks for the attempts of a route whose outcome is unknown, each in the list of the account that it was sent to.
pub async fn look(
    gw: &Gateway,
    readings: &Readings,
    policy: &Policy,
    inhabited: &[Inhabited],
    present: &Arc<Route>,
) -> Result<(), StoreError> {
    let name = &present.name;
    // Also where nothing is unknown: what was let go may turn up.
    let mut own: BTreeMap<AccountId, (Arc<Route>, Vec<Arc<Job>>)> =
        policy.all_of(name).map(|route| (route.account.clone(), (route.clone(), Vec::new()))).collect();
    let mut perhaps: BTreeMap<Home, (Arc<Route>, Vec<Arc<Job>>)> = BTreeMap::new();
    for job in gw.store.in_state(State::Unknown, name).await? {
        match gw.accounts.way(policy, &job.home()) {
            Some(Way::Own(route)) => own.entry(route.account.clone()).or_insert_with(|| (route, Vec::new())).1.push(job),
            Some(Way::Perhaps(route)) => perhaps.entry(job.home()).or_insert_with(|| (route, Vec::new())).1.push(job),
            // Nobody can say what became of it.
            None => give_up(gw, present, &job, present.unknown.written_off()).await,
        }
    }
    for (home, (route, unknown)) in &perhaps {
        if !readings.was_lately(home, gw.clock.now()) {
            compare_keys(gw, home, route, unknown).await?;
        }
        for job in unknown {
            give_up(gw, route, job, route.unknown.written_off()).await;
        }
    }
    let looked = own.values().map(|(route, unknown)| {
        let account = Account::of(policy, inhabited, name, route);
        async move { look_for(gw, readings, &account, name, route, unknown).await }
    });
    join_all(looked).await.into_iter().collect()
}

/// Whether what a route shows now lists what was sent with a key that nobody has any more: then it is the same account, and
/// its list counts from the next look on.
async fn compare_keys(gw: &Gateway, home: &Home, route: &Route, unknown: &[Arc<Job>]) -> Result<(), StoreError> {
    let Some(list) = read(gw, route, unknown.iter()).await else { return Ok(()) };
    let ids: Vec<String> = list.jobs.into_iter().map(|job| job.upstream_id).collect();
    if !gw.store.of_upstream(home, &ids).await?.is_empty() {
        gw.accounts.is_the_same(home, route);
    }
    Ok(())
}

/// Looks for unknown attempts in the list of their account.
async fn look_for(
    gw: &Gateway,
    readings: &Readings,
    account: &Account<'_>,
    name: &RouteName,
    route: &Route,
    unknown: &[Arc<Job>],
) -> Result<(), StoreError> {
    let now = gw.clock.now();
    for charge in readings.ripe(name, route, now) {
        suspend(gw, account, charge).await?;
    }
    let gone = account.gone(gw, now.before(LOOKED_FOR)).await?;
    if unknown.is_empty() && (gone.is_empty() || readings.was_lately(&route.home(), now)) {
        return Ok(());
    }
    let Some(list) = read(gw, route, unknown.iter().chain(&gone)).await else {
        for job in unknown {
            give_up(gw, route, job, route.unknown.written_off()).await;
        }
        return Ok(());
    };
    // In the order of an attempt's life: one that goes on meanwhile is seen where it was, or where it is, or in both.
    let mut submitting = gw.store.in_state(State::Submitting, name).await?;
    let since = gw.store.in_state(State::Unknown, name).await?;
    submitting.extend(since.into_iter().filter(|job| !unknown.iter().any(|known| known.id == job.id)));
    submitting.retain(|job| account.is_in(gw, &job.home()));
    let rivals = account.rivals(gw).await?;
    let gone = account.gone(gw, now.before(LOOKED_FOR)).await?;
    let ids: Vec<String> = list.jobs.iter().map(|job| job.upstream_id.clone()).collect();
    let taken = account.taken(gw, &ids).await?;
    let (timeout, shared_account) = (route.submit_timeout, route.unknown.shared_account);
    let scene = Scene {
        unknown,
        submitting: &submitting,
        rivals: &rivals,
        gone: &gone,
        listed: &list.jobs,
        taken: &taken,
        timeout,
        shared_account,
    };
    let adoption = adopt(&scene);
    take_over(gw, readings, route, &adoption).await;
    for (job, extra) in &adoption.extra {
        readings.extra(name, job, extra, "made and charged, and one more than was ordered");
    }
    let free = adoption.free(&scene);
    if !shared_account {
        for (job, late) in turned_up(&scene, &free) {
            readings.extra(name, job, late, "made and charged after its hold had ended");
        }
    }
    for job in unknown.iter().filter(|job| !adoption.pairs.iter().any(|(adopted, _)| adopted.id == job.id)) {
        let may_be_there = free.iter().any(|listed| could_be(job, listed, timeout));
        if !may_be_there && is_absent(gw, readings, route, job, &list, now) {
            readings.forget(job.id);
            end(gw, job, Event::Absent, "upstream_unavailable", "The provider never took this video.").await;
        } else {
            give_up(gw, route, job, route.unknown.written_off()).await;
        }
    }
    Ok(())
}

async fn take_over(gw: &Gateway, readings: &Readings, route: &Route, adoption: &Adoption<'_>) {
    for (job, found) in &adoption.pairs {
        let due_at = Some(gw.clock.now());
        let facts = Facts { upstream_id: Some(found.upstream_id.clone()), outcome: Some("adopted"), due_at, ..Facts::default() };
        if apply(gw, job, Event::Accepted, facts).await {
            readings.forget(job.id);
            info!(job.id = %job.id, route.name = %route.name, upstream.id = found.upstream_id, "adopted");
            gw.due.notify_one();
        }
    }
}

/// Writes down a charge that is nobody's; nothing, if an attempt explains it after all.
async fn suspend(gw: &Gateway, account: &Account<'_>, charge: Unexplained) -> Result<(), StoreError> {
    let is_explained = !account.taken(gw, std::slice::from_ref(&charge.upstream_id)).await?.is_empty();
    if !is_explained && gw.store.suspend(charge.clone()).await? {
        let Unexplained { route, upstream_id, amount, .. } = charge;
        error!(
            route.name = %route, upstream.id = upstream_id, amount_microusd = amount.get(),
            "the provider made and charged a video that no job explains; see `filmgate reconcile`"
        );
    }
    Ok(())
}

/// An upstream's list, as far as it was read.
struct List {
    jobs: Vec<ListedJob>,
    /// Whether it was read back to before the oldest attempt in question: absence can be told from it.
    is_whole: bool,
}

/// The upstream's list, back to before the oldest of these attempts; `None` if it has none or does not answer.
async fn read(gw: &Gateway, route: &Route, attempts: impl Iterator<Item = &Arc<Job>>) -> Option<List> {
    let oldest = attempts.map(|job| job.attempted_at).min()?.before(Duration::from_secs(300));
    let (mut jobs, mut after) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        match pages::read(gw, route, after.as_deref()).await? {
            Ok(page) => {
                let reached = page.jobs.last().is_none_or(|job| job.created_at < oldest);
                jobs.extend(page.jobs);
                after = page.next;
                if reached || after.is_none() {
                    return Some(List { jobs, is_whole: true });
                }
            }
            Err(why) => {
                warn!(route.name = %route.name, ?why, "the upstream's list cannot be read");
                return None;
            }
        }
    }
    Some(List { jobs, is_whole: false })
}

/// Evidence of absence: the grace was over when the reading began, the list has been read several times since,
/// whole, and fresh enough to show something that was made after the attempt. Its first page shows the newest
/// jobs, and those that follow may have to be waited for.
fn is_absent(gw: &Gateway, readings: &Readings, route: &Route, job: &Job, list: &List, as_of: Timestamp) -> bool {
    let over = as_of > job.attempted_at.after(route.submit_timeout).after(route.unknown.grace);
    let fresh = list.jobs.iter().any(|listed| listed.created_at > job.attempted_at);
    // What a backup does not know of may have been made and forgotten there since: a person decides.
    let knows_all = gw.reconciling.since().is_none();
    knows_all && over && fresh && list.is_whole && !job.has_unseen_inputs() && readings.without(job.id) >= READINGS_MIN
}
