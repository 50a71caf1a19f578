//! Caps: whom a wish is held against, and what is left of what its client may know.
//!
//! The order is that in which a refusal is told: the gateway, the tenant, then the key and the end user that have a
//! cap. All of them are booked in one transaction or none is. Knows no route: a route's cap is for dispatch,
//! which passes the route over.

use super::intake::Caller;
use crate::budget::{Account, Booking};
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::money::MicroUsd;
use crate::policy::{Budget, Tenant};
use crate::refusal::Refusal;

/// Whom a wish is held against. The tenant hears of its own caps if it has a webhook.
pub fn bookings(caller: &Caller, end_user: Option<&str>, at: Timestamp) -> Vec<Booking> {
    let mut bookings = whoever(caller, at);
    if let Some(budget) = &caller.tenant.user_budget {
        let account = Account::User(caller.tenant.name.clone(), end_user.map(str::to_owned));
        bookings.push(of_tenant(&caller.tenant, account, budget, at));
    }
    bookings
}

/// Likewise, before it is known for which end user the wish is.
pub fn whoever(caller: &Caller, at: Timestamp) -> Vec<Booking> {
    let tenant = &caller.tenant;
    let mut bookings = vec![
        Booking::at(Account::Gateway, caller.policy.budget.as_ref(), at),
        of_tenant(tenant, Account::Tenant(tenant.name.clone()), &tenant.budget, at),
    ];
    if let Some((key, budget)) = caller.key().and_then(|key| Some((key, key.budget.as_ref()?))) {
        bookings.push(of_tenant(tenant, Account::Key(tenant.name.clone(), key.name.clone()), budget, at));
    }
    bookings
}

/// Refuses a wish that names no end user where its tenant wants one to be named.
pub fn names_its_user(tenant: &Tenant, end_user: Option<&str>) -> Result<(), Refusal> {
    if tenant.require_user && end_user.is_none() { Err(Refusal::UserRequired) } else { Ok(()) }
}

/// What is left under a cap, at the most: a period that nothing was booked to may yet begin with what was
/// spent in it. `None` without a cap.
pub async fn left(gw: &Gateway, booking: &Booking) -> Result<Option<MicroUsd>, Refusal> {
    let Some(cap) = booking.cap else { return Ok(None) };
    let balance = gw.store.balance(&booking.account, &booking.period.key).await?;
    let used = balance.map_or(MicroUsd::ZERO, |balance| balance.held.plus(balance.spent).unwrap_or(MicroUsd::MAX));
    Ok(Some(cap.minus(used).unwrap_or(MicroUsd::ZERO).max(MicroUsd::ZERO)))
}

/// What is left for a client: the least that its tenant, its key and its end user have left. `None` if none of them has a cap.
pub async fn left_for(gw: &Gateway, caller: &Caller, end_user: Option<&str>, at: Timestamp) -> Result<Option<MicroUsd>, Refusal> {
    let mut least = None;
    for booking in bookings(caller, end_user, at).iter().filter(|booking| booking.account.tenant().is_some()) {
        let left = left(gw, booking).await?;
        least = [least, left].into_iter().flatten().min();
    }
    Ok(least)
}

fn of_tenant(tenant: &Tenant, account: Account, budget: &Budget, at: Timestamp) -> Booking {
    let booking = Booking::at(account, Some(budget), at);
    if tenant.webhook.is_some() { booking.telling(&budget.warn) } else { booking }
}
