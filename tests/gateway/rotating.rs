//! Rotation: what a provider says it does not have any more is not asked for, until it is listed again, its entry
//! is another one, or a person says so. Nobody pays to find out.

use std::process::Output;
use std::time::Duration;

use filmgate::simulator::{Dialect, Faults};
use serde_json::{Value, json};

use crate::endpoint::{Answers, Endpoint};
use crate::process::run_in;
use crate::world::{World, azure, cometapi, openai, route, tenant};

const A_LOOK: Duration = Duration::from_secs(61);

fn whale() -> Value {
    json!({ "prompt": "a whale" })
}

/// What these dialects have withdrawn.
fn withdrawn<const N: usize>(dialects: [Dialect; N]) -> Faults {
    Faults { withdrawn: dialects.into(), ..Faults::default() }
}

fn two_dialects() -> [String; 3] {
    [openai("first", ""), cometapi("comet", ""), tenant("acme", "show_route = true")]
}

/// Orders that a dialect has seen.
fn orders(world: &World, dialect: &str) -> u64 {
    world.simulator.stats().requests.get(&format!("{dialect}/create")).copied().unwrap_or_default()
}

async fn models(world: &World) -> Vec<String> {
    let list = world.tenant("acme").get("/v1/models").await.ok().json();
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

/// How `filmgate readmit first sora-2` exits, and what it says.
async fn readmitted(world: &World) -> (Option<i32>, String) {
    let (folder, admin) = (world.path("."), world.gateway().admin.to_string());
    // The gateway is on this thread.
    let run = move || run_in(&folder, &["readmit", "first", "sora-2", "--admin", &admin]);
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(run).await.unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[tokio::test]
async fn a_model_that_is_gone_is_asked_for_once_and_told_of_and_comes_back_when_it_is_listed_again() {
    let endpoint = Endpoint::open().await;
    let mut policy = two_dialects().to_vec();
    policy.push(format!("[alerts]\n{}", endpoint.webhook("a-secret-of-the-operator")));
    let world = World::start(&policy).await;
    let acme = world.tenant("acme");
    assert_eq!(acme.made(&whale()).await["route"], "first");

    world.misbehave(withdrawn([Dialect::Openai]));
    for _ in 0..3 {
        assert_eq!(acme.made(&whale()).await["route"], "comet", "no client sees anything of it");
    }
    assert_eq!(orders(&world, "openai"), 2, "the one that was made and the one that was refused");
    assert_eq!(world.standing("first", "sora-2").await, "gone");
    assert_eq!(world.standing("first", "sora-2-pro").await, "closed", "of that nobody has said anything");
    assert_eq!(models(&world).await, ["sora-2", "sora-2-pro"], "somebody serves it");
    let told = endpoint.heard(1).await;
    assert_eq!(told[0].json()["type"], "alert.model_gone");
    assert_eq!(told[0].json()["data"], json!({ "id": "first/sora-2", "route": "first", "model": "sora-2" }));
    assert!(world.operator().get("/metrics").await.ok().text().contains("state=\"gone\"} 1"));

    world.turn_clock(A_LOOK);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.standing("first", "sora-2").await, "gone");
    world.misbehave(Faults::default());
    world.turn_clock(A_LOOK);
    world.until_standing("first", "sora-2", "closed").await;
    assert_eq!(orders(&world, "openai"), 2, "looking cost nothing");
    assert_eq!(acme.made(&whale()).await["route"], "first");
    assert_eq!(world.bill(), 5 * 400_000);
    world.end().await;
}

#[tokio::test]
async fn every_dialect_says_in_its_own_way_that_a_model_is_gone() {
    let gone = ["gone-model", "sora-2-pro"];
    let world = World::start(&[
        route("one", "openai", "openai/v1", "", gone),
        route("two", "azure", "azure/openai/v1", "", gone),
        route("three", "cometapi", "cometapi/v1", "", ["unknown-model", "sora-2-pro"]),
        azure("four", ""),
        tenant("acme", "show_route = true"),
    ])
    .await;
    let acme = world.tenant("acme");
    for _ in 0..2 {
        assert_eq!(acme.made(&whale()).await["route"], "four");
    }
    for route in ["one", "two", "three"] {
        assert_eq!(world.standing(route, "sora-2").await, "gone", "{route}");
    }
    assert_eq!(world.orders(), 5);
    world.end().await;
}

#[tokio::test]
async fn a_file_of_one_clients_that_is_gone_takes_nothing_from_the_others() {
    let provider = Endpoint::open().await;
    let first = openai("first", "").replace("{simulator}/openai/v1", &format!("{}/v1", provider.origin()));
    let world = World::start(&[first, cometapi("comet", ""), tenant("acme", "show_route = true")]).await;
    let acme = world.tenant("acme");
    for status in [410, 404] {
        let expired = json!({ "error": { "param": "input_reference", "code": "file_expired", "message": "The file has expired." } });
        provider.usually(Answers::Says(status, expired.to_string()));
        for _ in 0..6 {
            assert_eq!(acme.made(&whale()).await["route"], "comet", "somebody else may have the file");
        }
        assert_eq!(world.standing("first", "sora-2").await, "closed", "{status}");
    }
    assert_eq!(world.number("SELECT count(*) FROM attempts WHERE outcome = 'input_gone'"), 12);
    provider.usually(Answers::Says(410, String::new()));
    acme.made(&whale()).await;
    assert_eq!(world.standing("first", "sora-2").await, "gone", "a bare prompt brings nothing that could be gone");
    world.end().await;
}

/// The dearer route is the first, so that it decides what is held for as long as it is there.
#[tokio::test]
async fn what_is_estimated_explained_and_held_leaves_out_whoever_has_the_model_no_more() {
    let dear = openai("first", "").replacen("price = \"0.10\"", "price = \"0.50\"", 1);
    let ended = openai("ended", "").replacen("as = \"sora-2\"", "as = \"sora-2\"\nsunset = 2020-01-01", 1);
    let world = World::start(&[dear, cometapi("comet", ""), ended, tenant("acme", "show_route = true")]).await;
    let acme = world.tenant("acme");
    let told = async |seconds: &str| {
        let wish = json!({ "prompt": "a whale", "seconds": seconds });
        let estimate = acme.client.post("/v1/videos/estimate", &wish).await;
        let explained = world.operator().get(&format!("/api/explain?tenant=acme&seconds={seconds}")).await.ok().json();
        (estimate, explained, wish)
    };
    let (estimate, explained, wish) = told("8").await;
    assert_eq!([&estimate.ok().json()["ceiling_microusd"], &explained["held_microusd"]], [4_000_000, 4_000_000]);

    world.misbehave(withdrawn([Dialect::Openai]));
    assert_eq!(acme.made(&wish).await["route"], "comet");
    let (estimate, explained, wish) = told("8").await;
    let estimate = estimate.ok().json();
    assert_eq!([&estimate["price_microusd"], &estimate["ceiling_microusd"], &explained["held_microusd"]], [800_000; 3], "{estimate}");
    let line = |route: &str| explained["routes"].as_array().unwrap().iter().find(|line| line["route"] == *route).unwrap().clone();
    assert_eq!(line("first")["why_not"], "does not have the model any more");
    assert_eq!(line("ended")["why_not"], "offered sora-2 until 2020-01-01 and no longer");
    assert_eq!(explained["live"]["order"], json!(["comet"]));
    let made = acme.made(&wish).await;
    let held = world.number(&format!("SELECT ceiling_microusd FROM jobs WHERE id = '{}'", made["id"].as_str().unwrap()));
    assert_eq!(held, 800_000);

    world.misbehave(withdrawn([Dialect::Openai, Dialect::Cometapi]));
    let refused = acme.wish(&wish).await.refusal();
    let (estimate, explained, _) = told("8").await;
    assert_eq!((refused.as_str(), estimate.refusal()), ("404 model_not_found model", refused.clone()));
    assert_eq!(
        (&explained["told"]["status"], &explained["told"]["code"], &explained["held"]),
        (&json!(404), &json!("model_not_found"), &Value::Null)
    );
    assert!(explained["refusal"].as_str().unwrap().contains("nobody who may make it has sora-2 any more"), "{explained}");
    world.end().await;
}

#[tokio::test]
async fn where_nobody_has_it_the_client_is_told_so_and_nothing_is_held() {
    let world = World::start(&two_dialects()).await;
    let acme = world.tenant("acme");
    world.misbehave(withdrawn([Dialect::Openai, Dialect::Cometapi]));
    for _ in 0..2 {
        let refused = acme.wish(&whale()).await;
        assert_eq!((refused.refusal().as_str(), refused.header("x-should-retry")), ("404 model_not_found model", "false"));
        assert!(refused.message().contains("withdrawn"), "{}", refused.message());
    }
    assert_eq!((world.orders(), world.held("tenant:acme"), world.bill()), (2, 0, 0), "the second wish asked nobody");
    assert_eq!(models(&world).await, ["sora-2-pro"]);
    assert_eq!(acme.get("/v1/models/sora-2").await.refusal(), "404 model_not_found model");
    world.end().await;
}

#[tokio::test]
async fn a_person_or_another_entry_in_the_file_brings_it_back() {
    let world = World::start(&two_dialects()).await;
    let acme = world.tenant("acme");
    let operator = world.operator().with("x-filmgate-admin", "1");
    let readmit = json!({ "route": "first", "model": "sora-2" });
    assert_eq!(operator.post("/api/readmit", &readmit).await.status, 409, "it is in rotation");
    assert_eq!(operator.post("/api/readmit", &json!({ "route": "first", "model": "veo" })).await.status, 404);

    world.misbehave(withdrawn([Dialect::Openai]));
    acme.made(&whale()).await;
    assert_eq!(world.standing("first", "sora-2").await, "gone");
    world.edit_policy(&two_dialects()).await;
    assert_eq!(world.standing("first", "sora-2").await, "gone", "the same file changes nothing");
    assert_eq!(readmitted(&world).await, (Some(0), "sora-2 is back in rotation on first.\n".to_owned()));
    let (code, told) = readmitted(&world).await;
    assert!(code == Some(1) && told.contains("sora-2 is in rotation on first"), "{told}");
    assert_eq!(world.standing("first", "sora-2").await, "closed");
    assert_eq!(acme.made(&whale()).await["route"], "comet");
    assert_eq!(world.standing("first", "sora-2").await, "gone", "that was one refusal, and free");

    world.misbehave(Faults::default());
    let [_, comet, tenant] = two_dialects();
    world.edit_policy(&[route("first", "openai", "openai/v1", "", ["sora-2-b", "sora-2-pro"]), comet, tenant]).await;
    assert_eq!(acme.made(&whale()).await["route"], "first");
    world.end().await;
}

#[tokio::test]
async fn a_restart_forgets_it_and_learns_it_again_from_one_refusal() {
    let mut world = World::start(&two_dialects()).await;
    world.misbehave(withdrawn([Dialect::Openai]));
    world.tenant("acme").made(&whale()).await;
    world.restart().await;
    for _ in 0..2 {
        assert_eq!(world.tenant("acme").made(&whale()).await["route"], "comet");
    }
    assert_eq!((orders(&world, "openai"), world.bill()), (2, 3 * 400_000));
    world.end().await;
}
