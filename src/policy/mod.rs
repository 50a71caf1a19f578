//! Policy: what we run. Compiled from `gateway.toml` by [`compile`](compile::compile), immutable, every name resolved.
//!
//! There are two types for configuration: `file` is what the operator wrote, [`Policy`] is what it
//! means. A request takes one [`Current::snapshot`] at its first line and nothing below it takes
//! another, so no decision mixes two files. Knows no socket and no store; secrets were read while
//! loading, and compiling is a pure function of text and secrets.

pub mod compile;
pub mod diff;
pub mod fault;
pub mod file;
pub mod load;
mod read;
pub mod rules;
pub mod schema;
mod shroud;
pub mod sunset;
mod terms;
pub mod window;
#[cfg(test)]
pub mod sample;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Uri;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::id::{ModelName, RouteName, TenantName};
use crate::money::MicroUsd;
use crate::provider::{Endpoint, Provider};
use crate::secret::Secret;
use crate::video::{Seconds, Size, SizeClass};

pub use rules::{Rules, When};
pub use window::Window;

/// The whole of what the operator decided, as one immutable value.
#[derive(Clone, Debug)]
pub struct Policy {
    /// SHA-256 of the file, in hexadecimal: which file decided.
    pub revision: String,
    /// `[server]`; the addresses need a restart, the rest does not.
    pub server: Server,
    /// `[store]`; a change needs a restart.
    pub store: StoreUrl,
    /// Where upstream ids go that the store does not take in time; a change needs a restart.
    pub emergency_journal: PathBuf,
    /// `[archive]`
    pub archive: Archive,
    /// `[defaults]`
    pub defaults: Defaults,
    /// `[budget]`: the cap over everything, if there is one.
    pub budget: Option<Budget>,
    /// `[routes.*]`
    pub routes: BTreeMap<RouteName, Arc<Route>>,
    /// Routes of earlier files that are in this one no more; filled in by a reload.
    pub retired: BTreeMap<RouteName, Arc<Route>>,
    /// Fields beyond the protocol that some offer takes: all others are nobody's.
    pub extras: BTreeSet<String>,
    /// `[[rules]]`, first match wins.
    pub rules: Rules,
    /// `[tenants.*]`
    pub tenants: BTreeMap<TenantName, Arc<Tenant>>,
    /// SHA-256 of a key → whose it is.
    pub keys: HashMap<[u8; 32], Arc<Tenant>>,
    /// `[guard]`
    pub guard: Guard,
    /// `[alerts]`
    pub alerts: Alerts,
    /// `[telemetry]`
    pub telemetry: Telemetry,
    /// Things that are legal and that the operator should know.
    pub warnings: Vec<String>,
}

impl Policy {
    /// A route by name, also one that the file has no more: jobs that it took are followed to their end.
    pub fn route_of(&self, name: &RouteName) -> Option<&Arc<Route>> {
        self.routes.get(name).or_else(|| self.retired.get(name))
    }
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// What clients are shown if they speak TLS; whether they do needs a restart.
    pub tls: Option<Tls>,
    /// What operators are shown, likewise.
    pub admin_tls: Option<Tls>,
    /// By which names operators may reach us, beside addresses and `localhost`.
    pub admin_hosts: Vec<String>,
    /// How clients reach us, for links; taken from their own `Host` if not set.
    pub public_url: Option<String>,
    /// Largest request body, bytes.
    pub body_bytes_max: usize,
    /// How long a stop waits for what is under way.
    pub drain: Duration,
    /// Whether nothing may be bought.
    pub halt: bool,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM: the certificate and what leads from it to a known authority.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// Where the policy file says so, bytes: for faults that show only when the files are read.
    pub at: Range<usize>,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `sqlite:PATH`
    Sqlite(PathBuf),
    /// `postgres://…`
    Postgres(Secret),
}

/// `[archive]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Where finished clips are copied: `None` streams from the provider only.
    pub place: Option<ArchivePlace>,
    /// How long they are kept.
    pub keep: Duration,
    /// How long a clip that cannot be copied holds up its job.
    pub give_up: Duration,
}

/// Where finished clips are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchivePlace {
    /// `file:DIR`
    Folder(PathBuf),
    /// `s3://…`
    Bucket(Bucket),
}

/// A bucket of an object store that speaks S3, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// What it is called.
    pub name: String,
    /// What the names in it begin with: nothing, or folders.
    pub prefix: String,
    /// Where the store is, if not at AWS.
    pub endpoint: Option<String>,
    /// As it is signed for.
    pub region: String,
    /// Whose.
    pub access_key: Secret,
    /// What signs.
    pub secret_key: Secret,
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.name, self.prefix)
    }
}

/// `[defaults]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The model of a wish that names none.
    pub model: ModelName,
    /// How long a create waits for its outcome before it answers `queued`.
    pub answer_after: Duration,
}

