//! Metrics: what the gateway tells Prometheus, recorded in the words of the domain.
//!
//! [`series`] lists every family; this file says when each is written. Callers hand over what they
//! have (a job, a reply, a refusal) and never a label, so no label can be misspelt, swapped or taken
//! from a client. A registry of our own and no global: two gateways in one test do not mix. Knows no
//! socket and no store; what the store knows is brought by [`Metrics::observe`] at each scrape.

mod family;
mod levels;
mod names;
mod series;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::{Histogram, Registry, TextEncoder};

use crate::clock::Timestamp;
use crate::id::{ModelName, RouteName, TenantName};
use crate::job::State;
use crate::money::MicroUsd;
use crate::notice::Kind;
use crate::policy::Policy;
use crate::provider::Variant;
use crate::standing::LeftBehind;
use crate::store::{Job, Overview};

pub use family::Series;
pub use words::{
    AttemptOutcome, CopyOutcome, Guarded, Listener, ModerationOutcome, NoticeOutcome, Operation, Outcome, PollKind, PollOutcome,
    QueueOutcome, Refusal, RemovalCause, RouteState, UpstreamCall, WebhookOutcome,
};

use names::{Names, OTHER};
use series::{Events, Levels};

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How routes stand, by model; whoever is not listed is well.
type Health = BTreeMap<(RouteName, ModelName), RouteState>;

/// Every family the gateway exposes, sorted by name: what the exposition can be checked against.
pub fn catalogue() -> Vec<Series> {
    let declared = Events::CATALOGUE.iter().chain(Levels::CATALOGUE);
    let mut all: Vec<Series> = declared.map(|series| Series { help: series.help.trim(), ..*series }).collect();
    all.sort_by_key(|series| series.name);
    all
}

