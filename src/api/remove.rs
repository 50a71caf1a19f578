//! Deleting a job that has ended. It is gone for its tenant at once; the books keep it.

use std::sync::Arc;

use tracing::info;

use super::intake::Caller;
use crate::gateway::Gateway;
use crate::id::JobId;
use crate::provider::Handle;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::store::{Job, Removed};
use crate::wire;

/// `DELETE /videos/{id}`
pub async fn remove(gw: &Arc<Gateway>, caller: &Caller, id: JobId) -> Result<Reply, Refusal> {
    match gw.store.remove(&caller.tenant.name, id, gw.clock.now()).await? {
        Removed::Gone(job) => {
            delete_upstream(gw, caller, job);
            Ok(reply::json(wire::deleted(id)))
        }
        Removed::StillRunning => Err(Refusal::NotTerminal),
        Removed::Unknown => Err(Refusal::NoSuchVideo),
    }
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
