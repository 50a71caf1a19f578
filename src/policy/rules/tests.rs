use std::sync::Arc;

use jiff::tz::TimeZone;
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::{Rules, Traits};
use crate::clock::Timestamp;
use crate::id::{ModelName, TenantName};
use crate::policy::sample::{now, route, seconds, tenant};
use crate::policy::window::{DAY, WEEK};
use crate::policy::{Choose, Rule, Tenant, When, Window};
use crate::video::Size;

/// Some of these, none of them, or one of them twice.
fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(of), 0..=2)
}

const TENANTS: [&str; 4] = ["a", "b", "c", "d"];
const SIZES: [Size; 2] = [Size::DEFAULT, Size::new(1280, 720)];

fn any_when() -> impl Strategy<Value = When> {
    let residency = prop::sample::select(vec![None, None, Some("eu".to_owned()), Some("us".to_owned())]);
    let lengths = prop::collection::vec(prop::sample::select(vec![4, 8]), 0..=2);
    let sizes = prop::collection::vec(prop::sample::select(SIZES.to_vec()), 0..=1);
    let window = (0..DAY, 1..DAY, prop::sample::subsequence(WEEK.to_vec(), 1..=7)).prop_map(|(from, length, days)| Window {
        from,
        until: (from + length) % DAY,
        days,
        timezone: TimeZone::UTC,
    });
    let listed = (some(&TENANTS), some(&["m", "n"]), some(&["u", "v"]));
    (listed, lengths, sizes, residency, any::<Option<bool>>(), prop::option::weighted(0.3, window)).prop_map(
        |((tenants, models, users), lengths, size, residency, has_reference, time)| When {
            tenant: tenants.into_iter().map(TenantName::new).collect(),
            model: models.into_iter().map(ModelName::new).collect(),
            size,
            seconds: lengths.into_iter().map(seconds).collect(),
            residency,
            user: users.into_iter().map(str::to_owned).collect(),
            has_reference,
            time,
        },
    )
}

/// A wish of one of four tenants, two of whom are bound.
#[derive(Debug)]
struct Wished {
    tenant: Tenant,
    model: ModelName,
    size: Size,
    length: u32,
    user: Option<&'static str>,
    has_reference: bool,
    at: Timestamp,
}

impl Wished {
    fn traits(&self) -> Traits<'_> {
        let Self { tenant, model, size, length, user, has_reference, at } = self;
        Traits { tenant, model, size: *size, seconds: seconds(*length), user: *user, has_reference: *has_reference, at: *at }
    }
}

fn residency(name: &str) -> Option<&'static str> {
    match name {
        "a" => Some("eu"),
        "b" => Some("us"),
        _ => None,
    }
}

fn any_wish() -> impl Strategy<Value = Wished> {
    let user = prop::sample::select(vec![None, Some("u"), Some("v"), Some("w")]);
    let which = (prop::sample::select(&TENANTS[..]), prop::sample::select(&["m", "n", "o"][..]), prop::sample::select(SIZES.to_vec()));
    (which, prop::sample::select(vec![4, 8, 12]), user, any::<bool>(), 0..7 * 24 * 3_600_u64).prop_map(
        |((name, model, size), length, user, has_reference, secs)| Wished {
            tenant: Tenant { residency: residency(name).map(Into::into), ..tenant(name) },
            model: ModelName::new(model),
            size,
            length,
            user,
            has_reference,
            at: now().after(std::time::Duration::from_secs(secs)),
        },
    )
}

/// What the file means, said once more and slowly.
fn is_for(when: &When, wish: &Traits<'_>) -> bool {
    (when.tenant.is_empty() || when.tenant.contains(&wish.tenant.name))
        && (when.model.is_empty() || when.model.contains(wish.model))
        && (when.size.is_empty() || when.size.contains(&wish.size))
        && (when.seconds.is_empty() || when.seconds.contains(&wish.seconds))
        && (when.residency.is_none() || when.residency == wish.tenant.residency)
        && (when.user.is_empty() || when.user.iter().any(|user| Some(user.as_str()) == wish.user))
        && (when.has_reference.is_none() || when.has_reference == Some(wish.has_reference))
        && when.time.as_ref().is_none_or(|time| time.contains(wish.at))
}

fn rule(when: When) -> Rule {
    Rule { when, routes: vec![(Arc::new(route("r")), 1)], choose: Choose::Ordered, residency: None, queue: None }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_indexes_answer_what_one_rule_after_the_other_would(whens in prop::collection::vec(any_when(), 0..12), wish in any_wish()) {
        let expected = whens.iter().position(|when| is_for(when, &wish.traits()));
        let rules = Rules::new(whens.into_iter().map(rule).collect());
        prop_assert_eq!(rules.first(&wish.traits()).map(|(i, _)| i), expected);
    }

    #[test]
    fn a_rule_that_covers_another_takes_whatever_that_is_for(mut one in any_when(), mut other in any_when(), wishes in prop::collection::vec(any_wish(), 40)) {
        one.sort();
        other.sort();
        prop_assert!(one.covers(&one, |name| residency(name.as_str())));
        prop_assert!(When::default().covers(&one, |_| None));
        if one.covers(&other, |name| residency(name.as_str())) {
            for wish in wishes {
                prop_assert!(is_for(&one, &wish.traits()) || !is_for(&other, &wish.traits()), "{:?}", wish);
            }
        }
    }
}
