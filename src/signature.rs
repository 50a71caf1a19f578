//! Standard Webhooks signatures, as OpenAI signs its callbacks and we sign ours.
//!
//! Pure. `v1` is HMAC-SHA256 over `{id}.{timestamp}.{body}`, compared in constant time; a header may carry
//! several, and there may be several secrets while one is being replaced.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::clock::Timestamp;
use crate::secret::Secret;

/// How old or how far ahead a signature may be, seconds.
const TOLERANCE_SECS: u64 = 300;
/// Signatures looked at; more are somebody trying.
const SIGNATURES_MAX: usize = 16;

/// A signed message, as it came.
#[derive(Debug)]
pub struct Signed<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`, Unix seconds.
    pub timestamp: &'a str,
    /// `webhook-signature`: `v1,BASE64`, separated by spaces.
    pub signatures: &'a str,
    /// The raw body.
    pub body: &'a [u8],
}

/// Whether one of the secrets signed it, lately.
pub fn is_good(signed: &Signed<'_>, secrets: &[Secret], now: Timestamp) -> bool {
    let fresh = signed.timestamp.parse::<i64>().is_ok_and(|at| at.abs_diff(now.as_secs()) <= TOLERANCE_SECS);
    if !fresh || signed.id.is_empty() {
        return false;
    }
    let codes = signed.signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
    let codes: Vec<Vec<u8>> = codes.take(SIGNATURES_MAX).filter_map(|code| STANDARD.decode(code).ok()).collect();
    secrets.iter().any(|secret| codes.iter().any(|code| mac(secret, signed).is_some_and(|mac| mac.verify_slice(code).is_ok())))
}

/// The `webhook-signature` of a message: by each of the secrets, so that one of them can be replaced.
///
/// A secret that is no key signs nothing; the policy has none.
pub fn sign(id: &str, at: Timestamp, body: &[u8], secrets: &[Secret]) -> String {
    let timestamp = at.as_secs().to_string();
    let signed = Signed { id, timestamp: &timestamp, signatures: "", body };
    let codes = secrets.iter().filter_map(|secret| mac(secret, &signed));
    let signatures: Vec<String> = codes.map(|mac| format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))).collect();
    signatures.join(" ")
}

/// Whether a secret can sign: `whsec_` and base64, or anything else that is not empty.
pub fn is_key(secret: &Secret) -> bool {
    key(secret).is_some_and(|key| !key.is_empty())
}

fn mac(secret: &Secret, signed: &Signed<'_>) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)?).ok()?;
    for part in [signed.id.as_bytes(), b".", signed.timestamp.as_bytes(), b".", signed.body] {
        mac.update(part);
    }
    Some(mac)
}

/// `whsec_` is followed by the key in base64; a secret without it is the key itself.
fn key(secret: &Secret) -> Option<Vec<u8>> {
    match secret.reveal().strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).ok(),
        None => Some(secret.reveal().as_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Signed, is_good, is_key, sign};
    use crate::clock::Timestamp;
    use crate::secret::Secret;

    const SECRET: &str = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=";
    const AT: i64 = 1_750_861_210;
    /// The vector of the OpenAI Python SDK's own tests.
    const BODY: &[u8] = br#"{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}"#;
    const SIGNATURE: &str = "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=";

    fn signed(signatures: &'static str) -> Signed<'static> {
        Signed { id: "wh_685c059ae39c8190af8c71ed1022a24d", timestamp: "1750861210", signatures, body: BODY }
    }

    #[test]
    fn what_openai_signs_is_good_for_five_minutes() {
        let secrets = [Secret::new("another"), Secret::new(SECRET)];
        for (late, good) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
            assert_eq!(is_good(&signed(SIGNATURE), &secrets, Timestamp::from_secs(AT + late)), good, "{late}");
        }
        assert!(is_good(&signed("v2,AAAA v1,AAAA v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY="), &secrets, Timestamp::from_secs(AT)));
    }

    #[test]
    fn anything_else_is_not() {
        let now = Timestamp::from_secs(AT);
        assert!(!is_good(&signed(SIGNATURE), &[Secret::new("another")], now));
        assert!(!is_good(&signed(SIGNATURE), &[], now));
        for bad in ["", "v1,", "v1,AAAA", "v2,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY="] {
            assert!(!is_good(&signed(bad), &[Secret::new(SECRET)], now), "{bad}");
        }
        let tampered = Signed { body: b"{}", ..signed(SIGNATURE) };
        assert!(!is_good(&tampered, &[Secret::new(SECRET)], now));
    }

    #[test]
    fn what_we_sign_is_what_openai_signs() {
        let at = Timestamp::from_secs(AT);
        let id = "wh_685c059ae39c8190af8c71ed1022a24d";
        assert_eq!(sign(id, at, BODY, &[Secret::new(SECRET)]), SIGNATURE);
        let both = sign(id, at, BODY, &[Secret::new("next"), Secret::new(SECRET)]);
        assert!(both.ends_with(&format!(" {SIGNATURE}")), "{both}");
        for secret in ["next", SECRET] {
            let signed = Signed { id, timestamp: "1750861210", signatures: &both, body: BODY };
            assert!(is_good(&signed, &[Secret::new(secret)], at));
        }
        assert!(is_key(&Secret::new(SECRET)) && is_key(&Secret::new("plain")));
        assert!(!is_key(&Secret::new("whsec_")) && !is_key(&Secret::new("whsec_no base64!")));
    }
}
