use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Process, Reload, Stand, jobs, permille, status};
use crate::clock::Timestamp;
use crate::health::Standing;
use crate::id::ModelName;
use crate::job::State;
use crate::money::MicroUsd;
use crate::policy::Route;
use crate::standing::sample::{NOON, PROMPT, job, overview, policy, usd};
use crate::store::Overview;

fn process() -> Process {
    Process {
        started_at: NOON.before(Duration::from_secs(90)),
        reload: Reload { at: 7, fault: Some("no such route".into()), changes: vec!["a: 1 → 2".into()] },
        halted: None,
        warnings: Vec::new(),
    }
}

fn well(_: &Route, _: &ModelName) -> Standing {
    Standing::Well
}

fn shown(overview: Result<&Overview, String>, stand: Stand<'_>) -> Value {
    serde_json::to_value(status(&policy(), overview, stand, &process(), NOON)).unwrap()
}

#[test]
fn the_page_is_told_how_routes_and_budgets_stand() {
    let gone = |route: &Route, _: &ModelName| match route.name.as_str() {
        "east" => Standing::Gone { since: NOON, status: 410 },
        _ => Standing::Well,
    };
    let shown = shown(Ok(&overview()), &gone);

    let acme = &shown["tenants"][0];
    assert_eq!((&acme["name"], &acme["in_flight"], &acme["in_flight_max"]), (&json!("acme"), &json!(4), &json!(10)));
    let purse = json!({
        "per": "month", "until": 1_796_083_200, "cap": "500.00", "spent": "412.80", "held": "4.80", "left": "82.40",
        "spent_permille": 825, "held_permille": 9, "warned": 80,
    });
    assert_eq!(acme["purse"], purse);

    let east = &shown["routes"][0];
    assert_eq!((&east["name"], &east["in_flight"], &east["enabled"]), (&json!("east"), &json!(4), &json!(true)));
    let offer = json!({
        "model": "sora-2", "upstream_model": "sora-2-2026", "seconds": [4, 8, 12], "sizes": ["720x1280", "1280x720"],
        "prices": [{"size_class": "720p", "amount": "0.10"}], "sunset": "2026-12-03", "sunset_days": 10,
        "state": "gone", "up": false, "since": NOON.as_secs(), "until": null,
        "why": "answered 410: the provider does not have this model, so it is not asked",
    });
    assert_eq!(east["offers"], json!([offer]));
    assert_eq!(shown["routes"][1]["offers"][0]["up"], true);

    let states: Vec<&Value> = shown["states"].as_array().unwrap().iter().map(|state| &state["count"]).collect();
    assert_eq!(states, [0, 2, 0, 1, 0, 3, 0].map(|count| json!(count)).iter().collect::<Vec<_>>());
    assert_eq!((&shown["suspense"], &shown["uptime_seconds"]), (&json!("0.80"), &json!(90)));
    assert_eq!(shown["reload"], json!({"at": 7, "fault": "no such route", "changes": ["a: 1 → 2"]}));
}

#[test]
fn what_the_books_would_tell_is_missing_and_not_nothing_while_they_cannot_be_read() {
    let shown = shown(Err("the disk is full".into()), &well);
    assert_eq!(shown["store_fault"], "the disk is full");
    assert_eq!((&shown["suspense"], &shown["gateway"], &shown["states"]), (&Value::Null, &Value::Null, &json!([])));
    assert_eq!((&shown["tenants"][0]["purse"], &shown["tenants"][0]["in_flight"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["routes"][0]["name"], "east", "what policy knows is still shown");
}

#[test]
fn a_job_is_shown_without_what_it_shall_show() {
    let listed = [Arc::new(job(State::Running)), Arc::new(job(State::Failed))];
    let shown = serde_json::to_string(&jobs(&listed, &|_| None, NOON)).unwrap();
    for hidden in [PROMPT, "lighthouse", "someone@example.com", "cdn.example"] {
        assert!(!shown.contains(hidden), "{hidden} is shown");
    }
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let (running, failed) = (&shown["jobs"][0], &shown["jobs"][1]);
    assert_eq!((&running["state"], &running["progress"], &running["cost"]), (&json!("running"), &json!(64), &Value::Null));
    assert_eq!((&running["ceiling"], &running["attempts"]), (&json!("0.96"), &json!(2)));
    assert_eq!(
        (&failed["cost"], &failed["error_code"], &failed["ended_at"]),
        (&json!("0.80"), &json!("moderation_blocked"), &json!(NOON.as_secs()))
    );
}

#[test]
fn no_share_of_a_cap_is_more_than_the_whole_bar() {
    let mut policy = policy();
    let mut books = overview();
    books.balances[2].spent = MicroUsd::MAX;
    let shown = serde_json::to_value(status(&policy, Ok(&books), &well, &process(), NOON)).unwrap();
    let purse = &shown["tenants"][0]["purse"];
    assert_eq!((&purse["spent_permille"], &purse["held_permille"], &purse["warned"]), (&json!(1000), &json!(0), &json!(95)));

    let acme = policy.tenants.values_mut().next().unwrap();
    Arc::get_mut(acme).unwrap().budget.cap = Some(MicroUsd::ZERO);
    let shown = serde_json::to_value(status(&policy, Ok(&Overview::default()), &well, &process(), Timestamp::from_ms(0))).unwrap();
    assert_eq!(shown["tenants"][0]["purse"]["spent_permille"], 1000, "a cap of nothing is used up");
}

#[test]
fn shares_are_exact_at_any_size() {
    assert_eq!(permille(usd("0.999999"), Some(usd("1.00"))), 999);
    assert_eq!(permille(MicroUsd::MAX, Some(MicroUsd::MAX)), 1000);
    assert_eq!(permille(MicroUsd::new(-5), Some(usd("1.00"))), 0);
    assert_eq!(permille(usd("1.00"), None), 0);
}
