//! Orders whose outcome nobody knows: what is found, what is not, and what was made for nobody.

use std::time::Duration;

use filmgate::simulator::{Fault, Faults};
use serde_json::{Value, json};

use crate::world::{World, cometapi, eventually, id, openai, tenant};

fn whale() -> Value {
    json!({ "prompt": "a whale", "seconds": "4" })
}

fn script<const N: usize>(faults: [Fault; N]) -> Faults {
    Faults { script: faults.into(), ..Faults::default() }
}

/// Likewise, and nothing can be listed until there are others: a clip that only one wish can have made is rightly that one's.
fn unlisted<const N: usize>(faults: [Fault; N]) -> Faults {
    Faults { list_500: 1_000, ..script(faults) }
}

#[tokio::test]
async fn a_provider_that_takes_an_order_after_the_line_was_cut_is_waited_for() {
    let patient = "submit_timeout = \"1s\"\nunknown = { grace = \"5m\" }";
    let world = World::start(&[openai("openai", patient), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    world.misbehave(script([Fault::AcceptLate(40_000)]));

    let video = acme.ordered(&whale()).await;
    // The list is fresh: it shows what was ordered later.
    world.turn_clock(Duration::from_secs(10));
    acme.made(&json!({ "prompt": "a younger whale", "seconds": "4" })).await;
    let before = world.simulator.stats().count("list");
    eventually("the list was read again and again", || world.simulator.stats().count("list") > before + 5).await;
    assert_eq!(world.jobs_in("unknown"), 1);
    world.turn_clock(Duration::from_secs(35));
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");
    assert_eq!((world.orders(), world.spent("tenant:acme"), world.bill()), (2, 800_000, 800_000));
    world.end().await;
}

#[tokio::test]
async fn one_reading_of_the_list_proves_nothing() {
    let hasty = "submit_timeout = \"1s\"\nunknown = { grace = \"1s\" }";
    // Between two readings lie the seconds of an early poll.
    let world = World::start(&[openai("openai", hasty).replace("early = \"100ms\"", "early = \"1s\""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    world.misbehave(script([Fault::CutBeforeRead]));
    let video = acme.ordered(&whale()).await;
    // From here on: a list may be read, and count, before the client has its answer.
    let before = world.simulator.stats().count("list");
    world.turn_clock(Duration::from_secs(10));
    acme.ordered(&json!({ "prompt": "a younger whale", "seconds": "4" })).await;

    eventually("the list was read", || world.simulator.stats().count("list") > before).await;
    assert_eq!(world.jobs_in("unknown"), 1, "once is not enough");
    let failed = acme.ended(id(&video)).await;
    assert_eq!(failed["error"]["code"], "upstream_unavailable");
    assert!(world.simulator.stats().count("list") >= before + 3);
    world.end().await;
}

#[tokio::test]
async fn what_a_provider_makes_twice_is_paid_once_and_the_rest_is_in_suspense() {
    let quick = "submit_timeout = \"1s\"\nunknown = { grace = \"1s\" }";
    let mut world = World::start(&[openai("openai", quick), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    world.misbehave(script([Fault::AcceptTwice]));
    let video = acme.ordered(&whale()).await;
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");

    // Its own attempt might still say that it is its.
    assert_eq!((world.spent("tenant:acme"), world.held("tenant:acme"), world.bill()), (400_000, 0, 800_000));
    assert_eq!(world.number("SELECT count(*) FROM ledger WHERE kind = 'suspense'"), 0);
    world.turn_clock(Duration::from_secs(20));
    world.expect_suspense(400_000);
    eventually("it is in suspense", || world.number("SELECT count(*) FROM ledger WHERE kind = 'suspense'") == 1).await;
    world.end().await;
}

#[tokio::test]
async fn on_a_shared_account_what_may_be_somebody_elses_is_left_alone() {
    let shared = "submit_timeout = \"1s\"\nunknown = { grace = \"1s\", shared_account = true }";
    let mut world = World::start(&[openai("openai", shared), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    world.misbehave(script([Fault::AcceptTwice]));
    acme.ordered(&whale()).await;
    world.turn_clock(Duration::from_secs(20));
    let before = world.simulator.stats().count("list");
    eventually("the list was read", || world.simulator.stats().count("list") > before + 3).await;
    assert_eq!((world.jobs_in("unknown"), world.held("tenant:acme")), (1, 400_000));
    assert_eq!(world.number("SELECT count(*) FROM ledger WHERE kind = 'suspense'"), 0);
    // Two jobs are on the bill and one hold explains one of them: somebody else pays the other.
    world.expect_others(400_000);
    world.end().await;
}

#[tokio::test]
async fn what_was_released_and_is_made_after_all_is_in_suspense() {
    let hasty = "submit_timeout = \"1s\"\nunknown = { grace = \"1s\" }";
    let mut world = World::start(&[openai("openai", hasty), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    // Longer than the grace: it was too short for this provider.
    world.misbehave(script([Fault::AcceptLate(40_000)]));
    let video = acme.ordered(&whale()).await;
    world.turn_clock(Duration::from_secs(10));
    acme.ordered(&json!({ "prompt": "a younger whale", "seconds": "4" })).await;
    assert_eq!(acme.ended(id(&video)).await["error"]["code"], "upstream_unavailable");

    world.expect_suspense(400_000);
    world.turn_clock(Duration::from_secs(700));
    eventually("it is in suspense", || world.number("SELECT count(*) FROM ledger WHERE kind = 'suspense'") == 1).await;
    assert_eq!(acme.video(id(&video)).await["status"], "failed", "and never comes back");
    world.end().await;
}

#[tokio::test]
async fn a_client_is_told_of_an_unknown_outcome_before_the_books_give_it_up() {
    let policy = "unknown = { grace = \"1m\", tell_after = \"5m\", give_up = \"1h\" }";
    let mut world = World::start(&[cometapi("comet", policy), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    world.misbehave(script([Fault::AcceptThenCut]));
    let video = acme.ordered(&whale()).await;
    world.turn_clock(Duration::from_secs(290));
    assert_eq!(acme.video(id(&video)).await["status"], "queued");
    world.turn_clock(Duration::from_secs(20));
    let told = acme.video(id(&video)).await;
    assert_eq!((&told["status"], &told["error"]["code"]), (&json!("failed"), &json!("upstream_outcome_unknown")));
    assert_eq!((world.jobs_in("unknown"), world.held("tenant:acme")), (1, 400_000));
    let listed = acme.get("/v1/videos").await.ok().json();
    assert_eq!(listed["data"][0]["status"], "failed");

    world.expect_error("written off without evidence");
    world.turn_clock(Duration::from_secs(3_600));
    eventually("policy ends it", || world.jobs_in("unknown") == 0).await;
    assert_eq!(world.spent("tenant:acme"), 400_000);
    world.end().await;
}

#[tokio::test]
async fn a_lost_job_that_its_provider_knows_again_is_paid_for_whatever_policy_says() {
    let policy = "lost = { give_up = \"1h\", counts_as = \"free\" }";
    let world = World::start(&[cometapi("comet", policy), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    world.misbehave(Faults { poll_404: 1_000, ..Faults::default() });
    let video = acme.ordered(&whale()).await;
    eventually("it was asked for", || world.simulator.stats().count("retrieve") >= 5).await;
    world.turn_clock(Duration::from_secs(700));
    assert_eq!(acme.ended(id(&video)).await["error"]["code"], "upstream_job_lost");
    assert_eq!((world.jobs_in("lost"), world.held("tenant:acme")), (1, 400_000));

    world.misbehave(Faults::default());
    world.turn_clock(Duration::from_secs(3_600));
    eventually("it has ended", || world.jobs_in("lost") == 0).await;
    assert_eq!((world.spent("tenant:acme"), world.bill()), (400_000, 400_000));
    world.end().await;
}

/// Two tenants wish the same, and nobody can tell whose clip is whose: not at once, and not because one of them is
/// given up before the other.
#[tokio::test]
async fn equal_wishes_of_two_tenants_are_neither_absent_nor_swapped() {
    let hasty = "submit_timeout = \"1s\"\nunknown = { grace = \"1s\", give_up = \"1h\", counts_as = \"free\" }";
    let mut world = World::start(&[openai("openai", hasty), tenant("acme", ""), tenant("rival", "")]).await;
    let (acme, rival) = (world.tenant("acme"), world.tenant("rival"));
    world.misbehave(unlisted([Fault::AcceptThenCut, Fault::AcceptThenCut]));
    acme.ordered(&whale()).await;
    world.turn_clock(Duration::from_secs(30));
    rival.ordered(&whale()).await;
    world.misbehave(Faults::default());
    world.turn_clock(Duration::from_secs(10));
    acme.made(&json!({ "prompt": "a younger whale", "seconds": "4" })).await;
    read_again_and_again(&world).await;
    assert_eq!((world.jobs_in("unknown"), world.held("tenant:acme"), world.held("tenant:rival")), (2, 400_000, 400_000));

    world.expect_error("written off without evidence");
    world.turn_clock(Duration::from_secs(3_575));
    eventually("the older one is given up", || world.jobs_in("unknown") == 1).await;
    read_again_and_again(&world).await;
    assert_eq!(world.jobs_in("unknown"), 1, "its clip may be either");
    world.expect_suspense(800_000);
    world.turn_clock(Duration::from_secs(60));
    eventually("both are given up", || world.jobs_in("unknown") == 0).await;
    for _ in 0..2 {
        world.turn_clock(Duration::from_secs(700));
        read_again_and_again(&world).await;
    }
    eventually("both clips are in suspense", || world.number("SELECT count(*) FROM ledger WHERE kind = 'suspense'") == 2).await;
    world.end().await;
}

/// A text's and a remix's clips look the same in a list: as long as one of them may be the text's, it is not absent.
#[tokio::test]
async fn an_attempt_that_counts_as_spent_explains_the_clip_that_turns_up() {
    let hasty = "submit_timeout = \"1s\"\nunknown = { grace = \"1s\", give_up = \"1h\" }";
    let mut world = World::start(&[openai("openai", hasty), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let source = acme.made(&json!({ "prompt": "an older whale", "seconds": "4" })).await;
    world.misbehave(unlisted([Fault::AcceptThenCut, Fault::AcceptThenCut]));
    acme.ordered(&whale()).await;
    let remix = acme.client.post(&format!("/v1/videos/{}/remix", id(&source)), &json!({ "prompt": "a whale" })).await;
    assert_eq!(remix.status, 200, "{remix:?}");
    world.misbehave(Faults::default());
    world.turn_clock(Duration::from_secs(10));
    acme.made(&json!({ "prompt": "a younger whale", "seconds": "4" })).await;
    read_again_and_again(&world).await;
    assert_eq!((world.jobs_in("unknown"), world.held("tenant:acme")), (2, 800_000));

    world.expect_error("written off without evidence");
    world.turn_clock(Duration::from_secs(3_700));
    eventually("both are given up", || world.jobs_in("unknown") == 0).await;
    for _ in 0..2 {
        world.turn_clock(Duration::from_secs(700));
        read_again_and_again(&world).await;
    }
    assert_eq!(world.number("SELECT count(*) FROM ledger WHERE kind = 'suspense'"), 0);
    assert_eq!(world.spent("tenant:acme"), world.bill());
    world.end().await;
}

#[tokio::test]
async fn two_routes_to_one_account_never_take_one_clip_twice() {
    let hasty = "submit_timeout = \"1s\"\nunknown = { grace = \"1s\", give_up = \"1h\" }";
    let south = openai("south", hasty).replace("sk-test-south", "sk-test-north");
    let rules = "[[rules]]\nwhen = { tenant = \"rival\" }\nroutes = [\"south\"]\n[[rules]]\nroutes = [\"north\"]".to_owned();
    let mut world = World::start(&[openai("north", hasty), south, rules, tenant("acme", ""), tenant("rival", "")]).await;
    let (acme, rival) = (world.tenant("acme"), world.tenant("rival"));
    world.misbehave(unlisted([const { Fault::AcceptThenCut }; 4]));
    let alone = acme.ordered(&json!({ "prompt": "a seal", "seconds": "4" })).await;
    let other = rival.ordered(&json!({ "prompt": "a walrus", "seconds": "4" })).await;
    acme.ordered(&whale()).await;
    rival.ordered(&whale()).await;
    world.misbehave(Faults::default());
    world.turn_clock(Duration::from_secs(10));
    acme.made(&json!({ "prompt": "a younger whale", "seconds": "4" })).await;
    read_again_and_again(&world).await;
    for (client, video) in [(&acme, &alone), (&rival, &other)] {
        assert_eq!(client.ended(id(video)).await["status"], "completed", "what looks like no other is found");
    }
    assert_eq!((world.jobs_in("unknown"), world.held("tenant:acme"), world.held("tenant:rival")), (2, 400_000, 400_000));

    world.expect_error("written off without evidence");
    world.turn_clock(Duration::from_secs(3_700));
    eventually("both are given up", || world.jobs_in("unknown") == 0).await;
    world.turn_clock(Duration::from_secs(700));
    read_again_and_again(&world).await;
    assert_eq!(world.number("SELECT count(*) FROM ledger WHERE kind = 'suspense'"), 0);
    assert_eq!(world.spent("tenant:acme") + world.spent("tenant:rival"), world.bill());
    world.end().await;
}

/// Long enough for absence to be concluded, if it is to be.
async fn read_again_and_again(world: &World) {
    let before = world.simulator.stats().count("list");
    world.tenant("acme").made(&json!({ "prompt": format!("a whale after {before} readings"), "seconds": "4" })).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
}
