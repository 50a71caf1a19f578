//! Links to content that need no key: what `output[0].url` of a finished video holds, so that a
//! browser's `<video>` can play it.
//!
//! Pure but for the key it is given. A token names the tenant and the moment it ends, and is bound to one
//! job; whoever has the link has that clip until then and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::clock::Timestamp;
use crate::id::{JobId, TenantName};

/// Bytes of the code that are kept: 128 bits.
const CODE_BYTES: usize = 16;
/// Longest token that is worth decoding, characters.
const TOKEN_CHARS_MAX: usize = 256;

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Links {
    key: [u8; 32],
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Links(***)")
    }
}

impl Links {
    /// Signs with that key, which all replicas share.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A token for a job's content, good until `until`.
    pub fn token(&self, job: JobId, tenant: &TenantName, until: Timestamp) -> String {
        let mut bytes = until.as_secs().to_be_bytes().to_vec();
        bytes.extend_from_slice(tenant.as_str().as_bytes());
        let code = self.mac(job, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&code[..CODE_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whose job the token is for, if it is ours, for this job, and still good.
    pub fn read(&self, token: &str, job: JobId, now: Timestamp) -> Option<TenantName> {
        if token.len() > TOKEN_CHARS_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (signed, code) = bytes.split_at_checked(bytes.len().checked_sub(CODE_BYTES)?)?;
        self.mac(job, signed).verify_truncated_left(code).ok()?;
        let (until, tenant) = signed.split_first_chunk::<8>()?;
        let fresh = now.as_secs() < i64::from_be_bytes(*until);
        std::str::from_utf8(tenant).ok().filter(|_| fresh).map(TenantName::new)
    }

    fn mac(&self, job: JobId, signed: &[u8]) -> Hmac<Sha256> {
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.key);
        // A key shorter than a block is filled up with zeros (RFC 2104, 2), which is what is done here.
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(job.to_string().as_bytes());
        mac.update(signed);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::Links;
    use crate::clock::Timestamp;
    use crate::id::{JobId, TenantName};

    #[test]
    fn a_token_opens_one_job_until_its_end() {
        let (links, job, acme) = (Links::new([7; 32]), JobId::mint(), TenantName::new("acme"));
        let token = links.token(job, &acme, Timestamp::from_secs(100));
        assert_eq!(links.read(&token, job, Timestamp::from_secs(99)), Some(acme));
        assert_eq!(links.read(&token, job, Timestamp::from_secs(100)), None);
        assert_eq!(links.read(&token, JobId::mint(), Timestamp::from_secs(99)), None);
        assert_eq!(Links::new([8; 32]).read(&token, job, Timestamp::from_secs(99)), None);
        for bad in ["", "AAAA", "not base64!", &token[1..], &"A".repeat(1000)] {
            assert_eq!(links.read(bad, job, Timestamp::from_secs(99)), None, "{bad}");
        }
    }
}
