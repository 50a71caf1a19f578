//! A walk down an upstream's list: a hundred jobs for one question, newest first.
//!
//! What the list shows of a job counts as an answer about it; a job that it does not show stays due and
//! is asked about by itself, as is one that the list shows to have ended without saying all of it: those come
//! first, before the list is read again. A walk goes on for as long as it is likely to find open jobs for fewer
//! questions than they would cost one by one, and ends as soon as nobody is due any more. A list that
//! shows nothing of ours, or cannot be read, is left alone for a while: it is never needed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tracing::{error, info, warn};

use super::desk::Desk;
use super::lane::Lane;
use super::pages;
use super::settle::{After, Answer, settle};
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::id::Home;
use crate::job::State;
use crate::policy::Route;
use crate::provider::{AskError, ListedJob, Phase};
use crate::store::{Due, Job, Postponed, StoreError};

/// With fewer jobs due, a page of the list is hardly worth its length.
pub const WORTHWHILE: u64 = 8;
/// Pages in a row that show no open job of ours before a walk is given up…
const FRUITLESS_MAX: u64 = 3;
/// …and one more for each so many jobs that would have to be asked about one by one, if the pages show nobody of ours…
const STRANGE_PER_DUE: u64 = 50;
/// …or if they show ours that have ended: those that are due may be right behind them, and reading on
/// costs at most half as much.
const ENDED_PER_DUE: u64 = 2;
/// Questions about single jobs that each page leaves time for, where it showed ends and did not tell them whole: the
/// next walk would take what the account may be asked from those questions, and find the same.
const ALONE_PER_PAGE: u64 = 4;
/// How long a list is left alone that the upstream does not have,
const NO_LIST: Duration = Duration::from_secs(3_600);
/// that shows less of ours than it has pages,
const NOT_OURS: Duration = Duration::from_secs(300);
/// or that cannot be read.
const BROKEN: Duration = Duration::from_secs(60);

/// Walks the list of a route that has jobs due; answers how long to leave the list alone.
pub async fn walk(gw: &Arc<Gateway>, desk: &Desk, lane: &Lane, route: &Route, due: &Due) -> Duration {
    let (began, mut after) = (gw.clock.now(), None);
    let (mut pages, mut seen, mut fruitless) = (0_u64, Ours::default(), Fruitless::default());
    while !gw.stop.is_cancelled() && lane.is_well() {
        let Some(answer) = pages::read(gw, route, after.as_deref()).await else { return NO_LIST };
        lane.hear(&answer);
        let page = match answer {
            Ok(page) => page,
            Err(why) => return unreadable(route, &why),
        };
        let shown = match take_in(gw, desk, route, &due.home, page.jobs).await {
            Ok(shown) => shown,
            Err(why) => {
                warn!(route.name = %route.name, %why, "what the list shows could not be written down");
                return BROKEN;
            }
        };
        pages += 1;
        seen = Ours { known: seen.known + shown.known, open: seen.open + shown.open, untold: seen.untold + shown.untold };
        fruitless.turn(shown);
        after = page.next;
        if after.is_none() || fruitless.is_enough(due) || is_done(gw, &due.home, gw.clock.now()).await {
            break;
        }
    }
    if seen.known < pages {
        info!(route.name = %route.name, pages, found = seen.known, "the upstream's list shows little of ours; jobs are asked about one by one");
        return NOT_OURS;
    }
    let alone = time_for(seen.untold.min(pages * ALONE_PER_PAGE), route.poll.rate);
    if seen.open < pages {
        // Those that are due are few, or further down; if more come due, it is worth reading on to them.
        return route.poll.late.max(alone);
    }
    // Nobody that it showed is due before then. Those whom it did not show are asked about first.
    let pause = (route.poll.early / 2).max(alone);
    if is_done(gw, &due.home, began).await { pause.saturating_sub(gw.clock.now().since(began)) } else { pause }
}

/// How many jobs of ours a list showed.
#[derive(Clone, Copy, Debug, Default)]
struct Ours {
    /// In any state.
    known: u64,
    /// Among them, those that had not ended yet and about which it told all.
    open: u64,
    /// Those that had not ended yet and now have, about which it did not.
    untold: u64,
}

/// How long it takes to ask so many questions at that many a minute.
fn time_for(questions: u64, rate: u32) -> Duration {
    Duration::from_millis(questions.saturating_mul(60_000) / u64::from(rate.max(1)))
}

/// Pages in a row that showed no open job of ours.
#[derive(Debug, Default)]
struct Fruitless {
    pages: u64,
    /// Among them, those that showed nobody of ours at all.
    strange: u64,
}

impl Fruitless {
    fn turn(&mut self, page: Ours) {
        if page.open > 0 {
            *self = Self::default();
        } else {
            self.pages += 1;
            self.strange += u64::from(page.known == 0);
        }
    }

    /// Whether going on would hardly cost less than to ask about those that are due one by one.
    fn is_enough(&self, due: &Due) -> bool {
        self.strange > FRUITLESS_MAX + due.jobs / STRANGE_PER_DUE || self.pages > FRUITLESS_MAX + due.jobs / ENDED_PER_DUE
    }
}