/// Everything recorded.
pub struct Metrics {
    registry: Registry,
    events: Events,
    /// One series for each operation and outcome, so that a request looks nothing up.
    requests: Vec<[Histogram; Outcome::ALL.len()]>,
    overhead: Histogram,
    names: ArcSwap<Names>,
    health: Mutex<Health>,
    /// How things stood when [`Metrics::observe`] was last called; replaced as a whole.
    levels: ArcSwap<Registry>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing recorded yet, and no name known: [`Metrics::policy_loaded`] comes next.
    pub fn new() -> Self {
        let registry = Registry::new();
        let events = Events::declare(&registry);
        let child = |operation: Operation, outcome: Outcome| events.request_duration_seconds.child([operation.as_str(), outcome.as_str()]);
        let requests =
            Operation::ALL.iter().map(|operation| std::array::from_fn(|outcome| child(*operation, Outcome::ALL[outcome]))).collect();
        let overhead = events.overhead_seconds.child([]);
        #[cfg(target_os = "linux")]
        // What is lost without it is the process's own memory and descriptor counts: not worth a refusal to start.
        let _ = registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()));
        Self {
            registry,
            events,
            requests,
            overhead,
            names: ArcSwap::default(),
            health: Mutex::default(),
            levels: ArcSwap::from_pointee(Registry::new()),
        }
    }

    /// A request was answered, or its client left.
    pub fn request(&self, operation: Operation, outcome: Outcome, elapsed: Duration) {
        let series = self.requests.get(operation as usize).and_then(|outcomes| outcomes.get(outcome as usize));
        if let Some(series) = series {
            series.observe(elapsed.as_secs_f64());
        }
    }

    /// Our own share of the time that a paid request took.
    pub fn overhead(&self, elapsed: Duration) {
        self.overhead.observe(elapsed.as_secs_f64());
    }

    /// We turned a request down. `tenant` is `None` if it had no key of ours.
    pub fn refused(&self, tenant: Option<&TenantName>, why: Refusal) {
        let names = self.names.load();
        let tenant = tenant.map_or("none", |tenant| names.tenant(tenant.as_str()));
        self.events.refusals_total.add([tenant, why.as_str()], 1);
    }

    /// A guard turned a tenant's wish down.
    pub fn guarded(&self, tenant: &TenantName, why: Guarded) {
        self.events.guard_refusals_total.add([self.names.load().tenant(tenant.as_str()), why.as_str()], 1);
    }

    /// A moderation service was asked about a wish, or could not be.
    pub fn moderation(&self, outcome: ModerationOutcome, elapsed: Duration) {
        self.events.moderation_seconds.observe([outcome.as_str()], elapsed);
    }

    /// A job was submitted to a route.
    pub fn attempt(&self, route: &RouteName, model: &ModelName, outcome: AttemptOutcome) {
        let names = self.names.load();
        self.events.attempts_total.add([names.route(route.as_str()), names.model(model.as_str()), outcome.as_str()], 1);
    }

    /// A job is submitted again, now to `route`, because the attempt before went like `cause`.
    pub fn retry(&self, route: &RouteName, model: &ModelName, cause: AttemptOutcome) {
        let names = self.names.load();
        self.events.retries_total.add([names.route(route.as_str()), names.model(model.as_str()), cause.as_str()], 1);
    }

    /// A file of so many bytes was copied into the archive.
    pub fn archived(&self, variant: Variant, bytes: u64, elapsed: Duration) {
        self.events.archive_copies_total.add([variant.as_str(), CopyOutcome::Copied.as_str()], 1);
        self.events.archive_bytes_total.add([], bytes);
        self.events.archive_copy_seconds.observe([variant.as_str()], elapsed);
    }

    /// A file was not copied into the archive.
    pub fn not_archived(&self, variant: Variant, outcome: CopyOutcome) {
        self.events.archive_copies_total.add([variant.as_str(), outcome.as_str()], 1);
    }

    /// A job was completed without a copy of its clip.
    pub fn archive_given_up(&self) {
        self.events.archive_given_up_total.add([], 1);
    }

    /// So many clips are being copied into the archive, and so many wait.
    pub fn archive_load(&self, (copying, waiting): (usize, usize)) {
        let count = |clips: usize| i64::try_from(clips).unwrap_or(i64::MAX);
        self.events.archive_copying_jobs.set([], count(copying));
        self.events.archive_waiting_jobs.set([], count(waiting));
    }

    /// Files were removed from the archive.
    pub fn unarchived(&self, cause: RemovalCause, files: u64) {
        self.events.archive_removed_total.add([cause.as_str()], files);
    }

    /// A job has ended: its state, its cost, what it is charged and how long it took are told from
    /// the job. Called once, by whoever wrote the last step.
    pub fn ended(&self, job: &Job) {
        let names = self.names.load();
        let tenant = names.tenant(job.tenant.as_str());
        let place = [names.route(job.route.as_str()), names.model(job.model.as_str())];
        let [route, model] = place;
        let cost = microusd(job.cost.unwrap_or(MicroUsd::ZERO));

        self.events.ended_total.add([route, model, job.state.as_str()], 1);
        self.events.spend_microusd_total.add(place, cost);
        self.events.tenant_spend_microusd_total.add([tenant], cost);
        let made = job.state == State::Completed;
        if let Some(charge) = job.charge {
            self.events.charged_microusd_total.add([tenant], if made { microusd(charge) } else { 0 });
            self.events.charged_cost_microusd_total.add([tenant], cost);
        }
        if made && job.attempts > 1 {
            self.events.retry_cost_microusd_total.add(place, cost);
        }
        if let (true, Some(ended_at)) = (made, job.ended_at) {
            self.events.completion_seconds.observe(place, ended_at.since(job.created_at));
        }
    }

    /// A job left the line after it had waited for so long.
    pub fn left_line(&self, job: &Job, outcome: QueueOutcome, waited: Duration) {
        let names = self.names.load();
        self.events.queue_ended_total.add([names.tenant(job.tenant.as_str()), outcome.as_str()], 1);
        if outcome == QueueOutcome::Sent {
            self.events.queue_wait_seconds.observe([names.model(job.model.as_str())], waited);
        }
    }

    /// A job has just passed the time that its length and size usually take.
    pub fn overdue(&self, route: &RouteName, model: &ModelName) {
        let names = self.names.load();
        self.events.overdue_total.add([names.route(route.as_str()), names.model(model.as_str())], 1);
    }

    /// A route said how a job stands, or did not when it was asked.
    pub fn poll(&self, route: &RouteName, outcome: PollOutcome) {
        self.events.polls_total.add([self.names.load().route(route.as_str()), outcome.as_str()], 1);
    }

    /// A route is asked how jobs stand.
    pub fn poll_request(&self, route: &RouteName, kind: PollKind) {
        self.events.poll_requests_total.add([self.names.load().route(route.as_str()), kind.as_str()], 1);
    }

    /// How many of a route's jobs wait to be asked about, and how long the first of them has.
    pub fn poll_due(&self, route: &RouteName, jobs: u64, age: Duration) {
        let names = self.names.load();
        let label = [names.route(route.as_str())];
        self.events.poll_due_jobs.set(label, i64::try_from(jobs).unwrap_or(i64::MAX));
        self.events.poll_due_age_seconds.set(label, i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    }

    /// A route says something else of a job than how it ended here.
    pub fn contradiction(&self, route: &RouteName) {
        self.events.contradictions_total.add([self.names.load().route(route.as_str())], 1);
    }

    /// A route reported a state in a word that its dialect does not know.
    pub fn unknown_status(&self, route: &RouteName) {
        self.events.unknown_statuses_total.add([self.names.load().route(route.as_str())], 1);
    }

    /// A provider called back.
    pub fn webhook(&self, route: &RouteName, outcome: WebhookOutcome) {
        self.events.webhooks_total.add([self.names.load().route(route.as_str()), outcome.as_str()], 1);
    }

    /// A notice was sent.
    pub fn notice(&self, kind: Kind, outcome: NoticeOutcome) {
        self.events.notices_total.add([kind.as_str(), outcome.as_str()], 1);
    }

    /// A route answered one call of ours, or did not in time.
    pub fn upstream(&self, route: &RouteName, call: UpstreamCall, elapsed: Duration) {
        self.events.upstream_duration_seconds.observe([self.names.load().route(route.as_str()), call.as_str()], elapsed);
    }

    /// How a model stands on a route.
    pub fn route_health(&self, route: &RouteName, model: &ModelName, state: RouteState) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.insert((route.clone(), model.clone()), state);
    }

    /// A policy was put in force: its names have labels from now on.
    pub fn policy_loaded(&self, policy: &Policy, at: Timestamp) {
        self.names.rcu(|names| names.with(policy));
        self.begin(policy);
        self.events.policy_loads_total.add(["loaded"], 1);
        self.events.policy_load_success.set([], 1);
        self.events.policy_last_success_timestamp_seconds.set([], at.as_secs());
    }

    /// Shows the counters that alerts watch at 0: Prometheus does not see the first step of a counter
    /// that begins with it.
    fn begin(&self, policy: &Policy) {
        let names = self.names.load();
        for kind in Kind::ALL {
            self.events.notices_total.add([kind.as_str(), NoticeOutcome::Dead.as_str()], 0);
        }
        for route in policy.routes.values() {
            let label = names.route(route.name.as_str());
            self.events.unknown_statuses_total.add([label], 0);
            self.events.contradictions_total.add([label], 0);
            for model in route.models.keys() {
                self.events.overdue_total.add([label, names.model(model.as_str())], 0);
                self.events.spend_microusd_total.add([label, names.model(model.as_str())], 0);
            }
        }
        let tenants: BTreeSet<&str> = policy.tenants.keys().map(|tenant| names.tenant(tenant.as_str())).collect();
        for tenant in tenants {
            self.events.tenant_spend_microusd_total.add([tenant], 0);
            self.events.charged_microusd_total.add([tenant], 0);
            self.events.charged_cost_microusd_total.add([tenant], 0);
        }
    }

    /// A policy file was refused, and the one in force stays.
    pub fn policy_refused(&self) {
        self.events.policy_loads_total.add(["refused"], 1);
        self.events.policy_load_success.set([], 0);
    }

    /// How many policies are in force no more and still used.
    pub fn outgoing_policies(&self, count: usize) {
        self.events.outgoing_policies.set([], i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A listener shows another certificate, or its first.
    pub fn certificate_loaded(&self, listener: Listener) {
        self.events.certificate_loads_total.add([listener.as_str(), "loaded"], 1);
        self.events.certificate_loads_total.add([listener.as_str(), "refused"], 0);
    }

    /// The files of a listener's certificate were refused, and it shows the one before.
    pub fn certificate_refused(&self, listener: Listener) {
        self.events.certificate_loads_total.add([listener.as_str(), "refused"], 1);
    }

    /// When the certificate that a listener shows ends, and whether its files as they are now are the ones shown.
    pub fn certificate(&self, listener: Listener, until: Timestamp, is_in_step: bool, now: Timestamp) {
        self.events.certificate_expires_seconds.set([listener.as_str()], until.as_secs() - now.as_secs());
        self.events.certificate_load_success.set([listener.as_str()], is_in_step.into());
    }

    /// Whether nothing is bought because the books are being reconciled.
    pub fn reconciling(&self, is: bool) {
        self.events.reconciling.set([], is.into());
    }

    /// Whether nothing is bought because an operator has halted it.
    pub fn halted(&self, is: bool) {
        self.events.halted.set([], is.into());
    }

    /// How far the machine's clock is ahead of the gateway's.
    pub fn clock_gap(&self, gap_ms: i64) {
        self.events.clock_gap_seconds.set([], gap_ms / 1_000);
    }

    /// Takes in how things stand, and whether the store takes writes. Called at each scrape, before [`Metrics::render`].
    pub fn observe(&self, overview: &Overview, left_behind: &LeftBehind, takes_writes: bool, policy: &Policy, now: Timestamp) {
        self.stand(Some((overview, left_behind)), takes_writes, policy, now);
    }

    /// The store did not say how things stand: what came from it is left out rather than shown stale.
    pub fn store_unavailable(&self, policy: &Policy, now: Timestamp) {
        self.stand(None, false, policy, now);
    }

    fn stand(&self, books: Option<(&Overview, &LeftBehind)>, takes_writes: bool, policy: &Policy, now: Timestamp) {
        let registry = Registry::new();
        let levels = Levels::declare(&registry);
        let names = self.names.load();
        levels.store_up.set([], i64::from(books.is_some() && takes_writes));
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.retain(|(route, model), _| policy.routes.get(route).is_some_and(|r| r.models.contains_key(model)));
        levels::show_policy(&levels, &names, policy, &health, now);
        drop(health);
        if let Some((overview, left_behind)) = books {
            levels::show_left_behind(&levels, &names, policy, left_behind);
            levels::show_jobs(&levels, &names, policy, overview, now);
            levels::show_money(&levels, &names, policy, overview, now);
            levels::show_notices(&levels, overview, now);
        }
        self.levels.store(Arc::new(registry));
    }

    /// Everything, in Prometheus's text format.
    pub fn render(&self) -> String {
        let mut families = self.registry.gather();
        families.extend(self.levels.load().gather());
        TextEncoder::new().encode_to_string(&families).unwrap_or_else(|fault| format!("# the metrics cannot be written: {fault}\n"))
    }
}

/// An amount as a counter takes it: never less than nothing.
fn microusd(amount: MicroUsd) -> u64 {
    u64::try_from(amount.get()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
