//! Failing over: another route is asked only after evidence that this one did not take the job. What
//! may have been taken is held, looked for and never sent again.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use filmgate::simulator::{Dialect, Fault, Faults, account_of};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use crate::client::Answer;
use crate::world::{World, azure, cometapi, eventually, id, openai, route, tenant};

/// What `first` does is what each test is about.
fn two_routes() -> [String; 3] {
    [openai("first", ""), openai("second", ""), tenant("acme", "show_route = true")]
}

/// Jobs on the bill, by the route's name.
fn billed(world: &World, route: &str) -> usize {
    let account = account_of(&format!("sk-test-{route}"));
    world.simulator.bill().jobs.iter().filter(|job| job.account == account).count()
}

fn script(faults: impl IntoIterator<Item = Fault>) -> Faults {
    Faults { script: faults.into_iter().collect(), ..Faults::default() }
}

fn whale() -> Value {
    json!({ "prompt": "a whale" })
}

// ── Books that contradict themselves ──

/// Makes of what an account holds something that no fact made it.
fn tamper(world: &World, account: &str, held: i64) {
    world.books().tamper(&format!("UPDATE balances SET held_microusd = {held} WHERE account = '{account}'"));
}

fn contradicted(world: &World, times: usize) -> bool {
    world.log().lines().filter(|line| line.contains(" ERROR ") && line.contains("the books contradict themselves")).count() >= times
}

#[tokio::test]
async fn what_would_go_below_nothing_is_not_written_and_nobody_else_is_asked() {
    let slow = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let [first, second, acme] = two_routes();
    let first = first.replace("{simulator}", &format!("http://{}", slow.local_addr().unwrap()));
    let mut world = World::at_speed(1, &[first, second, acme, "[defaults]\nanswer_after = \"100ms\"".to_owned()]).await;
    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;
    assert_eq!(world.held("route:first"), 400_000);
    tamper(&world, "route:first", 0);
    let (mut asked, _) = slow.accept().await.unwrap();
    asked.write_all(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    eventually("its refusal cannot be written down", || contradicted(&world, 2)).await;
    assert_eq!((world.orders(), world.jobs_in("submitting"), world.held("tenant:acme")), (0, 1, 400_000));
    assert_eq!(acme.video(id(&video)).await["status"], "queued");

    tamper(&world, "route:first", 400_000);
    eventually("the next is asked", || world.orders() == 1).await;
    eventually("it has it", || world.jobs_in("submitting") == 0).await;
    tamper(&world, "gateway", 0);
    world.turn_clock(Duration::from_secs(600));
    eventually("its end cannot be written down", || contradicted(&world, 3)).await;
    assert_eq!((world.held("tenant:acme"), world.spent("tenant:acme"), world.spent("gateway")), (400_000, 0, 0));
    tamper(&world, "gateway", 400_000);
    world.turn_gateways_clock(Duration::from_secs(600));
    assert_eq!(acme.ended(id(&video)).await["route"], "second");
    world.expect_error("the books contradict themselves");
    world.expect_error("an outcome cannot be written down yet");
    world.end().await;
}

// ── Evidence that it was not taken ──

#[tokio::test]
async fn a_route_that_cannot_be_reached_is_followed_by_the_next_and_paid_nothing() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = openai("first", "").replace("{simulator}", &format!("http://{nobody}"));
    let [_, second, acme] = two_routes();
    let world = World::start(&[dead, second, acme]).await;
    let acme = world.tenant("acme");

    assert_eq!(acme.made(&whale()).await["route"], "second");
    assert_eq!((world.bill(), world.spent("tenant:acme"), world.spent("route:first")), (400_000, 400_000, 0));
    assert_eq!(world.number("SELECT count(*) FROM attempts WHERE outcome = 'not_sent'"), 1);

    // After five in a row the dead one is asked last, and so not at all.
    for _ in 0..7 {
        acme.ordered(&whale()).await;
    }
    assert_eq!(world.number("SELECT count(*) FROM attempts WHERE outcome = 'not_sent'"), 5);
    world.end().await;
}

