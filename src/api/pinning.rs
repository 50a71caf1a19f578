//! Pinning: where what is made from a clip, or with a character, has to be made.
//!
//! In the account that has it, by whichever route of the policy is of that account now. Where a route shows another key
//! than the clip was made with, it is asked, for free, whether it knows the clip: then it is the same account. Nothing is
//! ever ordered in an account that was not found to have what the order is made from.

use crate::accounts::Way;
use crate::gateway::Gateway;
use crate::id::Home;
use crate::plan::Pin;
use crate::policy::{Policy, Route};
use crate::provider::Handle;
use crate::store::{Character, Job};

/// Where what is made from a job has to be made.
pub async fn pin(gw: &Gateway, policy: &Policy, job: &Job) -> Pin {
    let home = home(gw, policy, &job.home(), Some(job)).await;
    let (model, residency) = (job.model.clone(), job.residency.clone());
    Pin { home, model, seconds: job.seconds, size: job.size, residency }
}

/// Where a character lives.
pub async fn lives_on(gw: &Gateway, policy: &Policy, character: &Character) -> Home {
    let made = Home { route: character.route.clone(), account: character.account.clone() };
    home(gw, policy, &made, None).await
}

/// The route of the policy that is of an account, if there is one; else what the account was.
async fn home(gw: &Gateway, policy: &Policy, made: &Home, clip: Option<&Job>) -> Home {
    let Some(account) = &made.account else { return made.clone() };
    let present = policy.routes.get(&made.route);
    let same = |route: &&std::sync::Arc<Route>| route.account == *account;
    if let Some(route) = present.filter(same).or_else(|| policy.routes.values().find(same)) {
        return route.home();
    }
    if let Some(present) = present.filter(|route| route.account.address() == account.address()) {
        let is_known = matches!(gw.accounts.way(policy, made), Some(Way::Own(route)) if route.account == present.account);
        if is_known || knows(gw, present, clip).await {
            gw.accounts.is_the_same(made, present);
            return present.home();
        }
    }
    made.clone()
}

/// Whether what a route shows now knows a clip.
async fn knows(gw: &Gateway, route: &Route, clip: Option<&Job>) -> bool {
    let handle = clip.and_then(|job| Some(Handle { upstream_id: job.upstream_id.as_deref()?, result_url: job.result_url.as_deref() }));
    match handle {
        Some(handle) => gw.upstream.progress(route, handle).await.is_ok(),
        None => false,
    }
}
