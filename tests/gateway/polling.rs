//! Polling: who is asked about jobs, how often, and what its answers mean.

use std::time::{Duration, Instant};

use filmgate::simulator::{Dialect, Faults, PollFault, Simulator};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::process::Site;
use crate::world::{Tenant, World, cometapi, eventually, id, openai, route, tenant};

const UNLIMITED: &str = "budget = { cap = \"unlimited\" }";

fn whale() -> Value {
    json!({ "prompt": "a whale" })
}

/// Orders that many clips.
async fn order(tenant: &Tenant, count: usize) -> Vec<Value> {
    let mut orders = JoinSet::new();
    for _ in 0..count {
        let tenant = tenant.clone();
        orders.spawn(async move { tenant.ordered(&whale()).await });
    }
    orders.join_all().await
}

/// Questions that the provider was asked to learn how jobs stand.
fn questions(simulator: &Simulator) -> u64 {
    let stats = simulator.stats();
    stats.count("retrieve") + stats.count("list")
}

fn polls(script: impl IntoIterator<Item = PollFault>) -> Faults {
    Faults { poll_script: script.into_iter().collect(), ..Faults::default() }
}

// ── How often ──

#[tokio::test]
async fn no_more_is_asked_in_a_minute_than_the_account_allows() {
    let slow = "poll = { early = \"100ms\", late = \"100ms\", rate = 120 }";
    let world = World::at_speed(1, &[cometapi("comet", slow), tenant("acme", "")]).await;
    order(&world.tenant("acme"), 60).await;
    let begun = Instant::now();
    // A twelfth at once, and what comes evenly: 108 a minute.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (asked, secs) = (questions(&world.simulator), begun.elapsed().as_secs());
    assert!((15..=12 + 2 * (secs + 6)).contains(&asked), "{asked} questions in {secs} s");

    world.edit_policy(&[cometapi("comet", ""), tenant("acme", "")]).await;
    world.end().await;
}

