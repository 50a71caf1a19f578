//! Which account a route is: a fingerprint of where it is and of who we are there, for the books and for comparing.
//!
//! It tells nothing of a secret. A key is known by its hash alone, so a fresh key looks like another account until the
//! provider has shown that it is not; Entra's client stays the same one, whatever its secret is at the moment.

use http::Uri;
use sha2::{Digest as _, Sha256};

use super::{Credential, Endpoint};
use crate::id::AccountId;

/// Digits of each of the two fingerprints.
const DIGITS: usize = 16;

/// The account of an endpoint that is spoken to in a dialect.
pub(super) fn account(dialect: &str, endpoint: &Endpoint) -> AccountId {
    let who = match &endpoint.credential {
        Credential::None => fingerprint(&["none"]),
        Credential::Key(key) => fingerprint(&["key", key.reveal()]),
        Credential::Entra(entra) => fingerprint(&["entra", &entra.authority, &entra.tenant, &entra.client_id]),
    };
    AccountId::new(format!("{}-{who}", fingerprint(&[dialect, &normal(&endpoint.base_url)])))
}

/// An address as everybody writes it who means the same: names in small letters, no port that goes without saying, no
/// slash at the end.
fn normal(base_url: &str) -> String {
    let trimmed = base_url.trim_end_matches('/');
    let Ok(uri) = trimmed.parse::<Uri>() else { return trimmed.to_owned() };
    let scheme = uri.scheme_str().unwrap_or_default();
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = uri.port_u16().filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default();
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    format!("{scheme}://{host}{port}{}", uri.path().trim_end_matches('/'))
}

/// Parts that are told apart however they are cut.
fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new_with_prefix(b"filmgate account 1");
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let digits = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    digits[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::account;
    use crate::id::AccountId;
    use crate::provider::{Credential, Endpoint, Entra};
    use crate::secret::Secret;

    fn key(base_url: &str, key: &str) -> AccountId {
        account("openai", &Endpoint { base_url: base_url.to_owned(), credential: Credential::Key(Secret::new(key)) })
    }

    #[test]
    fn an_account_is_a_dialect_an_address_and_a_credential() {
        let ours = key("https://api.example.com/v1", "sk-1");
        for spelling in ["https://API.example.com/v1", "https://api.example.com:443/v1/", "HTTPS://api.example.com/v1"] {
            assert_eq!(key(spelling, "sk-1"), ours, "{spelling}");
        }
        for other in
            ["http://api.example.com/v1", "https://api.example.com:8443/v1", "https://api.example.com/v2", "https://api.example.com/V1"]
        {
            assert_ne!(key(other, "sk-1").address(), ours.address(), "{other}");
        }
        let fresh = key("https://api.example.com/v1", "sk-2");
        assert_ne!(fresh, ours);
        assert_eq!(fresh.address(), ours.address());
        let azure =
            account("azure", &Endpoint { base_url: "https://api.example.com/v1".into(), credential: Credential::Key(Secret::new("sk-1")) });
        assert_ne!(azure.address(), ours.address());
        assert!(!ours.to_string().contains("sk-1"));
        assert_eq!(ours.as_str().len(), 33);
    }

    #[test]
    fn a_client_of_entra_is_the_same_one_whatever_its_secret_is() {
        let of = |client_id: &str, secret: &str| {
            let entra = Entra {
                authority: "https://login.example.com".into(),
                tenant: "t".into(),
                client_id: client_id.into(),
                client_secret: Secret::new(secret),
                scope: "s".into(),
            };
            account("azure", &Endpoint { base_url: "https://r.example.com".into(), credential: Credential::Entra(entra) })
        };
        assert_eq!(of("one", "old"), of("one", "new"));
        assert_ne!(of("one", "old"), of("other", "old"));
    }
}
