//! Whom a wish is held against.
//!
//! The order is that in which a refusal is told: the gateway, the tenant, then the key and the end user that have a
//! cap. All of them are booked in one transaction or none is. Knows no route: a route's cap is for dispatch, which
//! passes the route over.

use super::{Account, Booking};
use crate::clock::Timestamp;
use crate::policy::{Budget, Key, Policy, Tenant};

/// Whom a wish is held against. The tenant hears of its own caps if it has a webhook.
pub fn bookings(policy: &Policy, tenant: &Tenant, key: Option<&Key>, end_user: Option<&str>, at: Timestamp) -> Vec<Booking> {
    let mut bookings = whoever(policy, tenant, key, at);
    if let Some(budget) = &tenant.user_budget {
        let account = Account::User(tenant.name.clone(), end_user.map(str::to_owned));
        bookings.push(of_tenant(tenant, account, budget, at));
    }
    bookings
}

/// Likewise, before it is known for which end user the wish is.
pub fn whoever(policy: &Policy, tenant: &Tenant, key: Option<&Key>, at: Timestamp) -> Vec<Booking> {
    let mut bookings = vec![
        Booking::at(Account::Gateway, policy.budget.as_ref(), at),
        of_tenant(tenant, Account::Tenant(tenant.name.clone()), &tenant.budget, at),
    ];
    if let Some((key, budget)) = key.and_then(|key| Some((key, key.budget.as_ref()?))) {
        bookings.push(of_tenant(tenant, Account::Key(tenant.name.clone(), key.name.clone()), budget, at));
    }
    bookings
}

fn of_tenant(tenant: &Tenant, account: Account, budget: &Budget, at: Timestamp) -> Booking {
    let booking = Booking::at(account, Some(budget), at);
    if tenant.webhook.is_some() { booking.telling(&budget.warn) } else { booking }
}
