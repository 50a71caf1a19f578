use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;

use super::names::{Names, TENANTS_MAX};
use super::{
    AttemptOutcome, CopyOutcome, Guarded, Listener, Metrics, ModerationOutcome, NoticeOutcome, Operation, Outcome, PollKind, PollOutcome,
    QueueOutcome, Refusal, RemovalCause, RouteState, UpstreamCall, WebhookOutcome, catalogue,
};
use crate::id::{ModelName, RouteName, TenantName};
use crate::job::State;
use crate::notice::Kind;
use crate::provider::{Accepted, AskError, RefusedReason, SubmitError, Variant};
use crate::standing::LeftBehind;
use crate::standing::sample::{NOON, PROMPT, crowded_policy, job, overview, policy};

fn started() -> Metrics {
    let metrics = Metrics::new();
    metrics.policy_loaded(&policy(), NOON);
    metrics
}

/// The value of the series that is written exactly so.
fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = metrics.render();
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Writes every family at least once.
fn record_everything(metrics: &Metrics) {
    metrics.certificate_loaded(Listener::Public);
    metrics.certificate_refused(Listener::Public);
    metrics.certificate(Listener::Public, NOON.after(Duration::from_secs(60)), true, NOON);
    let (route, model, tenant) = (RouteName::new("east"), ModelName::new("sora-2"), TenantName::new("acme"));
    let moment = Duration::from_millis(3);
    for operation in Operation::ALL {
        metrics.request(*operation, Outcome::of(StatusCode::OK), moment);
    }
    metrics.overhead(moment);
    metrics.refused(Some(&tenant), Refusal::Budget);
    metrics.refused(None, Refusal::Key);
    metrics.guarded(&tenant, Guarded::Denied);
    metrics.moderation(ModerationOutcome::Passed, moment);
    metrics.attempt(&route, &model, AttemptOutcome::Accepted);
    metrics.retry(&route, &model, AttemptOutcome::NotSent);
    metrics.ended(&job(State::Completed));
    metrics.left_line(&job(State::Completed), QueueOutcome::Sent, moment);
    metrics.overdue(&route, &model);
    metrics.poll(&route, PollOutcome::Running);
    metrics.poll_request(&route, PollKind::List);
    metrics.poll_due(&route, 1, moment);
    metrics.contradiction(&route);
    metrics.unknown_status(&route);
    metrics.webhook(&route, WebhookOutcome::Accepted);
    metrics.notice(Kind::VideoCompleted, NoticeOutcome::Taken);
    metrics.upstream(&route, UpstreamCall::Submit, moment);
    metrics.archived(Variant::Video, 1 << 20, moment);
    metrics.not_archived(Variant::Thumbnail, CopyOutcome::Provider);
    metrics.archive_given_up();
    metrics.archive_load((1, 2));
    metrics.unarchived(RemovalCause::Expired, 3);
    metrics.route_health(&route, &model, RouteState::Closed);
    let mut policy = policy();
    policy.budget = policy.tenants.values().next().map(|tenant| tenant.budget.clone());
    for route in policy.routes.values_mut() {
        let route = std::sync::Arc::get_mut(route).unwrap();
        (route.budget, route.drain) = (policy.budget.clone(), true);
    }
    metrics.clock_gap(0);
    metrics.reconciling(false);
    metrics.halted(false);
    metrics.outgoing_policies(0);
    metrics.observe(&overview(), &LeftBehind::new(), true, &policy, NOON);
}

#[test]
fn every_series_is_rendered_as_the_catalogue_says() {
    let metrics = started();
    record_everything(&metrics);
    let text = metrics.render();
    let typed: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE filmgate_")).collect();
    let listed: Vec<String> = catalogue().iter().map(|s| format!("{} {}", s.name.trim_start_matches("filmgate_"), s.kind)).collect();
    assert_eq!(typed, listed.iter().map(String::as_str).collect::<BTreeSet<_>>());
    for series in catalogue() {
        assert!(text.contains(&format!("# HELP {} {}\n", series.name, series.help)), "{} says what it is", series.name);
    }
    assert!(!text.contains(PROMPT) && !text.contains("video_") && !text.contains("att_"));
}

