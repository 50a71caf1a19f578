//! `[tenants.*]`: who pays, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::forms::{Amount, Key, Placed, Whole, Written};
use super::{Budget, Limits, Queue, Webhook};

/// Who may ask, and how much they may spend.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tenant {
    /// `"sha256:…"` lines as `filmgate key new` prints them; several while one is being replaced. A table gives one a name and a cap of its own.
    pub keys: Vec<Placed<Key>>,
    /// What it may spend; without one it may spend nothing.
    pub budget: Option<Placed<Budget>>,
    /// What each of its end users may spend, whom the header `x-filmgate-user` or the body's `user` names. Requests that name none have one such budget together. Default: no cap.
    pub user_budget: Option<Placed<Budget>>,
    /// Whether requests that cost money and name no end user are refused. Default `false`.
    pub require_user: Option<bool>,
    /// Its own limits.
    pub limits: Limits,
    /// Whether its jobs wait while all routes are full. Default: they are refused.
    pub queue: Option<Placed<Queue>>,
    /// Its share of what becomes free while several tenants wait, beside theirs. Default `1`.
    pub weight: Option<Placed<Whole>>,
    /// The models it may ask for. Default: all.
    pub models: Vec<Placed<String>>,
    /// The longest clip it may ask for, seconds.
    pub max_seconds: Option<Placed<Whole>>,
    /// The dearest clip it may ask for, US dollars.
    #[schemars(with = "Option<Amount>")]
    pub max_cost: Option<Placed<Written>>,
    /// Where its jobs may be processed: only routes of that region serve it, fallbacks included.
    pub residency: Option<Placed<String>>,
    /// What it is charged, for reports.
    pub charge: Option<Placed<Charge>>,
    /// Whether answers tell it which route served. Default `false`.
    pub show_route: Option<bool>,
    /// Whether it has to send an `Idempotency-Key` with every request that costs money. Default `false`.
    pub require_idempotency_key: Option<bool>,
    /// Whether a resend that an official SDK makes by itself, without a key, is answered with the job of the sending before it. Default `true`.
    pub claim_resends: Option<bool>,
    /// Where its events go: videos that ended, and how much of its budget is used.
    pub webhook: Option<Placed<Webhook>>,
}

/// One of a tenant's keys that has more than a hash.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedKey {
    /// The `"sha256:…"` line.
    #[schemars(required)]
    pub hash: Option<Placed<String>>,
    /// What its spend is called in reports. Default: the first twelve digits of its hash.
    pub name: Option<Placed<String>>,
    /// What may be spent by it. Default: what the tenant may.
    pub budget: Option<Placed<Budget>>,
}

/// What a tenant is charged: one of the two.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// US dollars for every clip.
    #[schemars(with = "Option<Amount>")]
    pub per_clip: Option<Placed<Written>>,
    /// US dollars for every second.
    #[schemars(with = "Option<Amount>")]
    pub per_second: Option<Placed<Written>>,
}
