//! The one codec of the OpenAI videos family: every dialect of it is a [`Profile`] of quirks.
//!
//! `request` and `multipart` write what is sent; `paid` and `free` read what comes back, by whether
//! the question cost money; `video` folds a job, `status` its state, `fault` a complaint into our
//! words; `content` says where the bytes are; `json` is the lenient way into a foreign object.
//!
//! Knows no dialect by name. The invariant: whatever arrives is read without panicking, and a paid
//! request counts as accepted only with an id, as refused only on a complete refusal.

use bytes::Bytes;
use http::{Method, Request, Response};

use crate::provider::{
    Accepted, AskError, Call, Download, Endpoint, Handle, Listing, Looks, Progress, Proof, Provider, Submission, SubmitError, Unsupported,
    Variant,
};
use crate::video::Upload;

mod content;
mod fault;
mod free;
mod json;
mod multipart;
mod paid;
pub(super) mod request;
mod retry_after;
mod status;
mod video;

pub(super) use free::unanswered;
pub(super) use json::Object;
use paid::Brings;
pub use status::is_known_status;

/// How one upstream's dialect departs from OpenAI's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    /// The dialect's name in the policy.
    pub name: &'static str,
    /// `base_url` when the policy gives none.
    pub default_base_url: Option<&'static str>,
    /// Where a key goes.
    pub key_header: KeyHeader,
    /// What it offers beside creating, asking and fetching.
    pub operations: Operations,
    /// Where a reply carries the job's id, best first.
    pub id_fields: &'static [&'static str],
    /// The member that a reply may be wrapped in.
    pub envelope: Option<&'static str>,
    /// Whether a finished job may name the address of its bytes.
    pub names_result_urls: bool,
    /// Which files a finished job has.
    pub variants: Variants,
    /// Whether a price in a reply is in dollars and is the price of this job.
    pub reports_cost: bool,
    /// Whether a failed job is told with a 4xx or 5xx that carries the job.
    pub fails_polls_of_failed_jobs: bool,
    /// Whether a 503 for want of a channel is said before anything is passed on, and so refuses for certain.
    pub refuses_for_want_of_channel: bool,
    /// Whether a 2xx may carry a complaint in place of a job.
    pub complains_in_success: bool,
}

/// The header that carries a key; a bearer token is always in `authorization`.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyHeader {
    /// `authorization: Bearer …`
    Bearer,
    /// `api-key: …`
    ApiKey,
}

/// What a dialect offers beside creating, asking and fetching.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operations {
    /// `POST /videos/{id}/remix`
    pub remix: bool,
    /// `POST /videos/edits`
    pub edit: bool,
    /// `POST /videos/extensions`
    pub extend: bool,
    /// `POST /videos/characters`, and naming characters in a submission.
    pub characters: bool,
    /// `GET /videos`
    pub list: bool,
    /// `DELETE /videos/{id}`
    pub delete: bool,
    /// A reference picture by address or file id, beside one that is sent along.
    pub reference_objects: bool,
    /// Fields beyond the protocol in remixes, edits and extensions, beside clips from a prompt.
    pub extras_everywhere: bool,
}

/// Which files a finished job has under its content path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Variants {
    /// All, chosen by `?variant=`.
    All,
    /// The clip, and the query must be left away: some read it as a number and answer 404.
    VideoOnly,
}

impl Provider for Profile {
    fn name(&self) -> &'static str {
        self.name
    }

    fn default_base_url(&self) -> Option<&'static str> {
        self.default_base_url
    }

    fn can_submit(&self, submission: &Submission<'_>) -> Result<(), Unsupported> {
        request::content_of(self, submission).map(drop)
    }

    fn submit(
        &self,
        endpoint: &Endpoint,
        proof: &Proof<'_>,
        submission: &Submission<'_>,
    ) -> Result<Call<Result<Accepted, SubmitError>>, Unsupported> {
        let profile = *self;
        let request = request::submission(self, endpoint, proof, submission)?;
        let brings = Brings::of(submission);
        Ok(call(request, move |reply| paid::accepted(&profile, &brings, &reply)))
    }

    fn progress(&self, endpoint: &Endpoint, proof: &Proof<'_>, job: Handle<'_>) -> Call<Result<Progress, AskError>> {
        let profile = *self;
        let request = request::about(self, endpoint, proof, Method::GET, &request::job_path(job.upstream_id));
        call(request, move |reply| free::progress(&profile, &reply))
    }

    fn looks(&self, endpoint: &Endpoint, proof: &Proof<'_>, job: Handle<'_>) -> Call<Result<Looks, AskError>> {
        let profile = *self;
        let request = request::about(self, endpoint, proof, Method::GET, &request::job_path(job.upstream_id));
        call(request, move |reply| free::looks(&profile, &reply))
    }

    fn list(&self, endpoint: &Endpoint, proof: &Proof<'_>, after: Option<&str>) -> Option<Call<Result<Listing, AskError>>> {
        if !self.operations.list {
            return None;
        }
        let (profile, after) = (*self, after.map(str::to_owned));
        let request = request::about(self, endpoint, proof, Method::GET, &request::list_path(after.as_deref()));
        Some(call(request, move |reply| free::listing(&profile, after.as_deref(), &reply)))
    }

    fn delete(&self, endpoint: &Endpoint, proof: &Proof<'_>, job: Handle<'_>) -> Option<Call<Result<(), AskError>>> {
        if !self.operations.delete {
            return None;
        }
        let request = request::about(self, endpoint, proof, Method::DELETE, &request::job_path(job.upstream_id));
        Some(call(request, |reply| free::deleted(&reply)))
    }

    fn content(
        &self,
        endpoint: &Endpoint,
        proof: &Proof<'_>,
        job: Handle<'_>,
        variant: Variant,
        range: Option<&str>,
    ) -> Result<Download, Unsupported> {
        content::download(self, endpoint, proof, job, variant, range)
    }

    fn create_character(
        &self,
        endpoint: &Endpoint,
        proof: &Proof<'_>,
        name: &str,
        video: &Upload,
    ) -> Result<Call<Result<String, SubmitError>>, Unsupported> {
        let profile = *self;
        let request = request::character(self, endpoint, proof, name, video)?;
        Ok(call(request, move |reply| paid::accepted(&profile, &Brings::Something, &reply).map(|accepted| accepted.upstream_id)))
    }

    fn ping(&self, endpoint: &Endpoint, proof: &Proof<'_>) -> Call<Result<Option<Vec<String>>, AskError>> {
        call(request::about(self, endpoint, proof, Method::GET, "/models"), |reply| free::well(&reply))
    }
}

/// A request together with what reads its reply.
pub(super) fn call<T>(request: Request<Bytes>, read: impl FnOnce(Response<Bytes>) -> T + Send + 'static) -> Call<T> {
    Call { request, read: Box::new(read) }
}
