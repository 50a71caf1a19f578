//! `GET /api/purses?of=keys|users`: the balances of tenants' keys and end users that have a cap, those first that have used
//! the largest share of it.
//!
//! There may be hundreds of thousands of end users, so only the fullest are told, and no metric has them as labels. Keys
//! have none either: a tenant may have any number, each with a name of the operator's, and each would add to every tenant's
//! series. Caps are those of the policy in force; which are the fullest is decided by each one's cap at its latest hold.

use std::cmp::Reverse;

use http::StatusCode;
use serde::Serialize;

use super::{as_json, error};
use crate::budget::{self, Period};
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::id::TenantName;
use crate::policy::{Budget, Policy};
use crate::reply::Reply;
use crate::store::{Balance, Payers};
use crate::wire;

/// Purses that are told unless a number is said, and at the most.
const SHOWN: u32 = 50;
const SHOWN_MAX: u32 = 1_000;

/// The answer.
#[derive(Serialize)]
struct Purses {
    now: i64,
    purses: Vec<PurseView>,
}

/// A key's or an end user's purse in the period that is running.
#[derive(Serialize)]
struct PurseView {
    tenant: String,
    /// A long name is its hash; `null` is whoever is not named.
    name: Option<String>,
    period: String,
    until: Option<i64>,
    cap: Option<String>,
    spent: String,
    held: String,
    left: Option<String>,
    /// Spent and held, in thousandths of the cap.
    used_permille: i64,
}

/// Answers who has used most of their caps.
pub async fn answer(gw: &Gateway, query: Option<&str>) -> Reply {
    let refused = |why: &str| error(StatusCode::UNPROCESSABLE_ENTITY, why);
    let value = |key: &str| wire::query_value(query, key).ok().flatten().filter(|value| !value.is_empty());
    let of = match value("of").as_deref() {
        Some("keys") => Payers::Keys,
        Some("users") => Payers::Users,
        _ => return refused("'of' is keys or users"),
    };
    let Ok(n) = value("limit").map_or(Ok(SHOWN), |limit| limit.parse::<u32>()) else { return refused("'limit' is a whole number") };
    let tenant = value("tenant").map(TenantName::new);
    let (policy, now) = (gw.policy.snapshot(), gw.clock.now());
    match gw.store.fullest(of, tenant.as_ref(), now, n.min(SHOWN_MAX)).await {
        Ok(balances) => {
            let mut purses: Vec<PurseView> = balances.iter().filter_map(|balance| view(&policy, of, balance, now)).collect();
            purses.sort_by_key(|purse| Reverse(purse.used_permille));
            as_json(&Purses { now: now.as_secs(), purses })
        }
        Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
    }
}

/// A balance under the cap of today; `None` if it is of nobody who has one any more.
fn view(policy: &Policy, of: Payers, balance: &Balance, now: Timestamp) -> Option<PurseView> {
    let (tenant, name) = balance.account.split_once(':')?.1.split_once('/')?;
    let of_policy = policy.tenants.get(tenant)?;
    let budget: &Budget = match of {
        Payers::Users => of_policy.user_budget.as_ref()?,
        Payers::Keys => of_policy.keys.iter().find(|key| key.name == name)?.budget.as_ref()?,
    };
    let period = Period::of(budget, now);
    if period.key != balance.period {
        return None;
    }
    let used = balance.used();
    Some(PurseView {
        tenant: tenant.to_owned(),
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        period: period.key,
        until: period.until.map(Timestamp::as_secs),
        cap: budget.cap.map(|cap| cap.to_string()),
        spent: balance.spent.to_string(),
        held: balance.held.to_string(),
        left: budget::left(budget.cap, used).map(|left| left.to_string()),
        used_permille: super::views::permille(used, budget.cap),
    })
}
