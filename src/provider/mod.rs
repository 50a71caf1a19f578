//! Providers: how each upstream speaks. Pure translators; nothing here opens a socket, reads a
//! clock or knows of jobs, tenants and money.
//!
//! A provider *describes* an exchange as a [`Call`]: the request to send and how to read the reply.
//! `upstream` performs it. That makes every dialect testable with two JSON files.
//!
//! The one judgement made here is what a reply to a paid request *means* ([`SubmitError`]): whether
//! another route may be asked without anybody paying twice. It is made on evidence only; what is
//! not understood is [`SubmitError::Unclear`].

pub use codec::is_known_status;

use std::fmt;

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use crate::clock::Timestamp;
use crate::id::AccountId;
use crate::money::MicroUsd;
use crate::secret::Secret;
use crate::video::{Extras, Reference, Seconds, Size, Upload};

mod account;
pub mod azure;
mod codec;
mod cometapi;
mod openai;
mod openai_compatible;

/// Where a route's upstream is, and how we prove who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Scheme, authority and path prefix, without a trailing slash: `https://api.openai.com/v1`.
    pub base_url: String,
    /// What we show.
    pub credential: Credential,
}

impl Endpoint {
    /// Which account that is, spoken to in a provider's dialect.
    pub fn account(&self, provider: &dyn Provider) -> AccountId {
        account::account(provider.name(), self)
    }
}

/// How we prove who we are to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing is shown.
    None,
    /// A key, in the header the dialect uses.
    Key(Secret),
    /// Microsoft Entra client credentials, traded for a bearer token.
    Entra(Entra),
}

/// Microsoft Entra client credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entra {
    /// `https://login.microsoftonline.com` unless told otherwise, without a trailing slash.
    pub authority: String,
    /// The directory.
    pub tenant: String,
    /// The application.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: Secret,
    /// What the token is for: `https://cognitiveservices.azure.com/.default` unless told otherwise.
    pub scope: String,
}

/// A bearer token and how long it is good for.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token.
    pub value: Secret,
    /// Seconds from now.
    pub expires_in_secs: u64,
}

/// The credential to put on one request, settled by `upstream` before a dialect is asked.
#[derive(Clone, Debug)]
pub enum Proof<'a> {
    /// Nothing.
    None,
    /// A key, in the header the dialect uses.
    Key(&'a Secret),
    /// A bearer token, whatever the dialect uses for keys.
    Bearer(&'a Secret),
}

/// One exchange with a provider: what to send, and how to read what comes back.
pub struct Call<T> {
    /// The request, complete but for `host` and the headers of its framing.
    pub request: Request<Bytes>,
    /// Reads a complete reply.
    pub read: Reader<T>,
}

/// Reads a complete reply.
pub type Reader<T> = Box<dyn FnOnce(Response<Bytes>) -> T + Send>;

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({} {})", self.request.method(), self.request.uri())
    }
}

/// A clip to submit, every name already translated to what this route calls it.
#[derive(Clone, Debug)]
pub struct Submission<'a> {
    /// What the upstream calls the model, or the deployment.
    pub model: &'a str,
    /// What it shall show.
    pub prompt: &'a str,
    /// Its length.
    pub seconds: Seconds,
    /// Its frame size.
    pub size: Size,
    /// The picture it starts from.
    pub reference: Option<&'a Reference>,
    /// Upstream ids of characters.
    pub characters: &'a [String],
    /// How it comes about.
    pub origin: SubmissionOrigin<'a>,
    /// Fields beyond the protocol, under the names that the provider knows.
    pub extras: &'a Extras,
    /// Where the provider shall tell of it.
    pub callback_url: Option<&'a str>,
}

