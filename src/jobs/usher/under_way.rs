//! Under way: jobs that are on their way from the line to a route, each in a task of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tracing::{Instrument as _, info, info_span};

use crate::dispatch::{Order, Subject, dispatch};
use crate::gateway::Gateway;
use crate::id::{JobId, RouteName};
use crate::job::State;
use crate::metrics::QueueOutcome;

/// Who is on the way out, and to which route.
#[derive(Clone, Default)]
pub struct UnderWay(Arc<Mutex<HashMap<JobId, Option<RouteName>>>>);

impl UnderWay {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.jobs().len()
    }

    /// Whether a job is one of them.
    pub fn has(&self, job: JobId) -> bool {
        self.jobs().contains_key(&job)
    }

    /// Whether one is to a route.
    pub fn is_to(&self, route: &RouteName) -> bool {
        self.jobs().values().any(|to| to.as_ref() == Some(route))
    }

    /// Sends a job on its way, in a task that a stop waits for.
    pub fn send(&self, gw: &Arc<Gateway>, order: Order) {
        let (gw, under_way) = (gw.clone(), self.clone());
        let Subject::Known(job) = &order.subject else { return };
        let (id, waited) = (job.id, gw.clock.now().since(job.created_at));
        let span = info_span!("usher", job.id = %id);
        under_way.jobs().insert(id, order.admitted.clone());
        gw.clone().tasks.spawn(
            async move {
                let (on_disk, mut sent) = oneshot::channel();
                let made = dispatch(&gw, order, on_disk).await;
                let is_out = made.as_ref().map_or(true, |job| job.state != State::Waiting);
                under_way.jobs().remove(&id);
                if is_out {
                    // Where another gateway was faster, it says so.
                    if let Ok(job) = sent.try_recv() {
                        info!(waited_secs = waited.as_secs(), "out of the line");
                        gw.metrics.left_line(&job, QueueOutcome::Sent, waited);
                    }
                    gw.hall.ring();
                }
            }
            .instrument(span),
        );
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, Option<RouteName>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
