//! Reads a job as an upstream tells of it, in any of the shapes that have been seen on the wire:
//! OpenAI's flat object; a relay's `{"data": {…}}` with upper-case states and `"42%"`, where the
//! address of the bytes may sit in `fail_reason`; `output` lists; `video_url`.

use serde_json::value::RawValue;

use super::Profile;
use super::fault::{Fault, scrub};
use super::json::{Object, text, whole};
use super::status::{Meaning, meaning};
use crate::clock::Timestamp;
use crate::money::MicroUsd;
use crate::provider::{ListedJob, Looks, Phase, Progress};

/// The longest id that is accepted, in bytes.
const ID_BYTES_MAX: usize = 512;
/// The longest address that is kept, in bytes; signed ones run to some two thousand.
const URL_BYTES_MAX: usize = 8_192;
/// The longest word for a state that is kept, in characters.
const STATUS_CHARS_MAX: usize = 40;
/// How deep the address of the bytes may lie: the envelope, and what it wraps.
const URL_DEPTH_MAX: usize = 2;

/// The id of the job that a reply tells of: 1 to 512 visible ASCII characters.
pub(super) fn id(profile: &Profile, reply: &Object<'_>) -> Option<String> {
    wrapped(profile, reply).and_then(|job| own_id(profile, &job)).or_else(|| own_id(profile, reply))
}

/// How far along the job is that a reply tells of; `None` if it does not say.
pub(super) fn progress(profile: &Profile, reply: &Object<'_>) -> Option<Progress> {
    let wrapped = wrapped(profile, reply).filter(|job| job.text("status").is_some());
    let job = wrapped.as_ref().unwrap_or(reply);
    let word = job.text("status")?;
    let phase = phase(meaning(&word), job);
    let is_final = matches!(phase, Phase::Completed | Phase::Failed { .. });
    let is_made = phase == Phase::Completed;
    Some(Progress {
        percent: job.word("progress").and_then(|text| percent(&text)),
        raw_status: scrub(&word).chars().take(STATUS_CHARS_MAX).collect(),
        result_url: if is_made && profile.names_result_urls { result_url(job, URL_DEPTH_MAX) } else { None },
        expires_at: job.number("expires_at").and_then(moment),
        // Before the end it is an estimate, or a zero.
        reported_cost: if is_final && profile.reports_cost { cost(job) } else { None },
        phase,
    })
}

/// What the job looks like that a reply tells of; `None` if it tells of none.
pub(super) fn looks(profile: &Profile, reply: &Object<'_>) -> Option<Looks> {
    let wrapped = wrapped(profile, reply).filter(|job| job.text("status").is_some());
    let job = wrapped.as_ref().unwrap_or(reply);
    job.text("status")?;
    Some(Looks {
        prompt: job.text("prompt"),
        seconds: job.word("seconds").and_then(|text| text.parse().ok()),
        size: job.text("size").and_then(|text| text.parse().ok()),
    })
}

/// What an envelope holds. An object that has an id and a status is the job itself and no envelope;
/// a status alone may be the envelope's own `success`.
fn wrapped<'a>(profile: &Profile, reply: &Object<'a>) -> Option<Object<'a>> {
    let is_job = own_id(profile, reply).is_some() && reply.text("status").is_some();
    if is_job { None } else { reply.object(profile.envelope?) }
}

