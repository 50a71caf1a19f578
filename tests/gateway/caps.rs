//! Caps at every level: what a key and what an end user may spend, beside their tenant, the route and the gateway.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::client::{Answer, Client};
use crate::endpoint::Endpoint;
use crate::process::Site;
use crate::world::{Tenant, World, eventually, id, key_of, openai, tenant};

/// Four seconds of sora-2, micro-dollars.
const CLIP: i64 = 400_000;

fn whale() -> Value {
    json!({ "prompt": "a whale", "seconds": "4" })
}

fn hash(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tenant with two named keys: `ci`, which has this cap, and `web`, which has none.
fn with_keys(ci_cap: &str, more: &str) -> String {
    let [ci, web] = ["acme-ci", "acme-web"].map(|name| hash(&key_of(name)));
    format!(
        "[tenants.acme]\nbudget = {{ cap = \"100.00\" }}\nkeys = [{{ hash = \"sha256:{ci}\", name = \"ci\", budget = {{ cap = \"{ci_cap}\", per = \"day\" }} }}, \
         {{ hash = \"sha256:{web}\", name = \"web\" }}]\n{more}\n"
    )
}

fn client(world: &World, key: &str) -> Tenant {
    Tenant { client: world.stranger().bearer(&key_of(key)) }
}

fn for_user(client: &Client, user: &str) -> Client {
    client.with("x-filmgate-user", user)
}

async fn wished(client: &Client) -> Answer {
    client.post("/v1/videos", &whale()).await
}

fn is_over(answer: &Answer, whose: &str) -> bool {
    answer.refusal() == "429 insufficient_quota -"
        && answer.header("x-should-retry") == "false"
        && answer.message().ends_with(&format!("are left of {whose}."))
}

#[tokio::test]
async fn a_keys_cap_holds_for_that_key_alone() {
    let world = World::at_speed(1, &[openai("openai", ""), with_keys("0.80", "")]).await;
    world.turn_to_noon();
    let (ci, web) = (client(&world, "acme-ci"), client(&world, "acme-web"));
    let first = ci.wish(&whale()).await.ok();
    assert_eq!(first.header("filmgate-budget-remaining"), "0.40", "what the key has left, which is less than its tenant has");
    ci.ordered(&whale()).await;
    let refused = ci.wish(&whale()).await;
    assert!(is_over(&refused, "the budget of your key"), "{refused:?}");
    assert!(refused.message().contains("0.00 USD") && !refused.text().contains("99"), "nothing of its tenant's figures: {refused:?}");
    assert_eq!(web.wish(&whale()).await.ok().header("filmgate-budget-remaining"), "98.80");
    assert_eq!((world.held("key:acme/ci"), world.held("tenant:acme"), world.orders()), (2 * CLIP, 3 * CLIP, 3));

    // A remix is booked the same; a day later the key may spend again.
    world.turn_clock(Duration::from_secs(600));
    let source = ci.ended(id(&first.json())).await;
    let remix = ci.client.post(&format!("/v1/videos/{}/remix", id(&source)), &json!({ "prompt": "a whale by night" })).await;
    assert!(is_over(&remix, "the budget of your key"), "{remix:?}");
    world.turn_clock(Duration::from_secs(86_400));
    ci.ordered(&whale()).await;
    world.end().await;
}

#[tokio::test]
async fn a_capped_key_by_another_name_begins_anew_and_the_log_says_so() {
    let world = World::at_speed(1, &[openai("openai", ""), with_keys("0.40", "")]).await;
    let ci = client(&world, "acme-ci");
    ci.ordered(&whale()).await;
    let renamed = with_keys("0.40", "").replace("\"ci\"", "\"build\"").replace("\"web\"", "\"site\"");
    world.edit_policy(&[openai("openai", ""), renamed]).await;
    ci.ordered(&whale()).await;
    let told = "changed: tenants.acme.keys: `ci` is called `build` now: its cap counts what `build` spends, and not what `ci` did";
    assert!(world.log().contains(told), "{}", world.log());
    assert!(!world.log().contains("`site` now"), "one without a cap has nothing to begin anew");
    assert_eq!((world.held("key:acme/ci"), world.held("key:acme/build")), (CLIP, CLIP));
    world.end().await;
}

#[tokio::test]
async fn each_end_user_has_a_cap_of_its_own_however_it_is_named() {
    let users = "user_budget = { cap = \"0.40\", per = \"day\" }";
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", &format!("budget = {{ cap = \"100.00\" }}\n{users}"))]).await;
    let acme = world.tenant("acme").client;
    wished(&for_user(&acme, "u-1")).await.ok();
    let by_body = acme.post("/v1/videos", &json!({ "prompt": "a whale", "user": "u-1" })).await;
    assert!(is_over(&by_body, "your end user's budget"), "{by_body:?}");
    wished(&for_user(&acme, "u-2")).await.ok();
    let at_odds = for_user(&acme, "u-3").post("/v1/videos", &json!({ "prompt": "a whale", "user": "u-1" })).await;
    assert_eq!(at_odds.refusal(), "400 invalid_value user");

    // Whoever names nobody is one of them: leaving the name out dodges nothing.
    wished(&acme).await.ok();
    assert!(is_over(&wished(&acme).await, "your end user's budget"));
    let long = "x".repeat(200);
    wished(&for_user(&acme, &long)).await.ok();
    assert!(is_over(&wished(&for_user(&acme, &long)).await, "your end user's budget"));
    assert_eq!((world.held("user:acme/u-1"), world.held("user:acme/"), world.held("tenant:acme")), (CLIP, CLIP, 4 * CLIP));
    let text = world.operator().get("/metrics").await.text().to_owned();
    assert!(
        !text.contains("u-1") && text.contains("filmgate_refusals_total{reason=\"user_budget\",tenant=\"acme\"} 3"),
        "no user is a label"
    );
    world.end().await;
}

