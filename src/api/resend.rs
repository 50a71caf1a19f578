//! Requests that were sent before: finding the job that the first sending made, instead of paying twice.
//!
//! A client's `Idempotency-Key` is authoritative. Without one, the official SDKs still say how often they
//! have sent a request (`x-stainless-retry-count`), though the body's bytes differ each time: such a
//! resend claims the earlier job that was wished for in the same words, lately, and that nobody has asked
//! about, unless a refusal of ours explains it. It errs towards too few paid jobs; asking twice of one's own accord counts no resend and always
//! makes two.

use std::sync::Arc;

use http::HeaderMap;

use super::intake::Caller;
use crate::gateway::Gateway;
use crate::id::TenantName;
use crate::refusal::Refusal;
use crate::sendings::AGAIN_WITHIN;
use crate::store::Job;

/// Longest key, bytes.
const KEY_BYTES_MAX: usize = 255;

/// What a request says about earlier sendings of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sending {
    /// The client's own name for its wish.
    pub key: Option<String>,
    /// How often the request was sent before, if it says so.
    sent: Option<u32>,
}

/// A job that an earlier sending made.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// The job.
    pub job: Arc<Job>,
    /// `true` by its key, `implicit` by its words: for `idempotent-replayed`.
    pub how: &'static str,
}

impl Sending {
    /// Reads the headers.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut keys = headers.get_all("idempotency-key").iter();
        let key = match (keys.next(), keys.next()) {
            (None, _) => None,
            (Some(key), None) => Some(key.to_str().ok().and_then(key_of).ok_or(Refusal::BadKey)?),
            (Some(_), Some(_)) => return Err(Refusal::BadKey),
        };
        let sent = headers.get("x-stainless-retry-count").and_then(|count| count.to_str().ok()?.parse().ok());
        Ok(Self { key, sent })
    }

    fn resend(&self) -> u32 {
        self.sent.unwrap_or(0)
    }

    /// The request was refused with an invitation to come back: its resend will be no sign of a lost answer.
    pub fn refused(&self, gw: &Gateway, tenant: &TenantName, fingerprint: Option<[u8; 32]>) {
        if let (None, Some(sent)) = (&self.key, self.sent) {
            gw.sendings.refused(tenant, fingerprint, sent, gw.clock.now());
        }
    }

    /// The job that an earlier sending of the same request made, if there is one.
    pub async fn earlier(&self, gw: &Gateway, caller: &Caller, fingerprint: &[u8; 32]) -> Result<Option<Earlier>, Refusal> {
        let tenant = &caller.tenant.name;
        if let Some(key) = &self.key {
            return match gw.store.keyed_job(tenant, key).await? {
                Some((earlier, job)) if earlier == *fingerprint => Ok(Some(Earlier { job, how: "true" })),
                Some(_) => Err(Refusal::KeyReused),
                None => Ok(None),
            };
        }
        let now = gw.clock.now();
        if self.resend() == 0 || gw.sendings.explains(tenant, *fingerprint, self.resend(), now) {
            return Ok(None);
        }
        let since = now.before(AGAIN_WITHIN);
        for job in gw.store.alike(tenant, fingerprint, self.resend(), since).await? {
            // Who was asked about is known to its client, so its answer was not lost.
            if !gw.sendings.has_seen(job.id) && gw.store.claim(job.id, self.resend()).await? {
                return Ok(Some(Earlier { job, how: "implicit" }));
            }
        }
        Ok(None)
    }
}

/// A key as it is or as a quoted string: 1 to 255 visible ASCII characters.
fn key_of(text: &str) -> Option<String> {
    let bare = text.trim();
    let bare = bare.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(bare);
    let fine = !bare.is_empty() && bare.len() <= KEY_BYTES_MAX && bare.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    fine.then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Refusal, Sending};

    fn of(headers: &[(&'static str, &str)]) -> Result<Sending, Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Sending::of(&map)
    }

    #[test]
    fn a_key_is_read_raw_or_quoted() {
        for key in ["abc", "\"abc\"", " abc "] {
            assert_eq!(of(&[("idempotency-key", key)]).unwrap().key.as_deref(), Some("abc"), "{key}");
        }
        assert_eq!(of(&[]), Ok(Sending::default()));
        assert_eq!(of(&[("x-stainless-retry-count", "2")]).unwrap().resend(), 2);
        assert_eq!(of(&[("x-stainless-retry-count", "-1")]).unwrap().resend(), 0);
    }

    #[test]
    fn anything_else_is_no_key() {
        let long = "k".repeat(256);
        for key in ["", "\"\"", long.as_str(), "a\tb"] {
            assert_eq!(of(&[("idempotency-key", key)]), Err(Refusal::BadKey), "{key}");
        }
        assert_eq!(of(&[("idempotency-key", "a"), ("idempotency-key", "a")]), Err(Refusal::BadKey));
    }
}
