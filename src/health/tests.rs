use std::sync::Arc;
use std::time::Duration;

use super::{Cause, Health, Question, Standing};
use crate::clock::Timestamp;
use crate::id::ModelName;
use crate::policy::sample::{policy, route, sora_2};
use crate::policy::{Choose, Policy, Route};

const NOON: Timestamp = Timestamp::from_secs(1_800_000_000);

fn model() -> ModelName {
    ModelName::new("sora-2")
}

fn in_order(routes: Vec<Route>) -> Policy {
    policy(Choose::Ordered, routes.into_iter().map(|route| (route, 1)).collect())
}

fn downed(health: &Health, route: &Route) {
    for _ in 0..route.breaker.failures {
        health.failed(route, &model(), Question::Submit, NOON);
    }
}

#[test]
fn each_model_on_each_route_stands_by_itself() {
    let (health, mut a, b) = (Health::default(), route("a"), route("b"));
    a.models.insert(ModelName::new("other"), sora_2());
    downed(&health, &a);
    let until = NOON.after(a.breaker.rest);
    assert_eq!(health.standing(&a, &model(), NOON), Standing::Resting { since: NOON, until, cause: Cause::Failures });
    assert_eq!(health.standing(&a, &ModelName::new("other"), NOON), Standing::Well);
    assert_eq!(health.standing(&b, &model(), NOON), Standing::Well);
    assert!(health.is_asked_last(&a, &model(), NOON) && health.is_failing(&a, NOON));
}

#[test]
fn a_reload_forgets_what_it_changed_and_nothing_else() {
    let health = Health::default();
    let (same, moved, other_key) = (route("same"), route("moved"), route("other_entry"));
    for route in [&same, &moved, &other_key] {
        downed(&health, route);
        health.gone(route, &model(), 410, NOON);
    }
    let mut elsewhere = moved.clone();
    elsewhere.endpoint.base_url = "https://elsewhere.example".to_owned();
    let mut renamed = other_key.clone();
    renamed.models.get_mut("sora-2").unwrap().upstream_model = "sora-3".to_owned();
    // Nobody has said that what the new file offers is gone, even before the old is forgotten.
    assert_eq!(health.standing(&elsewhere, &model(), NOON), Standing::Well);
    assert_eq!(health.standing(&renamed, &model(), NOON).state().as_str(), "open");

    health.retain(&in_order(vec![same.clone(), elsewhere.clone(), renamed.clone()]));
    assert_eq!(health.standing(&same, &model(), NOON), Standing::Gone { since: NOON, status: 410 });
    assert_eq!(health.standing(&moved, &model(), NOON), Standing::Well);
    assert_eq!(health.standing(&other_key, &model(), NOON).state().as_str(), "open", "it goes on failing");
    let retired = Policy { retired: [(same.name.clone(), vec![Arc::new(same.clone())])].into(), ..in_order(vec![elsewhere]) };
    health.retain(&retired);
    assert_eq!(health.all_gone(), [(same.name.clone(), model())], "its jobs are still asked about");
    health.retain(&in_order(vec![moved]));
    assert_eq!(health.all_gone(), []);
}

#[test]
fn what_is_gone_comes_back_when_it_is_listed_again_or_a_person_says_so() {
    let (health, route) = (Health::default(), route("a"));
    let listed = [sora_2().upstream_model];
    health.gone(&route, &model(), 404, NOON);
    assert!(health.is_gone(&route, &model()) && health.wants_a_free_answer(&route, NOON));
    health.free_answer(&route, Some(&listed), NOON);
    assert!(health.is_gone(&route, &model()) && !health.wants_a_free_answer(&route, NOON), "it is named all along");
    health.free_answer(&route, Some(&[]), NOON.after(Duration::from_secs(60)));
    health.free_answer(&route, Some(&listed), NOON.after(Duration::from_secs(120)));
    assert!(!health.is_gone(&route, &model()));

    health.gone(&route, &model(), 410, NOON);
    assert!(health.readmit(&route, &model()) && !health.readmit(&route, &model()));
    assert_eq!(health.standing(&route, &model(), NOON), Standing::Well);
}

#[test]
fn a_model_that_a_route_does_not_offer_is_not_remembered() {
    let (health, route) = (Health::default(), route("a"));
    let unknown = ModelName::new("of an earlier file");
    for _ in 0..10 {
        health.failed(&route, &unknown, Question::Poll, NOON);
    }
    health.gone(&route, &unknown, 410, NOON);
    assert_eq!((health.standing(&route, &unknown, NOON), health.all_gone()), (Standing::Well, vec![]));
}
