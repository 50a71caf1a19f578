//! What is known of a tenant before its upload is read: whether there is room for one more job at all.
//!
//! It only spares everybody an upload that could come to nothing. Knows no wish, so it lets pass whatever
//! might fit; the store decides exactly, later. A request that may have been sent before is let pass too:
//! its answer may be a job that there is already, for which there need be no room.

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use super::caps;
use super::intake::Caller;
use crate::budget::Account;
use crate::gateway::Gateway;
use crate::money::MicroUsd;
use crate::plan::models;
use crate::policy::Queue;
use crate::price;
use crate::refusal::Refusal;

/// Bodies up to this size, bytes, are read as fast as the books.
const SMALL: u64 = 64 * 1024;

/// Turns away who is at a limit, if its body is worth not reading.
pub async fn room(gw: &Gateway, caller: &Caller, headers: &HeaderMap) -> Result<(), Refusal> {
    if is_small(headers) || may_be_known(headers) {
        return Ok(());
    }
    let tenant = &caller.tenant;
    let account = Account::Tenant(tenant.name.clone());
    if let Some(max) = tenant.limits.in_flight {
        let in_flight = gw.store.places_taken(&account).await?;
        if in_flight >= max && !may_wait(caller) {
            return Err(Refusal::TenantFull { in_flight });
        }
    }
    let Some(cheapest) = cheapest(gw, caller) else { return Ok(()) };
    for booking in caps::whoever(caller, gw.clock.now()) {
        caps::may_fit(gw, &booking, cheapest).await?;
    }
    Ok(())
}

/// Whether some wish of the tenant's might stand in line: which rule it would match is not known yet.
fn may_wait(caller: &Caller) -> bool {
    Queue::of(None, &caller.tenant).is_some() || caller.policy.rules.iter().any(|rule| Queue::of(Some(rule), &caller.tenant).is_some())
}

fn is_small(headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    declared.is_some_and(|length| length <= SMALL)
}

fn may_be_known(headers: &HeaderMap) -> bool {
    headers.contains_key("idempotency-key") || headers.get("x-stainless-retry-count").is_some_and(|count| count != "0")
}

/// What the cheapest clip costs that the tenant may ask for.
fn cheapest(gw: &Gateway, caller: &Caller) -> Option<MicroUsd> {
    let names = models(&caller.policy, &caller.tenant, gw.clock.now().utc_date());
    let routes = caller.policy.routes.values().filter(|route| route.enabled);
    let offers = routes.flat_map(|route| names.iter().filter_map(|name| route.models.get(name)));
    offers.flat_map(|offer| offer.sizes.iter().filter_map(|size| price::of(offer, *offer.seconds.first()?, *size))).min()
}
