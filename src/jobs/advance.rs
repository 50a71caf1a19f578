//! Spine two: move one claimed job forward by one step.
//!
//! A crash anywhere in here costs a repeated question, never a repeated charge: the step, the money and
//! the next due time are written together or not at all.

use std::sync::Arc;
use std::time::Instant;

use super::lane::Lane;
use super::seek::weigh;
use super::settle::{After, Stuck, settle};
use super::watch::Watch;
use crate::accounts::Way;
use crate::gateway::Gateway;
use crate::metrics::{PollKind, UpstreamCall};
use crate::provider::Handle;
use crate::store::Job;

/// Asks the job's account how it is doing, and has the answer count.
pub async fn advance(gw: &Arc<Gateway>, watch: &Arc<Watch>, lane: &Lane, way: &Way, job: &Job) -> Result<After, Stuck> {
    let upstream_id = job.upstream_id.as_deref().ok_or(Stuck::NoUpstreamId)?;
    let (route, asked) = (way.route(), Instant::now());
    let answer = gw.upstream.progress(route, Handle { upstream_id, result_url: job.result_url.as_deref() }).await;
    gw.metrics.upstream(&job.route, UpstreamCall::Progress, asked.elapsed());
    gw.metrics.poll_request(&job.route, PollKind::Single);
    lane.hear(&answer);
    if answer.is_ok() {
        gw.accounts.is_the_same(&job.home(), route);
    }
    let answer = weigh(gw, watch, lane, way, job, answer).await;
    settle(gw, watch, route, job, answer).await
}
