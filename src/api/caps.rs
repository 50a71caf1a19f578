//! Caps, for a request: what is left of what its client may know. Whom a wish is held against says [`crate::budget`].

use super::intake::Caller;
use crate::budget::{self, Booking};
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::money::MicroUsd;
use crate::policy::Tenant;
use crate::refusal::Refusal;

/// Whom a wish is held against.
pub fn bookings(caller: &Caller, end_user: Option<&str>, at: Timestamp) -> Vec<Booking> {
    budget::bookings(&caller.policy, &caller.tenant, caller.key(), end_user, at)
}

/// Likewise, before it is known for which end user the wish is.
pub fn whoever(caller: &Caller, at: Timestamp) -> Vec<Booking> {
    budget::whoever(&caller.policy, &caller.tenant, caller.key(), at)
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
