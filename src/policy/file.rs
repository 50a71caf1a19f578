//! What the operator wrote: `gateway.toml` as plain tables, before anything in it is believed.
//!
//! Every key is optional here, even where leaving it out is a fault: what is missing is noticed by
//! `compile`, which can say what to write instead. Unknown keys are refused. A value keeps its
//! place in the text ([`Placed`]), so that a fault can point at it. The doc comments of the tables, each
//! in a file beside this one, are the descriptions in the JSON Schema that editors show.

mod archive;
mod budget;
pub mod forms;
mod guard;
mod offer;
mod queue;
mod route;
mod rule;
mod settings;
mod tenant;
mod tls;
mod webhook;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use self::forms::Placed;

pub use archive::Archive;
pub use budget::{Budget, Limits, Per};
pub use guard::{Guard, Moderation, OnError};
pub use offer::{Fit, Model};
pub use queue::Queue;
pub use route::{Breaker, CountsAs, Entra, Route};
pub use rule::{Choose, Rule, When, Window};
pub use settings::{Alerts, Defaults, Log, Server, Store, Telemetry};
pub use tenant::{Charge, NamedKey, Tenant};
pub use tls::Tls;
pub use webhook::Webhook;

/// The policy of a Filmgate gateway. Money is a quoted decimal in US dollars; durations are `"30s"`, `"15m"`, `"24h"`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// Where the gateway listens, which needs a restart, and what it allows, which does not.
    pub server: Server,
    /// Where jobs and money are written down. A change needs a restart.
    pub store: Store,
    /// Where finished clips are kept.
    pub archive: Archive,
    /// What is assumed when a request does not say.
    pub defaults: Defaults,
    /// A cap over everything that this gateway spends.
    pub budget: Option<Placed<Budget>>,
    /// Ways to get video made, by name.
    pub routes: BTreeMap<Placed<String>, Route>,
    /// Who is served by what; the first that matches decides. Without rules, everybody is served by all routes in the file's order.
    pub rules: Vec<Placed<Rule>>,
    /// Who may ask, and how much they may spend, by name.
    pub tenants: BTreeMap<Placed<String>, Tenant>,
    /// Refusals ahead of any provider.
    pub guard: Guard,
    /// What is worth telling a person.
    pub alerts: Alerts,
    /// Logs and traces.
    pub telemetry: Telemetry,
}
