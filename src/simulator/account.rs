//! Who asks: an account per credential, and the tokens that stand for one.
//!
//! Any credential opens an account except the literal `bad-key`. Accounts are named by a hash, so
//! that neither the bill nor a watermark shows a credential. Tokens carry what they stand for and
//! are not kept: they are good after a restart too.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};

use super::dialect::Dialect;
use super::faults::Faults;
use super::refusal::Refusal;
use crate::clock::Timestamp;

/// The one credential that is refused.
const BAD_KEY: &str = "bad-key";
/// How access tokens begin: `entra.{good until, in seconds}.{client id}`.
const TOKEN_PREFIX: &str = "entra.";

/// Somebody who orders and pays, in one dialect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// The dialect: the same credential has another account in another one.
    pub dialect: Dialect,
    /// See [`account_of`].
    pub name: String,
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.dialect, self.name)
    }
}

/// The name of the account that a credential opens: twelve hexadecimal digits of its hash. An
/// access token opens the account of the client id it was issued to.
pub fn account_of(credential: &str) -> String {
    let digest = Sha256::digest(credential.as_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// The account that a request's headers open.
pub fn of_request(dialect: Dialect, headers: &HeaderMap, now: Timestamp, faults: &Faults) -> Result<Account, Refusal> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    let api_key = headers.get("api-key").and_then(|value| value.to_str().ok()).filter(|_| dialect == Dialect::Azure);
    let credential = api_key.or(bearer).map(str::trim).unwrap_or_default();
    if credential.is_empty() || credential == BAD_KEY || faults.revoked_keys.contains(credential) {
        return Err(Refusal::bad_key(credential));
    }
    let Some(token) = credential.strip_prefix(TOKEN_PREFIX).filter(|_| dialect == Dialect::Azure) else {
        let first = faults.renewed_keys.get(credential).map_or(credential, String::as_str);
        return Ok(Account { dialect, name: account_of(first) });
    };
    match token.split_once('.') {
        Some((until, client)) if until.parse::<i64>().is_ok_and(|until| now.as_secs() < until) => {
            Ok(Account { dialect, name: account_of(client) })
        }
        _ => Err(Refusal::bad_key("an expired token")),
    }
}

/// An access token for `client_id`, or `None` if its secret is the refused one or is missing.
pub fn token(client_id: &str, client_secret: &str, until: Timestamp) -> Option<String> {
    let acceptable = !client_id.is_empty() && !client_secret.is_empty() && client_secret != BAD_KEY;
    acceptable.then(|| format!("{TOKEN_PREFIX}{}.{client_id}", until.as_secs()))
}
