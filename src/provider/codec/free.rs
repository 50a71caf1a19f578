//! Reads the replies to questions that cost nothing and may be asked again.
//!
//! The invariant: a question that was not answered never looks like an answer. A poll ends a job
//! only on the upstream's word, and a page of a list is read whole or not at all, because the
//! absence of a job from it may end a hold.

use bytes::Bytes;
use http::Response;

use super::fault::Fault;
use super::json::Object;
use super::{Profile, retry_after, video};
use crate::provider::{AskError, Listing, Looks, Phase, Progress};

/// How a job is doing.
///
/// A refusal here would be for good only if we could ask no better; it is read as transient, and
/// the job stays open until the upstream says something of the job itself.
pub(super) fn progress(profile: &Profile, reply: &Response<Bytes>) -> Result<Progress, AskError> {
    if !reply.status().is_success() {
        let told = if profile.fails_polls_of_failed_jobs { failed_job(profile, reply) } else { None };
        return told.ok_or_else(|| match unanswered(reply) {
            AskError::Refused(what) => AskError::Transient(what),
            other => other,
        });
    }
    let object = Object::parse(reply.body()).ok_or_else(|| unreadable(reply))?;
    if let Some(progress) = video::progress(profile, &object) {
        return Ok(progress);
    }
    let fault = Fault::of(&object);
    Err(if fault.is_no_such_job() { AskError::NotFound } else { AskError::Transient(format!("no status: {}", fault.message())) })
}

/// What a job looks like.
pub(super) fn looks(profile: &Profile, reply: &Response<Bytes>) -> Result<Looks, AskError> {
    if !reply.status().is_success() {
        return Err(unanswered(reply));
    }
    let object = Object::parse(reply.body()).ok_or_else(|| unreadable(reply))?;
    video::looks(profile, &object).ok_or(AskError::NotFound)
}

/// A page of the account's jobs, of those that follow `after`.
pub(super) fn listing(profile: &Profile, after: Option<&str>, reply: &Response<Bytes>) -> Result<Listing, AskError> {
    if !reply.status().is_success() {
        return Err(unanswered(reply));
    }
    let page = Object::parse(reply.body()).ok_or_else(|| unreadable(reply))?;
    let items = page.items("data").ok_or_else(|| unreadable(reply))?;
    let jobs: Option<Vec<_>> = items.into_iter().map(|item| video::listed(profile, item)).collect();
    let jobs = jobs.ok_or_else(|| AskError::Transient("the list has a job that cannot be read".to_owned()))?;
    let told_at = retry_after::told_at(reply.headers());
    // Servers that do not say whether there is more get asked once more, for an empty page.
    let has_more = page.flag("has_more").unwrap_or(!jobs.is_empty());
    if !has_more {
        return Ok(Listing { jobs, next: None, told_at });
    }
    let Some(next) = page.text("last_id").or_else(|| jobs.last().map(|job| job.upstream_id.clone())) else {
        return Err(AskError::Transient("the list has more jobs and does not say from where on".to_owned()));
    };
    if after == Some(next.as_str()) {
        return Err(AskError::Transient("the list does not go on from where it is told to".to_owned()));
    }
    Ok(Listing { jobs, next: Some(next), told_at })
}

/// Whether a job was deleted.
pub(super) fn deleted(reply: &Response<Bytes>) -> Result<(), AskError> {
    if reply.status().is_success() { Ok(()) } else { Err(unanswered(reply)) }
}

/// Whether the upstream is well, and the models that it names. One that has no list of them is well if it says so.
pub(super) fn well(reply: &Response<Bytes>) -> Result<Option<Vec<String>>, AskError> {
    match reply.status().as_u16() {
        200..300 => Ok(models(reply)),
        404 | 405 => Ok(None),
        _ => Err(unanswered(reply)),
    }
}

/// The names in a list of models, if that is what this is: all of it, or it tells nothing.
fn models(reply: &Response<Bytes>) -> Option<Vec<String>> {
    let page = Object::parse(reply.body())?;
    let whole = !page.flag("has_more").unwrap_or(false);
    let items = page.items("data").filter(|_| whole)?;
    items.into_iter().map(|item| Object::of(item)?.text("id")).collect()
}

/// A failed job that is told with an error status, if that is what this is.
fn failed_job(profile: &Profile, reply: &Response<Bytes>) -> Option<Progress> {
    let object = Object::parse(reply.body())?;
    video::id(profile, &object)?;
    video::progress(profile, &object).filter(|progress| matches!(progress.phase, Phase::Failed { .. }))
}

/// Why a reply other than 2xx is no answer.
pub(in crate::provider) fn unanswered(reply: &Response<Bytes>) -> AskError {
    let fault = Fault::read(reply.body());
    if fault.is_no_such_job() {
        return AskError::NotFound;
    }
    let what = format!("the provider answered {}: {}", reply.status().as_u16(), fault.message());
    match reply.status().as_u16() {
        401 | 403 => AskError::Credential,
        404 | 410 => AskError::NotFound,
        429 => AskError::RateLimited { retry_after_secs: retry_after::read(reply.headers()) },
        400 | 405 | 409 | 422 | 501 => AskError::Refused(what),
        _ => AskError::Transient(what),
    }
}

fn unreadable(reply: &Response<Bytes>) -> AskError {
    AskError::Transient(format!("the provider answered {} with a body that cannot be read", reply.status().as_u16()))
}

#[cfg(test)]
mod tests;
