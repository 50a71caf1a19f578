//! Reconciling: what the routes say of their jobs, or of their bills, beside what the books say.
//!
//! Asks only for free. What a route has and no job explains can be put into suspense, at the price that the
//! policy gives it; nothing else is written. In reconcile-only mode that is done by itself, from the moment
//! on after which the books know nothing.

mod compare;
mod price;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tracing::{error, info, warn};

use self::compare::{Bill, compare};
pub use self::compare::{BillLine, RouteReport};
use super::Declined;
use super::walk::{Walk, walk};
use crate::accounts::REMEDY;
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::id::{Home, RouteName};
use crate::jobs::Account;
use crate::money::MicroUsd;
use crate::policy::{Policy, Route};
use crate::store::{Booked, Inhabited, StoreError, Unexplained};

/// How much earlier than asked for is looked: clocks differ, and a job is written down before it is sent.
const SLACK: Duration = Duration::from_secs(300);

/// What to look at.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Since when.
    pub since: Timestamp,
    /// Only this route.
    pub route: Option<RouteName>,
    /// Whether what no job explains goes into suspense.
    pub write: bool,
    /// The lines of one route's bill.
    pub bill: Option<(RouteName, Vec<BillLine>)>,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Since when was looked, in Unix seconds.
    pub since: i64,
    /// Since when the books may lack something, in reconcile-only mode.
    pub reconciling_since: Option<i64>,
    /// Whether everything is explained.
    pub explained: bool,
    /// Route by route.
    pub routes: Vec<RouteReport>,
    /// What is in suspense.
    pub suspense: Vec<Charge>,
    /// What is in suspense, all together.
    pub suspense_total: String,
    /// What providers took above what was held, of all time.
    pub overrun_total: String,
}

/// A charge in suspense.
#[derive(Clone, Debug, Serialize)]
pub struct Charge {
    route: String,
    upstream_id: String,
    amount: String,
    note: String,
}

/// Compares, and puts into suspense what it is told to.
pub async fn reconcile(gw: &Gateway, asked: &Asked) -> Result<Report, Declined> {
    let policy = gw.policy.snapshot();
    let inhabited = gw.store.inhabited().await?;
    let routes: Vec<_> = policy.all_routes().filter(|route| asked.route.as_ref().is_none_or(|only| route.name == *only)).collect();
    if routes.is_empty() {
        return Err(Declined::Unknown("there is no such route in the policy".to_owned()));
    }
    if let Some((route, _)) = asked.bill.as_ref().filter(|(route, _)| !routes.iter().any(|known| known.name == *route)) {
        return Err(Declined::Unknown(format!("there is no route {route} in the policy")));
    }
    let found = join_all(routes.into_iter().map(|route| look(gw, &policy, &inhabited, route, asked))).await;
    let routes = found.into_iter().collect::<Result<Vec<_>, StoreError>>()?;
    let suspense = gw.store.unexplained().await?;
    let overview = gw.store.overview().await?;
    let explained = routes.iter().all(RouteReport::is_explained) && suspense.is_empty() && overview.overrun == MicroUsd::ZERO;
    Ok(Report {
        since: asked.since.as_secs(),
        reconciling_since: gw.reconciling.since().map(Timestamp::as_secs),
        explained,
        routes,
        suspense: suspense.iter().map(charge).collect(),
        suspense_total: overview.suspense.to_string(),
        overrun_total: overview.overrun.to_string(),
    })
}

fn charge(charge: &Unexplained) -> Charge {
    let Unexplained { route, upstream_id, amount, note, .. } = charge;
    Charge { route: route.to_string(), upstream_id: upstream_id.clone(), amount: amount.to_string(), note: note.clone() }
}

