//! What is opened in the books where they are measured: a job of the one tenant, on the one route.

use std::path::Path;
use std::time::Duration;

use filmgate::bench::{
    Account, AccountId, AttemptId, Booking, Clock, JobId, MicroUsd, ModelName, NewAttempt, NewJob, RouteName, Seconds, Size, TenantName,
};

/// 80 cents, in millionths of a dollar.
const PRICE: MicroUsd = MicroUsd::new(800_000);

/// Whether PostgreSQL is installed.
pub fn has_postgres() -> bool {
    let on_path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join("initdb").exists());
    // Debian keeps its programs out of the path.
    on_path || Path::new("/usr/lib/postgresql").exists()
}

/// A job of the one tenant, on the one route: all money meets in the same three balances.
pub fn wish(clock: &Clock) -> (NewJob, NewAttempt) {
    let (at, tenant, route) = (clock.now(), TenantName::new("demo"), RouteName::new("bench"));
    let job = NewJob {
        id: JobId::mint(),
        tenant: tenant.clone(),
        operation: "create",
        model: ModelName::new("sora-2"),
        prompt: "A calico cat playing a piano on stage, soft light, 35 mm, shallow depth of field".to_owned(),
        source: None,
        hidden_inputs: false,
        extras: Default::default(),
        end_user: None,
        residency: None,
        key_name: None,
        ceiling: PRICE,
        bookings: [Account::Gateway, Account::Tenant(tenant)].map(|account| Booking::at(account, None, at)).into(),
        tenant_in_flight_max: None,
        charge: None,
        fingerprint: [0; 32],
        idempotency_key: None,
        at,
    };
    let attempt = NewAttempt {
        id: AttemptId::mint(),
        route: route.clone(),
        account: AccountId::new("0123456789abcdef-fedcba9876543210"),
        upstream_model: "sora-2".to_owned(),
        seconds: Seconds::DEFAULT,
        size: Size::DEFAULT,
        price: PRICE,
        booking: Booking::at(Account::Route(route), None, at),
        in_flight_max: None,
        tenant_in_flight_max: None,
        at,
        due_at: at.after(Duration::from_secs(60)),
    };
    (job, attempt)
}
