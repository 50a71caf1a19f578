//! Reads the reply to a request that costs money: the one judgement a dialect makes.
//!
//! | reply                                  | meaning                                    |
//! |----------------------------------------|--------------------------------------------|
//! | 2xx with an id                         | accepted                                   |
//! | 401 402 403 404 405 410 429            | refused; another route may be asked        |
//! | 400 413 415 422                        | the wish was rejected; nobody else is asked |
//! | … with a code about a model or money   | refused all the same                       |
//! | anything else                          | unclear; nobody is asked until we know     |
//!
//! A profile narrows the last row only where it is known that the upstream says so before it acts.
//!
//! A 410 takes the model out of rotation for everybody, so it has to be about the model: one client's wish, whose
//! picture has expired, must not do that to all others.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::fault::Fault;
use super::json::Object;
use super::{Profile, retry_after, video};
use crate::provider::{Accepted, RefusedReason, Rejection, Submission, SubmissionOrigin, SubmitError};

/// Whether a request brings something of its client's that could be gone, as a model could.
#[derive(Clone, Debug)]
pub(super) enum Brings {
    /// A prompt alone.
    Nothing {
        /// What the upstream calls the model.
        model: String,
    },
    /// A picture, a clip, characters, or fields beyond the protocol.
    Something,
}

impl Brings {
    /// What a submission brings.
    pub fn of(submission: &Submission<'_>) -> Self {
        let Submission { reference: None, characters: [], origin: SubmissionOrigin::Create, .. } = submission else {
            return Self::Something;
        };
        if submission.extras.is_empty() { Self::Nothing { model: submission.model.to_owned() } } else { Self::Something }
    }
}

/// What the reply to a submission means.
pub(super) fn accepted(profile: &Profile, brings: &Brings, reply: &Response<Bytes>) -> Result<Accepted, SubmitError> {
    if !reply.status().is_success() {
        return Err(declined(profile, brings, reply));
    }
    let Some(object) = Object::parse(reply.body()) else {
        return Err(unclear(reply, "a body that is not a JSON object"));
    };
    if let Some(upstream_id) = video::id(profile, &object) {
        return Ok(Accepted { upstream_id, progress: video::progress(profile, &object) });
    }
    if profile.complains_in_success && object.has("error") {
        return Err(complaint_in_success(reply, Fault::of(&object)));
    }
    Err(unclear(reply, "no id that we could ask about"))
}

/// What a reply other than 2xx means.
fn declined(profile: &Profile, brings: &Brings, reply: &Response<Bytes>) -> SubmitError {
    use RefusedReason as Why;

    let fault = Fault::read(reply.body());
    let told = fault.refused_reason();
    match reply.status().as_u16() {
        400 | 413 | 415 | 422 => match told {
            Some(reason) => refused(reply, &fault, reason),
            None => rejected(reply.status(), fault),
        },
        401 | 403 => refused(reply, &fault, told.unwrap_or(Why::Credential)),
        402 => refused(reply, &fault, Why::Quota),
        404 | 405 if fault.is_about_input() => refused(reply, &fault, told.unwrap_or(Why::InputGone)),
        404 | 405 => refused(reply, &fault, told.unwrap_or(Why::Unavailable)),
        410 => refused(reply, &fault, told.unwrap_or_else(|| gone(brings, &fault))),
        429 => {
            let busy = if fault.is_too_many_jobs() { Why::TooManyJobs } else { Why::RateLimited };
            refused(reply, &fault, told.unwrap_or(busy))
        }
        503 if profile.refuses_for_want_of_channel && fault.is_no_channel() => refused(reply, &fault, Why::ModelGone),
        _ => unclear(reply, &fault.message()),
    }
}

/// What is gone, by a 410 without a code that we know. Of a wish that brings something, its message is not read.
fn gone(brings: &Brings, fault: &Fault) -> RefusedReason {
    let is_model = fault.is_about_model()
        || match brings {
            Brings::Nothing { model } => !fault.is_about_input() && (fault.code.is_none() || fault.names(model)),
            Brings::Something => false,
        };
    if is_model { RefusedReason::ModelGone } else { RefusedReason::InputGone }
}

/// What a complaint in place of a job means: as much as its code says, and otherwise nothing.
fn complaint_in_success(reply: &Response<Bytes>, fault: Fault) -> SubmitError {
    match fault.refused_reason() {
        Some(reason) => refused(reply, &fault, reason),
        None if fault.is_moderation() || fault.is_invalid() => rejected(StatusCode::BAD_REQUEST, fault),
        None => unclear(reply, &fault.message()),
    }
}

fn refused(reply: &Response<Bytes>, fault: &Fault, reason: RefusedReason) -> SubmitError {
    SubmitError::Refused { status: reply.status(), reason, retry_after_secs: retry_after::read(reply.headers()), message: fault.message() }
}

fn rejected(status: StatusCode, fault: Fault) -> SubmitError {
    let message = fault.message();
    SubmitError::Rejected(Rejection { status, code: fault.code, param: fault.param, message })
}

fn unclear(reply: &Response<Bytes>, what: &str) -> SubmitError {
    SubmitError::Unclear(format!("the provider answered {}: {what}", reply.status().as_u16()))
}

#[cfg(test)]
mod tests;
