//! Budgets: has every balance that is shown be of the period that its budget means now.
//!
//! A budget that is added or gets another `per` counts from the start of its period what that has cost already. The
//! books would learn of it by the first job that they take under it, which never comes where the cap is reached: so they
//! are told whenever another policy is in force. A period that ends needs nobody: in the next one there is nothing yet.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::budget::Booking;
use crate::gateway::Gateway;
use crate::policy::Policy;
use crate::standing::accounts;
use crate::store::StoreError;

/// Between two looks at which policy is in force.
const EVERY: Duration = Duration::from_millis(500);
/// Accounts that the books are asked about at a time.
const AT_ONCE: usize = 256;

/// Runs until the gateway stops.
pub async fn run(gw: Arc<Gateway>) {
    let mut followed = None;
    loop {
        let policy = gw.policy.snapshot();
        if followed.as_ref() != Some(&policy.revision) {
            match follow(&gw, &policy).await {
                Ok(()) => followed = Some(policy.revision.clone()),
                Err(why) => warn!(%why, "budgets that were changed are shown as untouched until the books can be written"),
            }
        }
        tokio::select! {
            () = gw.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn follow(gw: &Gateway, policy: &Policy) -> Result<(), StoreError> {
    let mut accounts = accounts(policy);
    loop {
        let now = gw.clock.now();
        let some: Vec<Booking> = accounts.by_ref().take(AT_ONCE).map(|(account, budget)| Booking::at(account, budget, now)).collect();
        if some.is_empty() {
            return Ok(());
        }
        let changed = gw.store.follow_budgets(some, now).await?;
        if changed > 0 {
            info!(changed, "budgets count in another period from now on");
        }
    }
}
