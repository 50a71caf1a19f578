//! The single tables: `[server]`, `[store]`, `[defaults]`, `[alerts]`, `[telemetry]`, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::forms::{Placed, Whole, Written};
use super::{Tls, Webhook};

/// Where the gateway listens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port for clients. Default `"127.0.0.1:8080"`.
    pub listen: Option<Placed<String>>,
    /// Address and port for operators: metrics, health, the page. Default `"127.0.0.1:9090"`.
    pub admin: Option<Placed<String>>,
    /// Names by which operators and scrapers reach `admin`: `["filmgate"]`. Addresses and `localhost` always may; other names are refused.
    #[serde(default)]
    pub admin_hosts: Vec<Placed<String>>,
    /// `true` stops all buying by the gateways that read this file, while everything that was ordered goes on and can be read. Default `false`.
    pub halt: Option<bool>,
    /// Clients speak TLS: `{ cert = "PATH", key = "PATH" }`, PEM files. Without it they do not. A renewed pair is taken within a second.
    pub tls: Option<Placed<Tls>>,
    /// Operators speak TLS: the same keys.
    pub admin_tls: Option<Placed<Tls>>,
    /// How clients reach the gateway, for links in answers: `"https://video.example.com"`. Default: what their `Host` header says.
    pub public_url: Option<Placed<String>>,
    /// Largest request body: bytes, or `"16MiB"`. Default `"16MiB"`.
    pub body_limit: Option<Placed<Written>>,
    /// How long a stop waits for what is under way. Default `"120s"`.
    pub drain: Option<Placed<String>>,
}

/// Where jobs and money are written down.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `"sqlite:PATH"`, or `"postgres://user@host/db"` for several replicas; may be `"env:NAME"` or `"file:PATH"`. Default `"sqlite:filmgate.db"`.
    pub url: Option<Placed<String>>,
    /// The file for what a provider took while the store was failing; taken over at the next start. Default: beside the SQLite file, `"filmgate.emergency.jsonl"`.
    pub journal: Option<Placed<String>>,
}

/// What is assumed when a request does not say.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// The model of a request that names none. Default `"sora-2"`.
    pub model: Option<Placed<String>>,
    /// How long a create waits for its outcome before it answers `queued`. Default `"5s"`.
    pub answer_after: Option<Placed<String>>,
}

/// What is worth telling a person.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// Where the operator is told of what a person should look at: attempts whose outcome stays unknown, money that
    /// no job explains or that no hold covered, a route that refuses its key, budgets of the gateway and of routes.
    pub webhook: Option<Placed<Webhook>>,
    /// Alert when more than this share of attempts are retries, 0 to 1. Default `0.10`.
    pub retry_rate: Option<Placed<f64>>,
    /// How many days before a model's last day to warn. Default `30`.
    pub sunset_days: Option<Placed<Whole>>,
}

/// Logs and traces.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// Where traces go (OTLP); read but not in force yet.
    pub otlp: Option<Placed<String>>,
    /// How log lines are written. Default `"text"`.
    pub log: Option<Log>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Log {
    /// For machines.
    Json,
    /// For people.
    Text,
}
