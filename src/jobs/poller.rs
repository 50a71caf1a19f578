//! Who is due, and asking about them: a bounded number at a time, oldest first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tracing::warn;

use super::advance::advance;
use super::watch::Watch;
use crate::gateway::Gateway;

/// Polls under way at a time.
const FANOUT_MAX: usize = 64;
/// Jobs claimed at a time.
const BATCH: u32 = 64;
/// A claim is good for this long: longer than a poll can take.
const LEASE: Duration = Duration::from_secs(60);
/// How often the books are asked who is due, when nothing rings.
const TICK: Duration = Duration::from_millis(200);

/// Runs until the gateway stops.
pub async fn run(gw: Arc<Gateway>) {
    let seats = Arc::new(Semaphore::new(FANOUT_MAX));
    let watch = Arc::new(Watch::default());
    while !gw.stop.is_cancelled() {
        let free = u32::try_from(seats.available_permits()).unwrap_or(BATCH).min(BATCH);
        let due = if free == 0 { Ok(Vec::new()) } else { gw.store.lease_due(gw.clock.now(), LEASE, free).await };
        let found = match due {
            Ok(jobs) => jobs,
            Err(why) => {
                warn!(%why, "nobody can be asked about, for now");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let busy = found.len() == BATCH as usize;
        for job in found {
            let Ok(seat) = seats.clone().acquire_owned().await else { return };
            let (gw, watch) = (gw.clone(), watch.clone());
            gw.clone().tasks.spawn(async move {
                if let Err(stuck) = advance(&gw, &watch, &job).await {
                    warn!(job.id = %job.id, %stuck, "a job was not moved on; its claim lapses and it is asked about again");
                }
                drop(seat);
            });
        }
        if !busy {
            tokio::select! {
                () = gw.stop.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
                () = gw.due.notified() => {}
            }
        }
    }
}
