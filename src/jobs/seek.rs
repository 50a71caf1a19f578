//! Whether an upstream that denies a job lists it all the same: the second witness before a job is lost.
//!
//! One reading of the list serves all who are denied at about the same time, however many those are.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tracing::warn;

use super::lane::Lane;
use super::pages;
use super::settle::Answer;
use super::watch::Watch;
use crate::accounts::{REMEDY, Way};
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::policy::Route;
use crate::provider::{AskError, Progress};
use crate::store::Job;

/// Pages that are read at most: ten thousand jobs.
const PAGES_MAX: usize = 100;
/// How long a reading counts; whoever is denied has been for ten minutes.
const FRESH_FOR: Duration = Duration::from_secs(60);
/// The upstream's clock and ours may differ by this much.
const SLACK: Duration = Duration::from_secs(300);

/// What a list showed, back to some moment.
#[derive(Debug)]
pub struct Reading {
    at: Instant,
    /// How far back it goes; `None` is to its very end, and so it does if there is no list.
    back_to: Option<Timestamp>,
    shown: HashMap<String, Progress>,
}

impl Reading {
    fn reaches(&self, moment: Timestamp) -> bool {
        self.back_to.is_none_or(|back_to| back_to < moment)
    }
}

/// What the answer to a question about a job amounts to, with the list heard where one denial more would lose the job.
pub async fn weigh(gw: &Gateway, watch: &Watch, lane: &Lane, way: &Way, job: &Job, answer: Result<Progress, AskError>) -> Answer {
    let route = way.route();
    match answer {
        // What is shown there may be another account's key, which cannot know it.
        Err(AskError::NotFound) if way.own().is_none() => {
            if watch.is_newly_strange(job.id) {
                warn!(job.id = %job.id, route.name = %route.name, "the present key of its route does not know a job that was sent with a former one, which may be another account's; {REMEDY}");
            }
            Answer::Silent(AskError::NotFound)
        }
        Ok(progress) => Answer::Told(progress),
        Err(AskError::NotFound) if watch.is_denied(job.id, gw.clock.now()) => second_witness(gw, lane, route, job).await,
        Err(why) => Answer::Silent(why),
    }
}

async fn second_witness(gw: &Gateway, lane: &Lane, route: &Route, job: &Job) -> Answer {
    let since = job.attempted_at.before(SLACK);
    let mut reading = lane.reading().await;
    if !reading.as_ref().is_some_and(|reading| reading.at.elapsed() < FRESH_FOR && reading.reaches(since)) {
        *reading = read(gw, lane, route, since).await;
    }
    let Some(reading) = &*reading else { return Answer::Silent(AskError::NotFound) };
    match job.upstream_id.as_ref().and_then(|id| reading.shown.get(id)) {
        Some(progress) => {
            warn!(job.id = %job.id, route.name = %route.name, "the upstream denies a job that its list shows; the list counts");
            Answer::Told(progress.clone())
        }
        None if reading.reaches(since) => Answer::Denied,
        None => Answer::Silent(AskError::NotFound),
    }
}

/// Reads the list back to `since`; `None` if it cannot be read.
async fn read(gw: &Gateway, lane: &Lane, route: &Route, since: Timestamp) -> Option<Reading> {
    let mut reading = Reading { at: Instant::now(), back_to: None, shown: HashMap::new() };
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let page = match pages::read(gw, route, after.as_deref()).await {
            // There is no list to be shown in.
            None | Some(Err(AskError::NotFound | AskError::Refused(_))) => return Some(Reading { back_to: None, ..reading }),
            Some(answer) => {
                lane.hear(&answer);
                answer.ok()?
            }
        };
        reading.back_to = page.jobs.last().map(|job| job.created_at);
        reading.shown.extend(page.jobs.into_iter().map(|job| (job.upstream_id, job.progress)));
        after = page.next;
        if after.is_none() {
            return Some(Reading { back_to: None, ..reading });
        }
        if reading.reaches(since) {
            break;
        }
    }
    Some(reading)
}
