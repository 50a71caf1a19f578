//! Callback tokens: the address that a provider calls about one attempt and no other.
//!
//! Pure but for the key it is given. A token names an attempt and is bound to its route; who has it may tell
//! what that route calls the attempt, which is then asked about, and nothing else. It does not end: a
//! provider calls when the clip is done.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::id::{AttemptId, RouteName};

/// What else is signed with the database's key has other words before it.
const DOMAIN: &[u8] = b"filmgate callback 1";
/// Bytes of the code that are kept: 128 bits.
const CODE_BYTES: usize = 16;

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Callbacks {
    key: [u8; 32],
}

impl std::fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Callbacks(***)")
    }
}

impl Callbacks {
    /// Signs with a key of its own, made from the one that all replicas share.
    pub fn new(shared: [u8; 32]) -> Self {
        Self { key: mac(&shared, &[DOMAIN]).finalize().into_bytes().into() }
    }

    /// Where a route's provider shall call about an attempt: `base` is how it reaches us.
    pub fn address(&self, base: &str, route: &RouteName, attempt: AttemptId) -> String {
        let code = self.code(route, &attempt.to_string()).finalize().into_bytes();
        let code: String = code[..CODE_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{base}/hooks/{route}/{attempt}.{code}")
    }

    /// The attempt that a token is for, if it is ours and the route's.
    pub fn read(&self, route: &RouteName, token: &str) -> Option<AttemptId> {
        let (attempt, code) = token.split_once('.')?;
        let code = from_hex(code)?;
        self.code(route, attempt).verify_truncated_left(&code).ok()?;
        attempt.parse().ok()
    }

    fn code(&self, route: &RouteName, attempt: &str) -> Hmac<Sha256> {
        mac(&self.key, &[route.as_str().as_bytes(), b"/", attempt.as_bytes()])
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    // A key shorter than a block is filled up with zeros (RFC 2104, 2), which is what is done here.
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac
}

/// Exactly as many lower-case digits as a code has.
fn from_hex(text: &str) -> Option<[u8; CODE_BYTES]> {
    let digit = |b: u8| char::from(b).to_digit(16).filter(|_| !b.is_ascii_uppercase()).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; CODE_BYTES];
    if text.len() != 2 * CODE_BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? * 16 + digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::Callbacks;
    use crate::id::{AttemptId, RouteName};

    #[test]
    fn a_token_is_for_one_attempt_of_one_route() {
        let (callbacks, route, attempt) = (Callbacks::new([7; 32]), RouteName::new("north"), AttemptId::mint());
        let address = callbacks.address("https://gw.example", &route, attempt);
        let token = address.strip_prefix("https://gw.example/hooks/north/").unwrap();
        assert_eq!(callbacks.read(&route, token), Some(attempt));
        assert_eq!(callbacks.read(&RouteName::new("south"), token), None);
        assert_eq!(Callbacks::new([8; 32]).read(&route, token), None);
        let code = token.split_once('.').unwrap().1;
        let (other, upper) = (format!("{}.{code}", AttemptId::mint()), format!("{attempt}.{}", code.to_uppercase()));
        let short = &token[..token.len() - 2];
        for bad in ["", ".", &other, short, &format!("{token}00"), &attempt.to_string(), &format!("{attempt}.é")] {
            assert_eq!(callbacks.read(&route, bad), None, "{bad}");
        }
        assert!(code.chars().all(|c| c.is_ascii_digit()) || callbacks.read(&route, &upper).is_none());
    }
}