#[tokio::test]
async fn an_account_that_wants_to_be_left_alone_is_and_no_job_is_the_worse_for_it() {
    let world = World::at_speed(1, &[cometapi("comet", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let videos = order(&acme, 20).await;
    world.misbehave(Faults { retry_after: Some("3".to_owned()), ..polls([PollFault::Status(429)]) });
    let limited = format!("SELECT count(*) FROM jobs WHERE due_at_ms > ({} + 1) * 1000", world.books().now());
    eventually("it was told to slow down", || world.number(&limited) > 0).await;
    // Those that were under way were not held back.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = questions(&world.simulator);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(questions(&world.simulator), asked, "the whole account rests");
    eventually("it goes on", || questions(&world.simulator) > asked).await;

    world.turn_clock(Duration::from_secs(60));
    for video in &videos {
        assert_eq!(acme.ended(id(video)).await["status"], "completed");
    }
    world.end().await;
}

#[tokio::test]
async fn many_jobs_are_one_question_where_the_provider_lists_them() {
    let calm = "poll = { early = \"2s\", late = \"2s\" }";
    let world = World::at_speed(1, &[openai("openai", calm), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    order(&acme, 90).await;
    eventually("all were asked about", || world.simulator.stats().count("list") >= 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stats = world.simulator.stats();
    let (lists, singles) = (stats.count("list"), stats.count("retrieve"));
    assert!(lists <= 3 && singles <= 30, "{lists} pages and {singles} questions about single jobs");

    world.turn_clock(Duration::from_secs(60));
    eventually("all have ended", || world.jobs_in("completed") == 90).await;
    // What is in the books is counted a moment later.
    let counted = "filmgate_polls_total{outcome=\"completed\",route=\"openai\"} 90";
    let mut metrics = world.operator().get("/metrics").await.ok();
    for _ in 0..100 {
        if metrics.text().contains(counted) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        metrics = world.operator().get("/metrics").await.ok();
    }
    let line = |name: &str| metrics.text().lines().find(|line| line.starts_with(name)).map(str::to_owned);
    assert!(line("filmgate_poll_requests_total{kind=\"list\",route=\"openai\"}").is_some());
    assert_eq!(line("filmgate_poll_due_jobs{route=\"openai\"}").as_deref(), Some("filmgate_poll_due_jobs{route=\"openai\"} 0"));
    assert!(metrics.text().contains(counted));
    world.end().await;
}

/// The list takes its questions from what the account may be asked in a minute, and so do those about single jobs.
#[tokio::test]
async fn a_list_that_does_not_tell_ends_whole_leaves_room_for_questions_that_do() {
    let poll = "poll = { early = \"100ms\", late = \"100ms\", rate = 120 }";
    // What such a server takes for a clip is not on its list.
    let compatible = route("compatible", "openai_compatible", "openai/v1", poll, ["sora-2", "sora-2-pro"]);
    let world = World::at_speed(1, &[compatible, tenant("acme", "")]).await;
    order(&world.tenant("acme"), 10).await;
    eventually("the list has taken what was saved up", || world.simulator.stats().count("list") >= 18).await;
    world.turn_clock(Duration::from_secs(60));
    eventually("all have ended", || world.jobs_in("completed") == 10).await;
    world.end().await;
}

#[tokio::test]
async fn a_list_that_is_not_there_is_done_without() {
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", "")]).await;
    let page = |_| PollFault::Status(404);
    world.misbehave(Faults { list_script: (0..100).map(page).collect(), ..Faults::default() });
    order(&world.tenant("acme"), 20).await;
    eventually("jobs are asked about one by one", || world.simulator.stats().count("retrieve") > 100).await;
    assert_eq!(world.simulator.stats().count("list"), 1, "it is not asked for again and again");
    world.end().await;
}

// ── One who hangs ──

#[tokio::test]
async fn a_route_that_hangs_keeps_no_other_waiting() {
    let rules = || "[[rules]]\nwhen = { tenant = [\"rival\"] }\nroutes = [\"stuck\"]\n[[rules]]\nroutes = [\"well\"]".to_owned();
    let policy = [cometapi("stuck", ""), openai("well", ""), tenant("acme", ""), tenant("rival", ""), rules()];
    let world = World::at_speed(1, &policy).await;
    order(&world.tenant("rival"), 150).await;
    world.misbehave(Faults { hanging: [Dialect::Cometapi].into(), ..Faults::default() });
    let held = || world.simulator.stats().count("hung");
    eventually("it hangs", || held() >= 32).await;

    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;
    world.turn_clock(Duration::from_secs(60));
    assert_eq!(acme.ended(id(&video)).await["status"], "completed", "the other one is asked as ever");
    assert_eq!(held(), 32, "no more than its own share");
    world.end().await;
}

// ── What answers mean ──

#[tokio::test]
async fn a_job_that_is_denied_and_listed_is_not_lost() {
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;
    // Nobody can say whether it is listed.
    world.misbehave(Faults { poll_404: 1_000, list_500: 1_000, ..Faults::default() });
    eventually("it was asked for", || world.simulator.stats().count("retrieve") >= 5).await;
    world.turn_clock(Duration::from_secs(700));
    eventually("the list is asked", || world.simulator.stats().count("list") >= 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_ne!(acme.video(id(&video)).await["status"], "failed", "denied is not enough");

    world.misbehave(Faults { poll_404: 1_000, ..Faults::default() });
    assert_eq!(acme.ended(id(&video)).await["status"], "completed", "the list shows it");
    assert!(world.log().contains("denies a job that its list shows"));
    world.end().await;
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_no_job() {
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;
    world.misbehave(polls((0..7).map(|_| PollFault::Status(401))));
    world.turn_clock(Duration::from_secs(7_200));
    eventually("polls are refused", || world.simulator.stats().count("retrieve") >= 7).await;
    assert_eq!(world.held("tenant:acme"), 400_000, "two hours later it is held as before");
    let metrics = world.operator().get("/metrics").await.ok();
    assert!(metrics.text().contains("filmgate_polls_total{outcome=\"credential\",route=\"openai\"}"));
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");
    world.end().await;
}

#[tokio::test]
async fn completed_is_completed_whatever_else_the_answer_lacks() {
    let world =
        World::at_speed(1, &[route("relay", "openai_compatible", "openai/v1", "", ["sora-2", "sora-2-pro"]), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;
    world.misbehave(polls([PollFault::Reply("{\"id\":\"video_1\",\"status\":\"completed\",\"progress\":10}".to_owned())]));
    let ended = acme.ended(id(&video)).await;
    assert_eq!((&ended["status"], &ended["progress"]), (&json!("completed"), &json!(100)));
    assert_eq!((world.spent("tenant:acme"), world.held("tenant:acme")), (400_000, 0), "at the price of when it was ordered");
    world.end().await;
}

#[tokio::test]
async fn a_status_that_nobody_knows_ends_nothing() {
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;
    world.misbehave(Faults { unknown_status: 1_000, ..Faults::default() });
    world.turn_clock(Duration::from_secs(7_200));
    let asked = world.simulator.stats().count("retrieve");
    eventually("it was asked about", || world.simulator.stats().count("retrieve") > asked + 1).await;
    assert_eq!(acme.video(id(&video)).await["status"], "in_progress");
    world.end().await;
}

#[tokio::test]
async fn the_first_end_counts_and_a_provider_that_takes_it_back_is_told_of() {
    let hasty = "poll = { early = \"100ms\", late = \"100ms\" }";
    let site = Site::new(1, 0, &[openai("openai", hasty), tenant("acme", UNLIMITED)]).await;
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    let failed = "{\"id\":\"video_1\",\"status\":\"failed\",\"error\":{\"code\":\"oops\",\"message\":\"no\"}}";
    site.simulator.set_faults(polls([PollFault::Reply(failed.to_owned())]));
    let first = acme.post("/v1/videos", &whale()).await.ok().json();
    crate::process::eventually("it has failed", || site.number("SELECT count(*) FROM jobs WHERE state = 'failed'") == 1).await;

    // Its provider makes it all the same, which is seen in passing while others are asked about.
    site.simulator.turn_clock(Duration::from_secs(600));
    for _ in 0..20 {
        acme.post("/v1/videos", &whale()).await.ok();
    }
    crate::process::eventually("it is said", || gateway.process.log().contains("contradicts how a job ended")).await;
    site.simulator.turn_clock(Duration::from_secs(600));
    site.until_quiet().await;
    assert_eq!(acme.get(&format!("/v1/videos/{}", id(&first))).await.ok().json()["status"], "failed");
    let metrics = gateway.operator().get("/metrics").await.ok();
    assert!(metrics.text().contains("filmgate_contradictions_total{route=\"openai\"} 1"), "once");
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'completed'"), 20);
}