#[tokio::test]
async fn a_route_that_refuses_is_followed_by_the_next() {
    let world = World::start(&two_routes()).await;
    let acme = world.tenant("acme");
    for status in [401, 403, 404, 429] {
        world.misbehave(script([Fault::Refuse(status)]));
        assert_eq!(acme.made(&whale()).await["route"], "second", "{status}");
    }
    assert_eq!((billed(&world, "first"), billed(&world, "second")), (0, 4));
    assert_eq!((world.spent("tenant:acme"), world.spent("route:first"), world.held("route:first")), (1_600_000, 0, 0));
    assert_eq!(acme.made(&whale()).await["route"], "first", "it is well again");
    world.end().await;
}

#[tokio::test]
async fn a_route_that_asks_to_be_left_alone_is_asked_last_for_as_long_as_it_said() {
    let world = World::start(&two_routes()).await;
    let acme = world.tenant("acme");
    world.misbehave(Faults { script: [Fault::Refuse(429)].into(), retry_after: Some("2".to_owned()), ..Faults::default() });

    assert_eq!(acme.ordered(&whale()).await["route"], "second");
    assert_eq!(acme.ordered(&whale()).await["route"], "second");
    assert_eq!(world.orders(), 3, "the second wish went straight to the second route");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(acme.ordered(&whale()).await["route"], "first");
    world.end().await;
}

#[tokio::test]
async fn when_every_route_refuses_the_client_learns_whether_to_come_back() {
    let world = World::start(&two_routes()).await;
    let acme = world.tenant("acme");

    for (said, heard) in [(Some("7"), "7"), (Some("3600"), "60"), (Some("0"), "1"), (None, "10"), (Some("soon"), "10")] {
        let refusals = [Fault::Refuse(429), Fault::Refuse(429)];
        world.misbehave(Faults { script: refusals.into(), retry_after: said.map(str::to_owned), ..Faults::default() });
        let refused = acme.wish(&whale()).await;
        assert_eq!((refused.refusal().as_str(), refused.header("retry-after")), ("429 rate_limit_exceeded -", heard), "{said:?}");
        assert_ne!(refused.header("x-should-retry"), "false");
    }
    world.misbehave(script([Fault::Refuse(401), Fault::Refuse(403)]));
    let refused = acme.wish(&whale()).await;
    assert_eq!(refused.refusal(), "503 no_route_available -");
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    assert!(!refused.message().contains("first") && !refused.message().contains("key"), "{}", refused.message());

    assert_eq!((world.bill(), world.held("tenant:acme"), world.spent("tenant:acme")), (0, 0, 0));
    assert_eq!(world.jobs_in("released"), 6);
    world.end().await;
}

#[tokio::test]
async fn azure_that_has_too_many_tasks_running_is_followed_by_the_next() {
    let world = World::at_speed(1, &[azure("azure", ""), cometapi("comet", ""), tenant("acme", "show_route = true")]).await;
    let acme = world.tenant("acme");
    world.misbehave(Faults { in_flight_max: Some(1), ..Faults::default() });

    assert_eq!(acme.ordered(&whale()).await["route"], "azure");
    assert_eq!(acme.ordered(&whale()).await["route"], "comet");
    let refused = acme.wish(&whale()).await;
    assert_eq!(refused.refusal(), "429 rate_limit_exceeded -");
    assert_eq!(world.number("SELECT count(*) FROM attempts WHERE outcome = 'too_many_jobs'"), 2);
    assert_eq!((world.simulator.bill().jobs.len(), world.held("tenant:acme")), (2, 800_000));
    world.end().await;
}

#[tokio::test]
async fn a_model_that_is_gone_is_looked_for_elsewhere() {
    let gone = ["gone-model", "sora-2-pro"];
    let world = World::start(&[
        route("one", "openai", "openai/v1", "", gone),
        route("two", "azure", "azure/openai/v1", "", gone),
        route("three", "cometapi", "cometapi/v1", "", ["unknown-model", "sora-2-pro"]),
        openai("four", ""),
        tenant("acme", "show_route = true"),
    ])
    .await;
    assert_eq!(world.tenant("acme").made(&whale()).await["route"], "four");
    assert_eq!(world.number("SELECT count(*) FROM attempts WHERE outcome = 'model_gone'"), 3);
    assert_eq!((world.orders(), world.bill()), (4, 400_000));
    world.end().await;
}

// ── The wish itself is refused ──

