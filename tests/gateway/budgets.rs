//! Money: a cap holds to the micro-dollar, and what is booked is what the provider bills.

use std::time::Duration;

use filmgate::simulator::{Fault, Faults};
use serde_json::json;
use tokio::task::JoinSet;

use crate::client::Answer;
use crate::world::{World, eventually, id, openai, tenant};

/// Refused for want of money, without a chance that asking again helps.
fn is_broke(answer: &Answer) -> bool {
    let quota = answer.refusal() == "429 insufficient_quota -" && answer.json()["error"]["type"] == "insufficient_quota";
    quota && answer.header("x-should-retry") == "false" && answer.header("retry-after").is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_wishes_at_once_exactly_the_fifty_that_can_be_paid_are_sent() {
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", "budget = { cap = \"20.00\" }")]).await;
    let acme = world.tenant("acme");

    let mut wishes = JoinSet::new();
    for _ in 0..200 {
        let acme = acme.clone();
        wishes.spawn(async move { acme.wish(&json!({ "prompt": "a whale" })).await });
    }
    let answers = wishes.join_all().await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((accepted.len(), refused.len()), (50, 150));
    assert!(refused.into_iter().all(is_broke));

    assert_eq!((world.orders(), world.bill()), (50, 20_000_000));
    assert_eq!((world.held("tenant:acme"), world.spent("tenant:acme")), (20_000_000, 0));
    world.turn_clock(Duration::from_secs(120));
    eventually("all are made", || world.jobs_in("completed") == 50).await;
    assert_eq!((world.held("tenant:acme"), world.spent("tenant:acme")), (0, 20_000_000));
    assert!(is_broke(&acme.wish(&json!({ "prompt": "a whale" })).await));
    world.end().await;
}

#[tokio::test]
async fn a_tenant_at_its_cap_is_told_what_is_left_and_stands_in_nobodys_way() {
    let broke = tenant("acme", "budget = { cap = \"1.00\" }");
    let world =
        World::start(&[openai("openai", ""), broke, tenant("rival", ""), tenant("guest", "models = []\nbudget = { cap = \"unlimited\" }")])
            .await;
    let acme = world.tenant("acme");

    acme.made(&json!({ "prompt": "a whale", "seconds": "8" })).await;
    let lines = world.number("SELECT count(*) FROM ledger");
    let refused = acme.wish(&json!({ "prompt": "a whale" })).await;
    assert!(is_broke(&refused), "{refused:?}");
    assert_eq!(refused.message(), "You exceeded your current quota: this video needs 0.40 USD and 0.20 USD are left of your budget.");
    assert_eq!((world.orders(), world.number("SELECT count(*) FROM ledger")), (1, lines), "nothing sent, nothing held");

    world.tenant("rival").made(&json!({ "prompt": "a whale" })).await;
    let unlimited = world.tenant("guest").wish(&json!({ "prompt": "a whale" })).await.ok();
    assert_eq!(unlimited.header("filmgate-budget-remaining"), "", "there is no end to it");
    world.end().await;
}

#[tokio::test]
async fn a_tenant_without_a_budget_may_spend_nothing() {
    let penniless = tenant("acme", "budget").replace("\nbudget", "");
    let world = World::start(&[openai("openai", ""), penniless]).await;
    assert!(is_broke(&world.tenant("acme").wish(&json!({ "prompt": "a whale" })).await));
    assert_eq!(world.orders(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_route_at_its_cap_is_passed_over_and_the_gateways_own_cap_ends_it_all() {
    let first = openai("first", "budget = { cap = \"0.80\" }");
    let second = openai("second", "budget = { cap = \"unlimited\" }");
    let policy = [first, second, tenant("acme", "show_route = true"), "[budget]\ncap = \"2.00\"".to_owned()];
    let world = World::at_speed(1, &policy).await;
    let acme = world.tenant("acme");

    let mut served = Vec::new();
    for _ in 0..5 {
        served.push(acme.ordered(&json!({ "prompt": "a whale" })).await["route"].as_str().unwrap().to_owned());
    }
    assert_eq!(served, ["first", "first", "second", "second", "second"]);
    let refused = acme.wish(&json!({ "prompt": "a whale" })).await;
    assert!(is_broke(&refused));
    assert_eq!(refused.message(), "The gateway's own budget is used up. Ask its operator.", "how much it is is not a tenant's business");
    assert_eq!((world.held("gateway"), world.held("route:first"), world.held("route:second")), (2_000_000, 800_000, 1_200_000));
    assert_eq!(world.orders(), 5);

    let [first, second, acmes, _] = policy;
    world.edit_policy(&[first, second.replace("unlimited", "1.20"), acmes]).await;
    let refused = acme.wish(&json!({ "prompt": "a whale" })).await;
    assert!(is_broke(&refused), "every route is at its cap: {refused:?}");
    assert!(refused.message().starts_with("Whoever could make this video has cost as much as the operator"), "{}", refused.message());
    let scraped = world.operator().get("/metrics").await;
    for reason in ["gateway_budget", "route_budget"] {
        assert!(
            scraped.text().contains(&format!("filmgate_refusals_total{{reason=\"{reason}\",tenant=\"acme\"}} 1\n")),
            "{reason}: {}",
            scraped.text()
        );
    }
    assert!(world.log().contains("0.40 does not fit under the cap of gateway, which has 0.00 left"), "and the log knows more");
    assert!(world.log().contains("0.40 fits under no route's cap: first: at its cap; second: at its cap"));
    assert_eq!(world.orders(), 5);
    world.end().await;
}

#[tokio::test]
async fn what_fails_or_is_refused_costs_nothing() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "budget = { cap = \"0.40\" }")]).await;
    let acme = world.tenant("acme");

    for prompt in ["a whale [fail]", "a whale [moderation-late]"] {
        let video = acme.ordered(&json!({ "prompt": prompt })).await;
        assert_eq!(acme.ended(id(&video)).await["status"], "failed");
    }
    assert_eq!(acme.wish(&json!({ "prompt": "a whale [moderation]" })).await.refusal(), "400 moderation_blocked -");
    assert_eq!((world.held("tenant:acme"), world.spent("tenant:acme"), world.bill()), (0, 0, 0));

    acme.made(&json!({ "prompt": "a whale" })).await;
    assert_eq!(world.spent("tenant:acme"), 400_000, "the whole budget was still there");
    world.end().await;
}

