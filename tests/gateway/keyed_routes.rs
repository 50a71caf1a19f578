//! Routes that know a submission again by its key: what is unclear is sent again, and paid for once.

use std::time::Duration;

use filmgate::simulator::{Fault, Faults};
use serde_json::json;
use tokio::task::JoinSet;

use crate::process::{Site, eventually};
use crate::world::{World, openai, tenant};

const KEYED: &str = "idempotency_key = true";

/// Lists show nothing, so that nothing is ever found there.
fn faults(script: impl Into<std::collections::VecDeque<Fault>>) -> Faults {
    Faults { script: script.into(), honour_keys: true, list_lag_ms: 3_600_000, ..Faults::default() }
}

#[tokio::test]
async fn what_is_unclear_is_sent_again_under_the_same_key_and_paid_once() {
    let world = World::start(&[openai("own", KEYED), openai("other", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    // A refusal of the second sending says nothing of the first one.
    world.misbehave(faults([Fault::AcceptThenCut, Fault::Refuse(429), Fault::AcceptThenStatus(502), Fault::None]));
    let video = acme.ordered(&json!({ "prompt": "a whale", "seconds": "4" })).await;
    assert_eq!(acme.ended(crate::world::id(&video)).await["status"], "completed");
    assert_eq!((world.orders(), world.simulator.bill().jobs.len()), (4, 1));
    assert_eq!(world.number("SELECT count(*) FROM attempts"), 1);
    world.end().await;
}

#[tokio::test]
async fn where_keys_are_not_honoured_saying_so_pays_twice() {
    let site = Site::new(1_000, 0, &[openai("own", KEYED), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    site.simulator.set_faults(Faults { honour_keys: false, ..faults([Fault::AcceptThenCut, Fault::None]) });
    gateway.tenant("acme").post("/v1/videos", &json!({ "prompt": "a kite", "seconds": "4" })).await.ok();
    eventually("it is sent again", || site.simulator.stats().count("create") == 2).await;
    assert_eq!(site.simulator.bill().jobs.len(), 2, "which is why a route does not, unless its operator says that it may");
}

#[tokio::test]
async fn what_a_crash_left_unclear_is_sent_again_by_the_next_process() {
    let site = Site::new(1_000, 0, &[openai("own", KEYED), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    site.simulator.set_faults(Faults { delay_ms: 60_000, ..faults([]) });
    let acme = gateway.tenant("acme");
    let mut lost = JoinSet::new();
    lost.spawn(async move { acme.ask("POST", "/v1/videos", Some("application/json"), json!({ "prompt": "a kite" }).to_string()).await });
    eventually("the provider has it", || site.simulator.bill().jobs.len() == 1).await;
    gateway.process.kill();
    assert!(lost.join_all().await[0].is_err());

    site.simulator.set_faults(faults([Fault::AcceptThenCut, Fault::None]));
    let _gateway = site.gateway().await;
    site.until_quiet().await;
    assert_eq!((site.simulator.stats().count("create"), site.simulator.bill().jobs.len()), (3, 1));
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'completed'"), 1);
    site.settle_up();
}

#[tokio::test]
async fn a_wish_whose_row_does_not_say_all_of_it_is_not_sent_again_after_a_crash() {
    let site = Site::new(1_000, 0, &[openai("own", KEYED), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    site.simulator.set_faults(Faults { delay_ms: 60_000, ..faults([]) });
    let acme = gateway.tenant("acme");
    let wish = json!({ "prompt": "a kite", "input_reference": { "image_url": "https://pictures.example/kite.png" } });
    let mut lost = JoinSet::new();
    lost.spawn(async move { acme.ask("POST", "/v1/videos", Some("application/json"), wish.to_string()).await });
    eventually("the provider has it", || site.simulator.bill().jobs.len() == 1).await;
    gateway.process.kill();
    assert!(lost.join_all().await[0].is_err());

    site.simulator.set_faults(faults([]));
    let _gateway = site.gateway().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(site.simulator.stats().count("create"), 1);
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'unknown'"), 1);
}
