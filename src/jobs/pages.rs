//! Pages of an upstream's own list of its jobs, read at the pace that the account is asked at and
//! told in our own time.

use std::time::{Duration, Instant};

use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::metrics::{PollKind, UpstreamCall};
use crate::policy::Route;
use crate::provider::{AskError, Listing};

/// Clocks that differ by no more than this show the same time.
const CLOCKS_AGREE: Duration = Duration::from_secs(5);

/// One page, newest jobs first, once the account may be asked for it; `None` if the dialect has no list.
pub async fn read(gw: &Gateway, route: &Route, after: Option<&str>) -> Option<Result<Listing, AskError>> {
    while gw.limits.ask(route, 1) == 0 {
        let wait = gw.limits.ask_in(route).max(Duration::from_millis(1));
        tokio::select! {
            () = gw.stop.cancelled() => return Some(Err(AskError::Transient("the gateway is stopping".to_owned()))),
            () = tokio::time::sleep(wait) => {}
        }
    }
    let asked = Instant::now();
    let Some(answer) = gw.upstream.list(route, after).await else {
        gw.limits.unask(route, 1);
        return None;
    };
    gw.metrics.upstream(&route.name, UpstreamCall::List, asked.elapsed());
    gw.metrics.poll_request(&route.name, PollKind::List);
    Some(answer.map(|mut page| {
        by_our_clock(&mut page, gw.clock.now());
        page
    }))
}

/// Says of listed jobs when they were made by our clock: an upstream whose clock differs has told what it showed
/// when it answered, which was just now.
pub fn by_our_clock(page: &mut Listing, now: Timestamp) {
    let Some(told_at) = page.told_at else { return };
    let (ahead, behind) = (told_at.since(now), now.since(told_at));
    // A date has whole seconds, and took its time to come here.
    if ahead.max(behind) > CLOCKS_AGREE {
        page.jobs.iter_mut().for_each(|job| job.created_at = job.created_at.before(ahead).after(behind));
    }
}
