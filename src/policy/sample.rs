//! Small policies built by hand, for the tests of whatever takes one. Not part of the program.
//!
//! Everything is a plain value with public fields: take a sample and change what the test is about.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use super::{
    Alerts, Archive, BreakerPolicy, Budget, Choose, Defaults, Fit, Guard, Limits, Offer, Per, Policy, PollSchedule, Price, Route, Rule,
    Rules, Server, StoreUrl, Telemetry, Tenant, UnknownPolicy, When, WrittenOff,
};
use crate::clock::Timestamp;
use crate::id::{AccountId, ModelName, RouteName, TenantName};
use crate::money::MicroUsd;
use crate::provider::{
    Accepted, AskError, Call, Credential, Download, Endpoint, Handle, Listing, Looks, Progress, Proof, Provider, Submission, SubmitError,
    Unsupported, Variant,
};
use crate::video::{Extras, Origin, Seconds, Size, Upload, Wish};

/// The day on which the samples are used: after the sunset of OpenAI's models.
pub const TODAY: Date = date(2026, 11, 23);

/// Noon of [`TODAY`].
pub fn now() -> Timestamp {
    noon(TODAY)
}

/// Noon of a day, in UTC.
pub fn noon(day: Date) -> Timestamp {
    Timestamp::from_secs(TimeZone::UTC.to_timestamp(day.at(12, 0, 0, 0)).unwrap().as_second())
}

/// Amounts as they are written in the file.
pub fn usd(text: &str) -> MicroUsd {
    text.parse().unwrap()
}

/// A length of `n` seconds.
pub fn seconds(n: u32) -> Seconds {
    Seconds::new(n).unwrap()
}

/// An offer of those lengths and sizes at one price a second, exact fit, no sunset.
pub fn offer(lengths: &[u32], sizes: &[&str], per_second: &str) -> Offer {
    Offer {
        upstream_model: "upstream-model".into(),
        seconds: lengths.iter().map(|n| seconds(*n)).collect(),
        sizes: sizes.iter().map(|s| s.parse().unwrap()).collect(),
        price: Price::Flat(usd(per_second)),
        sunset: None,
        fit: Fit::Exact,
        extras: BTreeSet::new(),
    }
}

/// `sora-2` as published: 4, 8 or 12 s of 720p at 0.10 a second.
pub fn sora_2() -> Offer {
    offer(&[4, 8, 12], &["720x1280", "1280x720"], "0.10")
}

/// `sora-2-pro` as published: 10, 15 or 25 s at 0.30 a second of 720p and 0.50 of 1024p.
pub fn sora_2_pro() -> Offer {
    let mut offer = offer(&[10, 15, 25], &["720x1280", "1280x720", "1024x1792", "1792x1024"], "0.30");
    let by_size = [("720p", "0.30"), ("1024p", "0.50")];
    offer.price = Price::BySize(by_size.map(|(class, price)| (class.parse().unwrap(), usd(price))).into());
    offer
}

