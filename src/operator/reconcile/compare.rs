//! The comparison: a route's list and bill beside the books' attempts. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::price::owed;
use crate::clock::Timestamp;
use crate::job::State;
use crate::money::MicroUsd;
use crate::operator::walk::Walk;
use crate::policy::Route;
use crate::provider::{ListedJob, Phase};
use crate::store::Booked;

/// Clocks and replies may differ by this much.
const SLACK: Duration = Duration::from_secs(120);

/// What a provider's bill says of one job.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BillLine {
    /// What the provider calls the job.
    pub upstream_id: String,
    /// What it charges, in micro-dollars.
    pub amount_microusd: i64,
}

/// A bill, and since when it has to name every job.
pub struct Bill<'a> {
    /// Its lines; one for each charge.
    pub lines: &'a [BillLine],
    /// Attempts that are older need not be on it.
    pub since: Timestamp,
}

/// What was found on one route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteReport {
    /// Which route.
    pub route: String,
    /// Whether others use its account too: what nobody here knows is then theirs.
    pub shared_account: bool,
    /// How many jobs it listed.
    pub listed: usize,
    /// Why its list does not tell everything.
    pub incomplete: Option<String>,
    /// Jobs of the route that no attempt of ours explains.
    pub orphans: Vec<Orphan>,
    /// Jobs of the route that an attempt of ours whose outcome is open may explain.
    pub perhaps: Vec<Orphan>,
    /// Attempts of ours that the route should list and does not.
    pub missing: Vec<Ours>,
    /// Attempts whose end, or whose cost, is another one there.
    pub differing: Vec<Ours>,
    /// Attempts whose outcome nobody knows, and jobs that were lost.
    pub open: Vec<Ours>,
    /// Attempts that we paid for and that are not on the bill.
    pub unbilled: Vec<Ours>,
}

impl RouteReport {
    /// Whether nothing on the route wants an explanation. That a dialect has no list does not.
    pub fn is_explained(&self) -> bool {
        let nothing = self.missing.is_empty() && self.differing.is_empty() && self.open.is_empty() && self.unbilled.is_empty();
        let ours = self.shared_account || self.orphans.iter().all(|orphan| orphan.owed == MicroUsd::ZERO);
        nothing && ours && self.perhaps.is_empty() && self.incomplete.is_none()
    }
}

/// A job of a route's that is not known here.
#[derive(Clone, Debug, Serialize)]
pub struct Orphan {
    /// What the route calls it.
    pub upstream_id: String,
    /// When it was made, in Unix seconds.
    pub created_at: Option<i64>,
    /// What the route calls the model.
    pub model: Option<String>,
    /// Its length.
    pub seconds: Option<u32>,
    /// Its size.
    pub size: Option<String>,
    /// How it stands, in the route's own word.
    pub status: Option<String>,
    /// What it owes.
    pub amount: String,
    /// How that is known.
    pub note: String,
    /// Whether it is in suspense now.
    pub suspended: bool,
    /// What it owes.
    #[serde(skip)]
    pub owed: MicroUsd,
}

/// An attempt of ours.
#[derive(Clone, Debug, Serialize)]
pub struct Ours {
    /// The job.
    pub id: String,
    /// Where it is in its life.
    pub state: &'static str,
    /// What the route calls it.
    pub upstream_id: Option<String>,
    /// What it cost, or will.
    pub amount: String,
    /// What is the matter.
    pub why: String,
}

/// Compares one route. `known` are those of its ids, on list and bill, that belong to any attempt of ours
/// or have been in suspense.
pub fn compare(
    route: &Route,
    walk: Option<&Walk>,
    booked: &[Booked],
    known: &HashSet<String>,
    bill: Option<&Bill<'_>>,
    now: Timestamp,
    since: Timestamp,
) -> RouteReport {
    let listed: BTreeMap<&str, &ListedJob> =
        walk.iter().flat_map(|walk| &walk.jobs).filter(|job| job.created_at >= since).map(|job| (job.upstream_id.as_str(), job)).collect();
    let strange = listed.values().filter(|job| !known.contains(&job.upstream_id)).copied();
    let (perhaps, orphans): (Vec<_>, Vec<_>) = strange.partition(|job| booked.iter().any(|ours| may_be(route, ours, job)));
    let mut orphans: Vec<Orphan> = orphans.into_iter().map(|job| orphan(route, job)).collect();
    let mut differing = Vec::new();
    for (ours, theirs) in booked.iter().filter_map(|ours| Some((ours, *listed.get(ours.upstream_id.as_deref()?)?))) {
        differing.extend(difference(route, ours, theirs).map(|why| told(ours, why)));
    }
    let mut unbilled = Vec::new();
    if let Some(bill) = bill {
        beside_bill(bill, booked, known, &mut orphans, &mut differing, &mut unbilled);
    }
    let is_whole = walk.is_some_and(|walk| walk.stopped.is_none());
    let shows = |ours: &&Booked| {
        let age = now.since(ours.at);
        matches!(ours.state, State::Accepted | State::Running | State::Completed)
            && !ours.deleted
            && ours.at >= since
            && age > route.unknown.grace
    };
    let absent = |ours: &&Booked| ours.upstream_id.as_deref().is_some_and(|id| !listed.contains_key(id));
    let missing = booked.iter().filter(|ours| is_whole && shows(ours) && absent(ours));
    let is_open = |ours: &&Booked| matches!(ours.state, State::Unknown | State::Lost);
    RouteReport {
        route: route.name.to_string(),
        shared_account: route.unknown.shared_account,
        listed: listed.len(),
        incomplete: walk.and_then(|walk| walk.stopped.clone()),
        orphans,
        perhaps: perhaps.into_iter().map(|job| orphan(route, job)).collect(),
        missing: missing.map(|ours| told(ours, "the route does not list it".to_owned())).collect(),
        differing,
        open: booked.iter().filter(is_open).map(|ours| told(ours, "its outcome is not known".to_owned())).collect(),
        unbilled,
    }
}

