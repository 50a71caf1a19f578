//! Authentication: which tenant a request's key belongs to.
//!
//! Pure. Only hashes of keys are known here. A key is looked up by the whole of its SHA-256, which an
//! attacker cannot steer towards a stored one byte by byte, so the look-up's timing tells nothing.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

use crate::policy::{Policy, Tenant};

/// Longest key that is worth hashing, bytes.
const KEY_BYTES_MAX: usize = 512;

/// The request shows no key that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unauthenticated;

/// The tenant whose key the request shows, and the key's hash. It is shown as `Authorization: Bearer KEY` or as `api-key: KEY`.
///
/// Two different keys, two headers of one kind, or anything but `Bearer` is no key at all.
pub fn authenticate(policy: &Policy, headers: &HeaderMap) -> Result<(Arc<Tenant>, [u8; 32]), Unauthenticated> {
    let bearer = match only(headers, AUTHORIZATION.as_str())? {
        Some(value) => Some(bearer(value).ok_or(Unauthenticated)?),
        None => None,
    };
    let key = match (bearer, only(headers, "api-key")?) {
        (Some(bearer), Some(api_key)) if bearer != api_key => return Err(Unauthenticated),
        (bearer, api_key) => bearer.or(api_key).ok_or(Unauthenticated)?,
    };
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Unauthenticated);
    }
    let hash = hash(key);
    policy.keys.get(&hash).map(|tenant| (tenant.clone(), hash)).ok_or(Unauthenticated)
}

/// SHA-256 of a key: the form in which the policy knows it.
pub fn hash(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// The only header of that name, if there is one; two are refused.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a [u8]>, Unauthenticated> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first.map(|value| value.as_bytes().trim_ascii())),
        (_, Some(_)) => Err(Unauthenticated),
    }
}

/// The credential of a `Bearer` header; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key.trim_ascii())
}
