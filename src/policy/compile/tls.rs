//! `tls`: a certificate and its key, the same shape for both listeners. Judges what is written, not what is in the files.

use std::path::PathBuf;

use super::Pass;
use crate::policy::file::forms::Placed;
use crate::policy::{Tls, file};

/// The files as written; whether they hold what they should is seen by who reads them.
pub(super) fn compile(path: &str, written: &Option<Placed<file::Tls>>, pass: &mut Pass<'_>) -> Option<Tls> {
    let written = written.as_ref()?;
    let mut file = |key: &str, holds: &str, given: &Option<Placed<String>>| match given {
        Some(given) if !given.value.is_empty() && !given.value.contains("://") => Some((PathBuf::from(&given.value), given.at.clone())),
        given => {
            let at = given.as_ref().map_or(&written.at, |given| &given.at);
            let remedy = format!("write `{key} = \"PATH\"`, the PEM file with {holds}");
            pass.faults.add(at, format_args!("{path}.{key}"), format!("TLS needs a file with {holds}"), remedy);
            None
        }
    };
    let (cert, key) = (file("cert", "the certificate", &written.value.cert), file("key", "its private key", &written.value.key));
    let ((cert, cert_at), (key, key_at)) = (cert?, key?);
    Some(Tls { cert, key, at: (cert_at, key_at) })
}