/// One route. The order makes a job that is just being accepted no orphan: the list is read first, and only then
/// who may be in it.
async fn look(
    gw: &Gateway,
    policy: &Policy,
    inhabited: &[Inhabited],
    route: &Arc<Route>,
    asked: &Asked,
) -> Result<RouteReport, StoreError> {
    let since = asked.since.before(SLACK);
    let walked = walk(gw, route, since, |_| false).await;
    let booked = gw.store.booked(&route.name, since.before(SLACK)).await?;
    let is_present = policy.route_of(&route.name).is_some_and(|present| Arc::ptr_eq(present, route));
    // A bill is not told apart by accounts: it is laid beside all that the route ever had.
    let bill = asked.bill.as_ref().filter(|(billed, _)| *billed == route.name && is_present).map(|(_, lines)| lines.as_slice());
    let listed = walked.iter().flat_map(|walk| &walk.jobs).map(|job| job.upstream_id.clone());
    let ids: Vec<String> = listed.chain(bill.into_iter().flatten().map(|line| line.upstream_id.clone())).collect();
    let account = Account::of(policy, inhabited, &route.name, route);
    let (booked, unasked) = of_account(gw, policy, &account, route, booked, walked.as_ref(), bill.is_some());
    let mut known = account.taken(gw, &ids).await?;
    if bill.is_some() {
        known.extend(gw.store.known_upstream_ids(&Home { route: route.name.clone(), account: None }, &ids).await?);
    }
    // Whether it is explained is told of suspense, once.
    known.extend(account.charged(gw, &ids).await?);
    let bill = bill.map(|lines| Bill { lines, since: asked.since });
    let mut report = compare(route, walked.as_ref(), &booked, &known, bill.as_ref(), gw.clock.now(), since);
    if unasked > 0 && is_present {
        report.incomplete.get_or_insert_with(|| format!("{unasked} attempts are with a former account, which cannot be asked; {REMEDY}"));
    }
    // On an account that others use too, what nobody here knows is theirs.
    if asked.write && !route.unknown.shared_account {
        for orphan in report.orphans.iter_mut().filter(|orphan| orphan.owed > MicroUsd::ZERO) {
            let charge = Unexplained {
                route: route.name.clone(),
                upstream_id: orphan.upstream_id.clone(),
                amount: orphan.owed,
                note: orphan.note.clone(),
                at: gw.clock.now(),
            };
            if gw.store.suspend(charge).await? {
                error!(route.name = %route.name, upstream.id = orphan.upstream_id, amount_microusd = orphan.owed.get(), "charged by the route and explained by no job: in suspense");
            }
            orphan.suspended = true;
        }
    }
    Ok(report)
}

/// The attempts that are in a route's account, and how many of its other ones are in accounts that nobody can be asked about.
fn of_account(
    gw: &Gateway,
    policy: &Policy,
    account: &Account<'_>,
    route: &Route,
    booked: Vec<Booked>,
    walked: Option<&Walk>,
    all: bool,
) -> (Vec<Booked>, usize) {
    let home = |ours: &Booked| Home { route: route.name.clone(), account: ours.account.clone() };
    let listed: HashSet<&str> = walked.into_iter().flat_map(|walk| &walk.jobs).map(|job| job.upstream_id.as_str()).collect();
    for ours in booked.iter().filter(|ours| ours.upstream_id.as_deref().is_some_and(|id| listed.contains(id))) {
        if account.may_be_in(&home(ours)) {
            gw.accounts.is_the_same(&home(ours), route);
        }
    }
    let can_be_asked = |ours: &Booked| gw.accounts.way(policy, &home(ours)).is_some_and(|way| way.own().is_some());
    let unasked = booked.iter().filter(|ours| !can_be_asked(ours)).count();
    let booked = booked.into_iter().filter(|ours| all || account.is_in(gw, &home(ours))).collect();
    (booked, unasked)
}

/// Ends reconcile-only mode, whatever is still unexplained. Whether it was on.
pub async fn done(gw: &Gateway) -> Result<bool, Declined> {
    let was_on = gw.store.reconciled().await?;
    gw.reconciling.set(None);
    warn!(audit = "reconciled", was_on, "by hand");
    Ok(was_on)
}

/// How often the mode is looked at in the database, where another replica may have changed it.
const MODE_EVERY: Duration = Duration::from_secs(2);
/// Between two looks at the routes in reconcile-only mode.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Follows the mode, and while it is on looks for what was bought since, until the gateway stops.
pub async fn follow(gw: Arc<Gateway>) {
    let mut next_look = tokio::time::Instant::now();
    loop {
        match gw.store.reconciling().await {
            Ok(since) => gw.reconciling.set(since),
            Err(why) => warn!(%why, "whether the books are being reconciled is not known"),
        }
        if let Some(since) = gw.reconciling.since()
            && tokio::time::Instant::now() >= next_look
        {
            catch_up(&gw, since).await;
            next_look = tokio::time::Instant::now() + LOOK_EVERY;
        }
        tokio::select! {
            () = gw.stop.cancelled() => return,
            () = tokio::time::sleep(MODE_EVERY) => {}
        }
    }
}

async fn catch_up(gw: &Gateway, since: Timestamp) {
    match reconcile(gw, &Asked { since, route: None, write: true, bill: None }).await {
        Ok(report) => {
            let orphans: usize = report.routes.iter().map(|route| route.orphans.len()).sum();
            info!(
                since_ms = since.as_ms(),
                orphans,
                suspense = report.suspense_total,
                "the books are being reconciled; nothing is bought until `filmgate reconcile --done`"
            );
        }
        Err(why) => warn!(%why, "the routes could not be compared with the books"),
    }
}