#[tokio::test]
async fn a_wish_that_is_refused_for_what_it_is_is_not_taken_elsewhere() {
    let world = World::start(&two_routes()).await;
    let acme = world.tenant("acme");

    let refused = acme.wish(&json!({ "prompt": "a whale [moderation]" })).await;
    assert_eq!(refused.refusal(), "400 moderation_blocked -");
    assert_eq!(refused.message(), "Your request was blocked by our moderation system.");
    for status in [400, 413, 415, 422] {
        world.misbehave(script([Fault::Refuse(status)]));
        let refused = acme.wish(&whale()).await;
        assert_eq!((refused.status, refused.header("x-should-retry")), (status, "false"));
        assert_eq!(refused.json()["error"]["type"], "invalid_request_error");
    }
    assert_eq!((world.orders(), world.bill(), world.held("tenant:acme")), (5, 0, 0));
    world.end().await;
}

// ── Nobody knows ──

#[tokio::test]
async fn an_order_whose_reply_is_lost_is_found_in_the_providers_list_and_never_sent_again() {
    let world = World::start(&two_routes()).await;
    let acme = world.tenant("acme");
    let faults = [
        Fault::AcceptThenCut,
        Fault::AcceptThenStatus(500),
        Fault::AcceptThenStatus(502),
        Fault::AcceptThenStatus(503),
        Fault::AcceptThenStatus(504),
        Fault::AcceptThenStatus(302),
        Fault::AcceptThenStatus(409),
        Fault::AcceptThenReply("<html>busy</html>".to_owned()),
        Fault::AcceptThenReply("{\"status\":\"queued\"}".to_owned()),
        Fault::AcceptThenReply("{\"id\":\"video_1".to_owned()),
    ];
    let count = faults.len();
    let mut videos = Vec::new();
    for fault in faults {
        world.misbehave(Faults { list_lag_ms: 600_000, ..script([fault.clone()]) });
        let wish = json!({ "prompt": format!("a whale, number {}", videos.len()) });
        let video = acme.ordered(&wish).await;
        assert_eq!(video["status"], "queued", "{fault:?}");
        videos.push(video);
    }
    assert_eq!(world.orders(), u64::try_from(count).unwrap(), "one order a wish");
    assert_eq!((world.held("tenant:acme"), world.bill()), (4_000_000, 4_000_000), "what may be owed is held");
    world.misbehave(Faults::default());

    for video in &videos {
        assert_eq!(acme.ended(id(video)).await["status"], "completed");
        acme.get(&format!("/v1/videos/{}/content", id(video))).await.ok();
    }
    assert_eq!(world.orders(), u64::try_from(count).unwrap());
    assert_eq!((world.spent("tenant:acme"), world.held("tenant:acme")), (4_000_000, 0));
    let (first, second) = (world.spent("route:first"), world.spent("route:second"));
    assert_eq!((first + second, billed(&world, "first") + billed(&world, "second")), (4_000_000, count));
    world.end().await;
}

#[tokio::test]
async fn wishes_that_look_the_same_are_told_apart_only_within_one_tenant() {
    let world = World::start(&[openai("openai", ""), tenant("acme", ""), tenant("rival", ""), tenant("guest", "")]).await;
    let (acme, rival, guest) = (world.tenant("acme"), world.tenant("rival"), world.tenant("guest"));
    world.misbehave(Faults { accept_then_cut: 1_000, list_lag_ms: 600_000, ..Faults::default() });

    let twice = [acme.ordered(&whale()).await, acme.ordered(&whale()).await];
    let theirs = json!({ "prompt": "a whale, seen by two" });
    let (one, other) = (rival.ordered(&theirs).await, guest.ordered(&theirs).await);
    assert_eq!(world.jobs_in("unknown"), 4);
    world.misbehave(Faults::default());

    for video in &twice {
        assert_eq!(acme.ended(id(video)).await["status"], "completed", "either clip grants either wish");
    }
    assert_eq!(
        (rival.video(id(&one)).await["status"].clone(), guest.video(id(&other)).await["status"].clone()),
        (json!("queued"), json!("queued"))
    );
    assert_eq!((world.jobs_in("unknown"), world.held("tenant:rival"), world.held("tenant:guest")), (2, 400_000, 400_000));
    assert_eq!(world.orders(), 4);
    world.end().await;
}