/// One way to get video made.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name in the file.
    pub name: RouteName,
    /// The dialect it speaks.
    pub provider: &'static dyn Provider,
    /// Whether it is the simulator inside this process, whose address is known once it runs.
    pub simulated: bool,
    /// Where it is and how we prove who we are.
    pub endpoint: Endpoint,
    /// `false` takes it out of every plan; jobs that it has are followed to their end.
    pub enabled: bool,
    /// Whether it takes nothing new but what is made from its own clips.
    pub drain: bool,
    /// Where it processes.
    pub region: Option<String>,
    /// Its account's limits.
    pub limits: Limits,
    /// Its account's cap, if it has one.
    pub budget: Option<Budget>,
    /// What it offers, by public name.
    pub models: BTreeMap<ModelName, Offer>,
    /// When its jobs are asked about.
    pub poll: PollSchedule,
    /// The longest wait for the reply to a submission; past it the outcome is unknown.
    pub submit_timeout: Duration,
    /// Whether it knows a submission again by its `Idempotency-Key`, so that one may be sent again.
    pub idempotency_key: bool,
    /// Whether a failed job is billed there.
    pub bills_failed: bool,
    /// What ends an attempt whose outcome is unknown.
    pub unknown: UnknownPolicy,
    /// What ends a job that its upstream took and denies.
    pub lost: WrittenOff,
    /// When it is better asked last.
    pub breaker: BreakerPolicy,
    /// Hosts that result addresses may be on, beside the endpoint's own; `*.` matches subdomains.
    pub content_hosts: Vec<String>,
    /// How its provider reaches us to tell of one attempt each, if it is asked to.
    pub callback_url: Option<String>,
    /// Verifies its callbacks; several while one is being replaced.
    pub webhook_secrets: Vec<Secret>,
    /// How many times faster than real life it works, if it is the simulator; 1 otherwise.
    pub speed: u32,
}

impl Route {
    /// Whether it takes jobs that could go elsewhere.
    pub const fn takes_new(&self) -> bool {
        self.enabled && !self.drain
    }
}

/// Requests per minute and jobs at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Creates per minute.
    pub rpm: Option<u32>,
    /// Jobs in flight.
    pub in_flight: Option<u32>,
}

/// When a route's jobs are asked about: often in the first minute, then less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollSchedule {
    /// Between polls in the first minute.
    pub early: Duration,
    /// Between polls afterwards.
    pub late: Duration,
    /// The most questions that the account is asked in a minute, lists included.
    pub rate: u32,
}

/// When one of a route's models is asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// After so many failures in a row.
    pub failures: u32,
    /// Or after this share of failures, in thousandths…
    pub permille: u32,
    /// …of at least so many answers…
    pub count_min: u32,
    /// …within this time.
    pub window: Duration,
    /// For how long at the least; longer each time that it opens again without having been well.
    pub rest: Duration,
}

/// What ends an attempt whose outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPolicy {
    /// How long after the attempt a missing job counts as never accepted, where the upstream lists its jobs.
    pub grace: Duration,
    /// How long after the attempt policy ends it without evidence.
    pub give_up: Duration,
    /// Whether it then counts as spent.
    pub counts_as_spent: bool,
    /// How long after the attempt its client is told that it failed, though its money is still held.
    pub tell_after: Duration,
    /// Whether others order on the same account.
    pub shared_account: bool,
}

impl UnknownPolicy {
    /// What ends it without evidence.
    pub const fn written_off(&self) -> WrittenOff {
        WrittenOff { give_up: self.give_up, counts_as_spent: self.counts_as_spent }
    }
}

/// How what has no evidence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenOff {
    /// How long after the attempt.
    pub give_up: Duration,
    /// Whether it then counts as spent.
    pub counts_as_spent: bool,
}

/// What a route offers under one public model name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What the route calls it.
    pub upstream_model: String,
    /// Lengths, ascending, never empty.
    pub seconds: Vec<Seconds>,
    /// Sizes, never empty, each with a price.
    pub sizes: Vec<Size>,
    /// Per second.
    pub price: Price,
    /// The last day it is offered.
    pub sunset: Option<Date>,
    /// What to do about a length or size that is not offered.
    pub fit: Fit,
    /// Fields beyond the protocol that it takes.
    pub extras: BTreeSet<String>,
}

/// The price of a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Price {
    /// Whatever the size.
    Flat(MicroUsd),
    /// By size class.
    BySize(BTreeMap<SizeClass, MicroUsd>),
}

/// What to do about a length or size that a route does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// Not eligible.
    #[default]
    Exact,
    /// The nearest one; the shorter of two equally near.
    Nearest,
    /// The next longer or larger one.
    Up,
    /// The next shorter or smaller one.
    Down,
}

/// A policy entry: who is served by what.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Whom it matches.
    pub when: When,
    /// The routes, in the file's order, each with its weight.
    pub routes: Vec<(Arc<Route>, u32)>,
    /// How to order them.
    pub choose: Choose,
    /// Where what it serves may be processed.
    pub residency: Option<String>,
    /// Whether what it matches may wait while they are full.
    pub queue: Option<Queue>,
}

/// Waiting in line instead of being refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How many jobs of one tenant may wait at a time.
    pub max: u32,
    /// For how long each may.
    pub wait: Duration,
}