/// An enabled route without region or limits that offers [`sora_2`] as `sora-2`.
pub fn route(name: &str) -> Route {
    Route {
        name: RouteName::new(name),
        provider: &Mute,
        simulated: false,
        speed: 1,
        endpoint: Endpoint { base_url: "https://provider.example/v1".into(), credential: Credential::None },
        account: AccountId::new(format!("provider.example-{name}")),
        enabled: true,
        drain: false,
        region: None,
        limits: Limits::default(),
        budget: None,
        models: BTreeMap::from([(ModelName::new("sora-2"), sora_2())]),
        poll: PollSchedule { early: Duration::from_secs(10), late: Duration::from_secs(30), rate: 600 },
        submit_timeout: Duration::from_secs(60),
        idempotency_key: false,
        bills_failed: false,
        unknown: UnknownPolicy {
            grace: Duration::from_secs(15 * 60),
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
    }
}

/// A tenant with an unlimited budget who may ask for anything.
pub fn tenant(name: &str) -> Tenant {
    Tenant {
        name: TenantName::new(name),
        keys: Vec::new(),
        user_budget: None,
        require_user: false,
        budget: Budget { cap: None, per: Per::Total, timezone: TimeZone::UTC, warn: Vec::new() },
        limits: Limits::default(),
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
    }
}

/// A policy of those routes and one rule: everybody is served by all of them, in that order.
///
/// A route's weight is given beside it; it counts if `choose` is by lot.
pub fn policy(choose: Choose, routes: Vec<(Route, u32)>) -> Policy {
    let routes: Vec<(Arc<Route>, u32)> = routes.into_iter().map(|(route, weight)| (Arc::new(route), weight)).collect();
    Policy {
        revision: "0".repeat(64),
        server: Server {
            listen: "127.0.0.1:0".parse().unwrap(),
            admin: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            admin_tls: None,
            admin_hosts: Vec::new(),
            public_url: None,
            body_bytes_max: 1 << 20,
            drain: Duration::from_secs(1),
            halt: false,
        },
        store: StoreUrl::Sqlite("filmgate.db".into()),
        emergency_journal: "filmgate.emergency.jsonl".into(),
        archive: Archive { place: None, keep: Duration::from_secs(24 * 60 * 60), give_up: Duration::ZERO },
        defaults: Defaults { model: ModelName::new("sora-2"), answer_after: Duration::from_secs(5) },
        budget: None,
        routes: routes.iter().map(|(route, _)| (route.name.clone(), Arc::clone(route))).collect(),
        extras: BTreeSet::new(),
        retired: BTreeMap::new(),
        rules: Rules::new(vec![Rule { when: When::default(), routes, choose, residency: None, queue: None }]),
        tenants: BTreeMap::new(),
        keys: HashMap::new(),
        guard: Guard { prompt_chars_max: 4_000, deny: regex::RegexSet::empty(), moderation: None },
        alerts: Alerts { webhook: None, retry_permille: 100, sunset_days: 30 },
        telemetry: Telemetry { log_json: false },
        warnings: Vec::new(),
    }
}

/// The policy of somebody who has no account yet: a simulator that offers both published models.
pub fn simulator_only() -> Policy {
    let mut simulator = route("simulator");
    simulator.models.insert(ModelName::new("sora-2-pro"), sora_2_pro());
    policy(Choose::Ordered, vec![(simulator, 1)])
}

/// A wish that says nothing but its prompt.
pub fn wish() -> Wish {
    Wish {
        origin: Origin::Create,
        prompt: "A cat walks into a bar.".into(),
        model: None,
        seconds: None,
        size: None,
        reference: None,
        characters: Vec::new(),
        end_user: None,
        extras: Extras::new(),
    }
}

/// A wish for `length` seconds of `size` made by `model`.
pub fn wish_for(model: &str, length: u32, size: &str) -> Wish {
    let size: Size = size.parse().unwrap();
    Wish { model: Some(ModelName::new(model)), seconds: Some(seconds(length)), size: Some(size), ..wish() }
}

/// A dialect in which nothing is ever said: for routes that are planned with and never called.
#[derive(Debug)]
struct Mute;

impl Mute {
    fn call<T: Send + 'static>(answer: T) -> Call<T> {
        Call { request: Request::new(Bytes::new()), read: Box::new(move |_| answer) }
    }
}

impl Provider for Mute {
    fn name(&self) -> &'static str {
        "mute"
    }

    fn default_base_url(&self) -> Option<&'static str> {
        None
    }

    fn can_submit(&self, _: &Submission<'_>) -> Result<(), Unsupported> {
        Ok(())
    }

    fn submit(&self, _: &Endpoint, _: &Proof<'_>, _: &Submission<'_>) -> Result<Call<Result<Accepted, SubmitError>>, Unsupported> {
        Err(Unsupported("this dialect is mute"))
    }

    fn progress(&self, _: &Endpoint, _: &Proof<'_>, _: Handle<'_>) -> Call<Result<Progress, AskError>> {
        Self::call(Err(AskError::NotFound))
    }

    fn looks(&self, _: &Endpoint, _: &Proof<'_>, _: Handle<'_>) -> Call<Result<Looks, AskError>> {
        Self::call(Err(AskError::NotFound))
    }

    fn list(&self, _: &Endpoint, _: &Proof<'_>, _: Option<&str>) -> Option<Call<Result<Listing, AskError>>> {
        None
    }

    fn delete(&self, _: &Endpoint, _: &Proof<'_>, _: Handle<'_>) -> Option<Call<Result<(), AskError>>> {
        None
    }

    fn content(&self, _: &Endpoint, _: &Proof<'_>, _: Handle<'_>, _: Variant, _: Option<&str>) -> Result<Download, Unsupported> {
        Err(Unsupported("this dialect is mute"))
    }

    fn create_character(&self, _: &Endpoint, _: &Proof<'_>, _: &str, _: &Upload) -> Result<Call<Result<String, SubmitError>>, Unsupported> {
        Err(Unsupported("this dialect is mute"))
    }

    fn ping(&self, _: &Endpoint, _: &Proof<'_>) -> Call<Result<Option<Vec<String>>, AskError>> {
        Self::call(Err(AskError::Refused(StatusCode::NOT_IMPLEMENTED.to_string())))
    }
}
