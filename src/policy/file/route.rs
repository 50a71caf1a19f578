//! `[routes.*]`: ways to get video made, as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::forms::{OneOrMany, Placed, Whole};
use super::{Budget, Limits, Model};

/// One way to get video made.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The dialect: `"openai"`, `"azure"`, `"cometapi"`, `"openai_compatible"`, `"simulator"`.
    #[schemars(required)]
    pub provider: Option<Placed<String>>,
    /// Where it is: `"https://api.openai.com/v1"`. Default: the provider's own address, if it has one; a simulator without an address runs in this process.
    pub base_url: Option<Placed<String>>,
    /// `"env:NAME"` or `"file:PATH"`; a literal key works and is frowned at.
    pub api_key: Option<Placed<String>>,
    /// Microsoft Entra client credentials instead of an API key (`azure` only).
    pub entra: Option<Placed<Entra>>,
    /// How the provider reaches this gateway, `"https://gw.example.com"`: each submission then carries a `callback_url` of its own, and a callback there tells what became of one whose reply was lost. Default: none is sent.
    pub callback_url: Option<Placed<String>>,
    /// Verifies the provider's callbacks; one, or a list while it is being replaced.
    pub webhook_secret: Option<Placed<OneOrMany<String>>>,
    /// Where it processes, in your own words (`"eu"`); compared with residency.
    pub region: Option<Placed<String>>,
    /// The account's usage tier at OpenAI, 1 to 5; fills `limits.rpm` from the published table.
    pub tier: Option<Placed<Whole>>,
    /// The account's limits; `rpm` here overrides `tier`.
    #[serde(default)]
    pub limits: Limits,
    /// A cap on what is spent on this route.
    pub budget: Option<Placed<Budget>>,
    /// `false` takes it out of every plan; jobs that it has are followed to their end. Default `true`.
    pub enabled: Option<bool>,
    /// `true` lets it run empty: it takes nothing new but what is made from its own clips, and jobs that it has are followed to their end. Default `false`.
    pub drain: Option<bool>,
    /// When its jobs are asked about.
    #[serde(default)]
    pub poll: Poll,
    /// The longest wait for the reply to a submission; past it the outcome is unknown. Default `"120s"`.
    pub submit_timeout: Option<Placed<String>>,
    /// Whether it honours `Idempotency-Key`: a submission whose outcome is unclear is then sent again under the same key. Default `false`; where it is not honoured, that pays twice.
    pub idempotency_key: Option<bool>,
    /// Whether a failed job is billed there. Default `false`.
    pub bills_failed: Option<bool>,
    /// What ends an attempt whose outcome is unknown.
    pub unknown: Option<Placed<Unknown>>,
    /// What ends a job that the provider took and does not know any more.
    pub lost: Option<Placed<Lost>>,
    /// When one of its models is asked last: the others of the rule come first while it rests.
    #[serde(default)]
    pub breaker: Breaker,
    /// Hosts that results may be downloaded from beside the route's own; `"*.example.com"` matches subdomains.
    #[serde(default)]
    pub content_hosts: Vec<Placed<String>>,
    /// How many times faster than real life the simulator works (`simulator` only). Default `20`.
    pub speed: Option<Placed<Whole>>,
    /// What it offers, by the model name that clients use. The simulator may do without.
    #[serde(default)]
    pub models: BTreeMap<Placed<String>, Model>,
}

/// Microsoft Entra client credentials.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entra {
    /// The directory's id.
    #[schemars(required)]
    pub tenant: Option<Placed<String>>,
    /// The application's id.
    #[schemars(required)]
    pub client_id: Option<Placed<String>>,
    /// The application's secret: `"env:NAME"` or `"file:PATH"`.
    #[schemars(required)]
    pub client_secret: Option<Placed<String>>,
    /// Who issues tokens. Default `"https://login.microsoftonline.com"`.
    pub authority: Option<Placed<String>>,
    /// What the token is for. Default `"https://cognitiveservices.azure.com/.default"`.
    pub scope: Option<Placed<String>>,
}

/// When a route's jobs are asked about.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// Between polls in the first minute. Default `"10s"`.
    pub early: Option<Placed<String>>,
    /// Between polls afterwards. Default `"30s"`.
    pub late: Option<Placed<String>>,
    /// The most questions that the account is asked in a minute, lists included. Default `600`; `60000` for the simulator.
    pub rate: Option<Placed<Whole>>,
}

/// When one of a route's models is asked last.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// After so many failures in a row. Default `5`.
    pub failures: Option<Placed<Whole>>,
    /// Or after this share of failures, from 0 to 1… Default `0.5`.
    pub rate: Option<Placed<f64>>,
    /// …of at least so many answers… Default `10`.
    pub min: Option<Placed<Whole>>,
    /// …within this time. Default `"60s"`.
    pub window: Option<Placed<String>>,
    /// For how long at the least: then an answer to a free question lets one job through on trial. Default `"30s"`.
    pub rest: Option<Placed<String>>,
}

/// What ends an attempt whose outcome is unknown.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unknown {
    /// How long a job may be absent from the provider's list before it counts as never accepted. Default `"15m"`.
    pub grace: Option<Placed<String>>,
    /// When the attempt is ended without evidence. Default `"24h"`.
    pub give_up: Option<Placed<String>>,
    /// What it then counts as. Default `"spent"`.
    pub counts_as: Option<CountsAs>,
    /// When its client is told that it failed; its money stays held. Default `"10m"`.
    pub tell_after: Option<Placed<String>>,
    /// Whether others order on the same account: then what looks like ours may be theirs. Default `false`.
    pub shared_account: Option<bool>,
}

/// What ends a job that the provider took and does not know any more.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// How long after it was submitted its money is held. Default `"24h"`.
    pub give_up: Option<Placed<String>>,
    /// What it then counts as. Default `"spent"`.
    pub counts_as: Option<CountsAs>,
}

/// What an attempt counts as that was given up without evidence.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountsAs {
    /// The provider is assumed to have billed it.
    Spent,
    /// The hold is given back.
    Free,
}
