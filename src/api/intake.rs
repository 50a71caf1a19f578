//! What a request is before it is anything: who sends it, by which policy, and its body, bounded in size,
//! time and memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;

use crate::auth;
use crate::gateway::Gateway;
use crate::policy::{Key, Policy, Tenant};
use crate::refusal::Refusal;
use crate::wire;

/// How long a body waits for room in memory.
const ROOM_TIMEOUT: Duration = Duration::from_secs(10);

/// How fast a body must come.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// For all of it.
    whole: Duration,
    /// A body that brings less than `bytes_per_window` in this time has stopped coming.
    window: Duration,
    bytes_per_window: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { whole: Duration::from_secs(120), window: Duration::from_secs(10), bytes_per_window: 10 * 1024 }
    }
}

/// A request whose sender is known. Holds the one snapshot of the policy that decides about it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What decides.
    pub policy: Arc<Policy>,
    /// Who asks.
    pub tenant: Arc<Tenant>,
    /// The hash of the key that was shown.
    pub key_hash: [u8; 32],
    /// How this client reaches us, for links: scheme and authority.
    pub base_url: String,
}

impl Caller {
    /// Finds out who sends a request with these headers.
    pub fn of(gw: &Gateway, headers: &HeaderMap, authority: Option<&str>) -> Result<Self, Refusal> {
        let policy = gw.policy.snapshot();
        let (tenant, key_hash) = auth::authenticate(&policy, headers).map_err(|auth::Unauthenticated| Refusal::Unauthenticated)?;
        let base_url = base_url(&policy, headers, authority);
        Ok(Self { policy, tenant, key_hash, base_url })
    }

    /// The key that was shown, as the policy has it.
    pub fn key(&self) -> Option<&Key> {
        self.tenant.keys.iter().find(|key| key.hash == self.key_hash)
    }
}

/// `public_url` if the operator set it, else what the client itself calls us.
pub fn base_url(policy: &Policy, headers: &HeaderMap, authority: Option<&str>) -> String {
    if let Some(url) = &policy.server.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).or(authority);
    // It ends in links, so it has to be a name or an address with a port, and nothing else.
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']' | b'_');
    let scheme = if policy.server.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", host.filter(|host| !host.is_empty() && host.bytes().all(plain)).unwrap_or("localhost"))
}

/// Reads the fields of a request's body.
pub async fn form(gw: &Gateway, policy: &Policy, request: Request<Incoming>) -> Result<wire::Form, Refusal> {
    let (head, body) = request.into_parts();
    if head.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Refusal::Invalid(wire::Fault {
            kind: wire::FaultKind::UnsupportedMedia,
            param: None,
            code: Some("unsupported_content_encoding"),
            message: "Send the request body without Content-Encoding.".to_owned(),
        }));
    }
    let bytes_max = policy.server.body_bytes_max;
    let declared = head.headers.get(CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    let expected = declared.or(body.size_hint().upper()).map_or(bytes_max, |n| usize::try_from(n).unwrap_or(usize::MAX));
    if expected > bytes_max {
        return Err(Refusal::BodyTooLarge { bytes_max });
    }
    let kib = u32::try_from(expected / 1024 + 1).unwrap_or(u32::MAX);
    let _room = tokio::time::timeout(ROOM_TIMEOUT, gw.body_kib.acquire_many(kib))
        .await
        .map_err(|_| Refusal::Overloaded)?
        .map_err(|_| Refusal::Stopping)?;
    let bytes = collect(body, bytes_max, Pace::default()).await?;
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Ok(wire::read_form(content_type, bytes).await?)
}

/// All of a body, unless it is too large or too slow.
async fn collect(body: Incoming, bytes_max: usize, pace: Pace) -> Result<Bytes, Refusal> {
    tokio::time::timeout(pace.whole, frames(body, bytes_max, pace)).await.map_err(|_| Refusal::BodyTimeout)?
}

async fn frames(mut body: Incoming, bytes_max: usize, pace: Pace) -> Result<Bytes, Refusal> {
    let mut bytes = BytesMut::new();
    let (mut window_ends, mut in_window) = (Instant::now() + pace.window, 0);
    loop {
        let frame = match tokio::time::timeout_at(window_ends, body.frame()).await {
            Ok(Some(frame)) => frame.map_err(|_| Refusal::Malformed("The request body ended early or is badly framed."))?,
            Ok(None) => return Ok(bytes.freeze()),
            Err(_) if in_window >= pace.bytes_per_window => {
                (window_ends, in_window) = (Instant::now() + pace.window, 0);
                continue;
            }
            Err(_) => return Err(Refusal::BodyTimeout),
        };
        if let Ok(data) = frame.into_data() {
            in_window += data.len();
            if bytes.len() + data.len() > bytes_max {
                return Err(Refusal::BodyTooLarge { bytes_max });
            }
            bytes.extend_from_slice(&data);
        }
    }
}

#[cfg(test)]
mod tests;
