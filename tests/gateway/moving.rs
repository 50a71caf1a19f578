//! A route that is edited in place, to another address or another key: what was sent before stays with its account.

use std::time::Duration;

use filmgate::simulator::{BilledJob, Fault, Faults, account_of};
use serde_json::{Value, json};

use crate::world::{Tenant, World, eventually, id, openai, tenant};

const HASTY: &str = "submit_timeout = \"1s\"\nunknown = { grace = \"1s\", give_up = \"1h\" }";

fn whale() -> Value {
    json!({ "prompt": "a whale", "seconds": "4" })
}

/// The route as it is at first.
fn before(more: &str) -> Vec<String> {
    vec![openai("openai", &format!("api_key = \"sk-test-former\"\n{more}")), tenant("acme", "")]
}

/// Likewise at the same address, with another key.
fn rekeyed(key: &str, more: &str) -> Vec<String> {
    vec![openai("openai", &format!("api_key = \"{key}\"\n{more}")), tenant("acme", "")]
}

/// Likewise at another address, which is the simulator too, and in another account there.
fn moved(world: &World, more: &str) -> Vec<String> {
    let elsewhere = format!("http://localhost:{}", world.simulator.addr().port());
    rekeyed("sk-test-present", more).into_iter().map(|part| part.replace("{simulator}", &elsewhere)).collect()
}

/// The former account put back, as the log advises.
fn drained(more: &str) -> String {
    openai("old", &format!("api_key = \"sk-test-former\"\ndrain = true\n{more}"))
}

/// What the provider bills to an account.
fn billed(world: &World, key: &str) -> Vec<BilledJob> {
    world.simulator.bill().jobs.into_iter().filter(|job| job.account == account_of(key)).collect()
}

async fn content(acme: &Tenant, video: &Value) -> u16 {
    acme.get(&format!("/v1/videos/{}/content", id(video))).await.status
}

async fn remix(acme: &Tenant, video: &Value) -> String {
    let remixed = acme.client.post(&format!("/v1/videos/{}/remix", id(video)), &json!({ "prompt": "a whale at night" })).await;
    if remixed.status == 200 { "200".to_owned() } else { remixed.refusal() }
}

/// Which account each attempt was sent to, as many as there are.
fn accounts(world: &World) -> i64 {
    world.number("SELECT count(DISTINCT account) FROM attempts")
}

#[tokio::test]
async fn what_runs_when_the_address_is_edited_ends_where_it_was_sent() {
    let world = World::at_speed(1, &before("limits = { rpm = 1, in_flight = 1 }")).await;
    let acme = world.tenant("acme");
    let old = acme.ordered(&whale()).await;
    assert_eq!(acme.wish(&whale()).await.status, 429, "its one place is taken");

    world.edit_policy(&moved(&world, "limits = { rpm = 1, in_flight = 1 }")).await;
    let told = "routes.openai: account changed; 1 open job stays with the former";
    assert!(world.log().contains(told), "{}", world.log());
    let shown = world.operator().get("/api/status").await.ok().json()["reload"]["changes"].to_string();
    assert!(shown.contains(told), "{shown}");
    let new = acme.ordered(&whale()).await;
    assert_eq!((billed(&world, "sk-test-former").len(), billed(&world, "sk-test-present").len(), accounts(&world)), (1, 1, 2));
    let scraped = world.operator().get("/metrics").await;
    assert!(scraped.text().contains("\nfilmgate_route_in_flight{route=\"openai\"} 1\n"), "as its limit has it: {}", scraped.text());
    let route = world.operator().get("/api/status").await.ok().json()["routes"][0].clone();
    assert_eq!((&route["in_flight"], &route["open_jobs"]), (&json!(1), &json!(2)), "{route}");

    world.turn_clock(Duration::from_secs(60));
    for video in [&old, &new] {
        assert_eq!(acme.ended(id(video)).await["status"], "completed");
        assert_eq!(content(&acme, video).await, 200);
    }
    assert_eq!(
        remix(&acme, &old).await,
        "503 no_route_available -",
        "what is new does not go to the former account, nor its clips to another"
    );
    assert_eq!(world.orders(), 2);
    assert_eq!(acme.client.ask("DELETE", &format!("/v1/videos/{}", id(&old)), None, "").await.unwrap().status, 200);
    eventually("its own account deletes it", || world.simulator.stats().count("delete") == 1).await;
    assert_eq!(world.spent("route:openai"), world.bill());
    world.end().await;
}