fn own_id(profile: &Profile, job: &Object<'_>) -> Option<String> {
    let is_id = |id: &String| (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    profile.id_fields.iter().find_map(|name| job.text(name).filter(is_id))
}

/// A job in a list; `None` if what is needed to recognise it is missing.
pub(super) fn listed(profile: &Profile, item: &RawValue) -> Option<ListedJob> {
    let job = Object::of(item)?;
    let progress = progress(profile, &job)?;
    Some(ListedJob {
        upstream_id: id(profile, &job)?,
        created_at: job.number("created_at").and_then(moment)?,
        model: job.text("model")?,
        prompt: job.text("prompt"),
        seconds: job.word("seconds").and_then(|text| text.parse().ok()),
        size: job.text("size").and_then(|text| text.parse().ok()),
        says_all: says_all(profile, &progress, &job),
        progress,
    })
}

/// Whether nothing is missing of what a question about the job could tell of its end.
fn says_all(profile: &Profile, progress: &Progress, job: &Object<'_>) -> bool {
    match progress.phase {
        Phase::Queued | Phase::Running => true,
        Phase::Completed => {
            (progress.result_url.is_some() || !profile.names_result_urls) && (progress.reported_cost.is_some() || !profile.reports_cost)
        }
        Phase::Failed { .. } => failure_message(job).is_some(),
    }
}

fn phase(meaning: Meaning, job: &Object<'_>) -> Phase {
    let failed = |code: &str, otherwise: &str| {
        let message = failure_message(job).unwrap_or_else(|| otherwise.to_owned());
        Phase::Failed { code: code.to_owned(), message }
    };
    match meaning {
        Meaning::Queued => Phase::Queued,
        Meaning::Running | Meaning::Unknown => Phase::Running,
        Meaning::Completed => Phase::Completed,
        Meaning::Failed => failed(&failure_code(job), "The provider could not make the video and did not say why."),
        Meaning::Cancelled => failed("cancelled", "The provider cancelled the video."),
        Meaning::Expired => failed("expired", "The provider gave the video up because it was not made in time."),
    }
}

/// The public code of a failure: moderation has many names and clients know one of them.
fn failure_code(job: &Object<'_>) -> String {
    let fault = if job.has("error") { Fault::of(job) } else { Fault::default() };
    if fault.is_moderation() {
        return "moderation_blocked".to_owned();
    }
    fault.code.unwrap_or_else(|| "video_generation_failed".to_owned())
}

fn failure_message(job: &Object<'_>) -> Option<String> {
    let fault = if job.has("error") { Fault::of(job) } else { Fault::default() };
    if !fault.is_silent() {
        return Some(fault.message());
    }
    let reason = job.text("fail_reason").or_else(|| job.text("failure_reason"))?;
    Some(scrub(&reason)).filter(|reason| !reason.is_empty())
}

/// The address of the bytes, wherever the upstream puts it.
fn result_url(job: &Object<'_>, depth: usize) -> Option<String> {
    let named =
        |object: &Object<'_>| ["video_url", "url", "result_url"].iter().find_map(|name| object.text(name).filter(|url| is_url(url)));
    let nested = |name: &str| job.object(name).as_ref().and_then(named);
    named(job)
        .or_else(|| {
            job.items("output")?.into_iter().find_map(|item| text(item).filter(|url| is_url(url)).or_else(|| named(&Object::of(item)?)))
        })
        .or_else(|| job.text("output").filter(|url| is_url(url)))
        .or_else(|| ["output", "metadata", "content"].into_iter().find_map(nested))
        .or_else(|| job.text("fail_reason").filter(|url| is_url(url)))
        .or_else(|| if depth == 0 { None } else { result_url(&job.object("data")?, depth - 1) })
}

fn is_url(text: &str) -> bool {
    text.len() <= URL_BYTES_MAX && (text.starts_with("https://") || text.starts_with("http://"))
}

/// `42`, `42.7`, `42%` and `100%` as a percentage; nothing below zero, nothing above a hundred.
fn percent(text: &str) -> Option<u8> {
    let percent = whole(text.trim().trim_end_matches('%').trim_end())?;
    u64::try_from(percent).ok().map(|percent| u8::try_from(percent.min(100)).unwrap_or(100))
}

/// A moment in Unix seconds.
fn moment(number: &str) -> Option<Timestamp> {
    whole(number).map(Timestamp::from_secs)
}

/// What the upstream says the job cost. Read from the digits it wrote: what is not an exact amount is no amount.
fn cost(job: &Object<'_>) -> Option<MicroUsd> {
    let usage = job.object("usage");
    let written = job.number("cost").or_else(|| usage.as_ref()?.number("cost"))?;
    written.parse().ok().filter(|amount: &MicroUsd| !amount.is_negative())
}

#[cfg(test)]
mod tests;