/// How a submitted clip comes about; sources are upstream ids.
#[derive(Clone, Copy, Debug)]
pub enum SubmissionOrigin<'a> {
    /// From the prompt alone.
    Create,
    /// From an earlier clip of the same account, the legacy way.
    Remix(&'a str),
    /// From an earlier clip of the same account, or an uploaded one.
    Edit(SubmissionSource<'a>),
    /// Likewise, continued.
    Extend(SubmissionSource<'a>),
}

/// The clip that a submitted one is made from.
#[derive(Clone, Copy, Debug)]
pub enum SubmissionSource<'a> {
    /// By the upstream's id.
    Id(&'a str),
    /// Sent along.
    Upload(&'a Upload),
}

/// What an upstream said when it took a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The upstream's id: 1 to 512 visible ASCII characters; never put into a path unescaped.
    pub upstream_id: String,
    /// What it said of the job, if it said more.
    pub progress: Option<Progress>,
}

/// A job as an upstream reports it, folded into our words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How far along.
    pub phase: Phase,
    /// 0 to 100, if it says.
    pub percent: Option<u8>,
    /// The upstream's own word for the state, for logs and metrics, at most 40 characters.
    pub raw_status: String,
    /// Where the finished bytes are, if not under the dialect's content path.
    pub result_url: Option<String>,
    /// Until when they can be had.
    pub expires_at: Option<Timestamp>,
    /// What the upstream says it cost.
    pub reported_cost: Option<MicroUsd>,
}

/// How far along an upstream's job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not begun.
    Queued,
    /// At work. Also what an unknown word means: never terminal on a guess.
    Running,
    /// Made.
    Completed,
    /// Not made, and why.
    Failed {
        /// One of the public codes (`moderation_blocked`, `video_generation_failed`, `cancelled`, `expired`), or the upstream's own.
        code: String,
        /// For people.
        message: String,
    },
}

/// Why a paid request was not answered with a job. Decides who may be asked next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// Nothing reached the upstream: another route, or this one again.
    NotSent(String),
    /// Nothing reached the upstream, because nothing may be bought from anybody at present.
    Withheld(&'static str),
    /// The upstream said no for a reason of its own (its key, its quota, its model): another route may be asked.
    Refused {
        /// Its status.
        status: StatusCode,
        /// Why, as one of a closed set.
        reason: RefusedReason,
        /// When to come back, seconds, clamped to 0..=3600.
        retry_after_secs: Option<u64>,
        /// For the log, scrubbed of anything that looks like a key.
        message: String,
    },
    /// The wish itself was refused: it would be refused again, so nobody else is asked.
    Rejected(Rejection),
    /// It may have been accepted, and nobody else may be asked until we know.
    Unclear(String),
}

/// Why an upstream refused a request that another might take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedReason {
    /// 401 or 403: our credential.
    Credential,
    /// 429 for too many requests.
    RateLimited,
    /// 429 for too many jobs at a time.
    TooManyJobs,
    /// 402, or 429 for money: our account there is empty.
    Quota,
    /// 404 or 410, or an aggregator's 503 for it: this model is not, or no longer, to be had here.
    ModelGone,
    /// 404 or 410 for something that the wish brings, as far as one can tell: that says nothing of the route.
    InputGone,
    /// 404, 405 and the like: the address is wrong.
    Unavailable,
}

impl RefusedReason {
    /// The reason as metrics and logs write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::RateLimited => "rate_limited",
            Self::TooManyJobs => "too_many_jobs",
            Self::Quota => "quota",
            Self::ModelGone => "model_gone",
            Self::InputGone => "input_gone",
            Self::Unavailable => "unavailable",
        }
    }
}

/// An upstream's refusal of the wish itself, to be mirrored to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// 400, 413, 415 or 422.
    pub status: StatusCode,
    /// OpenAI's `code`, if it gave one.
    pub code: Option<String>,
    /// The parameter, if it named one.
    pub param: Option<String>,
    /// For people, scrubbed of anything that looks like a key.
    pub message: String,
}

/// Why a free request (a poll, a listing, a deletion) was not answered. Always safe to repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskError {
    /// The upstream does not know the job.
    NotFound,
    /// It wants us to slow down.
    RateLimited {
        /// When to come back, seconds, clamped to 0..=3600.
        retry_after_secs: Option<u64>,
    },
    /// Our credential was refused.
    Credential,
    /// It refuses this operation for this job, for good; what it said.
    Refused(String),
    /// Anything else: ask again later.
    Transient(String),
}

/// One page of an upstream's own list of jobs, for adopting what we lost sight of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The jobs, in the upstream's order.
    pub jobs: Vec<ListedJob>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
    /// What the upstream's own clock said when it answered, if it told.
    pub told_at: Option<Timestamp>,
}

/// A job as an upstream lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedJob {
    /// The upstream's id.
    pub upstream_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the upstream calls the model.
    pub model: String,
    /// The prompt, if listed.
    pub prompt: Option<String>,
    /// The length, if listed.
    pub seconds: Option<Seconds>,
    /// The size, if listed.
    pub size: Option<Size>,
    /// How far along it is.
    pub progress: Progress,
    /// Whether the list says as much of its end as can be said; if not, a question about the job may tell more.
    pub says_all: bool,
}

