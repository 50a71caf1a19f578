//! Attempts of unknown outcome on routes that know a request again by its key: they are sent again, after a
//! crash too.
//!
//! Only where the job's row says all that the request said, so that the bytes are the same; and not for longer
//! than an upstream may be trusted to remember a key. What is not accepted stays as unknown as it was.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tracing::{info, warn};

use super::bind::{Bound, Evidence, bind};
use crate::dispatch::{callback, keyed, row_submission};
use crate::gateway::Gateway;
use crate::health::Question;
use crate::id::RouteName;
use crate::job::State;
use crate::plan::may_process;
use crate::policy::{Policy, Route};
use crate::provider::SubmitError;
use crate::store::{Job, StoreError};

/// Upstreams that remember keys do so for a day; a key that is forgotten would be a second order.
const WITHIN: Duration = Duration::from_secs(60 * 60);
/// Sent again at a time.
const AT_ONCE: usize = 8;

/// Sends again what may be, and adopts what is accepted.
pub async fn resubmit(gw: &Gateway, policy: &Policy, name: &RouteName) -> Result<(), StoreError> {
    // Restored books may not know that an attempt was settled long ago.
    let withheld = gw.reconciling.since().is_some() || gw.halting.why().is_some();
    if withheld || !policy.all_routes().any(|route| route.idempotency_key) {
        return Ok(());
    }
    let unknown = gw.store.in_state(State::Unknown, name).await?;
    let now = gw.clock.now();
    let whole = |job: &&Arc<Job>| job.operation == "create" && !job.hidden_inputs && now.since(job.attempted_at) < WITHIN;
    // Another account would take it for a first order; and the route may have moved since.
    let at_home = |job: &Arc<Job>| {
        let route = gw.accounts.way(policy, &job.home())?.own()?.clone();
        let may = route.idempotency_key && !gw.health.is_failing(&route, now) && may_process(&route, job.residency.as_deref());
        may.then(|| (route, job.clone()))
    };
    let sent = unknown.iter().filter(whole).filter_map(at_home).take(AT_ONCE);
    let sent = sent.map(|(route, job)| async move { again(gw, &route, &job).await });
    join_all(sent).await.into_iter().collect()
}

async fn again(gw: &Gateway, route: &Route, job: &Job) -> Result<(), StoreError> {
    if gw.limits.take(route).is_err() {
        return Ok(());
    }
    let callback = callback(gw, route, job.attempt);
    match keyed::send(gw, route, job.attempt, &row_submission(job, callback.as_deref())).await {
        Ok(accepted) => {
            let (attempt, upstream_id) = (job.attempt, accepted.upstream_id.as_str());
            let how = "its request, sent again under the same key";
            let bound = bind(&*gw.store, Evidence { attempt, route: &job.route, upstream_id, how }, gw.clock.now()).await?;
            if matches!(bound, Bound::Adopted(_)) {
                gw.due.notify_one();
            }
            info!(job.id = %job.id, route.name = %route.name, "sent again under its key, and known");
        }
        Err(SubmitError::Withheld(why)) => info!(job.id = %job.id, why, "not sent again"),
        Err(why) => {
            gw.health.failed(route, &job.model, Question::Submit, gw.clock.now());
            warn!(job.id = %job.id, route.name = %route.name, ?why, "sent again under its key, and no clearer");
        }
    }
    Ok(())
}
