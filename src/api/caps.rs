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

/// Refuses a wish that costs `amount` or more and certainly does not fit under a cap.
pub async fn may_fit(gw: &Gateway, booking: &Booking, amount: MicroUsd) -> Result<(), Refusal> {
    let used = used(gw, booking).await?;
    if budget::fits(booking.cap, used, amount) {
        return Ok(());
    }
    Err(Refusal::over_budget(&booking.account, amount, budget::left(booking.cap, used).unwrap_or(MicroUsd::ZERO)))
}

/// What is used of a cap, at the least: a period that nothing was booked to may yet begin with what was spent in it.
async fn used(gw: &Gateway, booking: &Booking) -> Result<MicroUsd, Refusal> {
    if booking.cap.is_none() {
        return Ok(MicroUsd::ZERO);
    }
    let balance = gw.store.balance(&booking.account, &booking.period.key).await?;
    Ok(balance.map_or(MicroUsd::ZERO, |balance| balance.used()))
}

/// What is left for a client: the least that its tenant, its key and its end user have left. `None` if none of them has a cap.
pub async fn left_for(gw: &Gateway, caller: &Caller, end_user: Option<&str>, at: Timestamp) -> Result<Option<MicroUsd>, Refusal> {
    let mut least = None;
    for booking in bookings(caller, end_user, at).iter().filter(|booking| booking.account.tenant().is_some()) {
        let left = budget::left(booking.cap, used(gw, booking).await?);
        least = [least, left].into_iter().flatten().min();
    }
    Ok(least)
}
