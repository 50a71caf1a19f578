//! `webhook`: an address of somebody else's that is told of events, a tenant's or the operator's.

use http::Uri;

use crate::secret::Secret;

/// An address of somebody else's that we tell events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where.
    pub url: Uri,
    /// Sign what we send; several while one is being replaced.
    pub secrets: Vec<Secret>,
    /// Whether it may be in a network of our own, on any port, and without TLS.
    pub allow_private: bool,
}
