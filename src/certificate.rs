//! A certificate and its key: whether two files are one identity, and from when until when.
//!
//! Pure: bytes in, an identity or what is wrong with them out. Knows no file, no socket and no clock.
//! The invariant: what is handed out can be shown to a client, because its key is the certificate's own.

mod validity;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use crate::clock::Timestamp;
pub use validity::Validity;

/// A certificate is worth a warning so long before its end, unless a fifth of its life is shorter.
const WARNED_AHEAD_MAX: Duration = Duration::from_secs(14 * 86_400);
const DAY: Duration = Duration::from_secs(86_400);

/// What a listener shows to prove who it is.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The chain and its key.
    pub shown: Arc<CertifiedKey>,
    /// When it means something.
    pub validity: Validity,
}

/// Which of the two files is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The certificate's.
    Certificate,
    /// The key's.
    Key,
}

/// Why two files cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Where.
    pub half: Half,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.remedy)
    }
}

const WHOLE_CHAIN: &str = "write the certificate as PEM, and behind it those that lead to a known authority";
const PLAIN_KEY: &str = "write the certificate's private key as PEM, without a pass phrase";

/// Reads the text of both files.
pub fn read(chain: &[u8], key: &[u8]) -> Result<Certificate, Unfit> {
    let bad_chain = |message: String| Unfit { half: Half::Certificate, message, remedy: WHOLE_CHAIN };
    let bad_key = |message: &str| Unfit { half: Half::Key, message: message.to_owned(), remedy: PLAIN_KEY };

    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(|_| bad_chain("this is not PEM to its end".to_owned()))?;
    let Some(own) = chain.first() else { return Err(bad_chain("there is no certificate in this file".to_owned())) };
    if validity::is_version_1(own) {
        let remedy = "have it issued as version 3, with the names that clients connect to as subjectAltName";
        let message = "the certificate is of X.509 version 1, which clients do not take".to_owned();
        return Err(Unfit { half: Half::Certificate, message, remedy });
    }
    let validity = Validity::of(own).ok_or_else(|| bad_chain("the certificate cannot be read".to_owned()))?;
    // The fault is not repeated: it may quote the key.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| bad_key("there is no private key in this file that can be read"))?;
    let shown = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|why| match why {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            let remedy = "write the key that the certificate was made for, and both files before they are looked at";
            Unfit { half: Half::Key, message: "the key is not this certificate's".to_owned(), remedy }
        }
        Error::InvalidCertificate(_) => bad_chain("the certificate cannot be read".to_owned()),
        _ => bad_key("the private key is of no kind that can be used: RSA of 2048 bits and more, ECDSA or Ed25519 can"),
    })?;
    Ok(Certificate { shown: Arc::new(shown), validity })
}

impl Validity {
    /// Whether clients believe it at that moment.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// What an operator should know of it at that moment.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        if now < self.from {
            return Some("is not valid yet: clients refuse it, unless the clock is wrong".to_owned());
        }
        let left = self.until.since(now);
        let days = left.as_secs() / DAY.as_secs();
        match days {
            _ if left.is_zero() => Some(format!("expired {} days ago: clients refuse it", now.since(self.until).as_secs() / DAY.as_secs())),
            _ if left > WARNED_AHEAD_MAX.min(self.until.since(self.from) / 5) => None,
            0 => Some(format!("expires in {} hours", left.as_secs() / 3_600)),
            days => Some(format!("expires in {days} days")),
        }
    }
}

#[cfg(test)]
mod tests;
