//! What a paid request may be answered with, and what becomes of it: at most one clip, and nobody's but the tenant's.

use std::time::Duration;

use filmgate::simulator::{Fault, Faults};
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use crate::world::{Tenant, World, eventually, id, openai, tenant};

const UNLIMITED: &str = "budget = { cap = \"unlimited\" }";
const AT_ONCE: usize = 32;

fn wish(nth: usize) -> Value {
    json!({ "prompt": format!("kite {nth}"), "seconds": "4" })
}

/// Orders them all, some at a time, and has every one accepted.
async fn ordered(orders: impl Iterator<Item = (Tenant, Value)>) -> Vec<Value> {
    stream::iter(orders).map(|(tenant, wish)| async move { tenant.ordered(&wish).await }).buffer_unordered(AT_ONCE).collect().await
}

#[tokio::test]
async fn a_thousand_orders_that_nothing_befalls_have_no_unclear_outcome() {
    let world = World::start(&[openai("studio", ""), tenant("acme", UNLIMITED)]).await;
    let acme = world.tenant("acme");
    ordered((0..1_000).map(|nth| (acme.clone(), wish(nth)))).await;
    assert_eq!(world.number("SELECT count(*) FROM attempts WHERE outcome = 'unclear' OR outcome IS NULL"), 0);
    assert_eq!((world.orders(), world.simulator.bill().jobs.len()), (1_000, 1_000));
    world.end().await;
}

#[tokio::test]
async fn whatever_is_answered_to_an_order_that_was_taken_it_is_one_clip() {
    // Its breaker would have later wishes ask the other first.
    let studio = openai("studio", "breaker = { failures = 1000, min = 1000 }");
    let mut world = World::start(&[studio, openai("other", ""), tenant("acme", UNLIMITED)]).await;
    let acme = world.tenant("acme");
    let first = acme.made(&wish(99)).await;
    assert_eq!(first["status"], "completed");
    let known = world.simulator.bill().jobs[0].upstream_id.clone();
    let reply = |text: &str| Fault::AcceptThenReply(text.to_owned());
    let faults = [
        Fault::AcceptThenCut,
        Fault::AcceptThenStatus(500),
        Fault::AcceptThenStatus(502),
        Fault::AcceptThenStatus(503),
        Fault::AcceptThenStatus(504),
        Fault::AcceptThenStatus(307),
        Fault::AcceptThenStatus(408),
        Fault::AcceptThenStatus(409),
        reply(""),
        reply("<html>it worked</html>"),
        reply("{\"id\": \"video_"),
        reply("{\"status\": \"queued\"}"),
        reply(&format!("{{\"id\": \"{}\", \"status\": \"queued\"}}", "x".repeat(10_240))),
        reply(&"[".repeat(100_000)),
        reply(&format!("{{\"id\": \"{known}\", \"status\": \"queued\"}}")),
    ];
    world.expect_error("the upstream gave one id to two jobs");
    for (nth, fault) in faults.into_iter().enumerate() {
        world.misbehave(Faults { script: [fault.clone()].into(), ..Faults::default() });
        let video = acme.ordered(&wish(nth)).await;
        assert_eq!(video["status"], "queued", "{fault:?}");
        assert_eq!(acme.ended(id(&video)).await["status"], "completed", "{fault:?}");
        assert_eq!(world.simulator.bill().jobs.len(), nth + 2, "{fault:?}");
    }
    assert_eq!(world.number("SELECT count(*) FROM attempts WHERE route = 'other'"), 0, "nobody else was asked");
    world.end().await;
}

#[tokio::test]
async fn of_a_thousand_orders_that_look_like_another_tenants_none_is_adopted() {
    let world = World::start(&[openai("studio", ""), tenant("acme", UNLIMITED), tenant("other", UNLIMITED)]).await;
    // In no list before all of them are there: the first could be told apart from those that are not yet ordered.
    world.misbehave(Faults { accept_then_cut: 1_000, list_lag_ms: 3_600_000, ..Faults::default() });
    let tenants = [world.tenant("acme"), world.tenant("other")];
    ordered((0..1_000).map(|nth| (tenants[nth % 2].clone(), wish(nth / 4)))).await;
    // Something younger, which is found, shows that the list has been read since.
    world.misbehave(Faults { script: [Fault::AcceptThenCut].into(), ..Faults::default() });
    let youngest = tenants[0].ordered(&wish(5_000)).await;
    assert_eq!(tenants[0].ended(id(&youngest)).await["status"], "completed");
    tokio::time::sleep(Duration::from_millis(500)).await;
    eventually("all the rest waits", || world.jobs_in("unknown") == 1_000).await;
    assert_eq!(world.number("SELECT count(*) FROM attempts WHERE upstream_id IS NOT NULL"), 1);
    world.end().await;
}
