//! Several gateways on the same books in PostgreSQL: one cap, one memory, and no death that costs anything.
//!
//! The provider's bill is the judge of all of it. The gateways are processes, each with a policy file of
//! its own, so that for a while they may disagree on what a tenant may spend.

use std::time::{Duration, Instant};

use filmgate::simulator::{Faults, account_of};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Answer, Client};
use crate::process::{Gateway, Site, eventually};
use crate::world::{id, openai, tenant};

const REPLICAS: usize = 3;
/// What a clip of [`wish`] costs.
const CLIP: i64 = 400_000;
/// So quickly others take up what a dead gateway was sending.
const HASTY: &str = "submit_timeout = \"1s\"\nunknown = { grace = \"5s\" }";
const UNLIMITED: &str = "budget = { cap = \"unlimited\" }";

fn wish(intent: &str) -> Value {
    json!({ "prompt": format!("a whale #intent:{intent}"), "seconds": "4" })
}

async fn wished(client: &Client, intent: &str) -> Option<Answer> {
    client.ask("POST", "/v1/videos", Some("application/json"), wish(intent).to_string()).await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_learns_every_replica_answers_at_once() {
    let rarely = "poll = { early = \"1h\", late = \"1h\" }";
    let site = Site::on_postgres(1, 0, &[]).await;
    site.edit_replica(1, &[openai("openai", rarely), tenant("acme", "")]);
    site.edit_replica(2, &[openai("openai", ""), tenant("acme", "")]);
    let (first, second) = (site.replica(1).await, site.replica(2).await);
    let (acme, path) = (first.tenant("acme"), |video: &Value| format!("/v1/videos/{}", id(video)));
    let video = acme.post("/v1/videos", &wish("one")).await.ok().json();
    assert_ne!(acme.get(&path(&video)).await.ok().json()["status"], "completed");

    // Only the second can learn of its end; the first neither asks nor hears anything, until it is asked.
    first.process.signal("STOP");
    site.simulator.turn_clock(Duration::from_secs(600));
    site.number("WITH rung AS (UPDATE jobs SET due_at_ms = 0, lease_until_ms = NULL RETURNING id) SELECT count(*) FROM rung");
    site.until_quiet().await;
    first.process.signal("CONT");
    let now = acme.get(&path(&video)).await.ok().json();
    assert_eq!(now["status"], "completed", "the first answer is the news");
    for replica in [&first, &second] {
        let clip = replica.tenant("acme").get(&format!("{}/content", path(&video))).await.ok();
        assert_eq!(&clip.body[4..8], b"ftyp");
    }

    second.tenant("acme").delete(&path(&video)).await.ok();
    assert_eq!(acme.get(&path(&video)).await.status, 404);
    assert_eq!(acme.get(&format!("{}/content", path(&video))).await.status, 404);
    site.settle_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_cut_off_from_the_server_goes_on() {
    let policy = [openai("openai", ""), tenant("acme", "")];
    let site = Site::on_postgres(1_000, 0, &policy).await;
    let replicas = site.replicas(2, &policy).await;
    for round in 0..3 {
        site.cut_off(1);
        for replica in &replicas {
            wished(&replica.tenant("acme"), &format!("{round}-{}", replica.address)).await.unwrap().ok();
        }
    }
    // A claim on a poll whose connection was cut lapses after a minute.
    site.until_quiet_for(Duration::from_secs(90)).await;
    site.settle_up();
    assert_eq!(site.simulator.bill().jobs.len(), 6);
}

/// A tenant's cap in one replica's file.
fn capped(clips: i64) -> [String; 2] {
    let cap = clips * CLIP / 10_000;
    [openai("openai", ""), tenant("acme", &format!("budget = {{ cap = \"{}.{:02}\" }}", cap / 100, cap % 100))]
}

/// Each replica meets a storm of wishes while its cap goes up and down, and never the same as the others'. No
/// more is ever paid for than the highest cap in any file allows; and once all agree, exactly what that allows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_twenty_storms_a_cap_is_reached_and_never_passed_while_files_change_it() {
    const STORMS: i64 = 20;
    const CONNECTIONS: usize = 16;
    let site = Site::on_postgres(1, 0, &capped(0)).await;
    let replicas = site.replicas(REPLICAS, &capped(0)).await;
    for storm in 0..STORMS {
        let (low, high) = (5 * storm + 2, 5 * storm + 5);
        let mut wishes = JoinSet::new();
        for connection in 0..CONNECTIONS * REPLICAS {
            let acme = replicas[connection % REPLICAS].tenant("acme");
            wishes.spawn(async move {
                let answer = wished(&acme, &format!("{storm}-{connection}")).await.unwrap();
                assert!(answer.status == 200 || answer.refusal() == "429 insufficient_quota -", "{answer:?}");
            });
        }
        for turn in 0..3 {
            for number in 1..=REPLICAS {
                reload(&site, &replicas, number, if (turn + number) % 2 == 0 { low } else { high }).await;
            }
        }
        wishes.join_all().await;
        let paid = i64::try_from(site.simulator.bill().jobs.len()).unwrap();
        assert!(paid <= high, "{paid} clips were paid for, and no file allowed more than {high}");

        for number in 1..=REPLICAS {
            reload(&site, &replicas, number, high).await;
        }
        let mut rest = JoinSet::new();
        for connection in 0..CONNECTIONS * REPLICAS {
            let acme = replicas[connection % REPLICAS].tenant("acme");
            rest.spawn(async move { wished(&acme, &format!("{storm}-{connection}-again")).await.unwrap().status });
        }
        rest.join_all().await;
        assert_eq!(site.simulator.bill().total_microusd, high * CLIP, "storm {storm}: exactly what all files allow");
    }
    site.simulator.turn_clock(Duration::from_secs(3_600));
    site.until_quiet().await;
    site.settle_up();
}

async fn reload(site: &Site, replicas: &[Gateway], number: usize, clips: i64) {
    site.edit_replica(number, &capped(clips));
    replicas[number - 1].operator().with("x-filmgate-admin", "1").post("/api/reload", &json!({})).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_on_a_route_are_counted_over_all_replicas() {
    const PLACES: usize = 7;
    let policy = [openai("openai", &format!("limits = {{ in_flight = {PLACES} }}")), tenant("acme", UNLIMITED)];
    let site = Site::on_postgres(1, 0, &policy).await;
    let replicas = site.replicas(REPLICAS, &policy).await;
    for round in 1..=3 {
        let mut wishes = JoinSet::new();
        for connection in 0..48 {
            let acme = replicas[connection % REPLICAS].tenant("acme");
            wishes.spawn(async move { wished(&acme, &format!("{round}-{connection}")).await.unwrap().status });
        }
        let taken = wishes.join_all().await.into_iter().filter(|status| *status == 200).count();
        assert_eq!(taken, PLACES);
        site.simulator.turn_clock(Duration::from_secs(3_600));
        site.until_quiet().await;
        assert_eq!(site.simulator.bill().jobs.len(), round * PLACES);
    }
    let most = site.simulator.stats().in_flight_max[&format!("openai/{}", account_of("sk-test-openai"))];
    assert_eq!(most, PLACES as u64, "the provider had never more of them at a time");
    site.settle_up();
}

/// Wishes at one replica, and sends again to the next whatever was cut, as a balancer does, until told to stop.
async fn keep_wishing(addresses: tokio::sync::watch::Receiver<Vec<Client>>, who: usize, until: Instant) -> Vec<String> {
    let mut given = Vec::new();
    let mut number = 0;
    while Instant::now() < until {
        let (intent, key) = (format!("{who}-{number}"), format!("key-{who}-{number}"));
        number += 1;
        for sending in 0..40 {
            let client = addresses.borrow()[(who + sending) % REPLICAS].with("idempotency-key", &key);
            match wished(&client, &intent).await {
                Some(answer) if answer.status == 200 => {
                    given.push(id(&answer.json()).to_owned());
                    break;
                }
                // It is on its way at another replica, or nobody is there.
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
    given
}

/// One replica after another is killed under load, and started again once others have gone on without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_are_killed_again_and_again_cost_nobody_anything() {
    const KILLS: usize = 9;
    let policy = [openai("openai", HASTY), tenant("acme", UNLIMITED)];
    let site = Site::on_postgres(1_000, 0, &policy).await;
    let mut replicas = site.replicas(REPLICAS, &policy).await;
    let clients = |replicas: &[Gateway]| replicas.iter().map(|replica| replica.tenant("acme")).collect::<Vec<_>>();
    let (tell, addresses) = tokio::sync::watch::channel(clients(&replicas));
    site.simulator.set_faults(Faults { delay_ms: 40, accept_then_cut: 50, cut_before_read: 30, ..Faults::default() });
    let until = Instant::now() + Duration::from_secs(9);
    let mut wishes = JoinSet::new();
    for who in 0..9 {
        wishes.spawn(keep_wishing(addresses.clone(), who, until));
    }
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(300 + 70 * (kill as u64 % 5))).await;
        let (victim, before) = (kill % REPLICAS, site.number("SELECT count(*) FROM jobs"));
        replicas[victim].process.kill();
        eventually("others go on", || site.number("SELECT count(*) FROM jobs") > before || Instant::now() > until).await;
        replicas[victim] = site.replica(victim + 1).await;
        tell.send_replace(clients(&replicas));
    }
    let given: Vec<String> = wishes.join_all().await.into_iter().flatten().collect();

    site.simulator.set_faults(Faults::default());
    // Absence can be told only from a list that shows something younger.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    wished(&replicas[0].tenant("acme"), "youngest").await.unwrap().ok();
    // What the dead had claimed to ask about is free again when its claim lapses.
    site.until_quiet_for(Duration::from_secs(100)).await;
    site.settle_up();
    assert_eq!(site.number("SELECT coalesce(sum(held_microusd), 0) FROM balances"), 0);
    assert!(given.len() > 50, "only {} were given an id", given.len());
    for replica in &replicas {
        for id in &given {
            assert_eq!(replica.tenant("acme").get(&format!("/v1/videos/{id}")).await.status, 200, "{id} is not known");
        }
    }
}

/// A replica dies while its order is at the provider, and never comes back. Those who live find the order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_replica_was_sending_is_taken_up_by_those_who_live() {
    let policy = [openai("openai", HASTY), tenant("acme", UNLIMITED)];
    let site = Site::on_postgres(1_000, 0, &policy).await;
    let mut replicas = site.replicas(REPLICAS, &policy).await;
    site.simulator.set_faults(Faults { delay_ms: 60_000, ..Faults::default() });
    let last = replicas.remove(0);
    let acme = last.tenant("acme");
    let mut cut = JoinSet::new();
    cut.spawn(async move { wished(&acme, "last").await });
    eventually("it is at the provider", || site.simulator.stats().count("create") == 1).await;
    last.process.kill();
    assert!(cut.join_all().await[0].is_none(), "nobody answered");
    site.simulator.set_faults(Faults::default());
    wished(&replicas[0].tenant("acme"), "another").await.unwrap().ok();

    // A minute after its time-out nobody is thought to follow it.
    site.until_quiet_for(Duration::from_secs(100)).await;
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'completed'"), 2);
    assert_eq!(site.simulator.stats().count("create"), 2);
    site.settle_up();
}

/// A replica stands still while its order is at the provider, and wakes after others have swept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stands_still_while_others_sweep_pays_once() {
    stand_still(false).await;
}

