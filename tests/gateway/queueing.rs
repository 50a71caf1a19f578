//! Standing in line: what there is no room for at present waits, and everybody's turn comes.
//!
//! The provider counts how many jobs of an account it has at a time, and its bill tells in which order they came.

use std::time::{Duration, Instant};

use filmgate::simulator::{Fault, Faults, account_of};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::Part;
use crate::process::Site;
use crate::things::png;
use crate::world::{Tenant, World, eventually, id, openai, tenant};

const FIVE: &str = "limits = { in_flight = 5 }";
pub const ONE: &str = "limits = { in_flight = 1 }";
pub const LINE: &str = "queue = { max = 100, wait = \"7d\" }";

fn wish(intent: &str) -> Value {
    json!({ "prompt": format!("a whale #intent:{intent}"), "seconds": "4" })
}

/// The most jobs that an account had at a time.
fn most_at_once(world: &World, route: &str) -> u64 {
    let most = world.simulator.stats().in_flight_max;
    most.get(&format!("openai/{}", account_of(&format!("sk-test-{route}")))).copied().unwrap_or(0)
}

/// The wishes in the order in which the provider got them.
pub fn order(world: &World) -> Vec<String> {
    world.simulator.bill().jobs.iter().filter_map(|job| job.intent.clone()).collect()
}

