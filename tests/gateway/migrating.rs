//! A day on which a model moves from one vendor to another: a canary, half of it, and then the first vendor shuts
//! down in the middle of the day. The file is edited under way; no client notices anything.

use std::collections::BTreeMap;
use std::time::Duration;

use filmgate::simulator::{Dialect, Faults};
use serde_json::json;
use tokio::task::JoinSet;

use crate::world::{World, cometapi, eventually, id, openai, tenant};

const HALF_AN_HOUR: Duration = Duration::from_secs(1_800);
/// Wishes in each half an hour.
const WISHES: usize = 8;
const PRICE: i64 = 400_000;

/// The file, with what may serve `sora-2`.
fn policy(routes: &str) -> [String; 4] {
    let acme = tenant("acme", "show_route = true\nbudget = { cap = \"1000.00\", per = \"month\" }");
    [openai("openai", ""), cometapi("comet", ""), acme, format!("[[rules]]\nwhen = {{ model = \"sora-2\" }}\nroutes = {routes}")]
}

/// Until it is that hour of the day.
async fn until_hour(world: &World, hour: u64) -> Duration {
    let now = world.operator().get("/api/status").await.ok().json()["now"].as_u64().unwrap();
    Duration::from_secs((hour * 3_600 + 86_400 - now % 86_400) % 86_400)
}

/// Half an hour of wishes, all of them made by its end: how many by whom.
async fn half_an_hour(world: &World) -> BTreeMap<String, usize> {
    let mut wishes = JoinSet::new();
    for number in 0..WISHES {
        let acme = world.tenant("acme");
        wishes.spawn(async move {
            let video = acme.made(&json!({ "prompt": format!("a whale, number {number}") })).await;
            acme.get(&format!("/v1/videos/{}/content", id(&video))).await.ok();
            video["route"].as_str().unwrap().to_owned()
        });
    }
    let mut by_route = BTreeMap::new();
    for route in wishes.join_all().await {
        *by_route.entry(route).or_default() += 1;
    }
    world.turn_clock(HALF_AN_HOUR);
    by_route
}

/// So many half hours.
async fn hours(world: &World, halves: usize) -> BTreeMap<String, usize> {
    let mut by_route = BTreeMap::new();
    for _ in 0..halves {
        for (route, count) in half_an_hour(world).await {
            *by_route.entry(route).or_default() += count;
        }
    }
    by_route
}

fn share(by_route: &BTreeMap<String, usize>, route: &str) -> usize {
    by_route.get(route).copied().unwrap_or_default()
}

fn refusals(world: &World) -> i64 {
    world.number("SELECT count(*) FROM attempts WHERE outcome = 'model_gone'")
}

#[tokio::test]
async fn a_model_moves_to_another_vendor_within_a_day_and_no_client_notices() {
    let world = World::start(&policy("[\"openai\"]")).await;
    world.turn_clock(until_hour(&world, 9).await);

    let morning = hours(&world, 4).await;
    assert_eq!(share(&morning, "openai"), 4 * WISHES, "09:00, and all is as ever");

    world.edit_policy(&policy("{ openai = 95, comet = 5 }")).await;
    let canary = hours(&world, 4).await;
    // 1.6 are expected: twelve would be a rare thing.
    assert!(share(&canary, "comet") <= 12, "11:00, and a few are made elsewhere: {canary:?}");

    world.edit_policy(&policy("{ openai = 50, comet = 50 }")).await;
    let half = hours(&world, 4).await;
    // 16 are expected, with a standard deviation of less than 3.
    assert!((4..=28).contains(&share(&half, "comet")), "13:00, and half of them are: {half:?}");

    // 15:00. What is being made there at that moment is followed to its end.
    let acme = world.tenant("acme");
    let mut under_way = Vec::new();
    for _ in 0..WISHES {
        under_way.push(acme.ordered(&json!({ "prompt": "a whale at three" })).await);
    }
    world.misbehave(Faults { withdrawn: [Dialect::Openai].into(), ..Faults::default() });
    let first = half_an_hour(&world).await;
    assert_eq!(share(&first, "comet"), WISHES, "whoever was sent to the first vendor was made by the second");
    for video in &under_way {
        assert_eq!(acme.ended(id(video)).await["status"], "completed");
    }
    let refused = refusals(&world);
    assert!((1..=i64::try_from(WISHES).unwrap()).contains(&refused), "{refused}");
    assert_eq!(world.standing("openai", "sora-2").await, "gone");

    let evening = hours(&world, 9).await;
    assert_eq!(share(&evening, "comet"), 9 * WISHES);
    assert_eq!(refusals(&world), refused, "nobody is sent there any more");

    // 20:00. The operator writes down what has become of it.
    world.edit_policy(&policy("[\"comet\"]")).await;
    let night = hours(&world, 26).await;
    assert_eq!(share(&night, "comet"), 26 * WISHES, "09:00 again");

    let wishes = i64::try_from(49 * WISHES).unwrap();
    eventually("all of them are paid for", || world.spent("tenant:acme") == wishes * PRICE).await;
    assert_eq!((world.jobs_in("completed"), world.bill(), world.held("tenant:acme")), (wishes, wishes * PRICE, 0));
    assert_eq!(world.spent("route:openai") + world.spent("route:comet"), world.bill());
    assert_eq!(world.number("SELECT count(*) FROM jobs WHERE state <> 'completed'"), 0);
    world.end().await;
}
