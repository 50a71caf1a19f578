//! The bytes of a finished job from the archive: whole or in part, as RFC 9110 has it.
//!
//! The file was checked when it was put there. What it is called to clients, and every header, is the
//! same as when it is streamed from the provider.

use futures_util::TryStreamExt as _;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, RANGE};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tracing::warn;

use super::content::describe;
use crate::archive::{File, Owner};
use crate::gateway::Gateway;
use crate::policy::Policy;
use crate::provider::Variant;
use crate::reply::{self, BodyError, Reply};
use crate::store::Job;
use crate::wire::{Wanted, wanted_range};

/// The bytes, if the archive has them and they are still promised to be there.
pub async fn archived(gw: &Gateway, policy: &Policy, headers: &HeaderMap, job: &Job, variant: Variant) -> Option<Reply> {
    let place = gw.archive.place(&policy.archive)?;
    if job.expires_at.is_some_and(|at| at <= gw.clock.now()) {
        return None;
    }
    match place.open(Owner { job: job.id, created_at: job.created_at }, variant).await {
        Ok(file) => file.map(|file| serve(file, headers, job)),
        Err(why) => {
            warn!(job.id = %job.id, %why, "the provider is asked for what may be kept");
            None
        }
    }
}

fn serve(file: File, headers: &HeaderMap, job: &Job) -> Reply {
    let (form, length) = (file.form, file.length);
    // A kept file never changes: its name and length tell this version from any other.
    let tag = HeaderValue::from_str(&format!("\"{}.{}.{length}\"", job.id, form.variant.as_str())).ok();
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let same_version = headers.get(IF_RANGE).is_none_or(|theirs| Some(theirs) == tag.as_ref());
    let range = headers.get(RANGE).filter(|_| same_version).and_then(text);
    let (status, range, shown) = match wanted_range(range.as_deref(), length) {
        Wanted::Whole => (StatusCode::OK, 0..length, None),
        Wanted::Part(range) => {
            let shown = format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1));
            (StatusCode::PARTIAL_CONTENT, range, Some(shown))
        }
        Wanted::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0, Some(format!("bytes */{length}"))),
    };
    let sent = range.end - range.start;
    let body = if sent == 0 {
        reply::whole("")
    } else {
        StreamBody::new(file.read(range).map_ok(Frame::data).map_err(BodyError::from)).boxed_unsync()
    };
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let ours = reply.headers_mut();
    ours.insert(CONTENT_LENGTH, HeaderValue::from(sent));
    ours.extend(shown.and_then(|shown| HeaderValue::from_str(&shown).ok()).map(|shown| (CONTENT_RANGE, shown)));
    ours.extend(tag.map(|tag| (ETAG, tag)));
    describe(ours, job, form.media_type);
    reply
}
