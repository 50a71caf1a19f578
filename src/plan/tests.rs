//! What a plan promises, over small policies built by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::{Candidate, Moment, NoPlan, PassedOver, Pin, Plan, Seen, models, plan};
use crate::clock::Timestamp;
use crate::id::{AccountId, Home, ModelName, RouteName, TenantName};
use crate::money::MicroUsd;
use crate::policy::sample::{TODAY, noon, now, offer, policy, route, seconds, sora_2, sora_2_pro, tenant, usd, wish, wish_for};
use crate::policy::window::WEEK;
use crate::policy::{Choose, Fit, Limits, Offer, Policy, Route, Rule, Rules, Tenant, When, Window};
use crate::video::{Reference, Size, Wish};

const PORTRAIT: &str = "720x1280";

/// A route that offers `sora-2` on those terms.
fn offering(name: &str, offer: Offer) -> Route {
    Route { models: BTreeMap::from([(ModelName::new("sora-2"), offer)]), ..route(name) }
}

fn located(name: &str, region: &str) -> Route {
    Route { region: Some(region.into()), ..route(name) }
}

fn in_order(routes: Vec<Route>) -> Policy {
    policy(Choose::Ordered, routes.into_iter().map(|route| (route, 1)).collect())
}

fn today(policy: &Policy, tenant: &Tenant, wish: &Wish) -> Result<Plan, NoPlan> {
    plan(policy, tenant, wish, None, Moment::of(now()).drawing(0))
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.candidates.iter().map(|c| c.route.name.as_str()).collect()
}

/// Why each route was passed over, as one text for a snapshot.
fn reasons(passed_over: &[PassedOver]) -> String {
    passed_over.iter().map(|p| format!("{} {}", p.route, p.why)).collect::<Vec<_>>().join("\n")
}

