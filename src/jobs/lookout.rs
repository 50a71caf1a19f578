//! The lookout: tells the operator's webhook of what a person should look at.
//!
//! Reads the standing now and then and owes what it is worth, through the outbox of all notices. What lasts
//! is told of once a day (UTC) and route; an amount, once for each that it grows to. Trouble of the store cannot
//! be owed in the store: `/readyz`, the metrics and the log tell of that.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tracing::warn;

use crate::budget::{Account, Booking};
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::id::{AccountId, Home, ModelName, RouteName};
use crate::job::State;
use crate::money::MicroUsd;
use crate::notice::{self, Kind, NewNotice};
use crate::owing;
use crate::policy::Policy;
use crate::standing::{LeftBehind, left_behind, load_by, purses};
use crate::store::Overview;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(3);
/// An attempt is looked for for this long before a person is told.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Runs until the gateway stops.
pub async fn run(gw: Arc<Gateway>) {
    loop {
        let policy = gw.policy.snapshot();
        if policy.alerts.webhook.is_some() {
            match gw.store.overview().await {
                Ok(overview) => {
                    let ailing = Ailing::now(&gw, &policy, &overview);
                    for notice in worth(&policy, &overview, &ailing, gw.clock.now()) {
                        owing::owe(&gw, notice).await;
                    }
                }
                Err(why) => warn!(%why, "the operator is told of nothing: the books cannot be read"),
            }
        }
        tokio::select! {
            () = gw.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// What this process knows of its routes, beside the books.
struct Ailing {
    refusing_keys: Vec<RouteName>,
    /// Jobs in accounts that nobody can ask, by route.
    left_behind: LeftBehind,
    gone: Vec<(RouteName, ModelName)>,
}

impl Ailing {
    fn now(gw: &Gateway, policy: &Policy, overview: &Overview) -> Self {
        let refusing = gw.health.refusing_keys().into_iter().filter(|home| is_missed(policy, home)).map(|home| home.route);
        let left_behind = left_behind(&overview.open, |home| gw.accounts.way(policy, home).is_some());
        Self { refusing_keys: refusing.collect(), left_behind, gone: gw.health.all_gone() }
    }
}

/// Whether a key that is refused is missed: not if its route shows a newer one at the same address.
fn is_missed(policy: &Policy, home: &Home) -> bool {
    let newer = policy.routes.get(&home.route).filter(|route| !route.is_at(home));
    let address = home.account.as_ref().map(AccountId::address);
    newer.is_none_or(|route| Some(route.account.address()) != address)
}

/// What the standing is worth to the operator; the same again and again while it lasts.
fn worth(policy: &Policy, overview: &Overview, ailing: &Ailing, now: Timestamp) -> Vec<NewNotice> {
    let day = now.utc_date().to_string();
    let mut worth = Vec::new();
    for (route, load) in load_by(&overview.open, |jobs| (jobs.state == State::Unknown).then_some(jobs.route.as_str())) {
        if now.since(load.oldest_at) > PATIENCE {
            let data = json!({ "id": route, "route": route, "jobs": load.count, "oldest_created_at": load.oldest_at.as_secs() });
            worth.push(notice::of_alert(Kind::UnknownAttempts, format!("{route} on {day}"), data, now));
        }
    }
    for (route, model) in &ailing.gone {
        let (route, model) = (route.as_str(), model.as_str());
        let data = json!({ "id": format!("{route}/{model}"), "route": route, "model": model });
        worth.push(notice::of_alert(Kind::ModelGone, format!("{model} of {route} on {day}"), data, now));
    }
    for (route, jobs) in &ailing.left_behind {
        let route = route.as_str();
        let data = json!({ "id": route, "route": route, "jobs": jobs });
        worth.push(notice::of_alert(Kind::FormerAccount, format!("{route} on {day}"), data, now));
    }
    for route in &ailing.refusing_keys {
        let route = route.as_str();
        worth.push(notice::of_alert(Kind::KeyRefused, format!("{route} on {day}"), json!({ "id": route, "route": route }), now));
    }
    for (kind, amount) in [(Kind::Suspense, overview.suspense), (Kind::Overrun, overview.overrun)] {
        if amount > MicroUsd::ZERO {
            let data = json!({ "id": kind.as_str(), "amount": amount.to_string(), "currency": "USD" });
            worth.push(notice::of_alert(kind, amount.to_string(), data, now));
        }
    }
    for purse in purses(policy, overview, now) {
        let budget = match &purse.account {
            Account::Gateway => policy.budget.as_ref(),
            Account::Route(name) => policy.routes.get(name).and_then(|route| route.budget.as_ref()),
            // A tenant's budget is its tenant's to hear of.
            Account::Tenant(_) | Account::Key(..) | Account::User(..) => continue,
        };
        if let (Some(budget), Some(used)) = (budget, purse.spent.plus(purse.held)) {
            worth.extend(notice::of_use(&Booking::at(purse.account, Some(budget), now).telling(&budget.warn), used, now));
        }
    }
    worth
}