#[tokio::test]
async fn an_order_that_never_arrived_is_given_back_once_the_list_proves_it() {
    let quick = "submit_timeout = \"1s\"\nunknown = { grace = \"1s\" }";
    let world = World::start(&[openai("openai", quick), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    world.misbehave(script([Fault::CutBeforeRead]));

    let lost = acme.ordered(&whale()).await;
    assert_eq!((world.jobs_in("unknown"), world.held("tenant:acme"), world.bill()), (1, 400_000, 0));
    // Only a list that shows something younger can show that the order is not there.
    world.turn_clock(Duration::from_secs(10));
    acme.made(&json!({ "prompt": "a younger whale" })).await;

    let failed = acme.ended(id(&lost)).await;
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("upstream_unavailable")));
    assert_eq!((world.held("tenant:acme"), world.spent("tenant:acme"), world.bill()), (0, 400_000, 400_000));
    world.end().await;
}

#[tokio::test]
async fn a_list_that_lags_is_waited_for() {
    let quick = "submit_timeout = \"1s\"\nunknown = { grace = \"10m\" }";
    let world = World::start(&[openai("openai", quick), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    world.misbehave(Faults { script: [Fault::AcceptThenStatus(500)].into(), list_lag_ms: 300_000, ..Faults::default() });

    let video = acme.ordered(&whale()).await;
    world.turn_clock(Duration::from_secs(200));
    eventually("the list is looked at", || world.simulator.stats().count("list") > 0).await;
    assert_eq!(world.jobs_in("unknown"), 1);
    world.turn_clock(Duration::from_secs(150));
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");
    assert_eq!(world.orders(), 1);
    world.end().await;
}

#[tokio::test]
async fn where_nothing_can_be_looked_up_written_policy_ends_it() {
    for (word, spent) in [("spent", 400_000), ("free", 0)] {
        let policy = format!("unknown = {{ grace = \"1m\", give_up = \"1h\", counts_as = \"{word}\", tell_after = \"2h\" }}");
        let mut world = World::start(&[cometapi("comet", &policy), tenant("acme", "")]).await;
        world.expect_error("written off without evidence");
        let acme = world.tenant("acme");
        world.misbehave(script([if spent > 0 { Fault::AcceptThenCut } else { Fault::CutBeforeRead }]));

        let video = acme.ordered(&whale()).await;
        world.turn_clock(Duration::from_secs(3_000));
        assert_eq!((acme.video(id(&video)).await["status"].clone(), world.held("tenant:acme")), (json!("queued"), 400_000));
        world.turn_clock(Duration::from_secs(700));
        let failed = acme.ended(id(&video)).await;
        assert_eq!(failed["error"]["code"], "upstream_outcome_unknown");
        assert_eq!((world.held("tenant:acme"), world.spent("tenant:acme"), world.bill()), (0, spent, spent));
        world.end().await;
    }
}

#[tokio::test]
async fn a_provider_that_stutters_while_it_works_is_asked_again() {
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;
    world.misbehave(Faults { poll_500: 300, poll_404: 300, unknown_status: 300, seed: 7, ..Faults::default() });
    eventually("it was asked some ten times", || world.simulator.stats().count("retrieve") > 10).await;
    assert_ne!(acme.video(id(&video)).await["status"], "failed", "none of this is evidence");

    world.turn_clock(Duration::from_secs(60));
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");
    world.end().await;
}

#[tokio::test]
async fn a_job_that_its_provider_denies_for_long_is_lost_and_counts_as_spent_in_the_end() {
    let mut world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    world.misbehave(script([Fault::LoseJob]));

    let video = acme.ordered(&whale()).await;
    eventually("it was asked for", || world.simulator.stats().count("retrieve") >= 5).await;
    assert_ne!(acme.video(id(&video)).await["status"], "failed", "five times at once is not long");
    world.turn_clock(Duration::from_secs(700));
    let failed = acme.ended(id(&video)).await;
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("upstream_job_lost")));
    assert_eq!((world.spent("tenant:acme"), world.held("tenant:acme"), world.bill()), (0, 400_000, 400_000), "it may have been made");
    world.expect_error("written off without evidence");
    world.turn_clock(Duration::from_secs(24 * 3600));
    eventually("policy ends it", || world.jobs_in("lost") == 0).await;
    assert_eq!((world.spent("tenant:acme"), world.held("tenant:acme"), world.bill()), (400_000, 0, 400_000));
    assert_eq!(acme.video(id(&video)).await["error"]["code"], "upstream_job_lost");
    world.end().await;
}