/// What a job looks like at its upstream, as far as that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looks {
    /// The prompt.
    pub prompt: Option<String>,
    /// The length.
    pub seconds: Option<Seconds>,
    /// The size.
    pub size: Option<Size>,
}

/// A job at an upstream, with all that is needed to ask about it.
#[derive(Clone, Copy, Debug)]
pub struct Handle<'a> {
    /// The upstream's id.
    pub upstream_id: &'a str,
    /// Where the finished bytes are, if a poll told.
    pub result_url: Option<&'a str>,
}

/// Which of a finished job's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// The clip.
    Video,
    /// A still.
    Thumbnail,
    /// Many stills in one picture.
    Spritesheet,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Video, Self::Thumbnail, Self::Spritesheet];

    /// The variant as the protocol writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Thumbnail => "thumbnail",
            Self::Spritesheet => "spritesheet",
        }
    }
}

/// Where to fetch a finished job's bytes.
#[derive(Debug)]
pub struct Download {
    /// The request.
    pub request: Request<Bytes>,
    /// Whether the address came from the upstream's reply and so must pass the address filter,
    /// without our credential, unless it is on the route's own host.
    pub foreign: bool,
}

/// This dialect has no way to say that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(pub &'static str);

/// Speaks one provider's dialect. Pure: no socket, no clock, no store.
pub trait Provider: Sync + fmt::Debug {
    /// The dialect's name, as `provider = "…"` in the policy.
    fn name(&self) -> &'static str;

    /// `base_url` when the policy gives none.
    fn default_base_url(&self) -> Option<&'static str>;

    /// Whether [`Provider::submit`] can say this, without writing it out: the files in it may be large.
    fn can_submit(&self, submission: &Submission<'_>) -> Result<(), Unsupported>;

    /// Submits a clip: the one call that costs money.
    fn submit(
        &self,
        endpoint: &Endpoint,
        proof: &Proof<'_>,
        submission: &Submission<'_>,
    ) -> Result<Call<Result<Accepted, SubmitError>>, Unsupported>;

    /// Asks how a job is doing.
    fn progress(&self, endpoint: &Endpoint, proof: &Proof<'_>, job: Handle<'_>) -> Call<Result<Progress, AskError>>;

    /// Asks what a job looks like: whether it is there, and could be ours.
    fn looks(&self, endpoint: &Endpoint, proof: &Proof<'_>, job: Handle<'_>) -> Call<Result<Looks, AskError>>;

    /// Lists the account's newest jobs, if the dialect can.
    fn list(&self, endpoint: &Endpoint, proof: &Proof<'_>, after: Option<&str>) -> Option<Call<Result<Listing, AskError>>>;

    /// Deletes a finished job, if the dialect can.
    fn delete(&self, endpoint: &Endpoint, proof: &Proof<'_>, job: Handle<'_>) -> Option<Call<Result<(), AskError>>>;

    /// Where a finished job's bytes are. `range` is the client's own `Range` header.
    fn content(
        &self,
        endpoint: &Endpoint,
        proof: &Proof<'_>,
        job: Handle<'_>,
        variant: Variant,
        range: Option<&str>,
    ) -> Result<Download, Unsupported>;

    /// Makes a character out of a clip; answers the upstream's id.
    fn create_character(
        &self,
        endpoint: &Endpoint,
        proof: &Proof<'_>,
        name: &str,
        video: &Upload,
    ) -> Result<Call<Result<String, SubmitError>>, Unsupported>;

    /// Asks something free that shows whether the upstream is well, and which models it names, if it has a list of them.
    fn ping(&self, endpoint: &Endpoint, proof: &Proof<'_>) -> Call<Result<Option<Vec<String>>, AskError>>;
}

/// Every dialect the gateway speaks. To add one: write its file, add its line.
pub static PROVIDERS: &[&dyn Provider] =
    &[&openai::PROFILE, &azure::PROFILE, &cometapi::PROFILE, &openai_compatible::PROFILE, &openai::SIMULATOR];

/// The dialect of that name.
pub fn by_name(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().copied().find(|p| p.name() == name)
}

#[cfg(test)]
mod tests;
