//! Written down: the outcome of a paid request, held on to until the books have it.
//!
//! An outcome that was heard is never dropped: while the database does not take it, it is brought again, and an
//! upstream's id is in the emergency journal meanwhile. Knows nothing of routes or of what comes next.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use crate::emergency::{Emergency, Entry};
use crate::gateway::Gateway;
use crate::job::{Event, State, step};
use crate::owing;
use crate::refusal::Refusal;
use crate::store::{ApplyError, Facts, Job};

/// How long the outcome of a paid request is held on to while the database does not take it.
const WRITE_DOWN_FOR: Duration = Duration::from_secs(30);

/// Writes what is known of an attempt, for as long as it takes up to a bound.
///
/// Past the bound the job's row still says `submitting`, which is the truth a restart recovers from; an
/// upstream's id is in the emergency journal by then, and is taken over from there.
pub(super) async fn write_down(gw: &Gateway, mut job: Arc<Job>, event: Event, facts: Facts) -> Result<Arc<Job>, Refusal> {
    let mut wait = Duration::from_millis(50);
    let mut noted = None;
    // A write whose answer was lost: it may have been done.
    let mut in_doubt = false;
    let give_up = tokio::time::Instant::now() + WRITE_DOWN_FOR;
    loop {
        if event == Event::Accepted && job.upstream_id.is_some() && job.upstream_id == facts.upstream_id {
            // A late reply, and the sweeper was faster: it says what is known already.
            return Ok(job);
        }
        let step = step(job.state, event).map_err(|illegal| {
            error!(job.id = %job.id, %illegal, "a job saw what it cannot see");
            Refusal::Internal
        })?;
        match owing::apply(gw, &job, step, facts.clone()).await {
            Ok(job) => {
                if job.state.is_final() {
                    gw.metrics.ended(&job);
                }
                if let Some(attempt) = noted {
                    in_emergency(gw, move |journal| journal.applied(&[attempt])).await;
                }
                return Ok(job);
            }
            Err(ApplyError::Duplicate(upstream_id)) => {
                error!(job.id = %job.id, upstream.id = upstream_id, "the upstream gave one id to two jobs; this one stays unknown");
                let unclear = Facts { outcome: Some("unclear"), ..Facts::default() };
                return Box::pin(write_down(gw, job, Event::Unclear, unclear)).await;
            }
            Err(ApplyError::Moved) => match gw.store.job(&job.tenant, job.id).await {
                // Its client deleted it between two routes, and that it ended is all there was to say.
                Ok(None) if event == Event::Exhausted => return Ok(job),
                Ok(Some(now)) if is_said(event, step.to, &job, &now, in_doubt) => return Ok(now),
                Ok(Some(now)) if now.version != job.version => job = now,
                Ok(_) | Err(_) => tokio::time::sleep(wait).await,
            },
            Err(ApplyError::Store(why)) => {
                error!(job.id = %job.id, ?event, upstream.id = facts.upstream_id, %why, "an outcome cannot be written down yet");
                in_doubt = true;
                if let (None, Some(upstream_id)) = (noted, &facts.upstream_id) {
                    let (attempt, route, at) = (job.attempt, job.route.clone(), gw.clock.now());
                    let entry = Entry { attempt, job: job.id, route, upstream_id: upstream_id.clone(), at };
                    noted = in_emergency(gw, move |journal| journal.write(entry)).await.then_some(attempt);
                }
                tokio::time::sleep(wait).await;
            }
        }
        wait = (wait * 2).min(Duration::from_secs(2));
        if tokio::time::Instant::now() > give_up {
            return if job.state == State::Submitting && event != Event::Rejected { Ok(job) } else { Err(Refusal::Internal) };
        }
    }
}

/// Whether there is nothing left to write, as the books have a job by now that somebody moved since `before`. If `in_doubt`
/// that may have been this very outcome, and others may have gone on from there.
fn is_said(event: Event, to: State, before: &Job, now: &Job, in_doubt: bool) -> bool {
    let is_ours = now.attempt == before.attempt;
    match event {
        Event::Exhausted => now.state == State::Released,
        // Whatever else is known of the attempt is more than that.
        Event::Unclear => !is_ours || now.state != State::Submitting,
        // Another sending of the wish went on, or stands in line with it.
        Event::TurnedAway if in_doubt => !is_ours || !matches!(now.state, State::Submitting | State::Unknown),
        _ => in_doubt && now.state == to && now.version == before.version + 1,
    }
}

/// Does something with the emergency journal; whether it worked.
async fn in_emergency(gw: &Gateway, work: impl FnOnce(&Emergency) -> io::Result<()> + Send + 'static) -> bool {
    let journal = gw.emergency.clone();
    let done = tokio::task::spawn_blocking(move || work(&journal)).await;
    let done = done.unwrap_or_else(|died| Err(io::Error::other(died)));
    done.inspect_err(|why| error!(%why, "the emergency journal cannot be written")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_said;
    use crate::id::AttemptId;
    use crate::job::{Event, State};
    use crate::standing::sample;
    use crate::store::Job;

    fn later(before: &Job, state: State, versions: i64) -> Job {
        Job { state, version: before.version + versions, ..before.clone() }
    }

    #[test]
    fn an_unclear_outcome_has_nothing_to_add_to_what_is_known() {
        let before = sample::job(State::Submitting);
        let said = |now: &Job, in_doubt| is_said(Event::Unclear, State::Unknown, &before, now, in_doubt);
        // Written, answered by nobody, and found in the list of the provider by the time that it is written again.
        assert!(said(&later(&before, State::Accepted, 2), true));
        for state in [State::Unknown, State::Running, State::Completed, State::Released] {
            assert!(said(&later(&before, state, 3), false), "{state:?}");
        }
        assert!(!said(&later(&before, State::Submitting, 1), true), "of that it has");
    }

    #[test]
    fn a_refusal_that_was_written_is_not_held_against_the_attempt_that_followed() {
        let before = sample::job(State::Submitting);
        let said = |now: &Job, in_doubt| is_said(Event::TurnedAway, State::Reserved, &before, now, in_doubt);
        let next = Job { attempt: AttemptId::mint(), ..later(&before, State::Submitting, 2) };
        assert!(said(&next, true), "another sending asks somebody else");
        assert!(said(&later(&before, State::Reserved, 1), true) && said(&later(&before, State::Waiting, 2), true));
        // Somebody gave the reply up, and it has come after all.
        assert!(!said(&later(&before, State::Unknown, 1), true) && !said(&later(&before, State::Unknown, 1), false));
    }

    #[test]
    fn any_other_outcome_is_said_only_by_having_been_written() {
        let before = sample::job(State::Submitting);
        let said = |event, to, now: &Job, in_doubt| is_said(event, to, &before, now, in_doubt);
        let rejected = later(&before, State::Released, 1);
        assert!(said(Event::Rejected, State::Released, &rejected, true) && !said(Event::Rejected, State::Released, &rejected, false));
        assert!(said(Event::Exhausted, State::Released, &rejected, false), "that it ended is all there was to say");
        assert!(!said(Event::Accepted, State::Accepted, &later(&before, State::Unknown, 1), true), "the id is not there yet");
    }
}