/// Likewise, and the server has dropped its connections: a replica that starts meanwhile takes it for dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_taken_for_dead_and_wakes_pays_once() {
    stand_still(true).await;
}

/// Meanwhile its client asks everybody else for the same, again and again.
async fn stand_still(is_cut_off: bool) {
    const STILL: Duration = Duration::from_secs(30);
    let policy = [openai("openai", "submit_timeout = \"10s\"\nunknown = { grace = \"1s\" }"), tenant("acme", UNLIMITED)];
    let site = Site::on_postgres(1_000, 0, &policy).await;
    let mut replicas = site.replicas(2, &policy).await;
    site.simulator.set_faults(Faults { delay_ms: 2_000, ..Faults::default() });
    let mine = |replica: &Gateway| replica.tenant("acme").with("idempotency-key", "mine");
    let first = mine(&replicas[0]);
    let mut answers = JoinSet::new();
    answers.spawn(async move { wished(&first, "still").await });
    eventually("it is at the provider", || site.simulator.stats().count("create") == 1).await;
    replicas[0].process.signal("STOP");
    let stopped = Instant::now();
    site.simulator.set_faults(Faults::default());
    if is_cut_off {
        site.cut_off(1);
    }
    site.edit_replica(3, &policy);
    replicas.push(site.replica(3).await);
    while stopped.elapsed() < STILL {
        for replica in &replicas[1..] {
            let again = wished(&mine(replica).with("x-stainless-retry-count", "1"), "still").await.unwrap();
            assert!([200, 409].contains(&again.status), "{again:?}");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let taken_up = site.number("SELECT count(*) FROM jobs WHERE state = 'completed'");
    assert_eq!(taken_up, i64::from(is_cut_off), "it is left to who lives, and taken up for who seems dead");
    replicas[0].process.signal("CONT");
    // Whoever waited for it may have been answered or not.
    drop(answers.join_all().await);
    site.until_quiet().await;
    for replica in &replicas {
        wished(&mine(replica), "still").await.unwrap().ok();
    }
    assert_eq!(site.simulator.stats().count("create"), 1, "what may have been sent is not sent again");
    site.settle_up();
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'completed'"), 1);
}
