//! The keeper of the archive: removes what has been kept for long enough, what its tenant deleted, and what
//! copies that died left behind.
//!
//! Deleting a job removes its files at once. Where that did not succeed, this finds them: it compares
//! what is there with the books, so nothing has to remember that a removal is owed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::archiving::CLIP_TIMEOUT;
use crate::archive::{Kept, OutOfOrder, Place};
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::id::JobId;
use crate::metrics::RemovalCause;
use crate::policy::Policy;
use crate::store::StoreError;

/// How often it goes round.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// How often it looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// A file may have been copied this long before its job was completed, and is promised from then on.
const SLACK: Duration = Duration::from_secs(24 * 60 * 60);
/// Jobs that the books are asked about at a time.
const BATCH: usize = 500;

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum Disturbed {
    /// The archive cannot be looked at.
    #[error(transparent)]
    Archive(#[from] OutOfOrder),
    /// The books cannot.
    #[error(transparent)]
    Books(#[from] StoreError),
}

/// Runs until the gateway stops.
pub async fn run(gw: Arc<Gateway>) {
    let mut latest: Option<Timestamp> = None;
    loop {
        let now = gw.clock.now();
        if latest.is_none_or(|latest| now.since(latest) >= EVERY) {
            latest = Some(now);
            let policy = gw.policy.snapshot();
            if let Some(place) = gw.archive.place(&policy.archive)
                && let Err(why) = round(&gw, &policy, &place, now).await
            {
                warn!(%why, "the archive was not gone through");
            }
        }
        tokio::select! {
            () = gw.stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

async fn round(gw: &Gateway, policy: &Policy, place: &Place, now: Timestamp) -> Result<(), Disturbed> {
    let drafts = place.clear_drafts(now.before(CLIP_TIMEOUT * 2)).await?;
    let kept_until = now.before(policy.archive.keep + SLACK);
    let (mut expired, mut deleted) = (0, 0);
    for day in place.days().await? {
        for batch in place.on(day).await?.chunks(BATCH) {
            let (old, young): (Vec<Kept>, Vec<Kept>) =
                batch.iter().partition(|kept| kept.since < kept_until && day < kept_until.utc_date());
            expired += remove(gw, place, &old, RemovalCause::Expired).await?;
            let ids: HashSet<JobId> = young.iter().map(|kept| kept.label.job).collect();
            let gone = gw.store.deleted_among(&ids.into_iter().collect::<Vec<_>>()).await?;
            let orphans: Vec<Kept> = young.into_iter().filter(|kept| gone.contains(&kept.label.job)).collect();
            deleted += remove(gw, place, &orphans, RemovalCause::Deleted).await?;
            if gw.stop.is_cancelled() {
                return Ok(());
            }
        }
        if day < now.before(SLACK * 2).utc_date() {
            place.close(day).await;
        }
    }
    if drafts + expired + deleted > 0 {
        info!(expired, deleted, drafts, "files were removed from the archive");
    }
    Ok(())
}

async fn remove(gw: &Gateway, place: &Place, files: &[Kept], cause: RemovalCause) -> Result<u64, Disturbed> {
    let mut removed = 0;
    for kept in files {
        if place.remove(kept.label).await? {
            removed += 1;
            gw.metrics.unarchived(cause, 1);
        }
    }
    Ok(removed)
}
