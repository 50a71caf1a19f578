//! Heads: who stands first in each line, and who may make what they wish, by the policy of now.
//!
//! A head is planned anew, never dearer than what is held for it and never where it may not be processed. Which routes
//! that leaves is remembered for each line, so that a line that nobody has room for is not read.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::{debug, info, warn};

use super::EVERY;
use super::rooms::Rooms;
use crate::dispatch::{Order, Subject};
use crate::gateway::Gateway;
use crate::id::{RouteName, TenantName};
use crate::order;
use crate::plan::{InOrder, Moment, Plan, Reasons, may_process, plan};
use crate::policy::Policy;
use crate::store::{InLine, Line, StoreError};

/// Whom a line's heads may be made by changes with the policy, and with the date.
const KNOWN_FOR: Duration = Duration::from_secs(30);

/// Which routes each line's heads may be made by.
#[derive(Default)]
pub struct Heads(HashMap<(TenantName, String), Known>);

/// As the policy of that revision had it, then.
struct Known {
    revision: String,
    at: Instant,
    routes: Vec<RouteName>,
}

impl Heads {
    /// Whether it is worth reading a line: somebody who may make its head has room, as far as that is known.
    pub async fn may_have_room(&self, policy: &Policy, rooms: &mut Rooms<'_>, line: &Line) -> Result<bool, StoreError> {
        let Some(known) = self.0.get(&(line.tenant.clone(), line.lane.clone())) else { return Ok(true) };
        let lasts = if known.routes.is_empty() { EVERY } else { KNOWN_FOR };
        if known.revision != policy.revision || known.at.elapsed() > lasts {
            return Ok(true);
        }
        for route in &known.routes {
            if rooms.has(route).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Remembers whom a line's heads may be made by.
    pub fn remember(&mut self, gw: &Gateway, policy: &Policy, line: &Line, heads: &[InLine]) {
        if heads.is_empty() {
            // Whoever stood there has just gone, and may come back.
            self.0.remove(&(line.tenant.clone(), line.lane.clone()));
            return;
        }
        let planned = heads.iter().filter_map(|head| planned(gw, policy, head));
        let mut routes: Vec<RouteName> = planned.flat_map(|plan| plan.candidates).map(|candidate| candidate.route.name.clone()).collect();
        routes.sort_unstable();
        routes.dedup();
        let known = Known { revision: policy.revision.clone(), at: Instant::now(), routes };
        self.0.insert((line.tenant.clone(), line.lane.clone()), known);
    }

    /// Which routes a line waits for: those that its heads may be made by, or those that were planned for it once.
    pub fn routes(&self, line: &Line) -> Vec<RouteName> {
        let known = self.0.get(&(line.tenant.clone(), line.lane.clone())).map(|known| known.routes.clone());
        known.unwrap_or_else(|| order::lane_routes(&line.lane).collect())
    }

    /// Forgets what is old, and lines that are not there any more.
    pub fn tidy(&mut self, is_there: impl Fn(&TenantName, &str) -> bool) {
        self.0.retain(|(tenant, lane), known| is_there(tenant, lane) && known.at.elapsed() < KNOWN_FOR);
    }
}

/// Who may make a job by the policy of now, at no more than what is held for it and where it may be processed.
pub fn planned(gw: &Gateway, policy: &Policy, head: &InLine) -> Option<Plan> {
    let job = &head.job;
    let tenant = policy.tenants.get(&job.tenant)?;
    let (parts, ties) = order::take_out(&head.wish, &job.prompt, &job.extras, Bytes::new())
        .inspect_err(|why| warn!(job.id = %job.id, %why, "it waits until its time is up"))
        .ok()?;
    let planned =
        plan(policy, tenant, &parts.wish, ties.pin.as_ref(), Moment::of(gw.clock.now()).drawing(job.id.seed()).seeing(&gw.seen()));
    let mut planned = planned.inspect_err(|why| debug!(job.id = %job.id, ?why, "nobody may make it at present")).ok()?;
    planned.pass_over(|candidate| (candidate.price > job.ceiling).then(|| format!("costs more than the {} held", job.ceiling)));
    planned.pass_over(|candidate| {
        let elsewhere = ties.lives_on.as_ref().filter(|home| !candidate.route.is_at(home));
        elsewhere.map(|home| format!("has none of the characters, which are on {}", home.route))
    });
    let residency = job.residency.as_deref();
    planned.pass_over(|candidate| (!may_process(&candidate.route, residency)).then(|| "is not where the job is bound to".to_owned()));
    Some(planned)
}

/// The order of a job that comes out of the line as planned, with the file that went with it.
pub async fn order(gw: &Gateway, policy: &Policy, head: InLine, plan: Plan, admitted: RouteName) -> Result<Option<Order>, StoreError> {
    let file = if head.has_upload { gw.store.upload(head.job.id).await? } else { None };
    let Ok((parts, ties)) = order::take_out(&head.wish, &head.job.prompt, &head.job.extras, file.unwrap_or_default()) else {
        return Ok(None);
    };
    // It was planned when it came, too; this is what counts.
    let (revision, routes, passed_over) = (&policy.revision, InOrder(&plan), Reasons(&plan));
    info!(job.id = %head.job.id, revision, rule = plan.rule, %routes, %passed_over, "planned");
    let tenant_in_flight_max = policy.tenants.get(&head.job.tenant).and_then(|tenant| tenant.limits.in_flight);
    let (subject, begun) = (Subject::Known(head.job), Instant::now());
    Ok(Some(Order { subject, plan, parts, ties, queue: None, admitted: Some(admitted), tenant_in_flight_max, begun }))
}