#[tokio::test]
async fn a_tenant_may_want_every_wish_to_name_its_end_user() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "require_user = true")]).await;
    let acme = world.tenant("acme");
    assert_eq!(wished(&acme.client).await.refusal(), "400 user_required user");
    assert_eq!(wished(&for_user(&acme.client, "")).await.refusal(), "400 user_required user");
    assert_eq!(acme.client.post("/v1/videos/estimate", &whale()).await.status, 200, "what costs nothing may be asked by anybody");
    wished(&for_user(&acme.client, "u-1")).await.ok();
    assert_eq!(world.orders(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_refusal_at_one_level_leaves_every_other_as_it_was() {
    let more = "user_budget = { cap = \"0.40\" }";
    let world =
        World::start(&[openai("openai", "budget = { cap = \"50.00\" }"), with_keys("5.00", more), "[budget]\ncap = \"60.00\"".to_owned()])
            .await;
    let ci = for_user(&client(&world, "acme-ci").client, "u-1");
    wished(&ci).await.ok();
    let rows = || world.books().rows("SELECT account, period, held_microusd + spent_microusd FROM balances ORDER BY account, period");
    eventually("it is made", || world.jobs_in("completed") == 1).await;
    let before = rows();
    for _ in 0..3 {
        assert!(is_over(&wished(&ci).await, "your end user's budget"));
    }
    assert_eq!(rows(), before);
    assert_eq!((world.orders(), world.number("SELECT count(*) FROM jobs")), (1, 1));
    world.end().await;
}

/// Forty-eight connections race for what a key and its end user have left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_wishes_at_once_exactly_what_the_key_and_the_user_can_pay_is_served() {
    let more = "user_budget = { cap = \"2.80\" }";
    let world = World::at_speed(1, &[openai("openai", ""), with_keys("4.00", more)]).await;
    let (ci, web) = (client(&world, "acme-ci").client, client(&world, "acme-web").client);
    let mut wishes = JoinSet::new();
    for number in 0..192 {
        let key = if number % 2 == 0 { &ci } else { &web };
        let client = for_user(key, ["u-1", "u-2"][number / 2 % 2]);
        wishes.spawn(async move { wished(&client).await });
    }
    let served = wishes.join_all().await.iter().filter(|answer| answer.status == 200).count();
    let (held, ci_held) = (|user: &str| world.held(&format!("user:acme/{user}")), world.held("key:acme/ci"));
    assert_eq!((served, held("u-1"), held("u-2")), (14, 7 * CLIP, 7 * CLIP), "each user has exactly its cap's worth");
    assert!(ci_held <= 10 * CLIP, "{ci_held}");
    assert_eq!((world.bill(), world.held("tenant:acme")), (14 * CLIP, 14 * CLIP));

    let mut rest = JoinSet::new();
    for number in 0..48 {
        let client = for_user(&ci, &format!("other-{number}"));
        rest.spawn(async move { wished(&client).await });
    }
    rest.join_all().await;
    assert_eq!(world.held("key:acme/ci"), 10 * CLIP, "and the key has");
    assert_eq!(world.bill(), world.held("tenant:acme"));
    world.end().await;
}

#[tokio::test]
async fn lowering_a_cap_below_what_is_spent_stops_new_jobs_only() {
    let policy = |ci: &str, user: &str| [openai("openai", ""), with_keys(ci, &format!("user_budget = {{ cap = \"{user}\" }}"))];
    let world = World::at_speed(1, &policy("4.00", "4.00")).await;
    world.turn_to_noon();
    let ci = for_user(&client(&world, "acme-ci").client, "u-1");
    let running = wished(&ci).await.ok().json();
    wished(&ci).await.ok();
    world.edit_policy(&policy("0.10", "4.00")).await;
    assert!(is_over(&wished(&ci).await, "the budget of your key"));
    world.edit_policy(&policy("4.00", "0.10")).await;
    assert!(is_over(&wished(&ci).await, "your end user's budget"));
    world.turn_clock(Duration::from_secs(600));
    assert_eq!(client(&world, "acme-ci").ended(id(&running)).await["status"], "completed");
    eventually("both are settled", || world.spent("user:acme/u-1") == 2 * CLIP && world.spent("key:acme/ci") == 2 * CLIP).await;
    world.edit_policy(&policy("4.00", "1.20")).await;
    wished(&ci).await.ok();
    assert!(is_over(&wished(&ci).await, "your end user's budget"));
    world.end().await;
}

#[tokio::test]
async fn a_cap_that_is_written_later_knows_what_was_spent_before() {
    let (plain, user) = (tenant("acme", ""), "user_budget = { cap = \"1.00\", per = \"month\" }");
    let world = World::start(&[openai("openai", ""), plain.clone()]).await;
    let acme = for_user(&world.tenant("acme").client, "u-1");
    wished(&acme).await.ok();
    wished(&acme).await.ok();
    world.edit_policy(&[openai("openai", ""), format!("{plain}{user}")]).await;
    assert!(is_over(&wished(&acme).await, "your end user's budget"));
    let explained = world.operator().get("/api/explain?tenant=acme&user=u-1&seconds=4").await.ok().json();
    let purse = explained["purses"].as_array().unwrap().iter().find(|purse| purse["account"] == "user:acme/u-1").unwrap();
    assert_eq!(
        (&purse["held"], &purse["left"], &explained["live"]["refuses"]),
        (&json!("0.80"), &json!("0.20"), &json!(true)),
        "{explained}"
    );
    wished(&for_user(&world.tenant("acme").client, "u-2")).await.ok();
    world.end().await;
}

#[tokio::test]
async fn a_budget_that_is_written_later_shows_what_its_period_has_cost_already() {
    let policy = |budget: &str| [openai("openai", ""), tenant("acme", budget)];
    let world = World::start(&policy("")).await;
    let acme = world.tenant("acme");
    acme.made(&whale()).await;
    acme.made(&whale()).await;
    let [routes, acmes] = policy("budget = { cap = \"0.50\", per = \"day\" }");
    world.edit_policy(&[format!("[budget]\ncap = \"0.60\"\nper = \"week\"\n{routes}"), acmes]).await;
    let shown = [
        format!("\nfilmgate_budget_spent_microusd{{period=\"day\",tenant=\"acme\"}} {}\n", 2 * CLIP),
        format!("\nfilmgate_gateway_budget_spent_microusd{{period=\"week\"}} {}\n", 2 * CLIP),
    ];
    let began = Instant::now();
    loop {
        let metrics = world.operator().get("/metrics").await.text().to_owned();
        if shown.iter().all(|line| metrics.contains(line)) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it is never shown: {metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(acme.wish(&whale()).await.refusal(), "429 insufficient_quota -");
    world.end().await;
}

#[tokio::test]
async fn marks_of_a_keys_and_a_users_cap_are_told_to_the_tenant_once() {
    let endpoint = Endpoint::open().await;
    let hook = endpoint.webhook("a-webhook-secret-of-this-test");
    let more = format!("user_budget = {{ cap = \"0.80\", warn = [50] }}\n{hook}");
    let world =
        World::start(&[openai("openai", ""), with_keys("0.80", &more).replace("per = \"day\"", "per = \"total\", warn = [50]")]).await;
    let ci = for_user(&client(&world, "acme-ci").client, "u-1");
    wished(&ci).await.ok();
    wished(&ci).await.ok();
    for _ in 0..3 {
        assert!(is_over(&wished(&ci).await, "the budget of your key"));
    }
    let budgets = || {
        endpoint
            .told()
            .iter()
            .map(|told| told.json())
            .filter(|event| event["type"].as_str().unwrap().starts_with("budget."))
            .collect::<Vec<_>>()
    };
    eventually("four events come", || budgets().len() >= 4).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut told: Vec<String> =
        budgets().iter().map(|event| format!("{} {}", event["type"].as_str().unwrap(), event["data"]["id"].as_str().unwrap())).collect();
    told.sort();
    let month = told[1].rsplit_once("month:").unwrap().1.to_owned();
    let expected = [
        "budget.exhausted key:acme/ci/total".to_owned(),
        format!("budget.exhausted user:acme/u-1/month:{month}"),
        "budget.warning key:acme/ci/total/50".to_owned(),
        format!("budget.warning user:acme/u-1/month:{month}/50"),
    ];
    assert_eq!(told, expected);
    world.end().await;
}

/// Three replicas race for what one end user has left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_reach_an_end_users_cap_and_never_pass_it() {
    const REPLICAS: usize = 3;
    let policy =
        [openai("openai", ""), tenant("acme", "budget = { cap = \"unlimited\" }\nuser_budget = { cap = \"4.00\", per = \"total\" }")];
    let site = Site::on_postgres(1, 0, &policy).await;
    let replicas = site.replicas(REPLICAS, &policy).await;
    let mut wishes = JoinSet::new();
    for number in 0..48 {
        let acme = for_user(&replicas[number % REPLICAS].tenant("acme"), ["u-1", "u-2"][number / 3 % 2]);
        wishes.spawn(async move {
            let wish = json!({ "prompt": format!("a kite #intent:{number}"), "seconds": "4" });
            // A server that others keep busy may be given up for a while.
            loop {
                let answer = acme.post("/v1/videos", &wish).await;
                if answer.status != 503 {
                    assert!(answer.status == 200 || is_over(&answer, "your end user's budget"), "{answer:?}");
                    return answer.status;
                }
            }
        });
    }
    let served = wishes.join_all().await.into_iter().filter(|status| *status == 200).count();
    assert_eq!(served, 20, "ten each");
    assert_eq!(site.simulator.bill().total_microusd, 20 * CLIP);
    site.simulator.turn_clock(Duration::from_secs(3_600));
    site.until_quiet().await;
    site.settle_up();
}
