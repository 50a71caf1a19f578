//! The line: what becomes of an order that nobody has room for, and who has to let others go first.
//!
//! The place is written down in the transaction that holds the money, so that a job that waits is as durable as one
//! that was sent. A newcomer who may wait does not take a route that others wait for: it would overtake them. The
//! prompt was looked at when the wish came in, and is not looked at again when its turn comes.

use std::sync::Arc;
use std::time::Duration;

use super::turned::FULL_WAIT;
use super::{Order, Subject, new_attempt};
use crate::budget::{self, Account, Booking};
use crate::gateway::Gateway;
use crate::job::State;
use crate::order;
use crate::plan::Candidate;
use crate::policy::Route;
use crate::provider::{Accepted, RefusedReason, SubmitError};
use crate::store::{Job, NewJob, NewPlace, OpenError};

/// Counts a create on a route, if the order may ask it now; else when that is worth another try.
///
/// Others go first where they wait for the route, unless the order is one of them, and a route that rests takes nobody
/// who was not admitted before. Who may not wait takes what it finds.
pub fn admits(gw: &Gateway, order: &Order, in_line: bool, route: &Route) -> Result<(), Duration> {
    if order.admitted.as_ref() == Some(&route.name) {
        return Ok(());
    }
    let yields = if in_line { gw.hall.is_resting(&route.name) } else { order.queue.is_some() && gw.hall.is_busy(&route.name) };
    if yields {
        return Err(FULL_WAIT);
    }
    gw.limits.take(route).map_err(|limited| limited.wait)
}

/// Remembers that a route is full, or does not take what comes out of the line: it is left alone for a while.
pub fn heed(gw: &Gateway, candidate: &Candidate, answer: &Result<Accepted, SubmitError>, in_line: bool) {
    let route = &candidate.route.name;
    match answer {
        Err(SubmitError::Refused { reason, retry_after_secs, .. })
            if (in_line && *reason != RefusedReason::InputGone)
                || matches!(reason, RefusedReason::RateLimited | RefusedReason::TooManyJobs) =>
        {
            gw.hall.turned_away(route);
            gw.hall.rests(route, retry_after_secs.map(Duration::from_secs), FULL_WAIT);
        }
        Err(SubmitError::NotSent(_)) if in_line => gw.hall.rests(route, None, FULL_WAIT),
        _ => {}
    }
}

/// The route's booking, if its cap leaves too little for a candidate, as far as the books say: nobody waits for that.
pub async fn capped(gw: &Gateway, candidate: &Candidate) -> Option<Booking> {
    let route = &candidate.route;
    let booking = Booking::at(Account::Route(route.name.clone()), route.budget.as_ref(), gw.clock.now());
    booking.cap?;
    let balance = gw.store.balance(&booking.account, &booking.period.key).await.ok()??;
    (!budget::fits(booking.cap, balance.used(), candidate.price)).then_some(booking)
}

/// Has an order's job stand in line, again or for the first time.
pub async fn stand(gw: &Gateway, order: &Order, job: Option<&Arc<Job>>) -> Result<Arc<Job>, OpenError> {
    let job = match (job, &order.subject) {
        // It never left.
        (Some(job), _) if job.state == State::Waiting => return Ok(job.clone()),
        (Some(job), _) => gw.store.stand(job, place(gw, order)).await?,
        (None, Subject::Known(job)) => gw.store.stand(job, place(gw, order)).await?,
        (None, Subject::New(new)) => {
            let (Some(place), Some(first)) = (place(gw, order), order.plan.candidates.first()) else { return Err(OpenError::Moved) };
            gw.store.line_up(NewJob::clone(new), new_attempt(gw, first, order.tenant_in_flight_max), place).await?
        }
    };
    gw.hall.came(order.plan.candidates.iter().map(|candidate| &candidate.route.name));
    Ok(job)
}

/// A place of its own; `None` for an order that has had one.
fn place(gw: &Gateway, order: &Order) -> Option<NewPlace> {
    let queue = order.queue?;
    let (wish, upload) = order::put_away(&order.parts, &order.ties);
    let upload = upload.map(|upload| upload.bytes);
    Some(NewPlace { lane: order::lane(&order.plan), until: gw.clock.now().after(queue.wait), max: queue.max, wish, upload })
}
