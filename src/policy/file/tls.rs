//! `tls`: a certificate and its key, as written: the same shape for both listeners.

use schemars::JsonSchema;
use serde::Deserialize;

use super::forms::Placed;

/// A certificate and its key, as files; relative paths start at the folder of this file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the listener's certificate, and behind it those that lead to a known authority.
    pub cert: Option<Placed<String>>,
    /// PEM file with the certificate's private key.
    pub key: Option<Placed<String>>,
}
