//! Taking over into the books what an emergency left in the journal: at start, before anything is declared
//! unknown, and whenever the books work again.
//!
//! Safe to do twice: an entry that is in the books already changes nothing there.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::bind::{Bound, Evidence, bind};
use crate::clock::Timestamp;
use crate::emergency::Emergency;
use crate::store::{Store, StoreError};

/// Takes over what waits; entries that are in the books then leave the journal.
pub async fn replay(store: &dyn Store, emergency: &Arc<Emergency>, now: Timestamp) -> Result<(), StoreError> {
    let mut applied = Vec::new();
    let mut failed = Ok(());
    for entry in emergency.entries() {
        let evidence =
            Evidence { attempt: entry.attempt, route: &entry.route, upstream_id: &entry.upstream_id, how: "the emergency journal" };
        match bind(store, evidence, now).await {
            Ok(Bound::NoSuchAttempt) => {
                error!(job.id = %entry.job, %entry.attempt, upstream.id = entry.upstream_id, "the emergency journal names an attempt that these books do not have; it stays there");
            }
            Ok(_) => applied.push(entry.attempt),
            Err(why) => failed = Err(why),
        }
    }
    if !applied.is_empty() {
        info!(entries = applied.len(), "taken over from the emergency journal");
        let journal = emergency.clone();
        let written = tokio::task::spawn_blocking(move || journal.applied(&applied)).await;
        if let Ok(Err(why)) = written {
            warn!(%why, "the emergency journal cannot be shortened; what it says is in the books");
        }
    }
    failed
}
