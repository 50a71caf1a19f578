//! A small policy and the books to go with it, for tests of what is shown.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::date;
use jiff::tz::TimeZone;

use crate::clock::Timestamp;
use crate::id::{AccountId, AttemptId, JobId, ModelName, RouteName, TenantName};
use crate::job::State;
use crate::money::MicroUsd;
use crate::policy::{
    Alerts, Archive, BreakerPolicy, Budget, Defaults, Fit, Guard, Limits, Offer, Per, Policy, PollSchedule, Price, Route, Rules, Server,
    StoreUrl, Telemetry, Tenant, UnknownPolicy, WrittenOff,
};
use crate::provider::{Credential, Endpoint, by_name};
use crate::store::{Balance, Job, JobError, OpenJobs, Overview};
use crate::video::{Extras, Seconds, Size};

/// 2026-11-23T12:00:00Z.
pub const NOON: Timestamp = Timestamp::from_secs(1_795_435_200);

/// What no exposition and no page may show.
pub const PROMPT: &str = "a lighthouse that nobody may read about";

/// `usd` dollars.
pub fn usd(text: &str) -> MicroUsd {
    text.parse().unwrap()
}

fn budget(cap: Option<&str>, per: Per) -> Budget {
    Budget { cap: cap.map(usd), per, timezone: TimeZone::UTC, warn: vec![50, 80, 95] }
}

fn tenant(name: &str, budget: Budget) -> (TenantName, Arc<Tenant>) {
    let limits = Limits { rpm: Some(60), in_flight: Some(10) };
    let tenant = Tenant {
        name: TenantName::new(name),
        keys: Vec::new(),
        user_budget: None,
        require_user: false,
        budget,
        limits,
        models: Vec::new(),
        seconds_max: None,
        cost_max: None,
        residency: None,
        charge: None,
        queue: None,
        weight: 1,
        show_route: false,
        require_idempotency_key: false,
        claim_resends: true,
        webhook: None,
    };
    (tenant.name.clone(), Arc::new(tenant))
}

fn route(name: &str, enabled: bool) -> (RouteName, Arc<Route>) {
    let offer = Offer {
        upstream_model: "sora-2-2026".into(),
        seconds: [4, 8, 12].into_iter().filter_map(Seconds::new).collect(),
        sizes: vec![Size::new(720, 1280), Size::new(1280, 720)],
        price: Price::BySize(BTreeMap::from([("720p".parse().unwrap(), usd("0.10"))])),
        sunset: Some(date(2026, 12, 3)),
        fit: Fit::Exact,
        extras: BTreeSet::new(),
    };
    let route = Route {
        name: RouteName::new(name),
        provider: by_name("simulator").unwrap(),
        simulated: true,
        speed: 1,
        endpoint: Endpoint { base_url: "http://127.0.0.1:1".into(), credential: Credential::None },
        account: AccountId::new("0123456789abcdef-fedcba9876543210"),
        enabled,
        drain: false,
        region: Some("eu".into()),
        limits: Limits { rpm: Some(50), in_flight: Some(5) },
        budget: None,
        models: BTreeMap::from([(ModelName::new("sora-2"), offer)]),
        poll: PollSchedule { early: Duration::from_secs(10), late: Duration::from_secs(30), rate: 600 },
        submit_timeout: Duration::from_secs(30),
        idempotency_key: false,
        bills_failed: false,
        unknown: UnknownPolicy {
            grace: Duration::from_secs(120),
            give_up: Duration::from_secs(24 * 60 * 60),
            counts_as_spent: true,
            tell_after: Duration::from_secs(600),
            shared_account: false,
        },
        lost: WrittenOff { give_up: Duration::from_secs(24 * 60 * 60), counts_as_spent: true },
        breaker: BreakerPolicy {
            failures: 5,
            permille: 500,
            count_min: 10,
            window: Duration::from_secs(60),
            rest: Duration::from_secs(30),
        },
        content_hosts: Vec::new(),
        callback_url: None,
        webhook_secrets: Vec::new(),
    };
    (route.name.clone(), Arc::new(route))
}