#[tokio::test]
async fn what_fails_where_failures_are_billed_is_paid_for() {
    let mut world = World::start(&[openai("openai", "bills_failed = true"), tenant("acme", "charge = { per_clip = \"0.50\" }")]).await;
    world.bill_failures();
    let acme = world.tenant("acme");
    let video = acme.ordered(&json!({ "prompt": "a whale [fail]" })).await;
    assert_eq!(acme.ended(id(&video)).await["status"], "failed");
    assert_eq!((world.spent("tenant:acme"), world.spent("route:openai"), world.held("tenant:acme")), (400_000, 400_000, 0));
    world.end().await;
}

/// A route whose `sora-2` is really `sora-2-pro`, at three times the price.
fn dear(name: &str) -> String {
    openai(name, "").replacen("as = \"sora-2\"", "as = \"sora-2-pro\"", 1).replacen("price = \"0.10\"", "price = \"0.30\"", 1)
}

#[tokio::test]
async fn the_dearest_price_of_the_plan_is_held_and_the_price_of_the_route_that_served_is_paid() {
    let world = World::start(&[openai("cheap", ""), dear("dear"), tenant("acme", "budget = { cap = \"2.80\" }\nshow_route = true")]).await;
    let acme = world.tenant("acme");

    let answer = acme.wish(&json!({ "prompt": "a whale", "seconds": "8" })).await.ok();
    assert_eq!((answer.header("filmgate-cost"), answer.header("filmgate-budget-remaining")), ("0.80", "0.40"));
    assert_eq!((world.held("tenant:acme"), world.held("route:cheap"), world.held("route:dear")), (2_400_000, 800_000, 0));
    let refused = acme.wish(&json!({ "prompt": "a whale", "seconds": "8" })).await;
    assert!(is_broke(&refused), "what might be spent counts, not what is hoped for: {refused:?}");
    acme.ended(id(&answer.json())).await;
    assert_eq!((world.spent("tenant:acme"), world.spent("route:cheap"), world.held("tenant:acme")), (800_000, 800_000, 0));

    world.misbehave(Faults { script: [Fault::Refuse(429)].into(), ..Faults::default() });
    let video = acme.made(&json!({ "prompt": "a whale" })).await;
    assert_eq!(video["route"], "dear");
    assert_eq!((world.spent("tenant:acme"), world.spent("route:dear"), world.spent("route:cheap")), (2_000_000, 1_200_000, 800_000));
    world.end().await;
}

#[tokio::test]
async fn a_clip_is_paid_from_the_period_in_which_it_was_ordered() {
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", "budget = { cap = \"1.00\", per = \"day\" }")]).await;
    let acme = world.tenant("acme");
    let balances = || {
        let select = "SELECT held_microusd, spent_microusd FROM balances WHERE account = 'tenant:acme' ORDER BY period";
        let rows = world.books().rows(select);
        rows.iter().map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap())).collect::<Vec<(i64, i64)>>()
    };

    let late = acme.ordered(&json!({ "prompt": "a whale", "seconds": "8" })).await;
    assert!(is_broke(&acme.wish(&json!({ "prompt": "a whale" })).await));
    world.gateway().turn_clock(Duration::from_secs(86_400));
    let tomorrow = acme.wish(&json!({ "prompt": "a whale" })).await.ok();
    assert_eq!(tomorrow.header("filmgate-budget-remaining"), "0.60");
    assert_eq!(balances(), [(800_000, 0), (400_000, 0)]);

    world.turn_clock(Duration::from_secs(120));
    acme.ended(id(&late)).await;
    acme.ended(id(&tomorrow.json())).await;
    assert_eq!(balances(), [(0, 800_000), (0, 400_000)]);
    world.end().await;
}

