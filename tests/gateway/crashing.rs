//! A gateway that is killed at any instant, and what its successor makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use filmgate::simulator::{Fault, Faults};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::client::{Answer, Client};
use crate::process::{Gateway, Site, eventually};
use crate::world::{self, World, id, openai, tenant};

/// Outcomes that nobody knows are decided within seconds.
const HASTY: &str = "submit_timeout = \"3s\"\nunknown = { grace = \"3s\" }";
const UNLIMITED: &str = "budget = { cap = \"unlimited\" }";
const AT_ONCE: usize = 200;
const HELD: &str = "SELECT sum(held_microusd) FROM balances WHERE account = 'tenant:acme'";

fn wish(intent: &str) -> serde_json::Value {
    json!({ "prompt": format!("a red kite #intent:{intent}"), "seconds": "4" })
}

/// Orders many clips at once and kills the gateway after so many answers; the ids that were given.
async fn killed_after(gateway: &Gateway, answers: usize, round: usize, site: &Site) -> Vec<String> {
    let (answered, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut clients = JoinSet::new();
    for number in 0..AT_ONCE {
        let (acme, answered, enough) = (gateway.tenant("acme"), answered.clone(), enough.clone());
        clients.spawn(async move {
            let answer = order(&acme, &format!("{round}-{number}")).await?;
            if answered.fetch_add(1, Ordering::SeqCst) + 1 == answers {
                enough.notify_one();
            }
            Some(answer)
        });
    }
    if answers == 0 {
        let before = site.simulator.stats().count("create");
        eventually("an order is at the provider", || site.simulator.stats().count("create") > before).await;
    } else {
        enough.notified().await;
    }
    gateway.process.kill();
    let given = clients.join_all().await.into_iter().flatten();
    given.map(|answer| id(&answer.ok().json()).to_owned()).collect()
}

/// The answer, unless the line was cut.
async fn order(acme: &Client, intent: &str) -> Option<Answer> {
    acme.ask("POST", "/v1/videos", Some("application/json"), wish(intent).to_string()).await.ok()
}

async fn all_are_known(gateway: &Gateway, ids: &[String]) {
    let acme = gateway.tenant("acme");
    for id in ids {
        assert_eq!(acme.get(&format!("/v1/videos/{id}")).await.status, 200, "{id} was given to a client and is not known");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_no_id_is_lost_and_the_books_equal_the_bill() {
    let site = Site::new(1_000, 0, &[openai("openai", HASTY), tenant("acme", UNLIMITED)]).await;
    let losing = Faults { accept_then_cut: 100, accept_then_500: 100, cut_before_read: 50, ..Faults::default() };
    let rounds = [(0, Faults::default()), (150, losing.clone()), (1, losing.clone()), (60, Faults { delay_ms: 60, ..losing })];
    let mut given = Vec::new();
    for (round, (answers, faults)) in rounds.into_iter().enumerate() {
        let gateway = site.gateway().await;
        all_are_known(&gateway, &given).await;
        site.simulator.set_faults(faults);
        let ids = killed_after(&gateway, answers, round, &site).await;
        assert!(ids.len() >= answers);
        given.extend(ids);
    }
    site.simulator.set_faults(Faults::default());

    let gateway = site.gateway().await;
    all_are_known(&gateway, &given).await;
    // Absence can be told only from a list that shows something younger.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(order(&gateway.tenant("acme"), "last").await.is_some());
    site.until_quiet().await;
    site.settle_up();
    all_are_known(&gateway, &given).await;
    let (opened, ordered) = (site.number("SELECT count(*) FROM jobs"), site.simulator.bill().jobs.len());
    assert!(ordered > AT_ONCE / 2 && opened >= i64::try_from(given.len()).unwrap(), "{ordered} ordered, {opened} opened");
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state NOT IN ('completed', 'released')"), 0);
    assert_eq!(site.number("SELECT coalesce(sum(held_microusd), 0) FROM balances"), 0);
}

#[tokio::test]
async fn what_was_finished_while_the_gateway_was_down_is_found_at_once() {
    let site = Site::new(1, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    let ordered = order(&gateway.tenant("acme"), "one").await.unwrap().ok().json();
    gateway.process.kill();
    site.simulator.turn_clock(Duration::from_secs(600));

    let gateway = site.gateway().await;
    site.until_quiet().await;
    let video = gateway.tenant("acme").get(&format!("/v1/videos/{}", id(&ordered))).await.ok().json();
    assert_eq!(video["status"], "completed");
    let clip = gateway.tenant("acme").get(&format!("/v1/videos/{}/content", id(&ordered))).await.ok();
    assert_eq!(&clip.body[4..8], b"ftyp");
    site.settle_up();
}

#[tokio::test]
async fn an_order_whose_reply_nobody_lived_to_read_is_found_and_not_sent_again() {
    let site = Site::new(1_000, 0, &[openai("openai", HASTY), tenant("acme", "")]).await;
    site.simulator.set_faults(Faults { delay_ms: 60_000, ..Faults::default() });
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    let cut = tokio::time::timeout(Duration::from_millis(500), order(&acme, "held")).await;
    assert!(cut.is_err(), "the provider keeps everybody waiting");
    gateway.process.kill();
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'submitting'"), 1);
    site.simulator.set_faults(Faults::default());

    let _gateway = site.gateway().await;
    site.until_quiet().await;
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'completed'"), 1);
    assert_eq!(site.simulator.stats().count("create"), 1, "what may have been sent is not sent again");
    site.settle_up();
}

/// Books in which a job is between two routes, left by a gateway that died there.
async fn between_two_routes() -> Site {
    let site = Site::new(1_000, 0, &[openai("first", ""), openai("second", ""), tenant("acme", "")]).await;
    let between = [&["env".to_owned(), "FILMGATE_CRASH_AT=after_id".to_owned()][..], &site.serve()].concat();
    site.simulator.set_faults(Faults { script: [Fault::Refuse(429)].into(), ..Faults::default() });
    let gateway = site.gateway_of(&between).await;
    assert!(order(&gateway.tenant("acme"), "between").await.is_none(), "it dies before it can answer");
    assert_eq!((site.number("SELECT count(*) FROM jobs WHERE state = 'reserved'"), site.number(HELD)), (1, 400_000));
    site
}

#[tokio::test]
async fn a_hold_whose_gateway_died_between_two_routes_is_given_back_soon_after_the_start() {
    let site = between_two_routes().await;
    let gateway = site.gateway_in_this_process().await;
    gateway.turn_clock(Duration::from_secs(11));
    site.until_quiet().await;
    assert_eq!((site.number("SELECT count(*) FROM jobs WHERE state = 'released'"), site.number(HELD)), (1, 0));
    assert_eq!(site.simulator.bill().total_microusd, 0, "nothing of it is sent by anybody");
    site.settle_up();
    assert!(gateway.stop().await);
}

#[tokio::test]
async fn what_is_between_two_routes_can_be_deleted_and_is_sent_by_nobody() {
    let site = between_two_routes().await;
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    let id: String = site.books().query_row("SELECT id FROM jobs", [], |row| row.get(0)).unwrap();
    assert_eq!(acme.get(&format!("/v1/videos/{id}")).await.ok().json()["status"], "queued");

    acme.delete(&format!("/v1/videos/{id}")).await.ok();
    assert_eq!(acme.get(&format!("/v1/videos/{id}")).await.status, 404);
    let ended = "SELECT count(*) FROM jobs WHERE state = 'released' AND error_code = 'deleted' AND deleted_at_ms IS NOT NULL";
    assert_eq!((site.number(ended), site.number(HELD)), (1, 0));
    assert_eq!(site.simulator.bill().total_microusd, 0);
    site.settle_up();
}

#[tokio::test]
async fn an_attempt_that_nobody_follows_any_more_is_unknown_and_its_late_reply_still_counts() {
    let policy = [openai("openai", ""), tenant("acme", ""), "[defaults]\nanswer_after = \"100ms\"".to_owned()];
    let world = World::at_speed(1, &policy).await;
    world.misbehave(Faults { delay_ms: 8_000, list_lag_ms: 3_600_000, ..Faults::default() });
    let video = world.tenant("acme").ordered(&wish("late")).await;
    assert_eq!(world.jobs_in("submitting"), 1);

    // As if its outcome could not be written down for as long as that is tried.
    world.turn_clock(Duration::from_secs(600));
    world::eventually("it counts as unknown", || world.jobs_in("unknown") == 1).await;
    assert_eq!(world.held("tenant:acme"), 400_000);
    world::eventually("its reply has come", || world.jobs_in("unknown") == 0).await;
    let video = world.tenant("acme").ended(id(&video)).await;
    assert_eq!(video["status"], "completed");
    world.end().await;
}
