//! A walk through a route's own list of jobs, newest first, back to a moment. Free, and bounded.

use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::jobs::read_page;
use crate::policy::Route;
use crate::provider::ListedJob;

/// Pages that one walk reads: with a hundred jobs on each, as dialects list them, 20,000 jobs.
const PAGES_MAX: usize = 200;

/// What a route lists.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// Its jobs since the moment, and perhaps a few older ones.
    pub jobs: Vec<ListedJob>,
    /// Why it stopped before it was there; absence cannot be told from such a walk.
    pub stopped: Option<String>,
}

/// Reads a route's list back to `since`, or until `enough`; `None` if the dialect has no list.
pub async fn walk(gw: &Gateway, route: &Route, since: Timestamp, enough: impl Fn(&[ListedJob]) -> bool) -> Option<Walk> {
    let (mut jobs, mut after) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let page = match read_page(gw, route, after.as_deref()).await? {
            Ok(page) => page,
            Err(why) => return Some(Walk { jobs, stopped: Some(format!("its list could not be read: {why:?}")) }),
        };
        let is_there = page.jobs.last().is_none_or(|job| job.created_at < since) || enough(&page.jobs);
        jobs.extend(page.jobs);
        after = page.next;
        if is_there || after.is_none() {
            return Some(Walk { jobs, stopped: None });
        }
    }
    Some(Walk { jobs, stopped: Some(format!("it lists more than {PAGES_MAX} pages since then; ask about a shorter time")) })
}
