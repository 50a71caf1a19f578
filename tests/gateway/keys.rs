//! `Idempotency-Key`, row by row of what it promises: one clip for each key, and the first answer for ever.

use std::time::{Duration, Instant};

use filmgate::simulator::{Fault, Faults};
use futures_util::future::join_all;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::client::Answer;
use crate::process::Site;
use crate::world::{Tenant, World, openai, tenant};

async fn world() -> World {
    World::start(&[openai("studio", ""), tenant("acme", ""), tenant("other", "")]).await
}

fn wish() -> Value {
    json!({ "prompt": "a whale", "seconds": "4" })
}

async fn keyed(tenant: &Tenant, key: &str, wish: &Value) -> Answer {
    tenant.client.with("idempotency-key", key).post("/v1/videos", wish).await
}

fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_first_answer_is_given_again_word_for_word() {
    let mut world = world().await;
    let acme = world.tenant("acme");
    let first = keyed(&acme, "mine", &wish()).await;
    assert_eq!(first.header("idempotent-replayed"), "");
    let is_replayed = |again: &Answer| {
        assert_eq!((again.status, again.header("idempotent-replayed")), (200, "true"));
        assert_eq!(again.body, first.body);
    };
    is_replayed(&keyed(&acme, "mine", &wish()).await);
    acme.ended(&id(&first)).await;
    is_replayed(&keyed(&acme, "mine", &wish()).await);

    world.turn_clock(Duration::from_secs(31 * 86_400));
    world.restart().await;
    let acme = world.tenant("acme");
    is_replayed(&keyed(&acme, "mine", &wish()).await);
    assert_eq!(acme.client.delete(&format!("/v1/videos/{}", id(&first))).await.status, 200);
    is_replayed(&keyed(&acme, "mine", &wish()).await);
    assert_eq!(world.orders(), 1, "a clip that was deleted has been paid for all the same");
    world.end().await;
}

#[tokio::test]
async fn a_form_is_the_same_wish_whatever_its_boundary_and_file_names() {
    let world = world().await;
    let acme = world.tenant("acme").client.with("idempotency-key", "a-form");
    let picture =
        [&[0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13][..], b"IHDR", &720_u32.to_be_bytes(), &1280_u32.to_be_bytes()].concat();
    let form = |fence: &str, name: &str, tail: &[u8]| {
        let head = format!(
            "--{fence}\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na whale\r\n--{fence}\r\nContent-Disposition: \
             form-data; name=\"input_reference\"; filename=\"{name}\"\r\nContent-Type: image/png\r\n\r\n"
        );
        (
            format!("multipart/form-data; boundary={fence}"),
            [head.as_bytes(), &picture, tail, format!("\r\n--{fence}--\r\n").as_bytes()].concat(),
        )
    };
    let post = async |(media_type, body): (String, Vec<u8>)| acme.ask("POST", "/v1/videos", Some(&media_type), body).await.unwrap();
    let first = id(&post(form("one", "whale.png", b"")).await);
    assert_eq!(id(&post(form("another", "copy of whale.png", b"")).await), first);
    assert_eq!(post(form("one", "whale.png", b"!")).await.refusal(), "422 idempotency_key_reused -");
    world.end().await;
}

#[tokio::test]
async fn a_sending_waits_for_the_one_before_it_and_then_says_what_is_known() {
    let world = world().await;
    let acme = world.tenant("acme");
    world.misbehave(Faults { delay_ms: 700, ..Faults::default() });
    let wish = wish();
    let all = join_all((0..10).map(|_| keyed(&acme, "at-once", &wish))).await;
    let first = id(&all[0]);
    assert!(all.iter().all(|answer| id(answer) == first), "{all:?}");
    assert_eq!(all.iter().filter(|answer| answer.header("idempotent-replayed") == "true").count(), 9);

    world.misbehave(Faults { delay_ms: 4_000, ..Faults::default() });
    let mut slow = JoinSet::new();
    slow.spawn({
        let (acme, wish) = (acme.clone(), wish.clone());
        async move { id(&keyed(&acme, "slow", &wish).await) }
    });
    crate::world::eventually("it is being sent", || world.jobs_in("submitting") == 1).await;
    let began = Instant::now();
    let second = keyed(&acme, "slow", &wish).await;
    assert!(began.elapsed() < Duration::from_millis(3_800), "two seconds are enough: {:?}", began.elapsed());
    assert_eq!((second.json()["status"].as_str(), second.header("idempotent-replayed")), (Some("queued"), "true"));
    assert_eq!(slow.join_all().await, [id(&second)]);
    assert_eq!(world.orders(), 2);
    world.end().await;
}