fn no_route(outcome: Result<Plan, NoPlan>) -> String {
    match outcome {
        Err(NoPlan::NoRoute { passed_over, .. }) => reasons(&passed_over),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wish_that_says_nothing_is_four_seconds_upright_of_the_default_model() {
    let plan = today(&in_order(vec![route("a")]), &tenant("t"), &wish()).unwrap();
    let made = &plan.candidates[0];
    assert_eq!((plan.model.as_str(), plan.rule, made.seconds, made.size), ("sora-2", Some(0), seconds(4), Size::DEFAULT));
    assert_eq!((made.price, plan.ceiling()), (usd("0.40"), usd("0.40")));
    assert_eq!(made.upstream_model, "upstream-model");
}

#[test]
fn where_four_seconds_are_not_to_be_had_the_shortest_is_the_default() {
    let policy = in_order(vec![offering("a", offer(&[10, 15], &["1792x1024", "1024x1792"], "0.50"))]);
    let plan = today(&policy, &tenant("t"), &wish()).unwrap();
    assert_eq!((plan.candidates[0].seconds, plan.candidates[0].size), (seconds(10), Size::new(1792, 1024)));
}

#[test]
fn the_first_rule_that_matches_decides_and_no_other_is_asked() {
    let mut policy = in_order(vec![route("a"), route("b"), route("c"), route("d"), route("e")]);
    let all = policy.rules[0].routes.clone();
    let only = |i: usize, when: When| Rule { when, routes: vec![all[i].clone()], choose: Choose::Ordered, residency: None, queue: None };
    policy.rules = Rules::new(vec![
        only(0, When { tenant: vec![TenantName::new("acme")], ..When::default() }),
        only(1, When { model: vec![ModelName::new("none")], ..When::default() }),
        only(2, When { seconds: vec![seconds(12)], ..When::default() }),
        only(3, When { size: vec![Size::DEFAULT], seconds: vec![seconds(4)], ..When::default() }),
        only(4, When::default()),
    ]);
    let (t, unsaid) = (tenant("t"), wish());
    assert_eq!(names(&today(&policy, &tenant("acme"), &unsaid).unwrap()), ["a"]);
    assert_eq!(names(&today(&policy, &t, &wish_for("sora-2", 12, PORTRAIT)).unwrap()), ["c"]);
    assert_eq!(names(&today(&policy, &t, &unsaid).unwrap()), ["d"], "defaults count as said");
    let plan = today(&policy, &t, &wish_for("sora-2", 4, "1280x720")).unwrap();
    assert_eq!((plan.rule, names(&plan)), (Some(4), vec!["e"]));
}

#[test]
fn a_rule_for_an_end_user_a_reference_or_a_time_is_for_nothing_else() {
    let night = Window { from: 22 * 60, until: 6 * 60, days: WEEK.to_vec(), timezone: TimeZone::UTC };
    let mut policy = in_order(vec![route("a"), route("b"), route("c"), route("d")]);
    let routes = policy.rules[0].routes.clone();
    let only = |i: usize, when| Rule { when, routes: vec![routes[i].clone()], choose: Choose::Ordered, residency: None, queue: None };
    policy.rules = Rules::new(vec![
        only(0, When { user: vec!["u-17".into(), "u-18".into()], ..When::default() }),
        only(1, When { has_reference: Some(true), ..When::default() }),
        only(2, When { time: Some(night), has_reference: Some(false), ..When::default() }),
        only(3, When::default()),
    ]);
    let at_noon = |wish: &Wish| today(&policy, &tenant("t"), wish).unwrap().rule;
    let asked_by = |user: &str| Wish { end_user: Some(user.into()), ..wish() };
    assert_eq!([at_noon(&asked_by("u-18")), at_noon(&asked_by("U-18")), at_noon(&wish())], [Some(0), Some(3), Some(3)]);
    let pictured = Wish { reference: Some(Reference::FileId("file-1".into())), ..wish() };
    assert_eq!(at_noon(&pictured), Some(1));
    let at_eleven = |wish: &Wish| {
        let moment = Moment::of(now().after(Duration::from_secs(11 * 3600)));
        plan(&policy, &tenant("t"), wish, None, moment).unwrap().rule
    };
    assert_eq!([at_eleven(&wish()), at_eleven(&pictured)], [Some(2), Some(1)]);
}

#[test]
fn a_rule_for_a_residency_is_for_tenants_of_that_residency() {
    let mut policy = in_order(vec![located("eu-1", "eu"), located("eu-2", "eu")]);
    let catch_all = policy.rules[0].clone();
    let first = Rule { when: When { residency: Some("eu".into()), ..When::default() }, ..catch_all.clone() };
    policy.rules = Rules::new(vec![Rule { routes: first.routes[..1].to_vec(), ..first }, catch_all]);
    let bound = Tenant { residency: Some("eu".into()), ..tenant("acme") };
    assert_eq!(today(&policy, &bound, &wish()).unwrap().rule, Some(0));
    assert_eq!(today(&policy, &tenant("t"), &wish()).unwrap().rule, Some(1));
}

#[test]
fn what_a_rule_binds_to_a_region_is_served_nowhere_else() {
    let mut policy = in_order(vec![located("abroad", "us"), route("nowhere"), located("home", "eu"), located("spare", "eu")]);
    policy.rules = Rules::new(vec![Rule { residency: Some("eu".into()), ..policy.rules[0].clone() }]);
    let free = today(&policy, &tenant("t"), &wish()).unwrap();
    assert_eq!((names(&free), free.residency.as_deref()), (vec!["home", "spare"], Some("eu")));
    insta::assert_snapshot!(reasons(&free.passed_over), @r"
    abroad is in region us, and rules[0] is bound to eu
    nowhere has no region, and rules[0] is bound to eu
    ");
    let at_home = Tenant { residency: Some("eu".into()), ..tenant("t") };
    assert_eq!(names(&today(&policy, &at_home, &wish()).unwrap()), ["home", "spare"]);
    let elsewhere = Tenant { residency: Some("us".into()), ..tenant("acme") };
    insta::assert_snapshot!(no_route(today(&policy, &elsewhere, &wish())), @r"
    abroad is in region us, and rules[0] is bound to eu
    nowhere has no region, and acme is bound to us
    home is in region eu, and acme is bound to us
    spare is in region eu, and acme is bound to us
    ");
}

#[test]
fn what_is_made_from_a_bound_clip_is_bound_like_it() {
    let policy = in_order(vec![located("b", "us")]);
    let bound = |region: &str| Pin { residency: Some(region.into()), ..source() };
    let made = plan(&policy, &tenant("t"), &wish(), Some(&bound("us")), Moment::of(now())).unwrap();
    assert_eq!(made.residency.as_deref(), Some("us"), "and so will be what is made from this one");
    let moved = plan(&policy, &tenant("t"), &wish(), Some(&bound("eu")), Moment::of(now()));
    insta::assert_snapshot!(no_route(moved), @"b is in region us, and the clip that this one is made from is bound to eu");
}

#[test]
fn when_no_rule_matches_there_is_no_route() {
    let mut policy = in_order(vec![route("a")]);
    policy.rules =
        Rules::new(vec![Rule { when: When { tenant: vec![TenantName::new("acme")], ..When::default() }, ..policy.rules[0].clone() }]);
    let outcome = today(&policy, &tenant("t"), &wish()).unwrap_err();
    assert_eq!(outcome, NoPlan::NoRoute { rule: None, passed_over: Vec::new(), may_return: false });
}

#[test]
fn a_model_is_unknown_if_nobody_has_it_or_the_tenant_may_not_ask() {
    let mut both = route("b");
    both.models.insert(ModelName::new("sora-2-pro"), sora_2_pro());
    let policy = in_order(vec![route("a"), both]);
    let unknown = |tenant: &Tenant, model: &str| match today(&policy, tenant, &wish_for(model, 4, PORTRAIT)) {
        Err(NoPlan::UnknownModel { known, .. }) => known.iter().map(ToString::to_string).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let modest = Tenant { models: vec![ModelName::new("sora-2")], ..tenant("t") };
    assert_eq!(unknown(&tenant("t"), "sora-3"), ["sora-2", "sora-2-pro"]);
    assert_eq!(unknown(&modest, "sora-2-pro"), ["sora-2"]);
}

#[test]
fn the_models_a_tenant_is_told_of_are_those_it_could_have_today() {
    let mut gone = sora_2();
    gone.sunset = Some(date(2026, 9, 24));
    let mut retired = located("a", "eu");
    retired.models = BTreeMap::from([(ModelName::new("retired"), gone)]);
    let disabled = Route { enabled: false, models: BTreeMap::from([(ModelName::new("off"), sora_2())]), ..located("b", "eu") };
    let abroad = Route { models: BTreeMap::from([(ModelName::new("abroad"), sora_2())]), ..located("c", "us") };
    let policy = in_order(vec![retired, disabled, abroad, located("d", "eu")]);
    let bound = Tenant { residency: Some("eu".into()), ..tenant("t") };
    assert_eq!(models(&policy, &bound, TODAY), [ModelName::new("sora-2")]);
    assert_eq!(models(&policy, &tenant("u"), TODAY), [ModelName::new("abroad"), ModelName::new("sora-2")]);
}

#[test]
fn each_route_that_may_not_serve_says_why() {
    let disabled = Route { enabled: false, ..located("disabled", "eu") };
    let other = Route { models: BTreeMap::from([(ModelName::new("other"), sora_2())]), ..located("other", "eu") };
    let mut retired = located("retired", "eu");
    retired.models.get_mut("sora-2").unwrap().sunset = Some(date(2026, 9, 24));
    let policy = in_order(vec![disabled, other, retired, located("abroad", "us"), route("nowhere")]);
    let bound = Tenant { residency: Some("eu".into()), ..tenant("acme") };
    insta::assert_snapshot!(no_route(today(&policy, &bound, &wish())), @r"
    disabled is disabled
    other does not offer sora-2
    retired offered sora-2 until 2026-09-24 and no longer
    abroad is in region us, and acme is bound to eu
    nowhere has no region, and acme is bound to eu
    ");
}

#[test]
fn a_model_is_offered_on_its_last_day_and_not_on_the_next() {
    let mut last = sora_2();
    last.sunset = Some(date(2026, 9, 24));
    let policy = in_order(vec![offering("a", last)]);
    let on = |day| plan(&policy, &tenant("t"), &wish(), None, Moment::of(noon(day)));
    assert!(on(date(2026, 9, 24)).is_ok());
    assert!(on(date(2026, 9, 25)).is_err());
}

#[test]
fn a_length_that_nobody_has_is_answered_with_those_that_can_be_had() {
    let policy = in_order(vec![
        offering("a", offer(&[4, 12], &[PORTRAIT], "0.10")),
        offering("b", offer(&[8, 12, 20], &[PORTRAIT], "0.10")),
        offering("other-size", offer(&[6], &["480x854"], "0.10")),
        Route { enabled: false, ..offering("off", offer(&[7], &[PORTRAIT], "0.10")) },
    ]);
    let asked = wish_for("sora-2", 7, PORTRAIT);
    let offered = [4, 8, 12, 20].map(seconds).to_vec();
    assert_eq!(today(&policy, &tenant("t"), &asked).unwrap_err(), NoPlan::Seconds { asked: seconds(7), offered });

    let short = Tenant { seconds_max: Some(seconds(8)), ..tenant("t") };
    let offered = [4, 8].map(seconds).to_vec();
    assert_eq!(today(&policy, &short, &asked).unwrap_err(), NoPlan::Seconds { asked: seconds(7), offered });
    let shorter = Tenant { seconds_max: Some(seconds(3)), ..tenant("t") };
    assert_eq!(today(&policy, &shorter, &asked).unwrap_err(), NoPlan::TooLong { asked: Some(seconds(7)), made: None, max: seconds(3) });
}

#[test]
fn a_size_that_nobody_has_is_answered_with_those_that_can_be_had() {
    let policy = in_order(vec![route("a"), offering("b", offer(&[4], &["1024x1792", "1280x720"], "0.10"))]);
    let offered: Vec<Size> = ["720x1280", "1280x720", "1024x1792"].map(|s| s.parse().unwrap()).to_vec();
    let asked = Size::new(640, 480);
    let sized = |length| today(&policy, &tenant("t"), &wish_for("sora-2", length, "640x480")).unwrap_err();
    assert_eq!(sized(4), NoPlan::Size { asked, offered: offered.clone() });
    assert_eq!(sized(7), NoPlan::Size { asked, offered }, "both are wrong: mend one, then hear of the other");
}

#[test]
fn a_route_that_fits_makes_the_length_it_has_at_that_price() {
    let fitting = Offer { fit: Fit::Down, ..offer(&[4, 6, 8], &[PORTRAIT], "0.10") };
    let policy = in_order(vec![route("exact"), offering("fitting", fitting)]);
    let plan = today(&policy, &tenant("t"), &wish_for("sora-2", 7, PORTRAIT)).unwrap();
    assert_eq!((names(&plan), plan.candidates[0].seconds, plan.ceiling()), (vec!["fitting"], seconds(6), usd("0.60")));
    insta::assert_snapshot!(reasons(&plan.passed_over), @"exact makes clips of 4, 8, 12 s only");
}

#[test]
fn a_tenant_never_gets_longer_or_dearer_clips_than_it_may_have() {
    let up = Offer { fit: Fit::Up, ..offer(&[10], &[PORTRAIT], "0.10") };
    let policy = in_order(vec![offering("long", up), route("cheap"), offering("dear", offer(&[8], &[PORTRAIT], "0.70"))]);
    let asked = wish_for("sora-2", 8, PORTRAIT);
    let limited = |max_seconds, max_cost| Tenant { seconds_max: Some(seconds(max_seconds)), cost_max: Some(usd(max_cost)), ..tenant("t") };
    let plan = today(&policy, &limited(8, "5.00"), &asked).unwrap();
    assert_eq!(names(&plan), ["cheap"]);
    insta::assert_snapshot!(reasons(&plan.passed_over), @r"
    long would make 10 s, and t may have 8 s
    dear would cost 5.60, and t may spend 5.00 on a clip
    ");
    assert_eq!(
        today(&policy, &limited(7, "5.00"), &asked).unwrap_err(),
        NoPlan::TooLong { asked: Some(seconds(8)), made: Some(seconds(8)), max: seconds(7) }
    );
    let too_dear = NoPlan::TooDear { made: None, price: usd("5.60"), max: usd("0.79") };
    assert_eq!(today(&policy, &limited(8, "0.79"), &asked).unwrap_err(), too_dear);
}

#[test]
fn what_stands_in_the_way_is_what_would_be_made_where_that_is_not_what_was_asked_for() {
    let up = Offer { fit: Fit::Up, ..offer(&[10, 15], &[PORTRAIT], "0.10") };
    let policy = in_order(vec![offering("up", up.clone())]);
    let tenant =
        |max_seconds: u32, max_cost| Tenant { seconds_max: Some(seconds(max_seconds)), cost_max: Some(usd(max_cost)), ..tenant("t") };
    let why = |policy: &Policy, tenant: &Tenant, wish: &Wish| today(policy, tenant, wish).unwrap_err().to_string();
    let asked = |length| wish_for("sora-2", length, PORTRAIT);
    let unsaid = Wish { seconds: None, ..asked(4) };
    assert_eq!(why(&policy, &tenant(8, "5.00"), &asked(6)), "10 s would be made of 6 s, and the tenant may have 8 s at most (max_seconds)");
    assert_eq!(why(&policy, &tenant(8, "5.00"), &unsaid), "10 s would be made, and the tenant may have 8 s at most (max_seconds)");
    assert_eq!(why(&policy, &tenant(8, "5.00"), &asked(9)), "the tenant may ask for 8 s at most (max_seconds)");
    let dear = "10 s of 720x1280 would be made and cost 1.00, and the tenant may spend 0.90 on a clip (max_cost)";
    assert_eq!(why(&policy, &tenant(12, "0.90"), &asked(6)), dear);
    let as_asked = "a clip costs 1.00, and the tenant may spend 0.90 on one (max_cost)";
    assert_eq!(why(&policy, &tenant(12, "0.90"), &asked(10)), as_asked);
    let exact = in_order(vec![offering("exact", Offer { fit: Fit::Exact, ..up })]);
    let none = "6 s cannot be ordered, and what can be is longer than the tenant may have, 8 s (max_seconds)";
    assert_eq!(why(&exact, &tenant(8, "5.00"), &asked(6)), none);
}

/// A source on route `b`, twelve seconds of landscape.
fn source() -> Pin {
    Pin {
        home: Home { route: RouteName::new("b"), account: None },
        model: ModelName::new("sora-2"),
        seconds: seconds(12),
        size: Size::new(1280, 720),
        residency: None,
    }
}

#[test]
fn what_is_made_from_a_clip_is_made_where_it_is_and_like_it() {
    let mut policy = in_order(vec![route("a"), route("b")]);
    policy.rules = Rules::new(Vec::new());
    let remix = plan(&policy, &tenant("t"), &wish(), Some(&source()), Moment::of(now()).drawing(0)).unwrap();
    assert_eq!((names(&remix), remix.rule), (vec!["b"], None));
    assert_eq!((remix.candidates[0].seconds, remix.candidates[0].size), (seconds(12), Size::new(1280, 720)));

    let said = Wish { seconds: Some(seconds(4)), model: Some(ModelName::new("other")), ..wish() };
    let extension = plan(&policy, &tenant("t"), &said, Some(&source()), Moment::of(now()).drawing(0)).unwrap();
    assert_eq!((extension.model.as_str(), extension.candidates[0].seconds), ("sora-2", seconds(4)));

    let stitched = Pin { seconds: seconds(24), ..source() };
    let remix = plan(&policy, &tenant("t"), &wish(), Some(&stitched), Moment::of(now()).drawing(0)).unwrap();
    assert_eq!(remix.ceiling(), usd("2.40"), "a length off the list is inherited and priced as it is");
}

#[test]
fn nothing_is_made_from_a_clip_in_another_account_than_the_clips() {
    let policy = in_order(vec![route("a"), route("b")]);
    let from = |account: &str| {
        let home = Home { route: RouteName::new("b"), account: Some(AccountId::new(account)) };
        plan(&policy, &tenant("t"), &wish(), Some(&Pin { home, ..source() }), Moment::of(now()).drawing(0))
    };
    assert_eq!(names(&from(policy.routes["b"].account.as_str()).unwrap()), ["b"]);
    assert!(no_route(from("another-account")).contains("another account"));
}

#[test]
fn a_source_on_a_route_that_is_gone_or_may_not_be_used_cannot_be_continued() {
    let pinned = |policy: &Policy, tenant: &Tenant| no_route(plan(policy, tenant, &wish(), Some(&source()), Moment::of(now()).drawing(0)));
    let bound = Tenant { residency: Some("eu".into()), ..tenant("acme") };
    let gone = in_order(vec![route("a")]);
    let disabled = in_order(vec![route("a"), Route { enabled: false, ..route("b") }]);
    let abroad = in_order(vec![located("a", "eu"), located("b", "us")]);
    insta::assert_snapshot!(pinned(&gone, &bound), @"b has the clip that this one is made from, and is no longer in the policy");
    insta::assert_snapshot!(pinned(&disabled, &tenant("acme")), @"b is disabled");
    insta::assert_snapshot!(pinned(&abroad, &bound), @"b is in region us, and acme is bound to eu");
}

#[test]
fn the_cheapest_comes_first_and_equals_stay_as_written() {
    let priced = |name, price| (offering(name, offer(&[4], &[PORTRAIT], price)), 1);
    let routes = vec![priced("dear", "0.30"), priced("even-1", "0.20"), priced("cheap", "0.10"), priced("even-2", "0.20")];
    let plan = today(&policy(Choose::Cheapest, routes), &tenant("t"), &wish()).unwrap();
    assert_eq!(names(&plan), ["cheap", "even-1", "even-2", "dear"]);
    assert_eq!(plan.ceiling(), usd("1.20"));
}

#[test]
fn lots_fall_in_proportion_to_the_weights() {
    const DRAWS: u64 = 100_000;
    let policy = policy(Choose::Weighted, vec![(route("a"), 70), (route("b"), 20), (route("c"), 10), (route("last"), 0)]);
    let (tenant, wish) = (tenant("t"), wish());
    let (mut first, mut second_after_a) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
    for seed in 0..DRAWS {
        let plan = plan(&policy, &tenant, &wish, None, Moment::of(now()).drawing(seed)).unwrap();
        let order = names(&plan);
        assert_eq!(order[3], "last", "a weight of nothing is the last resort");
        *first.entry(order[0].into()).or_default() += 1;
        if order[0] == "a" {
            *second_after_a.entry(order[1].into()).or_default() += 1;
        }
    }
    for (name, percent) in [("a", 70), ("b", 20), ("c", 10)] {
        let (drawn, due) = (first[name], DRAWS * percent / 100);
        assert!(drawn.abs_diff(due) <= DRAWS / 100, "{name}: {drawn} of {due}");
    }
    let (runs, b_second) = (first["a"], second_after_a["b"]);
    assert!(b_second.abs_diff(runs * 2 / 3) <= runs / 100, "of those left, b is twice as heavy as c: {b_second} of {runs}");
}

#[test]
fn an_estimate_expects_the_heaviest_route() {
    let policy = policy(Choose::Weighted, vec![(route("a"), 0), (route("b"), 20), (route("c"), 80)]);
    assert_eq!(names(&plan(&policy, &tenant("t"), &wish(), None, Moment::of(now())).unwrap()), ["c", "b", "a"]);
}

/// Has seen exactly that: seconds that a clip takes, and jobs in flight, by route.
#[derive(Debug)]
struct Saw(Vec<(u64, u32)>);

impl Saw {
    fn of(&self, route: &Route) -> (u64, u32) {
        self.0[route.name.as_str()[1..].parse::<usize>().unwrap()]
    }
}

impl Seen for Saw {
    fn takes(&self, candidate: &Candidate, _: &ModelName, _: Timestamp) -> Duration {
        Duration::from_secs(self.of(&candidate.route).0)
    }

    fn in_flight(&self, route: &Route) -> u32 {
        self.of(route).1
    }
}

/// The order in which routes `r0`, `r1`, … with these limits are tried after that was seen.
fn chosen(choose: Choose, limits: &[Option<u32>], saw: &Saw) -> Vec<usize> {
    let limited =
        |(i, limit): (usize, &Option<u32>)| (Route { limits: Limits { in_flight: *limit, rpm: None }, ..route(&format!("r{i}")) }, 1);
    let policy = policy(choose, limits.iter().enumerate().map(limited).collect());
    let plan = plan(&policy, &tenant("t"), &wish(), None, Moment::of(now()).seeing(saw)).unwrap();
    names(&plan).iter().map(|name| name[1..].parse().unwrap()).collect()
}

#[test]
fn the_least_busy_is_measured_by_its_places_and_whoever_has_no_limit_has_as_many_as_the_largest() {
    let busy = |counts: [u32; 3]| Saw(counts.map(|count| (0, count)).to_vec());
    let limits = [Some(10), Some(2), None];
    assert_eq!(chosen(Choose::LeastBusy, &limits, &busy([0, 0, 0])), [0, 1, 2], "equals stay as written");
    assert_eq!(chosen(Choose::LeastBusy, &limits, &busy([4, 1, 3])), [2, 0, 1]);
    assert_eq!(chosen(Choose::LeastBusy, &[None, None], &Saw(vec![(0, 3), (0, 2)])), [1, 0]);
}

#[test]
fn without_anything_seen_the_fastest_is_who_the_usual_times_say() {
    let up = Offer { fit: Fit::Up, ..offer(&[12], &[PORTRAIT], "0.10") };
    let fast = Route { speed: 20, ..route("faster-than-life") };
    let routes = vec![(offering("longer", up), 1), (route("a"), 1), (route("b"), 1), (fast, 1)];
    let plan = today(&policy(Choose::Fastest, routes), &tenant("t"), &wish_for("sora-2", 8, PORTRAIT)).unwrap();
    assert_eq!(names(&plan), ["faster-than-life", "a", "b", "longer"]);
}

/// Fit, region, lengths, whether enabled, price of a second in micro-dollars, weight.
type Terms = (Fit, Option<&'static str>, Vec<u32>, bool, i64, u32);

/// Any small policy of routes `r0`, `r1`, … under one rule.
fn any_policy() -> impl Strategy<Value = Policy> {
    let fit = prop::sample::select(vec![Fit::Exact, Fit::Nearest, Fit::Up, Fit::Down]);
    let region = prop::sample::select(vec![None, Some("eu"), Some("us")]);
    let lengths = prop::sample::subsequence(vec![4, 6, 8, 10, 12], 1..=5);
    let route = (fit, region, lengths, any::<bool>(), 0..=200_000_i64, 0..=100_u32);
    let choose = prop::sample::select(vec![Choose::Ordered, Choose::Weighted, Choose::Cheapest, Choose::Fastest, Choose::LeastBusy]);
    (choose, prop::collection::vec(route, 1..=6)).prop_map(|(choose, routes)| {
        let build = |(i, (fit, region, lengths, enabled, price, weight)): (usize, Terms)| {
            let terms = offer(&lengths, &[PORTRAIT, "1280x720"], &MicroUsd::new(price).to_string());
            let open = Route { enabled, region: region.map(Into::into), ..offering(&format!("r{i}"), Offer { fit, ..terms }) };
            (open, weight)
        };
        policy(choose, routes.into_iter().enumerate().map(build).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_was_seen_decides_and_equals_stay_as_written(seen in prop::collection::vec((0..5_u64, 0..5_u32, prop::option::of(1..4_u32)), 1..8)) {
        let limits: Vec<Option<u32>> = seen.iter().map(|(_, _, limit)| *limit).collect();
        let saw = Saw(seen.iter().map(|(secs, busy, _)| (*secs, *busy)).collect());
        let mut fastest: Vec<usize> = (0..seen.len()).collect();
        fastest.sort_by_key(|i| (seen[*i].0, *i));
        prop_assert_eq!(chosen(Choose::Fastest, &limits, &saw), fastest);

        let most = limits.iter().flatten().max().copied().unwrap_or(1);
        let places = |i: usize| limits[i].unwrap_or(most);
        let order = chosen(Choose::LeastBusy, &limits, &saw);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..seen.len()).collect::<Vec<_>>(), "each once");
        for pair in order.windows(2) {
            let (this, next) = (seen[pair[0]].1 * places(pair[1]), seen[pair[1]].1 * places(pair[0]));
            prop_assert!(this < next || (this == next && pair[0] < pair[1]), "{:?}", order);
        }
    }

    #[test]
    fn a_plan_keeps_its_promises(policy in any_policy(), length in 1..=14_u32, seed in any::<u64>(), bound in any::<bool>(), max in prop::option::of(0..=1_500_000_i64), rule_bound in any::<bool>()) {
        let mut policy = policy;
        if rule_bound {
            policy.rules = Rules::new(vec![Rule { residency: Some("eu".into()), ..policy.rules[0].clone() }]);
        }
        let tenant = Tenant { residency: bound.then(|| "eu".into()), cost_max: max.map(MicroUsd::new), ..tenant("t") };
        let asked = wish_for("sora-2", length, PORTRAIT);
        let drawn = match plan(&policy, &tenant, &asked, None, Moment::of(now()).drawing(seed)) {
            Ok(drawn) => drawn,
            Err(NoPlan::UnknownModel { .. } | NoPlan::NoRoute { .. }) => {
                let bound = bound || rule_bound;
                let open = |r: &Arc<Route>| r.enabled && (!bound || r.region.as_deref() == Some("eu"));
                prop_assert!(!policy.routes.values().any(open), "an open route has to be used, or the client told what to ask for");
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        let again = plan(&policy, &tenant, &asked, None, Moment::of(now()).drawing(seed)).unwrap();
        prop_assert_eq!(names(&drawn), names(&again), "the same job draws the same lot");

        let mut listed: Vec<&RouteName> = drawn.candidates.iter().map(|c| &c.route.name).collect();
        listed.extend(drawn.passed_over.iter().map(|p| &p.route));
        listed.sort();
        prop_assert_eq!(listed, policy.routes.keys().collect::<Vec<_>>(), "every route of the rule is accounted for exactly once");

        prop_assert!(!drawn.candidates.is_empty());
        for candidate in &drawn.candidates {
            prop_assert!(candidate.route.enabled);
            prop_assert!(!(bound || rule_bound) || candidate.route.region.as_deref() == Some("eu"), "residency holds on every fallback");
            prop_assert!(candidate.price <= drawn.ceiling());
            prop_assert!(max.is_none_or(|max| candidate.price.get() <= max));
            prop_assert!(candidate.route.models["sora-2"].seconds.contains(&candidate.seconds));
            prop_assert!(Arc::ptr_eq(&candidate.route, &policy.routes[&candidate.route.name]));
        }
    }
}
