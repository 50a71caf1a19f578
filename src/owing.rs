//! Owing: what happens to a job is written together with what somebody is owed for it.
//!
//! Every step of a job is written through [`apply`], so that no caller can end one and forget to tell.
//! Knows whom the policy has told and not how: `jobs::notifier` sends.

use std::sync::Arc;

use tracing::{error, warn};

use crate::budget::Booking;
use crate::gateway::Gateway;
use crate::job::Step;
use crate::notice::{self, NewNotice};
use crate::store::{ApplyError, Facts, Job, StoreError};

/// Writes one step of a job, and with it what its tenant is owed.
pub async fn apply(gw: &Gateway, job: &Job, step: Step, mut facts: Facts) -> Result<Arc<Job>, ApplyError> {
    let (policy, at) = (gw.policy.snapshot(), gw.clock.now());
    if policy.tenants.get(&job.tenant).is_some_and(|tenant| tenant.webhook.is_some()) {
        facts.notices.extend(notice::of_step(&job.tenant, job.id, job.created_at, step, at, policy.defaults.answer_after));
    }
    let owes = !facts.notices.is_empty();
    let written = gw.store.apply(job, step, facts, at).await;
    if let Err(ApplyError::Store(StoreError::Damaged(why))) = &written {
        error!(job.id = %job.id, why, "the books contradict themselves: nothing of this step is written, nobody else is asked to make the job, and its money stays held; compare them with a backup");
    }
    let job = written?;
    if step.from.is_in_flight() && !step.to.is_in_flight() {
        gw.hall.freed(&job.route);
    }
    if owes {
        gw.outbox.ring();
    }
    Ok(job)
}

/// A hold did not fit under a cap: its owner is owed that once, and not at each refusal.
pub async fn refused(gw: &Gateway, booking: &Booking) {
    // A tenant's booking says whether its tenant is told; the other caps are the operator's.
    let is_operators = booking.account.tenant().is_none() && gw.policy.snapshot().alerts.webhook.is_some();
    let booking = if is_operators { &booking.clone().telling(&[]) } else { booking };
    if let Some(notice) = notice::of_refusal(booking, gw.clock.now()) {
        owe(gw, notice).await;
    }
}

/// Owes a notice by itself, unless it is known to be owed.
pub async fn owe(gw: &Gateway, notice: NewNotice) {
    if !gw.outbox.is_news(&notice) {
        return;
    }
    match gw.store.owe(vec![notice.clone()]).await {
        Ok(new) => {
            gw.outbox.remember(&notice);
            if new > 0 {
                gw.outbox.ring();
            }
        }
        Err(why) => {
            warn!(notice.to = %notice.to, notice.kind = notice.kind.as_str(), %why, "a notice is not owed: it cannot be written down")
        }
    }
}
