//! `webhook`: an address that is told of events, the same shape for a tenant's and the operator's, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::forms::{OneOrMany, Placed};

/// An address that is told of events.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where: an `https` address on port 443 that is anybody's on the internet.
    #[schemars(required)]
    pub url: Option<Placed<String>>,
    /// Signs what is sent: `"env:NAME"` or `"file:PATH"`; one, or a list while it is being replaced.
    #[schemars(required)]
    pub secret: Option<Placed<OneOrMany<String>>>,
    /// `true` lets it be in a network of your own, on any port, and without TLS: the gateway then connects to whatever its name resolves to. Default `false`.
    pub allow_private: Option<bool>,
}
