//! Before a job is completed, its clip is copied: a provider forgets, and `completed` promises that the
//! clip can be fetched.
//!
//! A job whose clip is being copied stays `running`, and its money held. The copy runs beside the polls
//! and takes none of their places; when it is there, the job is completed at once. A try that fails is
//! made again when the job is next asked about, until the policy's `give_up`: then the job is completed
//! without a copy, because its money has to be settled and the provider may still have the clip. A crash
//! between copy and completion costs nothing: the file is found at the next look.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::future::join;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tracing::{debug, error, warn};

use super::settle;
use super::watch::Watch;
use crate::archive::{Check, Damage, FILE_BYTES_MAX, Form, OutOfOrder, Owner, Place};
use crate::clock::Timestamp;
use crate::crash;
use crate::gateway::Gateway;
use crate::job::{Event, step};
use crate::metrics::CopyOutcome;
use crate::owing;
use crate::policy::{Policy, Route};
use crate::provider::{Handle, Variant};
use crate::store::{ApplyError, Facts, Job};
use crate::upstream::DownloadError;

/// A provider that sends nothing for so long has stopped.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// For a whole clip.
pub(super) const CLIP_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// For a still: nobody waits long for one.
const STILL_TIMEOUT: Duration = Duration::from_secs(10);
/// A clip that the provider forgets this soon is completed rather than tried for again: whoever asked for
/// it may still be quick enough.
const LAST_CALL: Duration = Duration::from_secs(5 * 60);
/// How often a completion is written again that somebody else's step came before.
const WRITES_MAX: u32 = 5;

/// Why a file was not copied.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    /// The dialect has no such file.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The provider did not deliver.
    #[error("the provider did not deliver: {0}")]
    Provider(String),
    /// It delivered something else.
    #[error("what the provider delivered is no whole file: {0}")]
    Damaged(String),
    /// We could not put it away.
    #[error(transparent)]
    Storage(#[from] OutOfOrder),
}

impl From<Damage> for CopyError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage.to_string())
    }
}

impl CopyError {
    fn outcome(&self) -> Option<CopyOutcome> {
        match self {
            Self::Unsupported(_) => None,
            Self::Provider(_) => Some(CopyOutcome::Provider),
            Self::Damaged(_) => Some(CopyOutcome::Damaged),
            Self::Storage(_) => Some(CopyOutcome::Storage),
        }
    }
}

/// What comes of an event, given that clips are kept: `Finished` waits until the clip is.
pub async fn kept_first(gw: &Arc<Gateway>, watch: &Arc<Watch>, job: &Job, event: Event, facts: Facts) -> (Event, Facts) {
    if !matches!(event, Event::Finished | Event::Vanished) {
        return (event, facts);
    }
    let policy = gw.policy.snapshot();
    let Some(place) = gw.archive.place(&policy.archive) else { return (event, facts) };
    let now = gw.clock.now();
    match place.open(owner(job), Variant::Video).await {
        Ok(Some(_)) => return (Event::Finished, with_copy(Facts { error: None, ..facts }, &policy, now)),
        Ok(None) => {}
        Err(why) => warn!(job.id = %job.id, %why, "whether the clip is kept cannot be seen"),
    }
    if event == Event::Vanished {
        return (event, facts);
    }
    let expires_soon = facts.expires_at.is_some_and(|at| at <= now.after(LAST_CALL));
    let patience = if expires_soon { Duration::ZERO } else { policy.archive.give_up };
    if gw.archive.copies.is_hopeless(job.id, patience, now) {
        gw.metrics.archive_given_up();
        error!(job.id = %job.id, route.name = %job.route, "completed without a copy of its clip, which is gone when the provider forgets it");
        return (event, facts);
    }
    begin(gw, watch, &policy, job, &facts);
    // The upstream is done and we are not.
    (Event::Running, Facts { progress: Some(99), ..facts })
}

/// What is written down of a job whose clip is kept.
fn with_copy(facts: Facts, policy: &Policy, now: Timestamp) -> Facts {
    Facts { expires_at: Some(now.after(policy.archive.keep)), ..facts }
}

fn owner(job: &Job) -> Owner {
    Owner { job: job.id, created_at: job.created_at }
}

/// Starts a copy in a task of its own, unless one is under way.
fn begin(gw: &Arc<Gateway>, watch: &Arc<Watch>, policy: &Arc<Policy>, job: &Job, facts: &Facts) {
    let (gw, watch, policy, facts) = (gw.clone(), watch.clone(), policy.clone(), facts.clone());
    // The prompt is not needed, and thousands of jobs may wait here.
    let result_url = facts.result_url.clone().or_else(|| job.result_url.clone());
    let job = Job { prompt: String::new(), result_url, ..job.clone() };
    gw.clone().tasks.spawn(async move {
        let Some(turn) = gw.archive.copies.begin(job.id) else { return };
        let work = async {
            let Some(_seat) = turn.seat().await else { return };
            match copy(&gw, &policy, &job).await {
                Ok(()) => {
                    crash::point("after_copy");
                    complete(&gw, &watch, &policy, &job, facts).await;
                    gw.archive.copies.forget(job.id);
                }
                Err(why) => {
                    turn.failed(gw.clock.now());
                    warn!(job.id = %job.id, route.name = %job.route, %why, "a clip was not copied; it is tried again when the job is next asked about");
                }
            }
        };
        tokio::select! {
            () = gw.stop.cancelled() => debug!(job.id = %job.id, "the gateway stops; the clip is copied after its next start"),
            () = work => {}
        }
    });
}