#[tokio::test]
async fn a_price_that_changes_while_a_clip_is_made_changes_nothing_about_it() {
    let policy = [openai("openai", ""), tenant("acme", "")];
    let world = World::at_speed(1, &policy).await;
    let acme = world.tenant("acme");

    let video = acme.ordered(&json!({ "prompt": "a whale" })).await;
    world.edit_policy(&[policy[0].replace("\"0.10\"", "\"0.25\""), policy[1].clone()]).await;
    let estimate = acme.client.post("/v1/videos/estimate", &json!({ "prompt": "a whale" })).await.ok().json();
    assert_eq!(estimate["price"], "1.00");
    assert_eq!(world.held("tenant:acme"), 400_000);

    world.turn_clock(Duration::from_secs(60));
    acme.ended(id(&video)).await;
    assert_eq!((world.spent("tenant:acme"), world.bill()), (400_000, 400_000));
    world.end().await;
}

#[tokio::test]
async fn a_cap_that_is_lowered_lets_what_runs_end_and_nothing_new_begin() {
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let running = [acme.ordered(&json!({ "prompt": "a whale" })).await, acme.ordered(&json!({ "prompt": "a whale" })).await];

    world.edit_policy(&[openai("openai", ""), tenant("acme", "budget = { cap = \"0.50\" }")]).await;
    let refused = acme.wish(&json!({ "prompt": "a whale" })).await;
    assert!(is_broke(&refused));
    assert!(refused.message().contains("0.00 USD are left"), "never less than nothing: {}", refused.message());
    let free = openai("openai", "").replacen("price = \"0.10\"", "price = \"0.00\"", 1);
    world.edit_policy(&[free, tenant("acme", "budget = { cap = \"0.50\" }")]).await;
    let refused = acme.wish(&json!({ "prompt": "a whale" })).await;
    assert!(is_broke(&refused), "nor does what costs nothing begin");
    assert!(refused.message().contains("more than your budget is used already"), "{}", refused.message());
    world.turn_clock(Duration::from_secs(60));
    for video in &running {
        assert_eq!(acme.ended(id(video)).await["status"], "completed");
    }
    assert_eq!(world.spent("tenant:acme"), 800_000);

    world.edit_policy(&[openai("openai", ""), tenant("acme", "budget = { cap = \"1.20\" }")]).await;
    let last = acme.wish(&json!({ "prompt": "a whale" })).await.ok();
    assert_eq!(last.header("filmgate-budget-remaining"), "0.00");
    world.end().await;
}

#[tokio::test]
async fn a_tenant_may_be_bound_to_short_cheap_clips_of_some_models() {
    let bound = "max_seconds = 8\nmax_cost = \"0.50\"";
    let policy =
        [openai("openai", ""), tenant("acme", bound), tenant("rival", "models = [\"sora-2\"]"), tenant("guest", "max_seconds = 8")];
    let world = World::start(&policy).await;
    let (acme, rival, guest) = (world.tenant("acme"), world.tenant("rival"), world.tenant("guest"));

    let too_dear = acme.wish(&json!({ "prompt": "a whale", "seconds": "8" })).await;
    assert_eq!(too_dear.refusal(), "400 cost_above_limit -");
    assert!(too_dear.message().contains("0.80") && too_dear.message().contains("0.50"), "{}", too_dear.message());
    let too_long = guest.wish(&json!({ "prompt": "a whale", "seconds": "12" })).await;
    assert_eq!(too_long.refusal(), "400 invalid_value seconds");
    let not_theirs = rival.wish(&json!({ "prompt": "a whale", "model": "sora-2-pro" })).await;
    assert_eq!(not_theirs.refusal(), "404 model_not_found model");
    assert!(!not_theirs.message().contains("Available models are: 'sora-2', 'sora-2-pro'"), "{}", not_theirs.message());
    for refused in [too_dear, too_long, not_theirs] {
        assert_eq!(refused.header("x-should-retry"), "false");
    }
    assert_eq!((world.orders(), world.number("SELECT count(*) FROM ledger")), (0, 0));

    acme.made(&json!({ "prompt": "a whale", "seconds": "4" })).await;
    guest.made(&json!({ "prompt": "a whale", "seconds": "8" })).await;
    world.end().await;
}
