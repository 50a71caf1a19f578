//! What is typed and what is printed.

use std::sync::Arc;

use clap::Parser;
use jiff::civil::date;

use super::{Clips, EstimateArgs, run};
use crate::id::{ModelName, TenantName};
use crate::plan::Moment;
use crate::policy::sample::{now, policy, route, simulator_only, sora_2, tenant, usd};
use crate::policy::{Choose, Policy, Price, Rules, Tenant};

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    args: EstimateArgs,
}

/// What is printed for a command line, or why nothing is.
fn printed(policy: &Policy, command: &str) -> Result<String, String> {
    let typed = Typed::try_parse_from(command.split_whitespace()).map_err(|e| e.to_string())?;
    run(&typed.args, policy, Moment::of(now()))
}

fn shown(command: &str) -> String {
    printed(&simulator_only(), command).unwrap()
}

#[test]
fn the_first_example_of_the_help_is_six_and_a_half_dollars() {
    insta::assert_snapshot!(shown("estimate 8:sora-2:5s 1:sora-2-pro:5s:1024x1792"), @r"
    CLIPS  MODEL       SECONDS  SIZE       EACH  COST  RE-TAKES  RE-TAKE COST  TOTAL  AT MOST
        8  sora-2            5  720x1280   0.50  4.00         0          0.00   4.00     4.00
        1  sora-2-pro        5  1024x1792  2.50  2.50         0          0.00   2.50     2.50
    -----  ----------  -------  ---------  ----  ----  --------  ------------  -----  -------
           total                                 6.50                    0.00   6.50     6.50

    - 5 s of sora-2 cannot be ordered, only 4, 8 or 12 s; the price is by the second. Nearest: 4 s at 0.40 and 8 s at 0.80 a clip.
    - 5 s of sora-2-pro cannot be ordered, only 10, 15 or 25 s; the price is by the second. Nearest: 10 s at 5.00 a clip.
    ");
}

#[test]
fn the_second_is_fifty_two() {
    insta::assert_snapshot!(shown("estimate 50:sora-2:8s --retakes 30%"), @r"
    CLIPS  MODEL   SECONDS  SIZE      EACH   COST  RE-TAKES  RE-TAKE COST  TOTAL  AT MOST
       50  sora-2        8  720x1280  0.80  40.00        15         12.00  52.00    52.00
    -----  ------  -------  --------  ----  -----  --------  ------------  -----  -------
           total                            40.00                   12.00  52.00    52.00
    ");
}

#[test]
fn the_third_loses_ten_cents_a_clip() {
    insta::assert_snapshot!(shown("estimate sora-2:6s --per-day 1000 --charge 0.50"), @r"
    CLIPS  MODEL     SECONDS  SIZE      EACH       COST  RE-TAKES  RE-TAKE COST      TOTAL    AT MOST
     1000  sora-2          6  720x1280  0.60     600.00         0          0.00     600.00     600.00
    -----  --------  -------  --------  ----  ---------  --------  ------------  ---------  ---------
           each day                              600.00                    0.00     600.00     600.00
           30 days                            18,000.00                    0.00  18,000.00  18,000.00

    - 6 s of sora-2 cannot be ordered, only 4, 8 or 12 s; the price is by the second. Nearest: 4 s at 0.40 and 8 s at 0.80 a clip.
    - Charged 0.50 a clip, it loses 0.10 on each: 3,000.00 a month of 30 days. It breaks even at 0.60, before overhead; charge at least 0.65.
    ");
}

#[test]
fn the_examples_are_in_the_help() {
    let help = Typed::try_parse_from(["estimate", "--help"]).err().unwrap().to_string();
    for command in ["8:sora-2:5s 1:sora-2-pro:5s:1024x1792", "50:sora-2:8s --retakes 30%", "sora-2:6s --per-day 1000 --charge 0.50"] {
        assert!(help.contains(&format!("filmgate estimate {command}")), "{help}");
    }
}

#[test]
fn where_there_is_a_choice_of_routes_it_is_shown() {
    let mut dear = route("dear");
    dear.models.get_mut("sora-2").unwrap().price = Price::Flat(usd("0.15"));
    let policy = policy(Choose::Weighted, vec![(dear, 20), (route("usual"), 80)]);
    insta::assert_snapshot!(printed(&policy, "estimate 10:sora-2:8").unwrap(), @r"
    CLIPS  MODEL   SECONDS  SIZE      EACH  COST  RE-TAKES  RE-TAKE COST  TOTAL  AT MOST
       10  sora-2        8  720x1280  0.80  8.00         0          0.00   8.00    12.00
    -----  ------  -------  --------  ----  ----  --------  ------------  -----  -------
           total                            8.00                    0.00   8.00    12.00

    Routes, in the order they would be tried:
    MODEL   ROUTE  SECONDS  SIZE      EACH
    sora-2  usual        8  720x1280  0.80
    sora-2  dear         8  720x1280  1.20

    - 1.20 is held for a clip until it is made, in case a dearer route has to make it; what is not spent is released.
    ");
}

#[test]
fn machines_read_json() {
    let json: serde_json::Value = serde_json::from_str(&shown("estimate 50:sora-2:8s --retakes 30 --charge 1.10 --json")).unwrap();
    assert_eq!(json["once"]["total"], "52.00");
    assert_eq!(json["once"]["total_microusd"], 52_000_000);
    assert_eq!((&json["day"], &json["month"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    let line = &json["lines"][0];
    assert_eq!((&line["clips"], &line["retakes"], &line["per"]), (&50.into(), &15.into(), &"once".into()));
    assert_eq!((&line["routes"][0]["route"], &line["routes"][0]["price_microusd"]), (&"simulator".into(), &800_000.into()));
    assert_eq!((&line["margin"]["break_even"], &line["margin"]["per_clip_microusd"]), (&"1.04".into(), &60_000.into()));
}

#[test]
fn clips_are_typed_as_count_model_length_and_size() {
    let clips = |text: &str| text.parse::<Clips>().map(|c| (c.count, c.model.to_string(), c.seconds.get(), c.size.map(|s| s.to_string())));
    assert_eq!(clips("8:sora-2:5s"), Ok((8, "sora-2".into(), 5, None)));
    assert_eq!(clips("sora-2:5"), Ok((1, "sora-2".into(), 5, None)));
    assert_eq!(clips("2:wan:2.2:10s:1280x720"), Ok((2, "wan:2.2".into(), 10, Some("1280x720".into()))));
    for text in [
        "",
        "8",
        "8:",
        "sora-2",
        "8:sora-2",
        "0:sora-2:5s",
        "8:sora-2:0s",
        "8:sora-2:5s:",
        "8::5s",
        "8:sora-2:5m",
        ":5s",
        "8:sora-2:5s:720p",
    ] {
        assert!(clips(text).is_err(), "{text:?} {:?}", clips(text));
    }
}

#[test]
fn what_cannot_be_typed_is_said_at_once() {
    for (command, part) in [
        ("estimate", "CLIPS"),
        ("estimate nonsense", "such as 8:sora-2:5s"),
        ("estimate sora-2:4s --retakes 1001%", "from 0 to 1000"),
        ("estimate sora-2:4s --retakes -5", "unexpected argument"),
        ("estimate sora-2:4s --per-day 0", "0 is not in 1.."),
        ("estimate sora-2:4s --charge=-1", "not less than nothing"),
        ("estimate sora-2:4s --charge 1e3", "digits"),
    ] {
        let error = printed(&simulator_only(), command).unwrap_err();
        assert!(error.contains(part), "{command}: {error}");
    }
}

#[test]
fn what_cannot_be_priced_is_explained() {
    let mut policy = simulator_only();
    policy.tenants.insert(TenantName::new("acme"), Arc::new(Tenant { residency: Some("eu".into()), ..tenant("acme") }));
    let modest = Tenant { models: vec![ModelName::new("sora-2")], cost_max: Some(usd("0.50")), ..tenant("modest") };
    policy.tenants.insert(TenantName::new("modest"), Arc::new(modest));
    let why = |command: &str| printed(&policy, command).unwrap_err();
    let said = [
        why("estimate sora-3:4s"),
        why("estimate sora-2:4s:640x480"),
        why("estimate sora-2:4s --tenant nobody"),
        why("estimate sora-2:4s --tenant acme"),
        why("estimate sora-2-pro:10s --tenant modest"),
        why("estimate sora-2:12s --tenant modest"),
        why("estimate 9999999999999999999:sora-2:4s"),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    4 s of sora-3: no model sora-3 can be asked for here; those that can: sora-2, sora-2-pro
    4 s of sora-2: 640x480 cannot be ordered; these sizes can: 720x1280, 1280x720
    --tenant nobody: gateway.toml has no such tenant; it has acme, modest
    4 s of sora-2: no route of rules[0] can serve this: simulator has no region, and acme is bound to eu
    10 s of sora-2-pro: no model sora-2-pro can be asked for here; those that can: sora-2
    12 s of sora-2: a clip costs 1.20, and the tenant may spend 0.50 on one (max_cost)
    the sum is more than can be written: ask for fewer clips
    ");
    policy.rules = Rules::new(Vec::new());
    insta::assert_snapshot!(printed(&policy, "estimate sora-2:4s").unwrap_err(), @"4 s of sora-2: no rule is for this; name a tenant with --tenant, or end the rules with one that has no `when`");
}

#[test]
fn a_model_that_is_retired_everywhere_is_not_priced() {
    let mut retired = route("openai");
    retired.models.insert(ModelName::new("sora-2"), crate::policy::Offer { sunset: Some(date(2026, 9, 24)), ..sora_2() });
    let why = printed(&policy(Choose::Ordered, vec![(retired, 1)]), "estimate sora-2:4s").unwrap_err();
    insta::assert_snapshot!(why, @"4 s of sora-2: sora-2 was offered until 2026-09-24 by the last who made it, and no longer (`sunset`)");
}
