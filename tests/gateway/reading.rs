//! Reading, listing and deleting: answered from our own state, and to nobody but the owner.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Answer;
use crate::world::{Tenant, World, eventually, id, openai, tenant};

fn two_tenants() -> [String; 3] {
    [openai("openai", ""), tenant("acme", ""), tenant("rival", "")]
}

#[tokio::test]
async fn a_poll_is_told_when_to_come_back_and_never_reaches_the_provider() {
    let policy = [openai("openai", "").replace("100ms", "1h"), tenant("acme", "")];
    let world = World::at_speed(1, &policy).await;
    let acme = world.tenant("acme");

    let queued = acme.ordered(&json!({ "prompt": "a whale", "seconds": "12" })).await;
    for _ in 0..20 {
        let answer = acme.get(&format!("/v1/videos/{}", id(&queued))).await.ok();
        let wait_ms: u64 = answer.header("openai-poll-after-ms").parse().unwrap();
        assert!((500..=8_000).contains(&wait_ms), "{wait_ms}");
    }
    assert_eq!(world.simulator.stats().count("retrieve"), 0);

    world.turn_clock(Duration::from_secs(3_700));
    acme.ended(id(&queued)).await;
    let answer = acme.get(&format!("/v1/videos/{}", id(&queued))).await.ok();
    assert_eq!(answer.header("openai-poll-after-ms"), "", "it has ended");
    world.end().await;
}

/// Follows pages as an SDK does, and answers the ids of each.
async fn pages(acme: &Tenant, query: &str, heeds_has_more: bool) -> Vec<Vec<String>> {
    let (mut pages, mut after) = (Vec::new(), String::new());
    for _ in 0..20 {
        let page = acme.get(&format!("/v1/videos?{query}{after}")).await.ok().json();
        let ids: Vec<String> = page["data"].as_array().unwrap().iter().map(|video| id(video).to_owned()).collect();
        assert_eq!(page["object"], "list");
        assert_eq!(
            (page["first_id"].as_str(), page["last_id"].as_str()),
            (ids.first().map(String::as_str), ids.last().map(String::as_str))
        );
        pages.push(ids);
        match page["last_id"].as_str() {
            Some(last) if page["has_more"] == true || !heeds_has_more => after = format!("&after={last}"),
            _ => return pages,
        }
    }
    panic!("the list never ends: {pages:?}");
}

#[tokio::test]
async fn a_list_has_everything_once_in_either_order_and_ends_for_every_sdk() {
    let world = World::start(&two_tenants()).await;
    let (acme, rival) = (world.tenant("acme"), world.tenant("rival"));
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(id(&acme.ordered(&json!({ "prompt": "a whale" })).await).to_owned());
        rival.ordered(&json!({ "prompt": "another whale" })).await;
    }
    let newest_first: Vec<String> = ids.iter().rev().cloned().collect();

    assert_eq!(pages(&acme, "", true).await, std::slice::from_ref(&newest_first));
    assert_eq!(pages(&acme, "order=asc&limit=3", true).await.concat(), ids);
    assert_eq!(pages(&acme, "order=desc&limit=2", true).await.concat(), newest_first);
    // A page that happens to be full and is the last one says so.
    assert_eq!(pages(&acme, "limit=7", true).await.len(), 1);
    // Java's SDK goes on as long as there is a `last_id`: it needs an empty page to stop at.
    let java = pages(&acme, "limit=3", false).await;
    assert_eq!((java.concat(), java.last().unwrap().len()), (newest_first, 0));
    assert_eq!(pages(&acme, "limit=0", true).await, [Vec::<String>::new()]);

    world.end().await;
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused_by_name() {
    let world = World::start(&two_tenants()).await;
    let acme = world.tenant("acme");
    for (query, refusal) in [
        ("limit=101", "400 invalid_value limit"),
        ("limit=-1", "400 invalid_value limit"),
        ("limit=ten", "400 invalid_value limit"),
        ("order=up", "400 invalid_value order"),
        ("order=asc&order=desc", "400 invalid_value order"),
    ] {
        assert_eq!(acme.get(&format!("/v1/videos?{query}")).await.refusal(), refusal, "{query}");
    }
    world.end().await;
}

/// All that an answer tells apart from its moment.
fn told(answer: &Answer) -> (u16, &[u8], Vec<&str>) {
    let names = answer.headers.keys().map(|name| name.as_str()).filter(|name| *name != "date").collect();
    (answer.status, &answer.body, names)
}

