//! What estimates say, to the cent.

use super::{Estimate, Line, NoEstimate, batch, wish_estimate};
use crate::id::ModelName;
use crate::money::MicroUsd;
use crate::plan::{Moment, NoPlan};
use crate::policy::sample::{now, offer, policy, route, seconds, simulator_only, sora_2, tenant, usd, wish, wish_for};
use crate::policy::{Charge, Choose, Fit, Policy, Tenant};

fn line(count: u64, model: &str, length: u32) -> Line {
    Line { model: ModelName::new(model), seconds: seconds(length), size: None, count, retakes_percent: 0, per_day: None, charge: None }
}

fn estimated(policy: &Policy, lines: &[Line]) -> Estimate {
    batch(policy, None, lines, Moment::of(now())).unwrap()
}

#[test]
fn eight_takes_and_a_final_of_a_length_that_nobody_makes() {
    let last = Line { size: Some("1024x1792".parse().unwrap()), ..line(1, "sora-2-pro", 5) };
    let estimate = estimated(&simulator_only(), &[line(8, "sora-2", 5), last]);
    assert_eq!(estimate.lines[0].spend.total(), Some(usd("4.00")));
    assert_eq!(estimate.lines[1].spend.total(), Some(usd("2.50")));
    assert_eq!(estimate.once.unwrap().total(), Some(usd("6.50")));
    assert_eq!((estimate.day, estimate.month), (None, None));
    let remarks: Vec<String> = estimate.lines.iter().flat_map(super::LineEstimate::remarks).collect();
    insta::assert_snapshot!(remarks.join("\n"), @r"
    5 s of sora-2 cannot be ordered, only 4, 8 or 12 s; the price is by the second. Nearest: 4 s at 0.40 and 8 s at 0.80 a clip.
    5 s of sora-2-pro cannot be ordered, only 10, 15 or 25 s; the price is by the second. Nearest: 10 s at 5.00 a clip.
    ");
}

#[test]
fn fifty_clips_and_almost_a_third_of_them_again() {
    let estimate = estimated(&simulator_only(), &[Line { retakes_percent: 30, ..line(50, "sora-2", 8) }]);
    let spend = estimate.once.unwrap();
    assert_eq!((spend.clips, spend.retakes, spend.total()), (usd("40.00"), usd("12.00"), Some(usd("52.00"))));
    assert_eq!(spend.ceiling, usd("52.00"));
    assert!(estimate.lines[0].remarks().is_empty());
}

#[test]
fn a_thousand_a_day_charged_below_cost() {
    let charged = Line { per_day: Some(1_000), charge: Some(usd("0.50")), ..line(1, "sora-2", 6) };
    let estimate = estimated(&simulator_only(), &[charged]);
    let margin = estimate.lines[0].margin.unwrap();
    assert_eq!(estimate.lines[0].each.price(), usd("0.60"));
    assert_eq!(estimate.month.unwrap().total(), Some(usd("18000.00")));
    assert_eq!((margin.per_clip, margin.total), (usd("-0.10"), usd("-100.00")));
    assert_eq!((margin.break_even, margin.suggested), (usd("0.60"), usd("0.65")));
    insta::assert_snapshot!(estimate.lines[0].remarks().join("\n"), @r"
    6 s of sora-2 cannot be ordered, only 4, 8 or 12 s; the price is by the second. Nearest: 4 s at 0.40 and 8 s at 0.80 a clip.
    Charged 0.50 a clip, it loses 0.10 on each: 3,000.00 a month of 30 days. It breaks even at 0.60, before overhead; charge at least 0.65.
    ");
}

#[test]
fn re_takes_are_whole_clips() {
    let retakes = |count, percent| {
        let estimate = estimated(&simulator_only(), &[Line { retakes_percent: percent, ..line(count, "sora-2", 4) }]);
        (estimate.lines[0].retakes, estimate.once.unwrap().retakes)
    };
    assert_eq!(retakes(10, 30), (3, usd("1.20")));
    assert_eq!(retakes(1, 30), (1, usd("0.40")));
    assert_eq!(retakes(10, 31), (4, usd("1.60")));
    assert_eq!(retakes(10, 1_000), (100, usd("40.00")));
    assert_eq!(retakes(10, 0), (0, MicroUsd::ZERO));
}

#[test]
fn a_clip_bears_its_share_of_the_re_takes() {
    let charged = Line { retakes_percent: 30, charge: Some(usd("1.10")), ..line(50, "sora-2", 8) };
    let margin = estimated(&simulator_only(), &[charged]).lines[0].margin.unwrap();
    assert_eq!((margin.break_even, margin.per_clip, margin.total), (usd("1.04"), usd("0.06"), usd("3.00")));
    assert_eq!(margin.suggested, usd("1.10"), "1.04 and five percent is 1.092");
}

#[test]
fn a_tenant_is_charged_as_its_policy_says_unless_told_otherwise() {
    let per_second = Tenant { charge: Some(Charge::PerSecond(usd("0.12"))), ..tenant("acme") };
    let margin = |charge| {
        let lines = [Line { charge, ..line(10, "sora-2", 8) }];
        batch(&simulator_only(), Some(&per_second), &lines, Moment::of(now())).unwrap().lines[0].margin.unwrap()
    };
    assert_eq!((margin(None).charge, margin(None).total), (usd("0.96"), usd("1.60")));
    assert_eq!(margin(Some(usd("0.70"))).per_clip, usd("-0.10"));
}

#[test]
fn daily_lines_and_single_ones_are_summed_apart() {
    let daily = Line { per_day: Some(3), ..line(2, "sora-2", 4) };
    let estimate = estimated(&simulator_only(), &[line(1, "sora-2", 4), daily.clone(), daily]);
    assert_eq!(estimate.once.unwrap().total(), Some(usd("0.40")));
    assert_eq!(estimate.day.unwrap().total(), Some(usd("4.80")));
    assert_eq!(estimate.month.unwrap().total(), Some(usd("144.00")));
}

#[test]
fn the_first_choice_is_the_price_and_the_dearest_is_the_ceiling() {
    let mut dear = route("dear");
    dear.models.insert(ModelName::new("sora-2"), offer(&[4, 8], &["720x1280"], "0.12"));
    let mut fitting = route("fitting");
    let terms = offer(&[10], &["720x1280"], "0.05");
    fitting.models.insert(ModelName::new("sora-2"), crate::policy::Offer { fit: Fit::Up, ..terms });
    let policy = policy(Choose::Weighted, vec![(dear, 20), (route("usual"), 70), (fitting, 10)]);
    let estimate = estimated(&policy, &[line(10, "sora-2", 8)]);
    let each = &estimate.lines[0].each;
    let quotes: Vec<(&str, u32, MicroUsd)> = each.quotes.iter().map(|q| (q.route.as_str(), q.seconds.get(), q.price)).collect();
    assert_eq!(quotes, [("usual", 8, usd("0.80")), ("dear", 8, usd("0.96")), ("fitting", 10, usd("0.50"))]);
    assert_eq!((estimate.once.unwrap().total(), estimate.once.unwrap().ceiling), (Some(usd("8.00")), usd("9.60")));
    insta::assert_snapshot!(each.remarks().join("\n"), @r"
    0.96 is held for a clip until it is made, in case a dearer route has to make it; what is not spent is released.
    ");
}

#[test]
fn what_is_made_otherwise_than_asked_is_said() {
    let mut fitting = route("fitting");
    fitting.models.insert(ModelName::new("sora-2"), crate::policy::Offer { fit: Fit::Nearest, ..sora_2() });
    let policy = policy(Choose::Ordered, vec![(fitting, 1)]);
    let estimate = wish_estimate(&policy, &tenant("t"), &wish_for("sora-2", 7, "1024x1792"), Moment::of(now())).unwrap();
    assert_eq!((estimate.price(), estimate.can_be_ordered()), (usd("0.80"), true));
    insta::assert_snapshot!(estimate.remarks().join("\n"), @r"
    Asked for 7 s, sora-2 is made in 8 s.
    Asked for 1024x1792, sora-2 is made in 720x1280.
    ");
}

#[test]
fn a_wish_is_answered_with_price_ceiling_and_ways_out() {
    let estimate =
        |length| wish_estimate(&simulator_only(), &tenant("t"), &wish_for("sora-2", length, "720x1280"), Moment::of(now())).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&estimate(5).to_json()).unwrap(), @r#"
    {
      "alternatives": [
        {
          "price": "0.40",
          "price_microusd": 400000,
          "seconds": "4"
        },
        {
          "price": "0.80",
          "price_microusd": 800000,
          "seconds": "8"
        }
      ],
      "can_be_ordered": false,
      "ceiling": "0.50",
      "ceiling_microusd": 500000,
      "currency": "usd",
      "model": "sora-2",
      "object": "video.estimate",
      "price": "0.50",
      "price_microusd": 500000,
      "remarks": [
        "5 s of sora-2 cannot be ordered, only 4, 8 or 12 s; the price is by the second. Nearest: 4 s at 0.40 and 8 s at 0.80 a clip."
      ],
      "seconds": "5",
      "size": "720x1280"
    }
    "#);
    assert_eq!(estimate(8).to_json()["alternatives"], serde_json::json!([]));
    let unsaid = wish_estimate(&simulator_only(), &tenant("t"), &wish(), Moment::of(now())).unwrap();
    assert_eq!((unsaid.seconds(), unsaid.price(), unsaid.remarks()), (seconds(4), usd("0.40"), Vec::new()));
}

#[test]
fn past_the_end_of_the_list_there_is_one_nearest_length() {
    let estimate = wish_estimate(&simulator_only(), &tenant("t"), &wish_for("sora-2", 60, "720x1280"), Moment::of(now())).unwrap();
    assert_eq!(estimate.price(), usd("6.00"));
    assert_eq!(estimate.nearest.iter().map(|n| (n.seconds, n.price)).collect::<Vec<_>>(), [(seconds(12), usd("1.20"))]);
}

#[test]
fn an_alternative_is_never_one_that_the_tenant_may_not_have() {
    let modest = Tenant { cost_max: Some(usd("0.50")), ..tenant("t") };
    let estimate = wish_estimate(&simulator_only(), &modest, &wish_for("sora-2", 6, "720x1280"), Moment::of(now())).unwrap();
    assert_eq!(estimate.nearest.iter().map(|n| n.seconds).collect::<Vec<_>>(), [seconds(4)]);
    let broke = Tenant { cost_max: Some(usd("0.30")), ..tenant("t") };
    let refused = wish_estimate(&simulator_only(), &broke, &wish_for("sora-2", 6, "720x1280"), Moment::of(now()));
    assert_eq!(refused, Err(NoPlan::TooDear { made: None, price: usd("0.40"), max: usd("0.30") }));
}

#[test]
fn a_line_that_nobody_serves_is_named() {
    let lines = [line(1, "sora-2", 4), line(1, "sora-3", 4)];
    let outcome = batch(&simulator_only(), None, &lines, Moment::of(now()));
    assert!(matches!(outcome, Err(NoEstimate::Line { index: 1, why: NoPlan::UnknownModel { .. } })), "{outcome:?}");
}

#[test]
fn a_sum_too_large_to_be_written_is_not_an_estimate() {
    for count in [u64::MAX, 1 << 62, 1 << 45] {
        let outcome = batch(&simulator_only(), None, &[line(count, "sora-2", 12)], Moment::of(now()));
        assert_eq!(outcome, Err(NoEstimate::TooLarge), "{count}");
    }
    let daily = Line { per_day: Some(1 << 42), ..line(1, "sora-2", 12) };
    assert_eq!(
        batch(&simulator_only(), None, &[daily], Moment::of(now())),
        Err(NoEstimate::TooLarge),
        "a day could be written, a month not"
    );
}