/// Lets clips be made, one after the other, until nobody waits or is on the way.
pub async fn serve_all(world: &World) {
    let unsent = || world.jobs_in("waiting") + world.jobs_in("reserved") + world.jobs_in("submitting");
    for _ in 0..1_000 {
        world.turn_clock(Duration::from_secs(60));
        if unsent() == 0 {
            // The last may have been sent a moment ago.
            return world.turn_clock(Duration::from_secs(60));
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    panic!("{} have no turn", unsent());
}

pub async fn place(tenant: &Tenant, video: &Value) -> Option<(u64, u64)> {
    let queue = &tenant.video(id(video)).await["queue"];
    Some((queue["position"].as_u64()?, queue["starts_in_seconds"].as_u64()?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_clips_posted_at_once_on_five_slots_all_come_out() {
    let world = World::start(&[openai("openai", FIVE), tenant("acme", LINE)]).await;
    let acme = world.tenant("acme");
    let mut wishes = JoinSet::new();
    for n in 0..50 {
        let acme = acme.clone();
        wishes.spawn(async move {
            let video = acme.wish(&wish(&n.to_string())).await.ok().json();
            for _ in 0..600 {
                let status = acme.video(id(&video)).await["status"].clone();
                if status == "completed" {
                    return;
                }
                assert_ne!(status, "failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            panic!("{video} never ends");
        });
    }
    wishes.join_all().await;
    assert!(most_at_once(&world, "openai") <= 5, "never a sixth");
    assert_eq!(world.orders(), 50);
    assert_eq!((world.spent("tenant:acme"), world.held("tenant:acme")), (50 * 400_000, 0));
    world.end().await;
}

#[tokio::test]
async fn who_came_first_is_served_first_and_knows_its_place() {
    let world = World::at_speed(1, &[openai("openai", ONE), tenant("acme", LINE)]).await;
    let acme = world.tenant("acme");
    let mut videos = Vec::new();
    for n in 0..4 {
        let answer = acme.wish(&wish(&n.to_string())).await;
        videos.push(answer.ok().json());
        assert_eq!((&videos[n]["status"], &videos[n]["progress"]), (&json!("queued"), &json!(0)));
    }
    assert_eq!((world.jobs_in("waiting"), world.orders()), (3, 1));
    assert_eq!((world.held("tenant:acme"), world.held("route:openai")), (1_600_000, 400_000), "money is held for those who wait");

    while place(&acme, &videos[3]).await.is_none_or(|(position, _)| position < 3) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let places = [place(&acme, &videos[1]).await.unwrap(), place(&acme, &videos[3]).await.unwrap()];
    assert_eq!([places[0].0, places[1].0], [1, 3]);
    assert!(0 < places[0].1 && places[0].1 * 2 < places[1].1, "{places:?}");
    assert_eq!(place(&acme, &videos[0]).await, None, "who was sent stands in no line");
    let polled = acme.get(&format!("/v1/videos/{}", id(&videos[3]))).await;
    assert_eq!(polled.header("openai-poll-after-ms"), "8000");

    serve_all(&world).await;
    for video in &videos {
        assert_eq!(acme.ended(id(video)).await["status"], "completed");
    }
    assert_eq!((order(&world), most_at_once(&world, "openai")), (["0", "1", "2", "3"].map(str::to_owned).to_vec(), 1));
    world.end().await;
}

#[tokio::test]
async fn tenants_take_turns_by_their_weights_and_no_burst_keeps_anybody_out() {
    let policy = [openai("openai", ONE), tenant("acme", LINE), tenant("rival", &format!("{LINE}\nweight = 3"))];
    let world = World::at_speed(1, &policy).await;
    let (acme, rival) = (world.tenant("acme"), world.tenant("rival"));
    for _ in 0..9 {
        acme.ordered(&wish("acme")).await;
    }
    for _ in 0..6 {
        rival.ordered(&wish("rival")).await;
    }
    serve_all(&world).await;
    let order = order(&world);
    let of_rival = order[1..9].iter().filter(|whose| *whose == "rival").count();
    assert_eq!((order.len(), of_rival), (15, 6), "three of four: {order:?}");
    world.turn_clock(Duration::from_secs(60));
    world.end().await;
}

#[tokio::test]
async fn a_newcomer_does_not_overtake_who_waits() {
    let world = World::at_speed(1, &[openai("openai", ONE), tenant("acme", LINE), tenant("rival", LINE)]).await;
    let (acme, rival) = (world.tenant("acme"), world.tenant("rival"));
    for n in 0..3 {
        acme.ordered(&wish(&n.to_string())).await;
    }
    // The place is free before the gateway learns that it is.
    world.turn_providers_clock(Duration::from_secs(60));
    rival.ordered(&wish("late")).await;
    serve_all(&world).await;
    let order = order(&world);
    assert_eq!(order[..2], ["0", "1"], "{order:?}");
    world.turn_clock(Duration::from_secs(60));
    world.end().await;
}

#[tokio::test]
async fn a_newcomer_leaves_the_creates_of_a_minute_to_who_waits_for_them() {
    let world = World::start(&[openai("openai", "limits = { rpm = 30 }"), tenant("acme", LINE)]).await;
    let acme = world.tenant("acme");
    // Thirty at once, and then one every other second, which no bell tells of: somebody new always comes by first.
    let (mut videos, began) = (Vec::new(), Instant::now());
    while videos.len() < 32 || order(&world).len() < 32 {
        videos.push(acme.ordered(&wish(&videos.len().to_string())).await);
        if videos.len() > 30 {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", order(&world));
    }
    let sent = order(&world);
    assert!(sent.iter().map(|n| n.parse::<u32>().unwrap()).eq(0..u32::try_from(sent.len()).unwrap()), "{sent:?}");
    for video in &videos {
        acme.client.delete(&format!("/v1/videos/{}", id(video))).await;
    }
    world.end().await;
}

#[tokio::test]
async fn as_many_wait_as_may_and_the_next_is_told_that_the_line_is_full() {
    let rule = "[[rules]]\nroutes = [\"openai\"]\nqueue = { max = 5, wait = \"7d\" }".to_owned();
    let policy = [
        openai("openai", ONE),
        rule,
        tenant("acme", "queue = { max = 2, wait = \"7d\" }"),
        tenant("rival", ""),
        tenant("guest", "queue = { max = 0 }"),
    ];
    let world = World::at_speed(1, &policy).await;
    let (acme, rival, guest) = (world.tenant("acme"), world.tenant("rival"), world.tenant("guest"));
    for _ in 0..3 {
        acme.ordered(&wish("acme")).await;
    }
    let lines = world.number("SELECT count(*) FROM ledger");
    for (tenant, code, said) in
        [(&acme, "queue_full", "2 of your videos wait"), (&guest, "rate_limit_exceeded", "nothing of yours may wait")]
    {
        let refused = tenant.wish(&wish("more")).await;
        assert_eq!((refused.refusal(), refused.header("x-should-retry")), (format!("429 {code} -"), ""));
        assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()), "{refused:?}");
        let body = refused.json();
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(said) && message.contains(&format!("in {} seconds", refused.header("retry-after"))), "{message}");
        assert_eq!(body["error"]["type"], "rate_limit_error");
    }
    assert_eq!(world.number("SELECT count(*) FROM ledger"), lines, "nothing was held, not even for a moment");
    for _ in 0..5 {
        rival.ordered(&wish("rival")).await;
    }
    assert_eq!(rival.wish(&wish("more")).await.refusal(), "429 queue_full -");
    let metrics = String::from_utf8(world.operator().get("/metrics").await.ok().body.to_vec()).unwrap();
    for (tenant, reason) in [("acme", "queue_full"), ("guest", "routes_full"), ("rival", "queue_full")] {
        let line = format!("filmgate_refusals_total{{reason=\"{reason}\",tenant=\"{tenant}\"}} 1");
        assert!(metrics.contains(&line), "{line}");
    }
    serve_all(&world).await;
    world.end().await;
}

#[tokio::test]
async fn who_waits_for_too_long_or_is_deleted_gets_everything_back() {
    let world = World::at_speed(1, &[openai("openai", ONE), tenant("acme", "queue = { max = 9, wait = \"10m\" }")]).await;
    let acme = world.tenant("acme");
    let (_, waits, deleted) = (acme.ordered(&wish("0")).await, acme.ordered(&wish("1")).await, acme.ordered(&wish("2")).await);
    assert_eq!(world.held("tenant:acme"), 1_200_000);

    acme.client.delete(&format!("/v1/videos/{}", id(&deleted))).await.ok();
    assert_eq!(acme.get(&format!("/v1/videos/{}", id(&deleted))).await.status, 404);
    assert_eq!(world.held("tenant:acme"), 800_000);

    world.turn_gateways_clock(Duration::from_secs(601));
    let ended = acme.ended(id(&waits)).await;
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("failed"), &json!("queue_timeout")), "{ended}");
    assert_eq!((world.held("tenant:acme"), world.orders()), (400_000, 1));
    let metrics = String::from_utf8(world.operator().get("/metrics").await.ok().body.to_vec()).unwrap();
    for outcome in ["expired", "deleted"] {
        let line = format!("filmgate_queue_ended_total{{outcome=\"{outcome}\",tenant=\"acme\"}} 1");
        assert!(metrics.contains(&line), "{line}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_provider_that_says_that_it_is_full_is_waited_for() {
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", LINE)]).await;
    let acme = world.tenant("acme");
    world.misbehave(Faults { in_flight_max: Some(2), ..Faults::default() });
    let mut videos = Vec::new();
    for n in 0..5 {
        videos.push(acme.ordered(&wish(&n.to_string())).await);
    }
    assert_eq!((world.jobs_in("waiting"), world.jobs_in("accepted") + world.jobs_in("running")), (3, 2));
    serve_all(&world).await;
    for video in &videos {
        assert_eq!(acme.ended(id(video)).await["status"], "completed");
    }
    assert_eq!((most_at_once(&world, "openai"), order(&world)), (2, ["0", "1", "2", "3", "4"].map(str::to_owned).to_vec()));
    world.end().await;
}

#[tokio::test]
async fn creates_a_minute_are_waited_for_and_so_is_a_moment_that_the_provider_names() {
    let world = World::start(&[openai("openai", "limits = { rpm = 60 }"), tenant("acme", LINE)]).await;
    let acme = world.tenant("acme");
    let mut videos = Vec::new();
    for n in 0..62 {
        videos.push(acme.ordered(&wish(&n.to_string())).await);
    }
    world.misbehave(Faults { script: [Fault::Refuse(429)].into(), retry_after: Some("1".to_owned()), ..Faults::default() });
    for video in &videos {
        assert_eq!(acme.ended(id(video)).await["status"], "completed");
    }
    assert_eq!(order(&world).len(), 62);
    world.end().await;
}

#[tokio::test]
async fn a_resend_of_a_wish_that_waits_gets_the_same_job() {
    let world = World::at_speed(1, &[openai("openai", ONE), tenant("acme", LINE)]).await;
    let acme = world.tenant("acme");
    acme.ordered(&wish("0")).await;
    let keyed = Tenant { client: acme.client.with("idempotency-key", "one") };
    let (first, again) = (keyed.wish(&wish("1")).await.ok(), keyed.wish(&wish("1")).await.ok());
    assert_eq!((first.body, again.header("idempotent-replayed")), (again.body.clone(), "true"));
    let sent = |count: &str| Tenant { client: acme.client.with("x-stainless-retry-count", count) };
    let (first, again) = (sent("0").ordered(&wish("2")).await, sent("1").ordered(&wish("2")).await);
    assert_eq!((id(&first), world.jobs_in("waiting")), (id(&again), 2));
    serve_all(&world).await;
    world.end().await;
}

#[tokio::test]
async fn a_wish_that_ended_in_line_is_not_bought_when_it_is_sent_again() {
    let world = World::at_speed(1, &[openai("openai", ONE), tenant("acme", "queue = { max = 9, wait = \"10m\" }")]).await;
    let acme = world.tenant("acme");
    let sent = |count: &str| Tenant { client: acme.client.with("x-stainless-retry-count", count) };
    let keyed = |key: &str| Tenant { client: acme.client.with("idempotency-key", key) };
    acme.ordered(&wish("0")).await;
    let (deleted, late) = (keyed("deleted").wish(&wish("1")).await.ok(), keyed("late").wish(&wish("2")).await.ok());
    let (unnamed, unheard) = (sent("0").ordered(&wish("3")).await, sent("0").ordered(&wish("4")).await);
    for video in [&deleted.json(), &unnamed] {
        acme.client.delete(&format!("/v1/videos/{}", id(video))).await.ok();
    }
    world.turn_gateways_clock(Duration::from_secs(601));
    while world.jobs_in("waiting") > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.turn_providers_clock(Duration::from_secs(60));

    for (key, first, wished) in [("deleted", &deleted, "1"), ("late", &late, "2")] {
        let again = keyed(key).wish(&wish(wished)).await.ok();
        assert_eq!((&again.body, again.header("idempotent-replayed")), (&first.body, "true"), "{key}");
    }
    for (first, wished) in [(&unnamed, "3"), (&unheard, "4")] {
        assert_eq!(id(&sent("1").ordered(&wish(wished)).await), id(first), "{wished}");
    }
    assert_eq!(keyed("late").wish(&wish("5")).await.refusal(), "422 idempotency_key_reused -");
    assert_eq!(acme.ended(id(&late.json())).await["error"]["code"], "queue_timeout");
    serve_all(&world).await;
    assert_eq!(order(&world), ["0"]);
    world.end().await;
}

#[tokio::test]
async fn a_route_at_its_cap_is_not_waited_for() {
    let capped = format!("{ONE}\nbudget = {{ cap = \"0.90\" }}");
    let world = World::at_speed(1, &[openai("openai", &capped), tenant("acme", LINE)]).await;
    world.turn_to_noon();
    let acme = world.tenant("acme");
    acme.ordered(&wish("0")).await;
    let (next, last) = (acme.ordered(&wish("1")).await, acme.ordered(&wish("2")).await);
    assert_eq!(world.jobs_in("waiting"), 2, "those who wait hold nothing of the route's yet");
    world.turn_clock(Duration::from_secs(60));
    while world.orders() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(acme.wish(&wish("3")).await.refusal(), "429 insufficient_quota -", "full, and at its cap");
    serve_all(&world).await;
    assert_eq!(acme.ended(id(&next)).await["status"], "completed");
    let ended = acme.ended(id(&last)).await;
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("failed"), &json!("insufficient_quota")), "{ended}");
    assert_eq!(acme.wish(&wish("4")).await.refusal(), "429 insufficient_quota -");
    assert_eq!((order(&world), world.held("tenant:acme")), (["0", "1"].map(str::to_owned).to_vec(), 0));
    let metrics = String::from_utf8(world.operator().get("/metrics").await.ok().body.to_vec()).unwrap();
    assert!(metrics.contains("filmgate_queue_ended_total{outcome=\"capped\",tenant=\"acme\"} 1"));

    // Where another route is merely full, its turn comes.
    world.edit_policy(&[openai("openai", &capped), openai("other", ONE), tenant("acme", LINE)]).await;
    for n in 5..7 {
        acme.ordered(&wish(&n.to_string())).await;
    }
    serve_all(&world).await;
    assert_eq!(world.orders(), 4);
    world.end().await;
}

#[tokio::test]
async fn a_route_that_is_added_serves_those_who_wait_where_they_may_be_served() {
    let policy = |routes: &[String]| {
        let tenants = [tenant("acme", &format!("{LINE}\nshow_route = true")), tenant("rival", &format!("{LINE}\nresidency = \"eu\""))];
        [routes, &tenants].concat()
    };
    let full = openai("openai", &format!("{ONE}\nregion = \"eu\""));
    let world = World::at_speed(1, &policy(std::slice::from_ref(&full))).await;
    let (acme, rival) = (world.tenant("acme"), world.tenant("rival"));
    acme.ordered(&wish("0")).await;
    let (here, there) = (rival.ordered(&wish("eu")).await, acme.ordered(&wish("1")).await);
    assert_eq!(acme.video(id(&there)).await["route"], Value::Null, "it is on no route yet");

    world.edit_policy(&policy(&[full, openai("spare", "region = \"us\"")])).await;
    eventually("one is served", || world.jobs_in("waiting") == 1).await;
    assert_eq!(acme.video(id(&there)).await["route"], "spare");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(rival.video(id(&here)).await["status"], "queued");
    assert_eq!(world.jobs_in("waiting"), 1, "no line crosses a border");
    serve_all(&world).await;
    world.end().await;
}

#[tokio::test]
async fn who_waits_outlives_a_restart_with_what_was_sent_along() {
    let mut world = World::at_speed(1, &[openai("openai", ONE), tenant("acme", LINE)]).await;
    let acme = world.tenant("acme");
    acme.ordered(&wish("0")).await;
    let picture = png(720, 1280);
    let parts = [Part::Text("prompt", "a whale #intent:1"), Part::File("input_reference", "image/png", &picture)];
    let video = acme.client.post_form("/v1/videos", &parts).await.ok().json();
    acme.ordered(&wish("2")).await;
    world.restart().await;
    assert_eq!((world.jobs_in("waiting"), world.orders()), (2, 1));
    assert_eq!(world.number("SELECT count(*) FROM queue WHERE upload IS NOT NULL"), 1);

    let acme = world.tenant("acme");
    serve_all(&world).await;
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");
    assert_eq!(order(&world), ["0", "1", "2"].map(str::to_owned));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_replicas_put_fifty_on_five_slots_and_never_a_sixth() {
    let site = Site::on_postgres(200, 0, &[]).await;
    let replicas = site.replicas(3, &[openai("openai", FIVE), tenant("acme", LINE)]).await;
    let mut wishes = JoinSet::new();
    for n in 0..50 {
        let acme = replicas[n % 3].tenant("acme");
        wishes.spawn(async move { acme.post("/v1/videos", &wish(&n.to_string())).await.ok() });
    }
    wishes.join_all().await;
    site.until_quiet().await;
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'completed'"), 50);
    let most = site.simulator.stats().in_flight_max;
    let most = most.get(&format!("openai/{}", account_of("sk-test-openai"))).copied().unwrap_or(0);
    assert!((2..=5).contains(&most), "{most} at once");
    site.settle_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_outlives_a_gateway_that_is_killed() {
    for server in [None, Some(tokio::task::spawn_blocking(crate::cluster::Emptied::new).await.unwrap())] {
        let policy = [openai("openai", &format!("{FIVE}\nsubmit_timeout = \"1s\"\nunknown = {{ grace = \"5s\" }}")), tenant("acme", LINE)];
        let site = Site::with(400, 0, &policy, server).await;
        let gateway = site.gateway().await;
        let acme = gateway.tenant("acme");
        for n in 0..30 {
            acme.post("/v1/videos", &wish(&n.to_string())).await.ok();
        }
        for _ in 0..4 {
            gateway.process.kill();
            let gateway = site.gateway().await;
            tokio::time::sleep(Duration::from_millis(150)).await;
            gateway.process.kill();
        }
        let gateway = site.gateway().await;
        site.until_quiet_for(Duration::from_secs(90)).await;
        let made = site.number("SELECT count(*) FROM jobs WHERE state = 'completed'");
        let released = site.number("SELECT count(*) FROM jobs WHERE state = 'released' AND attempts = 0");
        assert!(made >= 20 && released == 0, "{made} were made, {released} of those who waited were not");
        site.settle_up();
        drop(gateway);
    }
}
