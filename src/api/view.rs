//! A job as its tenant sees it.

use std::time::Duration;

use super::intake::Caller;
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::hall::Place;
use crate::job::State;
use crate::store::Job;
use crate::wire::{self, QueueView, VideoView};

/// How long a link to content is good for.
const LINK_GOOD_FOR: Duration = Duration::from_secs(60 * 60);

/// When the client of an unknown job is told, should its route be gone.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(10 * 60);

/// The public JSON of a job.
pub fn video(gw: &Gateway, caller: &Caller, job: &Job) -> Vec<u8> {
    let now = gw.clock.now();
    let output_url = output_url(gw, caller, job, now);
    wire::video(&view(gw, caller, job, now, output_url.as_deref()))
}

/// The public JSON of a job as it was when it was made: what a creation is answered with, however often it is
/// sent. Only a job that went on to another route after its first answer may show that one's length and size.
pub fn as_created(gw: &Gateway, caller: &Caller, job: &Job) -> Vec<u8> {
    let (state, progress, error, ended_at, expires_at) = (State::Accepted, 0, None, None, None);
    video(gw, caller, &Job { state, progress, error, ended_at, expires_at, ..job.clone() })
}

/// The public JSON of a page of jobs.
pub fn list<'a>(gw: &Gateway, caller: &Caller, jobs: impl Iterator<Item = &'a Job>, has_more: bool) -> Vec<u8> {
    let now = gw.clock.now();
    let linked: Vec<(&Job, Option<String>)> = jobs.map(|job| (job, output_url(gw, caller, job, now))).collect();
    let views: Vec<VideoView<'_>> = linked.iter().map(|(job, url)| view(gw, caller, job, now, url.as_deref())).collect();
    wire::list(&views, has_more)
}

/// A link to the bytes of a completed job, good for an hour.
fn output_url(gw: &Gateway, caller: &Caller, job: &Job, now: Timestamp) -> Option<String> {
    if job.state != State::Completed {
        return None;
    }
    let token = gw.links.token(job.id, &job.tenant, now.after(LINK_GOOD_FOR));
    Some(format!("{}/v1/videos/{}/content?token={token}", caller.base_url, job.id))
}

/// Whether the client is told that a job failed though its outcome is only unknown, and has been for long.
/// Its money stays held; should it be found, it is shown as what it is then.
pub fn is_given_up(caller: &Caller, job: &Job, now: Timestamp) -> bool {
    let tell_after = || caller.policy.route_of(&job.route).map_or(GIVEN_UP_AFTER, |route| route.unknown.tell_after);
    job.state == State::Unknown && now.since(job.attempted_at) > tell_after()
}

/// Where a job stands in line, if it does and that is known.
pub fn place(gw: &Gateway, job: &Job) -> Option<Place> {
    (job.state == State::Waiting).then(|| gw.hall.place(job.id)).flatten()
}

fn view<'a>(gw: &Gateway, caller: &Caller, job: &'a Job, now: Timestamp, output_url: Option<&'a str>) -> VideoView<'a> {
    let is_given_up = is_given_up(caller, job, now);
    let error = job.error.as_ref().map(|error| (error.code.as_str(), error.message.as_str()));
    VideoView {
        id: job.id,
        model: &job.model,
        status: wire::public_status(if is_given_up { State::Failed } else { job.state }),
        progress: if job.state == State::Completed { 100 } else { job.progress },
        created_at: job.created_at,
        completed_at: job.ended_at.filter(|_| job.state == State::Completed),
        expires_at: job.expires_at,
        prompt: Some(&job.prompt),
        size: job.size,
        seconds: job.seconds,
        remixed_from: job.source.filter(|_| job.operation == "remix"),
        error: error.or(is_given_up.then_some(wire::OUTCOME_UNKNOWN)),
        output_url,
        // One that waits is on no route yet.
        route: (caller.tenant.show_route && job.state != State::Waiting).then_some(job.route.as_str()),
        queue: place(gw, job)
            .map(|place| QueueView { position: place.position, starts_in_seconds: place.starts_in.as_secs_f64().ceil() as u64 }),
    }
}
