//! Requests that were sent before: finding the job that the first sending made, instead of paying twice.
//!
//! A client's `Idempotency-Key` is authoritative. Without one, the official SDKs still say how often they
//! have sent a request (`x-stainless-retry-count`), though the body's bytes differ each time: such a
//! resend claims the earlier job that was wished for in the same words, lately, and that nobody has asked
//! about, unless a refusal of ours explains it. It errs towards too few paid jobs; asking twice of one's own
//! accord counts no resend and always makes two.
//!
//! A sending that is still under way is waited for, but not for long. Only a job that was refused to its
//! client is forgotten: one that waited was answered, and one that its client deleted was paid for, so their keys stay taken.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::intake::Caller;
use crate::gateway::Gateway;
use crate::id::TenantName;
use crate::job::State;
use crate::refusal::Refusal;
use crate::sendings::AGAIN_WITHIN;
use crate::store::Job;

/// Longest key, bytes.
const KEY_BYTES_MAX: usize = 255;
/// How long a resend waits to learn what became of the sending before it.
const OUTCOME_WAIT: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(20);

/// What a request says about earlier sendings of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sending {
    /// The client's own name for its wish.
    pub key: Option<String>,
    /// How often the request was sent before, if it says so.
    sent: Option<u32>,
}

/// A job that an earlier sending made. If it is `reserved`, nothing of it is being sent by anybody: whoever
/// finds it goes on with it.
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

    /// The request was refused with an invitation to come back: its resend will be no sign of a lost answer. But a
    /// resend whose books failed may have an earlier job all the same: nobody could look, and the next has to.
    pub fn refused(&self, gw: &Gateway, tenant: &TenantName, fingerprint: Option<[u8; 32]>, why: &Refusal) {
        let blind = self.resend() > 0 && matches!(why, Refusal::Unavailable(_));
        if let (None, Some(sent), false) = (&self.key, self.sent, blind) {
            gw.sendings.refused(tenant, fingerprint, sent, gw.clock.now());
        }
    }

    /// The job that an earlier sending of the same request made, if there is one.
    pub async fn earlier(&self, gw: &Gateway, caller: &Caller, fingerprint: &[u8; 32]) -> Result<Option<Earlier>, Refusal> {
        let (found, how) = match &self.key {
            Some(key) => match gw.store.keyed_job(&caller.tenant.name, key).await? {
                Some((earlier, _)) if earlier != *fingerprint => return Err(Refusal::KeyReused),
                found => (found.map(|(_, job)| job), "true"),
            },
            None => (self.claimed(gw, caller, fingerprint).await?, "implicit"),
        };
        let Some(job) = found else { return Ok(None) };
        // The books give out a job that was never made only if its client was answered all the same.
        let was_answered = job.state == State::Released;
        let job = outcome(gw, job).await?;
        Ok((was_answered || job.state != State::Released).then_some(Earlier { job, how }))
    }

    /// The job that this resend may take for its own, by the words of its wish.
    async fn claimed(&self, gw: &Gateway, caller: &Caller, fingerprint: &[u8; 32]) -> Result<Option<Arc<Job>>, Refusal> {
        let (tenant, now) = (&caller.tenant.name, gw.clock.now());
        if !caller.tenant.claim_resends || self.resend() == 0 || gw.sendings.explains(tenant, *fingerprint, self.resend(), now) {
            return Ok(None);
        }
        let since = now.before(AGAIN_WITHIN);
        // One whose client hung up before it was answered is the likeliest.
        while let Some(id) = gw.sendings.take_cut_off(tenant, *fingerprint) {
            let job = gw.store.job(tenant, id).await?.filter(|job| job.created_at >= since && job.state != State::Released);
            if let Some(job) = job
                && !gw.sendings.has_seen(id)
                && gw.store.claim(id, self.resend()).await?
            {
                return Ok(Some(job));
            }
        }
        for job in gw.store.alike(tenant, fingerprint, self.resend(), since).await? {
            // Who was asked about is known to its client, so its answer was not lost.
            if !gw.sendings.has_seen(job.id) && gw.store.claim(job.id, self.resend()).await? {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }
}

/// What became of a job's submission, as far as it is known in time.
async fn outcome(gw: &Gateway, mut job: Arc<Job>) -> Result<Arc<Job>, Refusal> {
    let until = Instant::now() + OUTCOME_WAIT;
    while matches!(job.state, State::Reserved | State::Submitting) && Instant::now() < until {
        tokio::time::sleep(GLANCE).await;
        job = gw.store.job(&job.tenant, job.id).await?.unwrap_or(job);
    }
    Ok(job)
}

/// A key as it is or as a quoted string (RFC 9651, 3.3.3): 1 to 255 visible ASCII characters.
fn key_of(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => unescaped(quoted)?,
        None => text.to_owned(),
    };
    let fine = !bare.is_empty() && bare.len() <= KEY_BYTES_MAX && bare.bytes().all(|b| b.is_ascii_graphic());
    fine.then_some(bare)
}

/// The text of a quoted string, in which only quotes and backslashes are escaped, and always.
fn unescaped(quoted: &str) -> Option<String> {
    let (mut text, mut chars) = (String::with_capacity(quoted.len()), quoted.chars());
    while let Some(char) = chars.next() {
        text.push(match char {
            '\\' => chars.next().filter(|escaped| matches!(escaped, '"' | '\\'))?,
            '"' => return None,
            plain => plain,
        });
    }
    Some(text)
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
        assert_eq!(of(&[("idempotency-key", r#""a\"b\\c""#)]).unwrap().key.as_deref(), Some(r#"a"b\c"#));
        assert_eq!(of(&[("idempotency-key", &"k".repeat(255))]).unwrap().key.map(|key| key.len()), Some(255));
        assert_eq!(of(&[]), Ok(Sending::default()));
        assert_eq!(of(&[("x-stainless-retry-count", "2")]).unwrap().resend(), 2);
        assert_eq!(of(&[("x-stainless-retry-count", "-1")]).unwrap().resend(), 0);
    }

    #[test]
    fn anything_else_is_no_key() {
        let long = "k".repeat(256);
        for key in ["", "\"\"", long.as_str(), "a\tb", "a b", "\"a\\b\"", "\"a\"b\"", "clé"] {
            assert_eq!(of(&[("idempotency-key", key)]), Err(Refusal::BadKey), "{key}");
        }
        assert_eq!(of(&[("idempotency-key", "a"), ("idempotency-key", "a")]), Err(Refusal::BadKey));
    }
}
