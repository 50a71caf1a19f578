//! What is explained is what a create then does, over any small policy.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::{Question, explain};
use crate::clock::Timestamp;
use crate::estimate::wish_estimate;
use crate::id::{ModelName, TenantName};
use crate::plan::{Candidate, Moment, NoPlan, Nothing, Seen, plan};
use crate::policy::sample::{now, offer, route, seconds, tenant};
use crate::policy::{Choose, Fit, Offer, Policy, Route, Rule, Rules, Tenant, When, sample};
use crate::video::{Seconds, Size};

/// Fit, region, lengths, whether enabled, price of a second, whether it takes a seed, weight.
type Terms = (Fit, Option<&'static str>, Vec<u32>, bool, i64, bool, u32);

fn routes() -> impl Strategy<Value = Vec<(Arc<Route>, u32)>> {
    let fit = prop::sample::select(vec![Fit::Exact, Fit::Nearest, Fit::Up, Fit::Down]);
    let region = prop::sample::select(vec![None, Some("eu"), Some("us")]);
    let lengths = prop::sample::subsequence(vec![4, 6, 8, 10, 12], 1..=5);
    let terms = (fit, region, lengths, prop::bool::weighted(0.8), 0..=200_000_i64, any::<bool>(), 0..=100_u32);
    let build = |(i, (fit, region, lengths, enabled, price, seed, weight)): (usize, Terms)| {
        let extras: BTreeSet<String> = seed.then(|| "seed".to_owned()).into_iter().collect();
        let terms = Offer { fit, extras, ..offer(&lengths, &["720x1280"], &crate::money::MicroUsd::new(price).to_string()) };
        let models = [(ModelName::new("sora-2"), terms)].into();
        (Arc::new(Route { enabled, region: region.map(Into::into), models, ..route(&format!("r{i}")) }), weight)
    };
    prop::collection::vec(terms, 1..=5).prop_map(move |terms| terms.into_iter().enumerate().map(build).collect())
}

/// Two rules, of which the first is for wishes of 8 s only, each over a part of the routes.
fn policies() -> impl Strategy<Value = Policy> {
    let choose = || prop::sample::select(vec![Choose::Ordered, Choose::Weighted, Choose::Cheapest, Choose::Fastest, Choose::LeastBusy]);
    let residency = || prop::sample::select(vec![None, None, Some("eu")]);
    let limits = (prop::option::of(4..=12_u32), prop::option::of(0..=1_500_000_i64), any::<bool>());
    (routes(), choose(), choose(), residency(), residency(), any::<prop::sample::Index>(), limits).prop_map(
        |(routes, one, other, bound, rule_bound, cut, (seconds_max, cost_max, may_ask))| {
            let few = routes[..=cut.index(routes.len())].to_vec();
            let eight = When { seconds: vec![seconds(8)], ..When::default() };
            let mut policy = sample::policy(Choose::Ordered, Vec::new());
            policy.routes = routes.iter().map(|(route, _)| (route.name.clone(), Arc::clone(route))).collect();
            policy.rules = Rules::new(vec![
                Rule { when: eight, routes: few, choose: one, residency: rule_bound.map(Into::into), queue: None },
                Rule { when: When::default(), routes, choose: other, residency: None, queue: None },
            ]);
            let acme = Tenant {
                residency: bound.map(Into::into),
                seconds_max: seconds_max.and_then(Seconds::new),
                cost_max: cost_max.map(crate::money::MicroUsd::new),
                models: if may_ask { Vec::new() } else { vec![ModelName::new("another")] },
                ..tenant("acme")
            };
            policy.tenants = [(acme.name.clone(), Arc::new(acme))].into();
            policy
        },
    )
}

fn questions() -> impl Strategy<Value = Question> {
    let said = prop::option::of(1..=14_u32);
    (said, any::<bool>(), any::<bool>(), prop::option::of(any::<u64>())).prop_map(|(said, sized, seed, lot)| Question {
        tenant: TenantName::new("acme"),
        model: Some(ModelName::new("sora-2")),
        seconds: said.and_then(Seconds::new),
        size: sized.then_some(Size::DEFAULT),
        key: None,
        user: None,
        reference: None,
        extras: seed.then(|| "seed".to_owned()).into_iter().collect(),
        at: None,
        lot,
    })
}

/// Which of the routes have the model no more.
#[derive(Debug)]
struct Gone(Vec<bool>);

fn gone() -> impl Strategy<Value = Gone> {
    prop::collection::vec(prop::bool::weighted(0.3), 5).prop_map(Gone)
}

impl Seen for Gone {
    fn takes(&self, candidate: &Candidate, model: &ModelName, at: Timestamp) -> Duration {
        Nothing.takes(candidate, model, at)
    }

    fn in_flight(&self, route: &Route) -> u32 {
        Nothing.in_flight(route)
    }

    fn has(&self, route: &Route, _: &ModelName) -> bool {
        let number = route.name.as_str().trim_start_matches('r').parse::<usize>();
        !number.is_ok_and(|number| self.0[number])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn who_is_said_to_be_asked_and_what_to_be_held_is_what_a_create_does(policy in policies(), question in questions(), gone in gone()) {
        let (explanation, _) = explain(&policy, &question, now(), &gone).unwrap();
        let (acme, wish) = (&policy.tenants["acme"], question.wish());
        let moment = question.lot.map_or(Moment::of(now()), |lot| Moment::of(now()).drawing(lot)).seeing(&gone);
        let planned = plan(&policy, acme, &wish, None, moment);

        let asked: Vec<&str> = explanation.routes.iter().filter(|line| line.place.is_some()).map(|line| line.route.as_str()).collect();
        let held = explanation.held.as_ref().map(|held| held.held_microusd);
        match &planned {
            Ok(plan) => {
                prop_assert!(plan.candidates.iter().all(|candidate| gone.has(&candidate.route, &plan.model)));
                prop_assert_eq!(asked, plan.candidates.iter().map(|c| c.route.name.as_str()).collect::<Vec<_>>());
                prop_assert_eq!(held, Some(plan.ceiling().get()));
                prop_assert_eq!(&explanation.rule, &plan.rule.map(|index| format!("rules[{index}]")));
                prop_assert_eq!(&explanation.residency, &plan.residency);
                prop_assert_eq!(&explanation.refusal, &None);
            }
            Err(why) => {
                prop_assert_eq!((asked.len(), held), (0, None));
                prop_assert_eq!(explanation.refusal, Some(why.to_string()));
            }
        }
        let named: BTreeSet<&str> = explanation.routes.iter().map(|line| line.route.as_str()).collect();
        prop_assert_eq!((named.len(), explanation.routes.len()), (policy.routes.len(), policy.routes.len()), "each route once");
        for line in &explanation.routes {
            prop_assert!(line.place.is_some() != line.why_not.is_some(), "{:?} is asked, or there is a reason", line);
        }
        let places: Vec<usize> = explanation.routes.iter().filter_map(|line| line.place).collect();
        prop_assert_eq!(&places, &(1..=places.len()).collect::<Vec<_>>());

        match (wish_estimate(&policy, acme, &wish, Moment::of(now()).seeing(&gone)), planned) {
            (Ok(estimate), _) if estimate.can_be_ordered() => {
                prop_assert_eq!(held, Some(estimate.ceiling().get()), "an estimate says the same");
            }
            // A length that nobody makes is priced all the same.
            (Ok(_), planned) => {
                let is_length = matches!(planned, Err(NoPlan::Seconds { .. }));
                prop_assert!(is_length);
            }
            (Err(_), Err(NoPlan::Seconds { .. })) => {}
            (Err(why), planned) => prop_assert_eq!(planned.err(), Some(why), "it is refused for the same"),
        }
    }
}

#[test]
fn somebody_or_something_that_is_not_there_is_said_to_be_so() {
    let policy = sample::policy(Choose::Ordered, vec![(route("a"), 1)]);
    let question = Question::of_query(Some("tenant=nobody")).unwrap();
    assert_eq!(explain(&policy, &question, now(), &Nothing).map(drop), Err("there is no tenant nobody; there are none".to_owned()));
    let mut policy = policy;
    policy.tenants = [(TenantName::new("acme"), Arc::new(tenant("acme")))].into();
    let question = Question::of_query(Some("tenant=acme&model=sora-9")).unwrap();
    assert_eq!(explain(&policy, &question, now(), &Nothing).map(drop), Err("no route has a model sora-9; there are sora-2".to_owned()));
}