fn unreadable(route: &Route, why: &AskError) -> Duration {
    match why {
        AskError::RateLimited { .. } => Duration::ZERO,
        AskError::NotFound | AskError::Refused(_) => {
            info!(route.name = %route.name, ?why, "the upstream has no list; jobs are asked about one by one");
            NO_LIST
        }
        AskError::Credential | AskError::Transient(_) => {
            warn!(route.name = %route.name, ?why, "the upstream's list cannot be read; jobs are asked about one by one");
            BROKEN
        }
    }
}

/// Whether nobody is due any more who was by then; if that cannot be known, the walk need not go on either.
async fn is_done(gw: &Gateway, home: &Home, by: Timestamp) -> bool {
    let due = gw.store.due(by).await;
    due.map_or(true, |due| due.iter().all(|due| due.home != *home))
}

/// Has everything count that a page says of jobs of ours; answers how many those are.
async fn take_in(gw: &Arc<Gateway>, desk: &Desk, route: &Route, home: &Home, listed: Vec<ListedJob>) -> Result<Ours, StoreError> {
    let ids: Vec<String> = listed.iter().map(|job| job.upstream_id.clone()).collect();
    let jobs = gw.store.of_upstream(home, &ids).await?;
    if !jobs.is_empty() {
        gw.accounts.is_the_same(home, route);
    }
    let mut listed: HashMap<String, ListedJob> = listed.into_iter().map(|job| (job.upstream_id.clone(), job)).collect();
    let (mut open, mut untold) = (Vec::new(), 0);
    for job in &jobs {
        let Some(listed) = job.upstream_id.as_ref().and_then(|id| listed.remove(id)) else { continue };
        match job.state {
            State::Accepted | State::Running => {
                untold += u64::from(!listed.says_all);
                open.push(take_in_one(gw, desk, route, job, listed));
            }
            _ => contradict(gw, desk, job, &listed.progress.phase),
        }
    }
    let count = |jobs: usize| u64::try_from(jobs).unwrap_or(u64::MAX);
    let shown = Ours { known: count(jobs.len()), open: count(open.len()).saturating_sub(untold), untold };
    // All at once, so that what they write is committed together.
    let later: Vec<Postponed> = join_all(open).await.into_iter().flatten().collect();
    if !later.is_empty() {
        gw.store.postpone(later, gw.clock.now()).await?;
    }
    Ok(shown)
}

/// Has what a list says of an open job count; whether, and until when, that puts it off.
async fn take_in_one(gw: &Arc<Gateway>, desk: &Desk, route: &Route, job: &Job, listed: ListedJob) -> Option<Postponed> {
    let later = |due_at| Some(Postponed { id: job.id, version: job.version, claim: None, due_at });
    if !listed.says_all {
        // It has ended, and the list does not say all of it.
        return later(gw.clock.now());
    }
    match settle(gw, &desk.watch, route, job, Answer::Told(listed.progress)).await {
        Ok(After::Same(due_at)) => later(due_at),
        Ok(After::Moved | After::Overtaken) => None,
        Err(stuck) => {
            warn!(job.id = %job.id, %stuck, "a job was not moved on; it stays due");
            None
        }
    }
}

/// The first end counts, and the money went with it; that the upstream now says otherwise is a person's to look at.
fn contradict(gw: &Gateway, desk: &Desk, job: &Job, says: &Phase) {
    // That it is still at work is what a list says that lags.
    let otherwise = matches!((job.state, says), (State::Failed, Phase::Completed) | (State::Completed, Phase::Failed { .. }));
    if otherwise && desk.watch.is_newly_contradicted(job.id) {
        gw.metrics.contradiction(&job.route);
        error!(job.id = %job.id, route.name = %job.route, job.state = %job.state, ?says,
            "the upstream contradicts how a job ended; that stands: look at the provider's bill");
    }
}

#[cfg(test)]
mod tests {
    use super::{Fruitless, Ours};
    use crate::clock::Timestamp;
    use crate::id::{Home, RouteName};
    use crate::store::Due;

    /// How many such pages are read, one after the other, while so many jobs are due.
    fn read(page: Ours, jobs: u64) -> u64 {
        let (due, mut fruitless) = (
            Due { home: Home { route: RouteName::new("openai"), account: None }, jobs, since: Timestamp::from_ms(0) },
            Fruitless::default(),
        );
        (1..=1_000)
            .find(|_| {
                fruitless.turn(page);
                fruitless.is_enough(&due)
            })
            .unwrap_or(u64::MAX)
    }

    #[test]
    fn a_strangers_list_is_given_up_soon_and_our_own_when_reading_on_costs_half_of_asking() {
        let (strangers, ended, open) = [(0, 0), (100, 0), (100, 1)].map(|(known, open)| Ours { known, open, untold: 0 }).into();
        assert_eq!([8, 400].map(|due| read(strangers, due)), [4, 12]);
        assert_eq!([8, 400].map(|due| read(ended, due)), [8, 204]);
        assert_eq!(read(open, 8), u64::MAX, "a page with somebody who is open is never in vain");
    }
}