#[test]
fn names_follow_the_rules_of_the_trade() {
    let units = ["_seconds", "_microusd", "_days"];
    let counts = [
        "_jobs",
        "_in_flight",
        "_limit",
        "_up",
        "_success",
        "_build",
        "_revision",
        "_per_minute_limit",
        "_reconciling",
        "_halted",
        "_notices",
        "_policies",
        "_state",
    ];
    for series in catalogue() {
        let name = series.name;
        assert!(name.starts_with("filmgate_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        assert_eq!(series.kind == "counter", name.ends_with("_total"), "{name} is a {}", series.kind);
        if series.kind == "histogram" {
            assert!(name.ends_with("_seconds") && series.buckets.is_sorted() && series.buckets.len() > 8, "{name}");
        }
        if series.kind == "gauge" {
            assert!(units.iter().chain(&counts).any(|suffix| name.ends_with(suffix)), "{name} tells no unit");
        }
        for label in series.labels {
            let closed = [
                "tenant",
                "route",
                "model",
                "operation",
                "outcome",
                "reason",
                "cause",
                "state",
                "period",
                "call",
                "kind",
                "listener",
                "variant",
                "version",
                "revision",
                "kind",
            ];
            assert!(closed.contains(label), "{name} has the label {label}");
        }
        assert!(!(series.labels.contains(&"tenant") && series.labels.contains(&"route")), "{name} grows with the product of two lists");
        assert!(series.help.ends_with('.') && !series.help.contains('\n'), "{name}: {}", series.help);
    }
}

#[test]
fn a_name_that_policy_does_not_have_never_becomes_a_label() {
    let metrics = started();
    let lines = |metrics: &Metrics| metrics.render().lines().count();
    let strange = |n: u32| (TenantName::new(format!("t{n}")), RouteName::new(format!("r{n}")), ModelName::new(format!("m{n}")));
    let record = |n: u32| {
        let (tenant, route, model) = strange(n);
        metrics.refused(Some(&tenant), Refusal::Rate);
        metrics.attempt(&route, &model, AttemptOutcome::Unclear);
        metrics.poll(&route, PollOutcome::NotFound);
        metrics.route_health(&route, &model, RouteState::Open);
        let mut books = overview();
        books.open.iter_mut().for_each(|jobs| (jobs.tenant, jobs.route) = (tenant.to_string(), route.to_string()));
        metrics.observe(&books, &LeftBehind::new(), true, &policy(), NOON);
    };
    record(0);
    let before = lines(&metrics);
    (1..50).for_each(record);
    assert_eq!(lines(&metrics), before);
    assert_eq!(value(&metrics, r#"filmgate_refusals_total{reason="rate",tenant="(other)"}"#), Some(50.0));
    assert_eq!(value(&metrics, r#"filmgate_tenant_in_flight{tenant="(other)"}"#), Some(4.0));
}

#[test]
fn past_a_thousand_tenants_the_rest_are_one() {
    let policy = crowded_policy();
    let names = Names::default().with(&policy);
    let labels: BTreeSet<&str> = policy.tenants.keys().map(|name| names.tenant(name.as_str())).collect();
    assert_eq!((policy.tenants.len(), labels.len()), (TENANTS_MAX + 3, TENANTS_MAX + 1));
    assert!(labels.contains("(other)") && labels.contains("acme"));
    assert_eq!(names.with(&crate::standing::sample::policy()).tenant("acme"), "acme", "a name keeps its label");

    let metrics = Metrics::new();
    metrics.policy_loaded(&policy, NOON);
    metrics.observe(&overview(), &LeftBehind::new(), true, &policy, NOON);
    let caps = metrics.render().lines().filter(|line| line.starts_with("filmgate_budget_cap_microusd{")).count();
    assert_eq!(caps, TENANTS_MAX, "every capped tenant but those that share a label: their caps do not add up");
}

#[test]
fn the_books_are_shown_for_the_running_period_only() {
    let metrics = started();
    metrics.observe(&overview(), &LeftBehind::new(), true, &policy(), NOON);
    let acme = |what: &str| value(&metrics, &format!(r#"filmgate_budget_{what}_microusd{{period="month",tenant="acme"}}"#));
    assert_eq!(["cap", "spent", "held", "remaining"].map(acme), [500e6, 412.8e6, 4.8e6, 82.4e6].map(Some));
    assert_eq!(value(&metrics, r#"filmgate_budget_cap_microusd{period="total",tenant="demo"}"#), None, "unlimited is not a number");
    assert_eq!(value(&metrics, "filmgate_suspense_microusd"), Some(800_000.0));
    assert_eq!(value(&metrics, "filmgate_overrun_microusd"), Some(0.0));
}

#[test]
fn open_jobs_are_shown_by_state_and_none_is_a_zero() {
    let metrics = started();
    metrics.observe(&overview(), &LeftBehind::new(), true, &policy(), NOON);
    let jobs = |state: &str| value(&metrics, &format!(r#"filmgate_jobs{{route="east",state="{state}"}}"#));
    assert_eq!(["waiting", "submitting", "unknown", "running"].map(jobs), [2.0, 0.0, 1.0, 3.0].map(Some));
    assert_eq!(value(&metrics, r#"filmgate_route_in_flight{route="east"}"#), Some(4.0));
    assert_eq!(value(&metrics, r#"filmgate_unknown_jobs{route="west"}"#), Some(0.0));
    let queue = |what: &str| value(&metrics, &format!(r#"filmgate_queue_{what}{{model="sora-2",tenant="acme"}}"#));
    assert_eq!(["jobs", "age_seconds"].map(queue), [2.0, 40.0].map(Some));
    assert_eq!(value(&metrics, r#"filmgate_job_age_seconds{route="east",state="unknown"}"#), Some(200.0));
    assert_eq!(value(&metrics, r#"filmgate_sunset_days{model="sora-2",route="east"}"#), Some(10.0));
}

#[test]
fn what_has_left_the_policy_leaves_the_exposition() {
    let metrics = started();
    let (route, model) = (RouteName::new("east"), ModelName::new("sora-2"));
    metrics.route_health(&route, &model, RouteState::Gone);
    metrics.observe(&overview(), &LeftBehind::new(), true, &policy(), NOON);
    let up = r#"filmgate_route_up{model="sora-2",route="east"}"#;
    assert_eq!(value(&metrics, up), Some(0.0));
    assert_eq!(value(&metrics, &up.replace("east", "west")), None, "a disabled route is neither up nor down");

    let mut without = policy();
    without.routes.remove(&route);
    metrics.observe(&overview(), &LeftBehind::new(), true, &without, NOON);
    assert_eq!(value(&metrics, up), None);
    metrics.observe(&overview(), &LeftBehind::new(), true, &policy(), NOON);
    assert_eq!(value(&metrics, up), Some(1.0), "it comes back with a clean sheet");
}

#[test]
fn nothing_stale_is_shown_while_the_store_is_away() {
    let metrics = started();
    metrics.observe(&overview(), &LeftBehind::new(), true, &policy(), NOON);
    assert_eq!(value(&metrics, "filmgate_store_up"), Some(1.0));
    metrics.store_unavailable(&policy(), NOON);
    assert_eq!(value(&metrics, "filmgate_store_up"), Some(0.0));
    assert_eq!(value(&metrics, "filmgate_suspense_microusd"), None);
    assert_eq!(value(&metrics, r#"filmgate_route_in_flight_limit{route="east"}"#), Some(5.0), "what policy knows is still shown");
}

#[test]
fn a_job_that_ends_tells_spend_margin_retries_and_time_at_once() {
    let metrics = started();
    metrics.ended(&job(State::Completed));
    metrics.ended(&job(State::Failed));
    let place = r#"{model="sora-2",route="east"}"#;
    let count = |series: &str| value(&metrics, series).unwrap();
    assert_eq!(count(&format!("filmgate_spend_microusd_total{place}")), 1_600_000.0);
    assert_eq!(count(r#"filmgate_tenant_spend_microusd_total{tenant="acme"}"#), 1_600_000.0);
    assert_eq!(count(r#"filmgate_charged_microusd_total{tenant="acme"}"#), 500_000.0, "nobody is charged for what was not made");
    assert_eq!(count(r#"filmgate_charged_cost_microusd_total{tenant="acme"}"#), 1_600_000.0, "and yet it was paid");
    assert_eq!(count(&format!("filmgate_retry_cost_microusd_total{place}")), 800_000.0);
    assert_eq!(count(&format!("filmgate_completion_seconds_sum{place}")), 75.0);
    assert_eq!(count(r#"filmgate_ended_total{model="sora-2",route="east",state="failed"}"#), 1.0);
}

#[test]
fn counters_begin_at_nothing_so_that_their_first_step_is_seen() {
    let metrics = started();
    assert_eq!(value(&metrics, r#"filmgate_overdue_total{model="sora-2",route="east"}"#), Some(0.0));
    assert_eq!(value(&metrics, r#"filmgate_unknown_statuses_total{route="east"}"#), Some(0.0));
    assert_eq!(value(&metrics, r#"filmgate_charged_cost_microusd_total{tenant="demo"}"#), Some(0.0));
}

#[test]
fn a_refused_file_is_seen_until_a_good_one_is_read() {
    let metrics = started();
    let state = |metrics: &Metrics| value(metrics, "filmgate_policy_load_success");
    assert_eq!(state(&metrics), Some(1.0));
    metrics.policy_refused();
    assert_eq!(state(&metrics), Some(0.0));
    assert_eq!(value(&metrics, "filmgate_policy_last_success_timestamp_seconds"), Some(1_795_435_200.0));
    metrics.policy_loaded(&policy(), NOON);
    assert_eq!(state(&metrics), Some(1.0));
}

#[test]
fn outcomes_are_told_from_what_decided_them() {
    let refused = |reason| {
        Err(SubmitError::Refused { status: StatusCode::TOO_MANY_REQUESTS, reason, retry_after_secs: None, message: String::new() })
    };
    for reason in [
        RefusedReason::Credential,
        RefusedReason::RateLimited,
        RefusedReason::TooManyJobs,
        RefusedReason::Quota,
        RefusedReason::ModelGone,
        RefusedReason::InputGone,
        RefusedReason::Unavailable,
    ] {
        assert_eq!(AttemptOutcome::of(&refused(reason)).as_str(), reason.as_str(), "one word for one thing");
    }
    let accepted = Accepted { upstream_id: "up-1".into(), progress: None };
    assert_eq!(AttemptOutcome::of(&Ok(accepted)), AttemptOutcome::Accepted);
    assert_eq!(AttemptOutcome::of(&Err(SubmitError::Unclear(String::new()))), AttemptOutcome::Unclear);
    assert_eq!(PollOutcome::of(Err(&AskError::RateLimited { retry_after_secs: None })), PollOutcome::RateLimited);
    let outcomes = [200, 204, 302, 402, 429, 500, 503].map(|status| Outcome::of(StatusCode::from_u16(status).unwrap()).as_str());
    assert_eq!(outcomes, ["ok", "ok", "ok", "refused", "refused", "failed", "failed"]);
}

#[test]
fn each_request_is_counted_under_its_own_operation_and_outcome() {
    let metrics = started();
    for (times, operation) in (1..).zip(Operation::ALL) {
        for outcome in Outcome::ALL {
            (0..times).for_each(|_| metrics.request(*operation, *outcome, Duration::from_micros(700)));
        }
    }
    for (times, operation) in (1..).zip(Operation::ALL) {
        for outcome in Outcome::ALL {
            let labels = format!(r#"{{operation="{}",outcome="{}"}}"#, operation.as_str(), outcome.as_str());
            assert_eq!(value(&metrics, &format!("filmgate_request_duration_seconds_count{labels}")), Some(f64::from(times)), "{labels}");
        }
    }
}
