//! What the operator wrote: `gateway.toml` as plain tables, before anything in it is believed.
//!
//! Every key is optional here, even where leaving it out is a fault: what is missing is noticed by
//! `compile`, which can say what to write instead. Unknown keys are refused. A value keeps its
//! place in the text ([`Placed`]), so that a fault can point at it. The doc comments below are the
//! descriptions in the JSON Schema that editors show.

pub mod forms;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::value::Datetime;

use self::forms::{Amount, Key, OneOrMany, Placed, Price, RuleRoutes, Written};

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

/// A certificate and its key, as files; relative paths start at the folder of this file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the listener's certificate, and behind it those that lead to a known authority.
    pub cert: Option<Placed<String>>,
    /// PEM file with the certificate's private key.
    pub key: Option<Placed<String>>,
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

/// Where finished clips are kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// `"file:DIR"` copies finished clips into that folder, `"s3://bucket/prefix"` into that bucket; `"off"` streams them from the provider. `"az://…"` and `"gs://…"` are read but not in force yet. Default `"off"`.
    pub url: Option<Placed<String>>,
    /// Where a bucket's store is, if it is not AWS: `"https://minio.example:9000"`. The bucket's name then stands in the path.
    pub endpoint: Option<Placed<String>>,
    /// The region that requests to a bucket are signed for. Default `"us-east-1"`.
    pub region: Option<Placed<String>>,
    /// The id of the key that opens a bucket: `"env:NAME"` or `"file:PATH"`.
    pub access_key: Option<Placed<String>>,
    /// The secret of that key: `"env:NAME"` or `"file:PATH"`.
    pub secret_key: Option<Placed<String>>,
    /// How long clips are kept. Default `"30d"`.
    pub keep: Option<Placed<String>>,
    /// How long a clip that cannot be copied holds up its job, which is then completed without a copy. Default `"10m"`.
    pub give_up: Option<Placed<String>>,
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

/// A cap and the period it is for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The most that may be spent in a period, in US dollars: `"500.00"`, or `"unlimited"`.
    #[schemars(with = "Amount")]
    pub cap: Option<Placed<Written>>,
    /// The period. Default `"month"`.
    pub per: Option<Per>,
    /// Whose midnight begins a period: an IANA name such as `"Europe/Berlin"`. Default `"UTC"`.
    pub timezone: Option<Placed<String>>,
    /// Percentages of the cap that are worth a warning, ascending. Default `[50, 80, 95]`.
    pub warn: Option<Placed<Vec<u8>>>,
}

/// A budget's period.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// From midnight.
    Day,
    /// From Monday's midnight.
    Week,
    /// From the first's midnight.
    Month,
    /// For ever.
    Total,
}

/// Requests per minute and jobs at a time.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Creates per minute. Default: no limit.
    pub rpm: Option<Placed<u32>>,
    /// Jobs in flight. Default: no limit.
    pub in_flight: Option<Placed<u32>>,
}

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
    pub tier: Option<Placed<u32>>,
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
    pub speed: Option<Placed<u32>>,
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
    pub rate: Option<Placed<u32>>,
}

/// When one of a route's models is asked last.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// After so many failures in a row. Default `5`.
    pub failures: Option<Placed<u32>>,
    /// Or after this share of failures, from 0 to 1… Default `0.5`.
    pub rate: Option<Placed<f64>>,
    /// …of at least so many answers… Default `10`.
    pub min: Option<Placed<u32>>,
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

/// What a route offers under one public model name.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What the route calls it: a model or a deployment. Default: the public name.
    #[serde(rename = "as")]
    pub upstream: Option<Placed<String>>,
    /// The lengths it makes.
    #[schemars(required)]
    pub seconds: Option<Placed<Vec<Placed<u32>>>>,
    /// The sizes it makes. Default: the portrait and the landscape size of each priced class, or of 720p.
    pub sizes: Option<Placed<Vec<Placed<String>>>>,
    /// US dollars per second: `"0.10"`, or by size class `{ "720p" = "0.30", "1024p" = "0.50" }`.
    #[schemars(required)]
    pub price: Option<Placed<Price>>,
    /// The last day it is offered, a date without quotes: `2026-09-24`.
    #[schemars(with = "Option<String>", extend("format" = "date"))]
    pub sunset: Option<Placed<Datetime>>,
    /// What to do about a length or size that it does not make. Default `"exact"`.
    pub fit: Option<Fit>,
    /// Parameters beyond the protocol that are passed on to it: `["seed", "negative_prompt"]`. Default: none; a request with others is refused.
    #[serde(default)]
    pub extras: Vec<Placed<String>>,
}

/// What to do about a length or size that a route does not make.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The route is not eligible.
    Exact,
    /// The nearest one; the shorter of two equally near.
    Nearest,
    /// The next longer or larger one.
    Up,
    /// The next shorter or smaller one.
    Down,
}