#[tokio::test]
async fn what_ended_without_a_hold_may_be_tried_again() {
    let world = World::start(&[openai("studio", ""), tenant("acme", ""), tenant("poor", "budget = { cap = \"0.10\" }")]).await;
    let acme = world.tenant("acme");
    assert_eq!(keyed(&acme, "mine", &json!({ "prompt": "a whale [moderation]" })).await.refusal(), "400 moderation_blocked -");
    assert_eq!(keyed(&acme, "mine", &json!({ "prompt": "a whale", "seconds": "7" })).await.refusal(), "400 invalid_value seconds");
    world.misbehave(Faults { script: [Fault::Refuse(429), Fault::Refuse(401)].into(), ..Faults::default() });
    assert_eq!(keyed(&acme, "mine", &wish()).await.refusal(), "429 rate_limit_exceeded -");
    assert_eq!(keyed(&acme, "mine", &wish()).await.refusal(), "503 no_route_available -");
    let made = id(&keyed(&acme, "mine", &wish()).await);
    acme.ended(&made).await;

    let poor = world.tenant("poor");
    assert_eq!(keyed(&poor, "mine", &wish()).await.refusal(), "429 insufficient_quota -");
    let richer = tenant("poor", "budget = { cap = \"1.00\" }");
    world.edit_policy(&[openai("studio", ""), tenant("acme", ""), richer]).await;
    id(&keyed(&poor, "mine", &wish()).await);
    world.end().await;
}

#[tokio::test]
async fn a_failed_clip_keeps_its_key() {
    let world = world().await;
    let acme = world.tenant("acme");
    let failing = json!({ "prompt": "a whale [fail]" });
    let first = keyed(&acme, "mine", &failing).await;
    assert_eq!(acme.ended(&id(&first)).await["status"], "failed");
    assert_eq!(keyed(&acme, "mine", &failing).await.body, first.body, "a new generation needs a new key");
    world.end().await;
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let world = world().await;
    let acme = world.tenant("acme");
    for bad in ["", "\"\"", "a b", &"k".repeat(256)] {
        assert_eq!(keyed(&acme, bad, &wish()).await.refusal(), "400 invalid_idempotency_key -", "{bad:?}");
    }
    let twice = Tenant { client: acme.client.with("idempotency-key", "a") };
    assert_eq!(keyed(&twice, "a", &wish()).await.refusal(), "400 invalid_idempotency_key -");
    let request = acme.client.spelled_out("POST", "/v1/videos", "application/json", &wish().to_string());
    let spoilt = acme.client.raw(request.replace("\r\n\r\n", "\r\nidempotency-key: a\u{1}b\r\n\r\n")).await;
    assert!(spoilt.starts_with("HTTP/1.1 400"), "{spoilt}");
    assert_eq!(world.orders(), 0);
    world.end().await;
}

#[tokio::test]
async fn policy_may_ask_for_a_key_and_may_do_without_guessing() {
    let strict = tenant("acme", "require_idempotency_key = true");
    let world = World::start(&[openai("studio", ""), strict, tenant("other", "claim_resends = false")]).await;
    let (acme, other) = (world.tenant("acme"), world.tenant("other"));
    assert_eq!(acme.wish(&wish()).await.refusal(), "400 idempotency_key_required -");
    assert_eq!(acme.client.post("/v1/videos/edits", &json!({})).await.refusal(), "400 idempotency_key_required -");
    assert_eq!(acme.get("/v1/videos").await.status, 200, "what costs nothing needs none");
    id(&keyed(&acme, "mine", &wish()).await);

    let resent = async |count: &str| id(&other.client.with("x-stainless-retry-count", count).post("/v1/videos", &wish()).await);
    assert_ne!(resent("0").await, resent("1").await);
    assert_eq!(world.orders(), 3);
    world.end().await;
}

#[tokio::test]
async fn a_job_that_died_between_two_routes_is_gone_on_with_by_its_next_sending() {
    let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let policy = [openai("openai", ""), tenant("acme", "")];
    let site = Site::new(1_000, 0, &policy).await;
    let nowhere = policy[0].replace("{simulator}", &format!("http://{}", hole.local_addr().unwrap()));
    std::fs::write(site.policy_file(), site.policy(&[nowhere, policy[1].clone()])).unwrap();

    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme").with("idempotency-key", "mine");
    let mut lost = JoinSet::new();
    lost.spawn(async move { acme.ask("POST", "/v1/videos", Some("application/json"), wish().to_string()).await });
    let _waiting = hole.accept().await.unwrap();
    gateway.process.kill();
    assert!(lost.join_all().await[0].is_err());
    // Left open, because whoever closes the books last folds their log in.
    let _books = turned_away(&site);
    std::fs::write(site.policy_file(), site.policy(&policy)).unwrap();

    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    assert_eq!(site.simulator.stats().count("create"), 0, "nobody knows its id, so nobody sends it");
    let again = acme.with("idempotency-key", "mine").post("/v1/videos", &wish()).await;
    assert_eq!(id(&again), site.books().query_row("SELECT id FROM jobs", [], |row| row.get::<_, String>(0)).unwrap());
    site.until_quiet().await;
    assert_eq!(acme.get(&format!("/v1/videos/{}", id(&again))).await.json()["status"], "completed");
    assert_eq!(site.number("SELECT count(*) FROM attempts"), 2);
    site.settle_up();
}

/// Makes of the one attempt that is under way one whose route said no, as the store writes that.
fn turned_away(site: &Site) -> Connection {
    let books = Connection::open(site.path("books/books.db")).unwrap();
    let edit = "UPDATE jobs SET state = 'reserved', version = version + 1 WHERE state = 'submitting';
        UPDATE attempts SET outcome = 'turned_away';
        UPDATE in_flight SET jobs = 0 WHERE account = 'route:openai';
        UPDATE balances SET held_microusd = 0 WHERE account = 'route:openai';
        DELETE FROM bookings WHERE account = 'route:openai';";
    books.execute_batch(edit).unwrap();
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'reserved'"), 1);
    books
}
