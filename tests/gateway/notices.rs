//! Events to tenants' webhooks: owed with what they tell of, signed, sent until they are taken.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::endpoint::{Answers, Endpoint, Told};
use crate::world::{World, eventually, id, openai, tenant};

const SECRET: &str = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=";
const HOUR: Duration = Duration::from_secs(3_600);

/// Whether it is signed with `key`, as Standard Webhooks are.
fn is_signed(told: &Told, key: &[u8]) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{}.{}.", told.header("webhook-id"), told.header("webhook-timestamp")).as_bytes());
    mac.update(&told.body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    told.header("webhook-signature").split(' ').any(|signature| signature == expected)
}

/// How many of each type came.
fn types(told: &[Told]) -> BTreeMap<String, usize> {
    let mut types = BTreeMap::new();
    for event in told {
        *types.entry(event.json()["type"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    types
}

#[tokio::test]
async fn a_tenant_is_told_how_its_videos_ended_in_openais_words() {
    let endpoint = Endpoint::open().await;
    let hook = endpoint.webhook("SECRETS").replace("\"SECRETS\"", &format!("[\"next\", \"{SECRET}\"]"));
    let world = World::start(&[openai("openai", ""), tenant("acme", &hook), tenant("rival", "")]).await;
    let acme = world.tenant("acme");

    let made = acme.made(&json!({ "prompt": "a whale" })).await;
    let told = endpoint.heard(1).await.remove(0);
    let (event_id, at) = (told.header("webhook-id"), told.json()["created_at"].as_i64().unwrap());
    let expected =
        format!(r#"{{"id":"{event_id}","object":"event","created_at":{at},"type":"video.completed","data":{{"id":"{}"}}}}"#, id(&made));
    assert_eq!(String::from_utf8_lossy(&told.body), expected);
    assert!(event_id.starts_with("evt_") && told.header("content-type") == "application/json");
    assert!(is_signed(&told, &STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap()));
    assert!(is_signed(&told, b"next"), "while a secret is replaced, both sign");
    assert!(!is_signed(&told, b"another"));

    let failed = acme.ordered(&json!({ "prompt": "a whale [fail]" })).await;
    acme.ended(id(&failed)).await;
    let told = endpoint.heard(2).await.remove(1);
    assert_eq!((told.json()["type"].as_str(), &told.json()["data"]["id"]), (Some("video.failed"), &failed["id"]));

    let refused = acme.wish(&json!({ "prompt": "a whale [moderation]" })).await;
    assert_eq!(refused.status, 400, "its client has been told");
    world.tenant("rival").made(&json!({ "prompt": "a whale" })).await;
    assert_eq!(world.number("SELECT count(*) FROM notices"), 2, "who has no webhook is owed nothing");
    eventually("both are taken", || world.number("SELECT count(*) FROM notices WHERE sent_at_ms IS NOT NULL") == 2).await;
    let metrics = world.operator().get("/metrics").await.ok();
    assert!(metrics.text().contains("filmgate_notices_total{kind=\"video.completed\",outcome=\"taken\"} 1\n"), "{}", metrics.text());
    world.end().await;
}

#[tokio::test]
async fn an_event_is_sent_until_it_is_taken_whatever_happens_in_between() {
    let endpoint = Endpoint::open().await;
    endpoint.next(&[Answers::Status(500), Answers::Redirect(endpoint.url.clone()), Answers::Status(400)]);
    let mut world = World::start(&[openai("openai", ""), tenant("acme", &endpoint.webhook(SECRET))]).await;
    world.tenant("acme").made(&json!({ "prompt": "a whale" })).await;

    endpoint.heard(1).await;
    let failed = |tries: u32| format!("SELECT count(*) FROM notices WHERE tries = {tries} AND sent_at_ms IS NULL AND dead_at_ms IS NULL");
    eventually("the first try is written down", || world.number(&failed(1)) == 1).await;
    world.restart().await;
    world.gateway().turn_clock(Duration::from_secs(10));
    endpoint.heard(2).await;
    eventually("a redirect is not followed", || world.number(&failed(2)) == 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    endpoint.heard(2).await;
    world.gateway().turn_clock(Duration::from_secs(400));
    endpoint.heard(3).await;
    eventually("the third try is written down", || world.number(&failed(3)) == 1).await;
    world.restart().await;
    world.gateway().turn_clock(HOUR);
    let told = endpoint.heard(4).await;
    eventually("it is taken", || world.number("SELECT count(*) FROM notices WHERE sent_at_ms IS NOT NULL") == 1).await;

    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    for again in &told {
        assert_eq!((again.header("webhook-id"), &again.body), (told[0].header("webhook-id"), &told[0].body), "the same event");
        assert!(is_signed(again, &key));
    }
    assert_eq!(world.books().rows("SELECT last_error FROM notices"), [["answered 400"]]);
    world.end().await;
}

#[tokio::test]
async fn what_nobody_takes_is_given_up_and_seen() {
    let (deaf, gone) = (Endpoint::open().await, Endpoint::open().await);
    deaf.usually(Answers::Status(503));
    gone.usually(Answers::Status(410));
    let policy = [
        openai("openai", ""),
        tenant("acme", &deaf.webhook(SECRET)),
        tenant("rival", &gone.webhook(SECRET)),
        tenant("guest", &gone.webhook(SECRET)),
    ];
    let mut world = World::start(&policy).await;
    world.expect_error("given up");
    world.tenant("rival").made(&json!({ "prompt": "a whale" })).await;
    let dead = |tenant: &str| format!("SELECT count(*) FROM notices WHERE addressee = 'tenant:{tenant}' AND dead_at_ms IS NOT NULL");
    eventually("an address that is gone is not tried again", || world.number(&dead("rival")) == 1).await;
    gone.heard(1).await;

    world.tenant("acme").made(&json!({ "prompt": "a whale" })).await;
    for tries in 1..=8 {
        deaf.heard(tries).await;
        let written = format!("SELECT count(*) FROM notices WHERE addressee = 'tenant:acme' AND tries = {tries}");
        eventually("the try is written down", || world.number(&written) == 1).await;
        world.gateway().turn_clock(12 * HOUR);
    }
    assert_eq!(world.number(&dead("acme")), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    deaf.heard(8).await;
    let metrics = world.operator().get("/metrics").await.ok();
    for line in
        ["filmgate_dead_notices{kind=\"video.completed\"} 2\n", "filmgate_notices_total{kind=\"video.completed\",outcome=\"dead\"} 2\n"]
    {
        assert!(metrics.text().contains(line), "{}", metrics.text());
    }

    let operator = world.operator();
    let listed = operator.get("/api/notices").await.ok().json();
    let dead_of =
        |tenant: &str| listed["dead"].as_array().unwrap().iter().find(|notice| notice["to"] == format!("tenant:{tenant}")).unwrap();
    assert_eq!((&dead_of("acme")["tries"], &dead_of("acme")["last_error"]), (&json!(8), &json!("answered 503")));
    assert_eq!(operator.post("/api/notices/tenant:acme/resend", &json!({})).await.status, 403, "any page could send that");
    let operator = operator.with("x-filmgate-admin", "1");
    assert_eq!(operator.post("/api/notices/tenant:nobody/resend", &json!({})).await.status, 404);
    deaf.usually(Answers::Status(204));
    assert_eq!(operator.post("/api/notices/tenant:acme/resend", &json!({})).await.ok().json(), json!({ "resent": 1 }));
    deaf.heard(9).await;
    let by_id = format!("/api/notices/{}/resend", dead_of("rival")["id"].as_str().unwrap());
    assert_eq!(operator.post(&by_id, &json!({})).await.ok().json(), json!({ "resent": 1 }));
    gone.heard(2).await;
    eventually("it is dead again", || world.number(&dead("rival")) == 1).await;

    gone.usually(Answers::Status(500));
    world.tenant("guest").made(&json!({ "prompt": "a whale" })).await;
    gone.heard(3).await;
    let [route, acme, rival, _] = policy;
    world.edit_policy(&[route, acme, rival, tenant("guest", "")]).await;
    world.gateway().turn_clock(HOUR);
    eventually("whom the policy tells nothing any more is given up", || world.number(&dead("guest")) == 1).await;
    gone.heard(3).await;
    world.end().await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_holds_up_nobody_elses() {
    let (slow, chatty, quick) = (Endpoint::open().await, Endpoint::open().await, Endpoint::open().await);
    slow.usually(Answers::Hangs);
    chatty.usually(Answers::Endlessly);
    let policy = [
        openai("openai", ""),
        tenant("acme", &slow.webhook(SECRET)),
        tenant("rival", &chatty.webhook(SECRET)),
        tenant("guest", &quick.webhook(SECRET)),
    ];
    let world = World::start(&policy).await;
    for _ in 0..12 {
        world.tenant("acme").made(&json!({ "prompt": "a whale" })).await;
    }
    world.tenant("rival").made(&json!({ "prompt": "a whale" })).await;
    let begun = Instant::now();
    for _ in 0..6 {
        world.tenant("guest").made(&json!({ "prompt": "a whale" })).await;
    }
    quick.heard(6).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    eventually("what goes on for ever after the head was taken", || {
        world.number("SELECT count(*) FROM notices WHERE addressee = 'tenant:rival' AND sent_at_ms IS NOT NULL") == 1
    })
    .await;
    assert_eq!(slow.told().len(), 4, "a few at a time");
    world.end().await;
}

#[tokio::test]
async fn a_tenant_is_warned_of_its_budget_once_for_each_mark_and_told_when_it_is_used_up() {
    let endpoint = Endpoint::open().await;
    let more = format!("budget = {{ cap = \"2.00\", warn = [50, 80] }}\n{}", endpoint.webhook(SECRET));
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", &more)]).await;
    let acme = world.tenant("acme");
    for _ in 0..2 {
        acme.ordered(&json!({ "prompt": "a whale" })).await;
    }
    assert_eq!(world.number("SELECT count(*) FROM notices"), 0, "40 % are no news");
    acme.ordered(&json!({ "prompt": "a whale" })).await;
    let event = endpoint.heard(1).await.remove(0).json();
    assert_eq!((&event["type"], &event["data"]["percent"], &event["data"]["cap"]), (&json!("budget.warning"), &json!(50), &json!("2.00")));
    let period = event["data"]["period"].as_str().unwrap();
    assert!(period.starts_with("month:") && event["data"]["id"] == format!("{period}/50"), "{event}");
    acme.ordered(&json!({ "prompt": "a whale" })).await;
    endpoint.heard(2).await;

    for _ in 0..20 {
        assert_eq!(acme.wish(&json!({ "prompt": "a whale", "seconds": "8" })).await.status, 429);
    }
    endpoint.heard(3).await;
    acme.ordered(&json!({ "prompt": "a whale" })).await;
    assert_eq!(acme.wish(&json!({ "prompt": "a whale" })).await.status, 429);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let told = endpoint.heard(3).await;
    assert_eq!(types(&told), BTreeMap::from([("budget.exhausted".to_owned(), 1), ("budget.warning".to_owned(), 2)]));

    world.edit_policy(&[openai("openai", ""), tenant("acme", &more.replace("2.00", "4.00"))]).await;
    acme.ordered(&json!({ "prompt": "a whale" })).await;
    let event = endpoint.heard(4).await.remove(3).json();
    assert_eq!((&event["data"]["percent"], &event["data"]["cap"]), (&json!(50), &json!("4.00")), "a raised cap is another one");
    world.end().await;
}

#[tokio::test]
async fn an_address_inside_is_refused_once_its_name_is_resolved() {
    let hook = format!("webhook = {{ url = \"https://localhost/hooks\", secret = \"{SECRET}\" }}");
    let world = World::start(&[openai("openai", ""), tenant("acme", &hook)]).await;
    world.tenant("acme").made(&json!({ "prompt": "a whale" })).await;
    let mut why = String::new();
    eventually("it is refused", || {
        why = world.books().rows("SELECT last_error FROM notices").remove(0).remove(0);
        !why.is_empty()
    })
    .await;
    assert!(why.ends_with("is not a public address"), "{why}");
    world.end().await;
}