/// Who is served by what.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Whom it matches; without it, everybody.
    #[serde(default)]
    pub when: When,
    /// The routes: a list, or a table of weights `{ openai = 80, cometapi = 20 }`.
    #[schemars(required)]
    pub routes: Option<Placed<RuleRoutes>>,
    /// How to order them. Default: `"ordered"` for a list, `"weighted"` for a table of weights.
    pub choose: Option<Placed<Choose>>,
    /// Where what it serves may be processed: only routes of that region, whatever fails and for as long as the job lives.
    pub residency: Option<Placed<String>>,
    /// Whether what it matches waits while all its routes are full. Default: it is refused.
    pub queue: Option<Placed<Queue>>,
}

/// Waiting in line instead of being refused. Where a rule and a tenant both say so, the smaller of each number counts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// How many jobs of one tenant may wait at a time; `0` never lets any.
    #[schemars(required)]
    pub max: Option<Placed<u32>>,
    /// For how long each may. Default `"15m"`.
    pub wait: Option<Placed<String>>,
}

/// Whom a rule matches: all that is given has to match. Each is a value or a list of values.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Tenants.
    pub tenant: Option<Placed<OneOrMany<String>>>,
    /// Models, as clients name them.
    pub model: Option<Placed<OneOrMany<String>>>,
    /// Sizes, such as `"1280x720"`.
    pub size: Option<Placed<OneOrMany<String>>>,
    /// Lengths.
    pub seconds: Option<Placed<OneOrMany<u32>>>,
    /// The tenant's residency.
    pub residency: Option<Placed<String>>,
    /// End users, as the header `x-filmgate-user` or the body's `user` names them.
    pub user: Option<Placed<OneOrMany<String>>>,
    /// Whether the wish comes with a picture to start from.
    pub has_reference: Option<bool>,
    /// The times at which it is in force.
    pub time: Option<Placed<Window>>,
}

/// A part of the day, on some days of the week. One that goes past midnight belongs to the day on which it begins.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// When it begins, on the wall clock: `"22:00"`. Default `"00:00"`.
    pub from: Option<Placed<String>>,
    /// When it is over: `"06:00"`. Default `"24:00"`.
    pub until: Option<Placed<String>>,
    /// The days on which it begins: `"mon"` to `"sun"`. Default: all.
    pub days: Option<Placed<Vec<Placed<String>>>>,
    /// On whose clock: an IANA name such as `"Europe/Berlin"`. Default `"UTC"`.
    pub timezone: Option<Placed<String>>,
}

/// How a rule's routes are ordered.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Choose {
    /// As written.
    Ordered,
    /// By lot, in proportion to their weights.
    Weighted,
    /// The cheapest for the clip in question.
    Cheapest,
    /// The one on which such clips were made in the least time lately.
    Fastest,
    /// The one with the fewest jobs in flight for each that its account may have.
    LeastBusy,
}

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
    pub weight: Option<Placed<u32>>,
    /// The models it may ask for. Default: all.
    pub models: Vec<Placed<String>>,
    /// The longest clip it may ask for, seconds.
    pub max_seconds: Option<Placed<u32>>,
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

/// Refusals ahead of any provider.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// The longest prompt, characters. Default `32000`, the most the protocol allows.
    pub prompt_max_chars: Option<Placed<u32>>,
    /// Regular expressions; a prompt that matches one is refused.
    pub deny: Vec<Placed<String>>,
    /// Who is asked about what passes; nobody by default.
    pub moderation: Option<Placed<Moderation>>,
}

/// A moderation service that speaks OpenAI's `POST /moderations`, asked about every new wish before it is sent.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moderation {
    /// Where it is, such as `https://api.openai.com/v1`.
    #[schemars(required)]
    pub base_url: Option<Placed<String>>,
    /// Its key: `"env:NAME"` or `"file:PATH"`; without one nothing is shown.
    pub api_key: Option<Placed<String>>,
    /// What becomes of a wish when the service does not answer.
    #[schemars(required)]
    pub on_error: Option<OnError>,
    /// How long an answer is waited for. Default `"3s"`.
    pub timeout: Option<Placed<String>>,
    /// What it calls its model. Default `"omni-moderation-latest"`.
    pub model: Option<Placed<String>>,
    /// Where it processes. A tenant with a residency is asked about only if this is the same.
    pub region: Option<Placed<String>>,
    /// Whether it is shown the picture that a clip starts from, beside the prompt. Default `true`.
    pub pictures: Option<bool>,
}

/// What becomes of a wish when moderation cannot be had.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It is refused: nothing passes unseen.
    Refuse,
    /// It passes: clips are made as if there were no moderation.
    Allow,
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
    pub sunset_days: Option<Placed<u32>>,
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

impl When {
    /// Whether nothing is asked for, so that everybody matches.
    pub fn is_empty(&self) -> bool {
        let Self { tenant, model, size, seconds, residency, user, has_reference, time } = self;
        (tenant.is_none() && model.is_none() && size.is_none() && seconds.is_none())
            && (residency.is_none() && user.is_none() && has_reference.is_none() && time.is_none())
    }
}