/// Whether an attempt whose upstream id is not known could be that job, by the time alone.
fn may_be(route: &Route, ours: &Booked, theirs: &ListedJob) -> bool {
    let is_open = ours.upstream_id.is_none() && matches!(ours.state, State::Submitting | State::Unknown);
    let (earliest, latest) = (ours.at.before(SLACK), ours.at.after(route.submit_timeout).after(SLACK));
    is_open && theirs.created_at >= earliest && theirs.created_at <= latest
}

fn orphan(route: &Route, job: &ListedJob) -> Orphan {
    let (amount, note) = owed(route, job);
    Orphan {
        upstream_id: job.upstream_id.clone(),
        created_at: Some(job.created_at.as_secs()),
        model: Some(job.model.clone()),
        seconds: job.seconds.map(|seconds| seconds.get()),
        size: job.size.map(|size| size.to_string()),
        status: Some(job.progress.raw_status.clone()),
        amount: amount.to_string(),
        note: note.to_owned(),
        suspended: false,
        owed: amount,
    }
}

fn told(ours: &Booked, why: String) -> Ours {
    Ours {
        id: ours.job.to_string(),
        state: ours.state.as_str(),
        upstream_id: ours.upstream_id.clone(),
        amount: ours.cost.unwrap_or(ours.price).to_string(),
        why,
    }
}

/// In what an attempt that has ended here differs from what its route says. What is open here is still being asked about.
fn difference(route: &Route, ours: &Booked, theirs: &ListedJob) -> Option<String> {
    let cost = ours.cost?;
    let owed = match &theirs.progress.phase {
        Phase::Completed => theirs.progress.reported_cost.unwrap_or(ours.price),
        Phase::Failed { .. } if !route.bills_failed => MicroUsd::ZERO,
        Phase::Failed { .. } => ours.price,
        Phase::Queued | Phase::Running => return Some(format!("it has ended here, and is {} there", theirs.progress.raw_status)),
    };
    (owed != cost).then(|| format!("it cost {cost} here, and is {} there, which is {owed}", theirs.progress.raw_status))
}

/// The bill beside the books: lines that are nobody's, amounts that differ, and what is missing on it.
fn beside_bill(
    bill: &Bill<'_>,
    booked: &[Booked],
    known: &HashSet<String>,
    orphans: &mut Vec<Orphan>,
    differing: &mut Vec<Ours>,
    unbilled: &mut Vec<Ours>,
) {
    let mut lines: BTreeMap<&str, MicroUsd> = BTreeMap::new();
    for line in bill.lines {
        let sum = lines.entry(&line.upstream_id).or_default();
        *sum = sum.plus(MicroUsd::new(line.amount_microusd)).unwrap_or(MicroUsd::MAX);
    }
    let ours: HashMap<&str, &Booked> = booked.iter().filter_map(|ours| Some((ours.upstream_id.as_deref()?, ours))).collect();
    for (upstream_id, amount) in &lines {
        match ours.get(upstream_id) {
            Some(ours) if ours.cost.is_some_and(|cost| cost != *amount) => {
                differing.push(told(ours, format!("the bill says {amount}")));
            }
            Some(_) => {}
            // Older than what is looked at, or in suspense.
            None if known.contains(*upstream_id) => {}
            None => {
                orphans.retain(|orphan| orphan.upstream_id != *upstream_id);
                orphans.push(billed(upstream_id, *amount));
            }
        }
    }
    let paid = |ours: &&Booked| ours.cost.is_some_and(|cost| cost > MicroUsd::ZERO) && ours.at >= bill.since;
    let on_it = |ours: &&Booked| ours.upstream_id.as_deref().is_some_and(|id| lines.contains_key(id));
    unbilled.extend(booked.iter().filter(|ours| paid(ours) && !on_it(ours)).map(|ours| told(ours, "it is not on the bill".to_owned())));
}

fn billed(upstream_id: &str, amount: MicroUsd) -> Orphan {
    Orphan {
        upstream_id: upstream_id.to_owned(),
        created_at: None,
        model: None,
        seconds: None,
        size: None,
        status: None,
        amount: amount.to_string(),
        note: "on its bill".to_owned(),
        suspended: false,
        owed: amount,
    }
}