#[tokio::test]
async fn a_route_that_goes_with_jobs_is_said_to() {
    let world = World::at_speed(1, &before("")).await;
    let acme = world.tenant("acme");
    let old = acme.ordered(&whale()).await;
    world.edit_policy(&[openai("other", ""), tenant("acme", "")]).await;
    let told = "routes.openai: removed; 1 open job is followed until this gateway stops, and after that only if the route is back";
    assert!(world.log().contains(told), "{}", world.log());
    world.turn_clock(Duration::from_secs(60));
    assert_eq!(acme.ended(id(&old)).await["status"], "completed");
    world.edit_policy(&before("")).await;
    assert!(!world.log().contains("routes.other: removed;"), "it had none");
    world.end().await;
}

#[tokio::test]
async fn what_runs_when_the_key_is_edited_ends_where_it_was_sent() {
    let world = World::at_speed(1, &before("")).await;
    let acme = world.tenant("acme");
    let old = acme.ordered(&whale()).await;
    world.edit_policy(&rekeyed("sk-test-present", "")).await;
    let new = acme.ordered(&whale()).await;
    world.turn_clock(Duration::from_secs(60));
    for video in [&old, &new] {
        assert_eq!(acme.ended(id(video)).await["status"], "completed");
        assert_eq!(content(&acme, video).await, 200);
    }
    assert_eq!((billed(&world, "sk-test-former").len(), billed(&world, "sk-test-present").len()), (1, 1));
    assert_eq!(remix(&acme, &old).await, "503 no_route_available -", "another account's key does not know the clip");
    assert_eq!(remix(&acme, &new).await, "200");
    world.end().await;
}

#[tokio::test]
async fn a_key_that_is_replaced_and_revoked_is_the_same_account() {
    let world = World::at_speed(1, &before(HASTY)).await;
    let acme = world.tenant("acme");
    let old = acme.ordered(&whale()).await;
    world.misbehave(Faults { script: [Fault::AcceptThenCut].into(), ..Faults::default() });
    let lost = acme.ordered(&json!({ "prompt": "a whale whose reply is lost", "seconds": "4" })).await;
    let rotated = Faults {
        renewed_keys: [("sk-test-fresh".to_owned(), "sk-test-former".to_owned())].into(),
        revoked_keys: ["sk-test-former".to_owned()].into(),
        ..Faults::default()
    };
    world.misbehave(rotated.clone());
    world.edit_policy(&rekeyed("sk-test-fresh", HASTY)).await;
    eventually("the lost reply is found with the fresh key", || world.jobs_in("unknown") == 0).await;
    world.turn_clock(Duration::from_secs(60));
    for video in [&old, &lost] {
        assert_eq!(acme.ended(id(video)).await["status"], "completed");
        assert_eq!(content(&acme, video).await, 200);
    }
    assert_eq!(remix(&acme, &old).await, "200", "it knows the clip");
    world.turn_clock(Duration::from_secs(60));
    eventually("all have ended", || world.jobs_in("completed") == 3).await;
    assert_eq!((world.spent("tenant:acme"), billed(&world, "sk-test-former").len()), (world.bill(), 3));
    world.end().await;
}

#[tokio::test]
async fn a_reply_that_is_lost_is_found_in_the_former_account() {
    let world = World::start(&before(HASTY)).await;
    let acme = world.tenant("acme");
    // The list lags until the route has moved.
    world.misbehave(Faults { script: [Fault::AcceptThenCut].into(), list_lag_ms: 60_000, ..Faults::default() });
    let lost = acme.ordered(&whale()).await;
    world.edit_policy(&moved(&world, HASTY)).await;
    world.misbehave(Faults::default());
    assert_eq!(acme.ended(id(&lost)).await["status"], "completed");
    assert_eq!((world.orders(), world.spent("tenant:acme"), world.bill()), (1, 400_000, 400_000));
    world.end().await;
}

#[tokio::test]
async fn another_accounts_list_proves_nothing_and_nobody_is_sent_what_may_be_paid_for() {
    let mut world = World::start(&before(HASTY)).await;
    let acme = world.tenant("acme");
    world.misbehave(Faults { script: [Fault::AcceptThenCut].into(), list_lag_ms: 60_000, ..Faults::default() });
    let lost = acme.ordered(&whale()).await;
    // The new account is one that knows a request again, so what is unknown there would be sent again.
    world.write_policy(&moved(&world, &format!("{HASTY}\nidempotency_key = true")));
    world.restart().await;
    world.misbehave(Faults::default());
    let acme = world.tenant("acme");
    world.turn_clock(Duration::from_secs(10));
    acme.made(&json!({ "prompt": "a younger whale", "seconds": "4" })).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!((world.jobs_in("unknown"), world.held("tenant:acme"), world.orders()), (1, 400_000, 2));
    assert_eq!(acme.video(id(&lost)).await["status"], "queued");

    let mut put_back = moved(&world, HASTY);
    put_back.push(drained(HASTY));
    world.edit_policy(&put_back).await;
    assert_eq!(acme.ended(id(&lost)).await["status"], "completed");
    assert_eq!((world.orders(), world.spent("tenant:acme"), world.held("tenant:acme"), world.bill()), (2, 800_000, 0, 800_000));
    world.end().await;
}