/// Copies a job's files. Only the clip is insisted on.
async fn copy(gw: &Gateway, policy: &Policy, job: &Job) -> Result<(), CopyError> {
    let gone = |what: &str| CopyError::Provider(format!("{what} is not in the policy any more"));
    let place = gw.archive.place(&policy.archive).ok_or_else(|| gone("the archive"))?;
    let way = gw.accounts.way(policy, &job.home()).ok_or_else(|| gone("its account"))?;
    let route = way.route();
    let stills = join(still(gw, &place, route, job, Variant::Thumbnail), still(gw, &place, route, job, Variant::Spritesheet));
    let clip = async {
        let copied = tokio::time::timeout(CLIP_TIMEOUT, copy_file(gw, &place, route, job, Variant::Video)).await;
        copied.unwrap_or_else(|_| Err(CopyError::Provider(format!("not within {} s", CLIP_TIMEOUT.as_secs()))))
    };
    let (clip, _) = join(clip, stills).await;
    clip
}

async fn still(gw: &Gateway, place: &Place, route: &Route, job: &Job, variant: Variant) {
    let copied = tokio::time::timeout(STILL_TIMEOUT, copy_file(gw, place, route, job, variant)).await;
    if let Ok(Err(why)) = copied {
        debug!(job.id = %job.id, variant = variant.as_str(), %why, "a still was not copied");
    }
}

/// Copies one file, unless it is kept already, and counts how that went.
async fn copy_file(gw: &Gateway, place: &Place, route: &Route, job: &Job, variant: Variant) -> Result<(), CopyError> {
    let began = Instant::now();
    let copied = fetch(gw, place, route, job, variant).await;
    match &copied {
        Ok(Some(bytes)) => gw.metrics.archived(variant, *bytes, began.elapsed()),
        Ok(None) => {}
        Err(why) => {
            if let Some(outcome) = why.outcome() {
                gw.metrics.not_archived(variant, outcome);
            }
        }
    }
    copied.map(|_| ())
}

/// From the provider into the archive, piece by piece; how many bytes, or `None` if it is there already.
async fn fetch(gw: &Gateway, place: &Place, route: &Route, job: &Job, variant: Variant) -> Result<Option<u64>, CopyError> {
    if place.open(owner(job), variant).await?.is_some() {
        return Ok(None);
    }
    let Some(upstream_id) = job.upstream_id.as_deref() else { return Err(CopyError::Unsupported("it has no upstream id")) };
    let handle = Handle { upstream_id, result_url: job.result_url.as_deref() };
    let reply = gw.upstream.download(route, handle, variant, None).await.map_err(|why| match why {
        DownloadError::Unsupported(what) if variant != Variant::Video => CopyError::Unsupported(what),
        DownloadError::Unsupported(what) => CopyError::Provider(what.to_owned()),
        DownloadError::Failed(why) => CopyError::Provider(why),
    })?;
    if reply.status() != StatusCode::OK {
        return Err(CopyError::Provider(format!("it answered {}", reply.status())));
    }
    let promised = reply.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if promised.or(reply.body().size_hint().exact()).is_some_and(|length| length > FILE_BYTES_MAX) {
        return Err(Damage::TooLong.into());
    }
    let mut body = reply.into_body();
    let head = head(&mut body).await?;
    let form = Form::of(variant, &head).ok_or_else(|| CopyError::Damaged("it does not begin like one".to_owned()))?;
    let (mut check, mut incoming) = (Check::new(form), place.begin(owner(job), form).await?);
    let mut next = Some(head);
    while let Some(bytes) = next {
        check.feed(&bytes)?;
        incoming.write(bytes).await?;
        next = piece(&mut body).await?;
    }
    let bytes = check.end(promised)?;
    incoming.keep().await?;
    Ok(Some(bytes))
}

/// The first pieces, as many as tell what format it is.
async fn head(body: &mut Incoming) -> Result<Bytes, CopyError> {
    let mut head = BytesMut::new();
    while head.len() < Form::HEAD_BYTES {
        match piece(body).await? {
            Some(bytes) => head.extend_from_slice(&bytes),
            None => break,
        }
    }
    Ok(head.freeze())
}

/// The next piece; `None` at the end.
async fn piece(body: &mut Incoming) -> Result<Option<Bytes>, CopyError> {
    loop {
        let frame = tokio::time::timeout(STALL_TIMEOUT, body.frame()).await;
        let frame = frame.map_err(|_| CopyError::Provider("it stopped sending".to_owned()))?;
        match frame {
            Some(Ok(frame)) => {
                // Trailers are nobody's bytes.
                if let Ok(bytes) = frame.into_data()
                    && !bytes.is_empty()
                {
                    return Ok(Some(bytes));
                }
            }
            Some(Err(why)) => return Err(CopyError::Provider(why.to_string())),
            None => return Ok(None),
        }
    }
}

/// Completes a job whose clip is kept. Polls go on meanwhile, so another's step may come in between.
async fn complete(gw: &Gateway, watch: &Watch, policy: &Policy, job: &Job, facts: Facts) {
    for _ in 0..WRITES_MAX {
        let now = gw.clock.now();
        let Ok(Some(job)) = gw.store.job(&job.tenant, job.id).await else { return };
        // Somebody else ended it. Whatever is not written here is when the job is next asked about.
        let Ok(step) = step(job.state, Event::Finished) else { return };
        match owing::apply(gw, &job, step, with_copy(facts.clone(), policy, now)).await {
            Ok(job) => return settle::ended(gw, watch, &job),
            Err(ApplyError::Moved) => {}
            Err(why) => {
                warn!(job.id = %job.id, %why, "its clip is kept, and that was not written down");
                return;
            }
        }
    }
}