// ── Who may serve ──

#[tokio::test]
async fn a_residency_is_never_left_whatever_fails() {
    let policy = [
        openai("there", "region = \"us\""),
        openai("anywhere", ""),
        openai("here", "region = \"eu\""),
        tenant("acme", "residency = \"eu\"\nshow_route = true"),
        tenant("rival", "show_route = true"),
    ];
    let world = World::start(&policy).await;
    let (acme, rival) = (world.tenant("acme"), world.tenant("rival"));

    assert_eq!(acme.made(&whale()).await["route"], "here");
    assert_eq!(rival.made(&whale()).await["route"], "there");
    let at_rest = (billed(&world, "there"), billed(&world, "anywhere"));
    for fault in [Fault::Refuse(401), Fault::Refuse(429), Fault::AcceptThenCut] {
        world.misbehave(script([fault]));
        acme.wish(&json!({ "prompt": "a whale at home" })).await;
    }
    eventually("what was cut is found", || world.jobs_in("unknown") == 0).await;
    assert_eq!((billed(&world, "there"), billed(&world, "anywhere")), at_rest);
    assert_eq!(
        world.number("SELECT count(*) FROM attempts JOIN jobs ON jobs.id = job_id WHERE tenant = 'acme' AND attempts.route <> 'here'"),
        0
    );
    world.end().await;
}

#[tokio::test]
async fn shares_are_kept_over_many_wishes_and_a_weight_of_nothing_is_a_last_resort() {
    let rule = "[[rules]]\nroutes = { first = 80, second = 20, spare = 0 }".to_owned();
    let policy = [openai("first", ""), openai("second", ""), openai("spare", ""), tenant("acme", "show_route = true"), rule];
    let world = World::start(&policy).await;
    let acme = world.tenant("acme");

    let mut wishes = JoinSet::new();
    // A tenant's holds in PostgreSQL wait for each other, so more at once would be turned away on a slow machine.
    for _ in 0..20 {
        let acme = acme.clone();
        wishes.spawn(async move {
            let mut routes = Vec::new();
            for _ in 0..10 {
                routes.push(acme.ordered(&whale()).await["route"].as_str().unwrap().to_owned());
            }
            routes
        });
    }
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    for route in wishes.join_all().await.into_iter().flatten() {
        *served.entry(route).or_default() += 1;
    }
    // 160 are expected, with a standard deviation of less than 6: six of them would be a rare thing.
    assert!((125..=195).contains(&served["first"]), "{served:?}");
    assert_eq!((served["first"] + served["second"], served.get("spare")), (200, None));

    world.misbehave(script([Fault::Refuse(401), Fault::Refuse(401)]));
    assert_eq!(acme.ordered(&whale()).await["route"], "spare");
    world.end().await;
}

#[tokio::test]
async fn client_credentials_are_traded_for_a_token_that_is_used_until_it_ages() {
    let entra = |secret: &str| {
        format!(
            "entra = {{ authority = \"{{simulator}}/entra\", tenant = \"contoso\", client_id = \"app-1\", client_secret = \"{secret}\" }}"
        )
    };
    let policy = [azure("azure", &entra("sk-test-secret")), openai("spare", ""), tenant("acme", "show_route = true")];
    let world = World::start(&policy).await;
    let acme = world.tenant("acme");

    for _ in 0..3 {
        let video = acme.made(&whale()).await;
        assert_eq!(video["route"], "azure");
        acme.get(&format!("/v1/videos/{}/content", id(&video))).await.ok();
    }
    assert_eq!(world.simulator.stats().tokens, 1);
    let bill = world.simulator.bill();
    assert!(bill.jobs.iter().all(|job| job.dialect == Dialect::Azure && job.account == account_of("app-1")), "{bill:?}");
    world.end().await;

    // Without a token nothing is sent, and somebody else is asked.
    let world = World::start(&[azure("azure", &entra("bad-key")), policy[1].clone(), policy[2].clone()]).await;
    let answer: Answer = world.tenant("acme").wish(&whale()).await.ok();
    assert_eq!((answer.json()["route"].as_str(), world.orders()), (Some("spare"), 1));
    assert_eq!(world.number("SELECT count(*) FROM attempts WHERE outcome = 'not_sent'"), 1);
    world.end().await;
}