#[tokio::test]
async fn a_restart_after_an_edit_of_the_address_asks_nobody_until_the_account_is_back() {
    let alerts = "[alerts]\nwebhook = { url = \"http://127.0.0.1:1/\", secret = \"sk-test-alerts\", allow_private = true }".to_owned();
    let mut world = World::at_speed(1, &before("")).await;
    let acme = world.tenant("acme");
    let made = acme.ordered(&whale()).await;
    world.turn_clock(Duration::from_secs(60));
    acme.ended(id(&made)).await;
    let running = acme.ordered(&whale()).await;

    world.expect_error("with a former account of route");
    let mut policy = moved(&world, "");
    policy.push(alerts);
    world.write_policy(&policy);
    world.restart().await;
    let acme = world.tenant("acme");
    eventually("the log says what to do", || world.log().contains("`drain = true`")).await;
    world.turn_clock(Duration::from_secs(1_200));
    let asked = world.simulator.stats().count("retrieve");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.simulator.stats().count("retrieve"), asked, "nobody is asked at another address");
    assert_eq!((world.jobs_in("accepted") + world.jobs_in("running"), world.held("tenant:acme")), (1, 400_000));
    assert_eq!(acme.get(&format!("/v1/videos/{}/content", id(&made))).await.refusal(), "502 account_unavailable -");
    assert_eq!(remix(&acme, &made).await, "503 no_route_available -");
    let warnings = world.operator().get("/api/status").await.ok().json()["warnings"].to_string();
    assert!(warnings.contains("1 job is with a former account of route openai"), "{warnings}");
    let scraped = world.operator().get("/metrics").await.ok();
    assert!(scraped.text().contains("filmgate_former_account_jobs{route=\"openai\"} 1\n"));
    let told = "SELECT count(*) FROM notices WHERE kind = 'alert.former_account'";
    eventually("the operator is owed an event", || world.number(told) == 1).await;

    policy.push(drained(""));
    world.edit_policy(&policy).await;
    assert_eq!(acme.ended(id(&running)).await["status"], "completed");
    for video in [&made, &running] {
        assert_eq!(content(&acme, video).await, 200);
    }
    assert_eq!(remix(&acme, &made).await, "200", "where the clip is");
    assert_eq!(billed(&world, "sk-test-former").len(), 3);
    world.end().await;
}

#[tokio::test]
async fn that_another_key_does_not_know_a_job_is_no_denial() {
    let mut world = World::at_speed(1, &before("")).await;
    let acme = world.tenant("acme");
    let running = acme.ordered(&whale()).await;
    world.write_policy(&rekeyed("sk-test-present", ""));
    world.restart().await;
    let acme = world.tenant("acme");
    eventually("it is said that it may be another's", || world.log().contains("does not know a job that was sent with a former one")).await;
    for _ in 0..3 {
        world.turn_clock(Duration::from_secs(700));
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert_eq!((world.jobs_in("lost"), world.held("tenant:acme")), (0, 400_000));

    let mut put_back = rekeyed("sk-test-present", "");
    put_back.push(drained(""));
    world.edit_policy(&put_back).await;
    assert_eq!(acme.ended(id(&running)).await["status"], "completed");
    assert_eq!(content(&acme, &running).await, 200);
    world.end().await;
}

#[tokio::test]
async fn a_key_that_is_replaced_over_a_restart_is_found_to_be_the_same_account() {
    let mut world = World::at_speed(1, &before(HASTY)).await;
    let acme = world.tenant("acme");
    let running = acme.ordered(&whale()).await;
    world.misbehave(Faults { script: [Fault::CutBeforeRead].into(), ..Faults::default() });
    let never = acme.ordered(&json!({ "prompt": "a whale that nobody saw", "seconds": "4" })).await;
    let renewed_keys = [("sk-test-fresh".to_owned(), "sk-test-former".to_owned())].into();
    world.misbehave(Faults { renewed_keys, ..Faults::default() });
    world.write_policy(&rekeyed("sk-test-fresh", HASTY));
    world.restart().await;
    let acme = world.tenant("acme");
    world.turn_clock(Duration::from_secs(60));
    assert_eq!(acme.ended(id(&running)).await["status"], "completed");
    let younger = acme.ordered(&json!({ "prompt": "a younger whale", "seconds": "4" })).await;
    assert_eq!(acme.ended(id(&never)).await["error"]["code"], "upstream_unavailable", "its list counts again");
    world.turn_clock(Duration::from_secs(60));
    assert_eq!(acme.ended(id(&younger)).await["status"], "completed");
    world.end().await;
}