impl Queue {
    /// What a rule and a tenant say together: the smaller of each. `None` if nobody may wait.
    pub fn of(rule: Option<&Rule>, tenant: &Tenant) -> Option<Self> {
        let both = match (rule.and_then(|rule| rule.queue), tenant.queue) {
            (Some(one), Some(other)) => Some(Self { max: one.max.min(other.max), wait: one.wait.min(other.wait) }),
            (one, other) => one.or(other),
        };
        both.filter(|queue| queue.max > 0)
    }
}

/// How the routes of a rule are ordered for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choose {
    /// As written.
    Ordered,
    /// By lot, in proportion to their weights; the same job always draws the same lot.
    Weighted,
    /// By the price of this wish.
    Cheapest,
    /// By how long such clips took lately.
    Fastest,
    /// By jobs in flight for each place of the account.
    LeastBusy,
}

impl Choose {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Weighted => "weighted",
            Self::Cheapest => "cheapest",
            Self::Fastest => "fastest",
            Self::LeastBusy => "least_busy",
        }
    }
}

/// Who pays.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its name in the file.
    pub name: TenantName,
    /// What opens its doors.
    pub keys: Vec<Key>,
    /// What it may spend; a tenant without a budget may spend nothing.
    pub budget: Budget,
    /// What each of its end users may spend.
    pub user_budget: Option<Budget>,
    /// Whether what costs money has to name its end user.
    pub require_user: bool,
    /// Its own limits.
    pub limits: Limits,
    /// Whether its jobs may wait while all routes are full.
    pub queue: Option<Queue>,
    /// Its share of what becomes free while several wait, beside theirs.
    pub weight: u32,
    /// The models it may ask for; empty allows all.
    pub models: Vec<ModelName>,
    /// The longest clip it may ask for.
    pub seconds_max: Option<Seconds>,
    /// The dearest clip it may ask for.
    pub cost_max: Option<MicroUsd>,
    /// Where its jobs may be processed.
    pub residency: Option<String>,
    /// What it is charged, for reports.
    pub charge: Option<Charge>,
    /// Whether answers tell it which route served.
    pub show_route: bool,
    /// Whether it has to send an `Idempotency-Key` with what costs money.
    pub require_idempotency_key: bool,
    /// Whether an SDK's resend without a key gets the job of its earlier sending.
    pub claim_resends: bool,
    /// Where its events go.
    pub webhook: Option<Webhook>,
}

/// One of a tenant's keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// What its spend is booked under, unique among the tenant's keys.
    pub name: String,
    /// What may be spent by it.
    pub budget: Option<Budget>,
}

/// What a tenant is charged for a clip that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// The same for every clip.
    PerClip(MicroUsd),
    /// By its length.
    PerSecond(MicroUsd),
}

/// A cap and the period it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// `None` is `"unlimited"`, which has to be written out.
    pub cap: Option<MicroUsd>,
    /// The period.
    pub per: Per,
    /// Whose midnight it is.
    pub timezone: TimeZone,
    /// Percentages of the cap that are worth a warning, ascending.
    pub warn: Vec<u8>,
}

/// A budget's period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// `[guard]`: refusals ahead of any provider.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The longest prompt, characters.
    pub prompt_chars_max: usize,
    /// Prompts that match one are refused.
    pub deny: regex::RegexSet,
    /// Who is asked about what passes, if anybody is.
    pub moderation: Option<Moderation>,
}

/// A moderation service that is asked about every new wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moderation {
    /// Where it is and how we prove who we are.
    pub endpoint: Endpoint,
    /// What it calls its model.
    pub model: String,
    /// What becomes of a wish that it says nothing of.
    pub on_error: OnError,
    /// How long it is waited for.
    pub timeout: Duration,
    /// Where it processes; tenants that are bound to another region are not asked about.
    pub region: Option<String>,
    /// Whether it is shown the picture that a clip starts from.
    pub pictures: bool,
}

/// What becomes of a wish that a moderation service says nothing of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It is refused.
    Refuse,
    /// It passes.
    Allow,
}

/// `[alerts]`
#[derive(Clone, Debug, PartialEq)]
pub struct Alerts {
    /// Where alerts go.
    pub webhook: Option<Webhook>,
    /// The share of attempts that may be retries, in thousandths.
    pub retry_permille: u32,
    /// How many days before a sunset to warn.
    pub sunset_days: u32,
}

/// `[telemetry]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// Whether logs are JSON; text otherwise.
    pub log_json: bool,
}

/// The policy in force, swapped as a whole.
#[derive(Debug)]
pub struct Current(ArcSwap<Policy>);

impl Current {
    /// Puts the first one in force.
    pub fn new(policy: Policy) -> Self {
        Self(ArcSwap::from_pointee(policy))
    }

    /// The policy in force now. Taken once per request.
    pub fn snapshot(&self) -> Arc<Policy> {
        self.0.load_full()
    }

    /// Puts another one in force.
    pub fn swap(&self, policy: Policy) {
        self.0.store(Arc::new(policy));
    }
}
