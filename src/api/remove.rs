//! Deleting a job that has ended. It is gone for its tenant at once; the books keep it, its files go.

use std::sync::Arc;

use tracing::{info, warn};

use super::intake::Caller;
use crate::archive::Owner;
use crate::gateway::Gateway;
use crate::id::JobId;
use crate::metrics::RemovalCause;
use crate::provider::Handle;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::store::{Job, Removed};
use crate::wire;

/// `DELETE /videos/{id}`
pub async fn remove(gw: &Arc<Gateway>, caller: &Caller, id: JobId) -> Result<Reply, Refusal> {
    match gw.store.remove(&caller.tenant.name, id, gw.clock.now()).await? {
        Removed::Gone(job) => {
            delete_kept(gw, caller, &job);
            delete_upstream(gw, caller, job);
            Ok(reply::json(wire::deleted(id)))
        }
        Removed::StillRunning => Err(Refusal::NotTerminal),
        Removed::Unknown => Err(Refusal::NoSuchVideo),
    }
}

/// What the archive has of it is removed, in the background; what cannot be removed now, the keeper finds.
fn delete_kept(gw: &Arc<Gateway>, caller: &Caller, job: &Job) {
    let Some(place) = gw.archive.place(&caller.policy.archive) else { return };
    let (gw, owner) = (gw.clone(), Owner { job: job.id, created_at: job.created_at });
    gw.clone().tasks.spawn(async move {
        match place.remove_all(owner).await {
            Ok(files) => gw.metrics.unarchived(RemovalCause::Deleted, files),
            Err(why) => warn!(job.id = %owner.job, %why, "a deleted job's files are still there; they are removed within the hour"),
        }
    });
}

/// The provider's copy is asked away too, once and in the background: it expires by itself in a day.
fn delete_upstream(gw: &Arc<Gateway>, caller: &Caller, job: Arc<Job>) {
    let (Some(route), Some(_)) = (caller.policy.route_of(&job.route), &job.upstream_id) else { return };
    let (gw, route) = (gw.clone(), route.clone());
    gw.clone().tasks.spawn(async move {
        let Some(upstream_id) = job.upstream_id.as_deref() else { return };
        let handle = Handle { upstream_id, result_url: job.result_url.as_deref() };
        if let Some(Err(why)) = gw.upstream.delete(&route, handle).await {
            info!(job.id = %job.id, route.name = %route.name, ?why, "the provider's copy was not deleted");
        }
    });
}
