//! Deleting a job that has ended, or that was not sent yet: that one ends here, and is never sent. It is gone for its
//! tenant at once; the books keep it, its files go.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::intake::Caller;
use crate::accounts::Way;
use crate::archive::Owner;
use crate::gateway::Gateway;
use crate::id::{JobId, TenantName};
use crate::job::{Event, State, step};
use crate::metrics::{QueueOutcome, RemovalCause};
use crate::owing;
use crate::provider::Handle;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::store::{ApplyError, Facts, Job, JobError, Removed};
use crate::wire;

/// What is said of a job that its client deleted before anybody had it.
const NOT_SENT: (&str, &str) = ("deleted", "This video was deleted before anybody made it.");

/// `DELETE /videos/{id}`
pub async fn remove(gw: &Arc<Gateway>, caller: &Caller, id: JobId) -> Result<Reply, Refusal> {
    let tenant = &caller.tenant.name;
    let mut removed = gw.store.remove(tenant, id, gw.clock.now()).await?;
    if removed == Removed::StillRunning && end_unsent(gw, tenant, id).await? {
        removed = gw.store.remove(tenant, id, gw.clock.now()).await?;
    }
    match removed {
        Removed::Gone(job) => {
            delete_kept(gw, caller, &job);
            delete_upstream(gw, caller, job);
            Ok(reply::json(wire::deleted(id)))
        }
        Removed::StillRunning => Err(Refusal::NotTerminal),
        Removed::Unknown => Err(Refusal::NoSuchVideo),
    }
}

/// Ends a job that is between two routes or stands in line; whether it was. Whoever was about to send it finds that it has moved.
async fn end_unsent(gw: &Gateway, tenant: &TenantName, id: JobId) -> Result<bool, Refusal> {
    let Some(job) = gw.store.job(tenant, id).await?.filter(|job| matches!(job.state, State::Reserved | State::Waiting)) else {
        return Ok(false);
    };
    let step = step(job.state, Event::Exhausted).map_err(|_| Refusal::Internal)?;
    let waited = job.state == State::Waiting;
    let error = Some(JobError { code: NOT_SENT.0.to_owned(), message: NOT_SENT.1.to_owned() });
    match owing::apply(gw, &job, step, Facts { error, ..Facts::default() }).await {
        Ok(job) => {
            gw.metrics.ended(&job);
            if waited {
                gw.metrics.left_line(&job, QueueOutcome::Deleted, Duration::ZERO);
            }
            info!(job.id = %job.id, "deleted before it was sent");
            Ok(true)
        }
        // It is on its way, or has ended: then it can be deleted.
        Err(ApplyError::Moved | ApplyError::Duplicate(_)) => Ok(true),
        Err(ApplyError::Store(why)) => Err(Refusal::Unavailable(why)),
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
    // What no provider is known to have taken, none has a copy of.
    let Some(upstream_id) = job.upstream_id.clone() else { return };
    // Nobody but the account that made it hears of it.
    let way = gw.accounts.way(&caller.policy, &job.home());
    let Some(route) = way.as_ref().and_then(Way::own) else {
        info!(job.id = %job.id, route.name = %job.route, "the provider's copy was not deleted: no route is of its account any more");
        return;
    };
    let (gw, route) = (gw.clone(), route.clone());
    gw.clone().tasks.spawn(async move {
        let handle = Handle { upstream_id: &upstream_id, result_url: job.result_url.as_deref() };
        if let Some(Err(why)) = gw.upstream.delete(&route, handle).await {
            info!(job.id = %job.id, route.name = %route.name, ?why, "the provider's copy was not deleted");
        }
    });
}