/// Routes `east` and `west` (disabled); tenants `acme` (500 a month) and `demo` (unlimited).
pub fn policy() -> Policy {
    Policy {
        revision: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
        server: Server {
            listen: ([127, 0, 0, 1], 8080).into(),
            admin: ([127, 0, 0, 1], 9090).into(),
            tls: None,
            admin_tls: None,
            admin_hosts: Vec::new(),
            public_url: None,
            body_bytes_max: 1 << 20,
            drain: Duration::from_secs(30),
            halt: false,
        },
        store: StoreUrl::Sqlite("filmgate.db".into()),
        emergency_journal: "filmgate.emergency.jsonl".into(),
        archive: Archive { place: None, keep: Duration::from_secs(86_400), give_up: Duration::ZERO },
        defaults: Defaults { model: ModelName::new("sora-2"), answer_after: Duration::from_secs(5) },
        budget: None,
        routes: BTreeMap::from([route("east", true), route("west", false)]),
        extras: BTreeSet::new(),
        retired: Default::default(),
        rules: Rules::new(Vec::new()),
        tenants: BTreeMap::from([tenant("acme", budget(Some("500.00"), Per::Month)), tenant("demo", budget(None, Per::Total))]),
        keys: HashMap::new(),
        guard: Guard { prompt_chars_max: 4_000, deny: regex::RegexSet::empty(), moderation: None },
        alerts: Alerts { webhook: None, retry_permille: 100, sunset_days: 30 },
        telemetry: Telemetry { log_json: true },
        warnings: vec!["the model is retired soon".into()],
    }
}

/// The policy, with a thousand and one tenants more.
pub fn crowded_policy() -> Policy {
    let mut policy = policy();
    policy.tenants.extend((0..1_001).map(|n| tenant(&format!("crowd-{n:04}"), budget(Some("1.00"), Per::Total))));
    policy
}

/// Jobs and balances of `acme`, some of which belong to last month.
pub fn overview() -> Overview {
    let open = |state, count, age_secs| OpenJobs {
        tenant: "acme".into(),
        route: "east".into(),
        model: "sora-2".into(),
        account: None,
        state,
        count,
        oldest_at: NOON.before(Duration::from_secs(age_secs)),
    };
    let balance = |account: &str, period: &str, held, spent, cap: Option<&str>| Balance {
        account: account.into(),
        period: period.into(),
        held: usd(held),
        spent: usd(spent),
        cap: cap.map(usd),
    };
    Overview {
        open: vec![open(State::Waiting, 2, 40), open(State::Unknown, 1, 200), open(State::Running, 3, 90)],
        balances: vec![
            balance("gateway", "total", "4.80", "912.00", None),
            balance("tenant:acme", "month:2026-10", "0.00", "499.20", Some("500.00")),
            balance("tenant:acme", "month:2026-11", "4.80", "412.80", Some("400.00")),
            balance("route:east", "total", "4.80", "912.00", None),
        ],
        suspense: usd("0.80"),
        overrun: MicroUsd::ZERO,
        notices: Vec::new(),
    }
}

/// A finished clip of `acme` on `east`: 8 s, cost 0.80, charged 0.50, made by its second attempt.
pub fn job(state: State) -> Job {
    Job {
        id: JobId::mint(),
        tenant: TenantName::new("acme"),
        state,
        version: 4,
        operation: "create".into(),
        model: ModelName::new("sora-2"),
        prompt: PROMPT.into(),
        seconds: Seconds::new(8).unwrap(),
        size: Size::DEFAULT,
        source: None,
        hidden_inputs: false,
        end_user: Some("someone@example.com".into()),
        key_name: None,
        account: None,
        residency: None,
        ceiling: usd("0.96"),
        price: usd("0.80"),
        cost: state.is_final().then(|| usd("0.80")),
        charge: Some(usd("0.50")),
        attempts: 2,
        attempt: AttemptId::mint(),
        route: RouteName::new("east"),
        upstream_model: "sora-2-2026".into(),
        upstream_id: Some("up-1".into()),
        result_url: Some("https://cdn.example/clip.mp4?sig=secret".into()),
        progress: 64,
        error: Some(JobError { code: "moderation_blocked".into(), message: format!("refused: {PROMPT}") }),
        created_at: NOON.before(Duration::from_secs(75)),
        attempted_at: NOON.before(Duration::from_secs(70)),
        ended_at: state.is_final().then_some(NOON),
        expires_at: None,
        deleted_at: None,
        extras: Extras::new(),
    }
}