#[tokio::test]
async fn what_belongs_to_another_tenant_is_answered_as_what_does_not_exist() {
    let world = World::start(&two_tenants()).await;
    let (acme, rival) = (world.tenant("acme"), world.tenant("rival"));
    let theirs = acme.made(&json!({ "prompt": "a whale" })).await;
    let upstream_id = world.simulator.bill().jobs[0].upstream_id.clone();
    let theirs = id(&theirs);
    // Next to it in every order, and nobody's.
    let last = if theirs.ends_with('a') { "b" } else { "a" };
    let nobodys = format!("{}{last}", &theirs[..theirs.len() - 1]);
    let before = world.orders();

    for foreign in [theirs, &upstream_id, "video_", "edits%00", "video_123", &"a".repeat(200)] {
        for (method, path, body) in [
            ("GET", "/v1/videos/{}", Value::Null),
            ("DELETE", "/v1/videos/{}", Value::Null),
            ("GET", "/v1/videos/{}/content", Value::Null),
            ("GET", "/v1/videos/{}/content?variant=thumbnail", Value::Null),
            ("GET", "/v1/videos/{}/content?variant=spritesheet", Value::Null),
            ("POST", "/v1/videos/{}/remix", json!({ "prompt": "a whale" })),
            ("POST", "/v1/videos/edits", json!({ "prompt": "a whale", "video": { "id": "{}" } })),
            ("POST", "/v1/videos/extensions", json!({ "prompt": "a whale", "seconds": "4", "video": { "id": "{}" } })),
        ] {
            if foreign.contains('%') && path.contains("{}") {
                continue; // Not a path that anything is read from.
            }
            let ask = async |id: &str| {
                let body = if body.is_null() { String::new() } else { body.to_string().replace("{}", id) };
                rival.client.ask(method, &path.replace("{}", id), Some("application/json"), body).await.unwrap()
            };
            let (foreign_answer, unknown_answer) = (ask(foreign).await, ask(&nobodys).await);
            assert_eq!(unknown_answer.refusal(), "404 video_not_found video_id", "{method} {path}");
            assert_eq!(told(&foreign_answer), told(&unknown_answer), "{method} {path} with {foreign}");
        }
    }
    rival.ordered(&json!({ "prompt": "a whale" })).await;
    let after = async |cursor: &str| rival.get(&format!("/v1/videos?after={cursor}")).await.ok().json();
    assert_eq!(after(theirs).await["data"].as_array().map(Vec::len), after(&nobodys).await["data"].as_array().map(Vec::len));
    assert!(!after(theirs).await.to_string().contains(theirs));

    assert_eq!(world.orders(), before + 1, "only the rival's own wish was sent");
    assert_eq!(acme.video(theirs).await["status"], "completed", "and nothing was deleted");
    world.end().await;
}

#[tokio::test]
async fn what_has_ended_can_be_deleted_and_stays_on_the_books() {
    let world = World::start(&two_tenants()).await;
    let acme = world.tenant("acme");
    let made = acme.made(&json!({ "prompt": "a whale" })).await;
    let doomed = acme.ordered(&json!({ "prompt": "a whale [fail]" })).await;
    acme.ended(id(&doomed)).await;

    for video in [&made, &doomed] {
        let path = format!("/v1/videos/{}", id(video));
        let deleted = acme.client.delete(&path).await.ok().json();
        assert_eq!(deleted, json!({ "id": video["id"], "object": "video.deleted", "deleted": true }));
        assert_eq!(acme.get(&path).await.refusal(), "404 video_not_found video_id");
        assert_eq!(acme.get(&format!("{path}/content")).await.refusal(), "404 video_not_found video_id");
        assert_eq!(acme.client.delete(&path).await.refusal(), "404 video_not_found video_id");
    }
    let link = made["output"][0]["url"].as_str().unwrap();
    let path = &link[link.find("/v1/").unwrap()..];
    assert_eq!(world.stranger().get(path).await.refusal(), "404 video_not_found video_id", "a link is no way around");
    assert_eq!(acme.get("/v1/videos").await.json()["data"], json!([]));

    assert_eq!((world.spent("tenant:acme"), world.bill()), (400_000, 400_000), "it was made and is paid for");
    eventually("the provider's copies are asked away too", || world.simulator.stats().count("delete") == 2).await;
    world.end().await;
}

#[tokio::test]
async fn what_is_being_made_cannot_be_deleted() {
    let world = World::at_speed(1, &two_tenants()).await;
    let acme = world.tenant("acme");
    let queued = acme.ordered(&json!({ "prompt": "a whale" })).await;

    let refused = acme.client.delete(&format!("/v1/videos/{}", id(&queued))).await;
    assert_eq!(refused.refusal(), "409 video_not_terminal -");
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_eq!(world.held("tenant:acme"), 400_000);

    world.turn_clock(Duration::from_secs(60));
    assert_eq!(acme.ended(id(&queued)).await["status"], "completed");
    world.end().await;
}

#[tokio::test]
async fn a_tenant_sees_the_models_it_may_ask_for_and_no_retired_ones() {
    let retired = openai("openai", "").replace("as = \"sora-2-pro\"", "as = \"sora-2-pro\"\nsunset = 2020-01-01");
    let own = "[routes.openai.models.\"wan-2.2\"]\nseconds = [4]\nprice = \"0.02\"".to_owned();
    let world = World::start(&[retired, own, tenant("acme", ""), tenant("rival", "models = [\"sora-2\"]")]).await;

    let names = |answer: Answer| -> Vec<String> {
        answer.ok().json()["data"].as_array().unwrap().iter().map(|model| id(model).to_owned()).collect()
    };
    let (acme, rival) = (world.tenant("acme"), world.tenant("rival"));
    assert_eq!(names(acme.get("/v1/models").await), ["sora-2", "wan-2.2"]);
    assert_eq!(names(rival.get("/v1/models").await), ["sora-2"]);
    assert_eq!(acme.get("/v1/models/wan-2.2").await.ok().json()["object"], "model");
    assert_eq!(rival.get("/v1/models/wan-2.2").await.refusal(), "404 model_not_found model");
    let ended = acme.wish(&json!({ "prompt": "a whale", "model": "sora-2-pro" })).await;
    assert_eq!(ended.refusal(), "404 model_not_found model");
    assert!(ended.message().contains("was offered until 2020-01-01 and no longer"), "{}", ended.message());
    assert_eq!(world.orders(), 0);
    world.end().await;
}
