//! Too much of something: of uploads that come to nothing, of clients that hang up, of a provider's refusals,
//! of edits while everybody spends. What others are promised holds all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use filmgate::simulator::{Faults, account_of};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::process::{Site, eventually};
use crate::world::{self, World, id, openai, tenant};

/// What is heard by who says that a large upload follows, and sends none of it.
async fn heard_before_its_upload(client: &Client) -> String {
    let head = "content-type: application/json\r\ncontent-length: 10000000\r\n\r\n";
    let request = client.spelled_out("POST", "/v1/videos", "", "").replacen("\r\n\r\n", &format!("\r\n{head}"), 1);
    let mut stream = client.send_only(request).await;
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut heard)).await;
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn who_has_no_room_is_told_so_before_its_upload_is_read() {
    let tenants = [("poor", "budget = { cap = \"0.75\" }"), ("busy", "limits = { in_flight = 1 }"), ("hasty", "limits = { rpm = 1 }")];
    let mut policy = vec![openai("openai", ""), tenant("rich", "")];
    policy.extend(tenants.map(|(name, more)| tenant(name, more)));
    let world = World::at_speed(1, &policy).await;
    for (name, _) in tenants {
        let keyed = world.tenant(name).client.with("idempotency-key", "first");
        let body = json!({ "prompt": "a whale", "n": 1 });
        let first = keyed.post("/v1/videos", &body).await.ok().json();

        let heard = heard_before_its_upload(&world.tenant(name).client).await;
        let code = match name {
            "poor" => "insufficient_quota",
            "busy" => "concurrency_limit_exceeded",
            _ => "rate_limit_exceeded",
        };
        assert!(heard.starts_with("HTTP/1.1 429 ") && heard.contains(code) && heard.contains("connection: close"), "{name}: {heard}");
        if name != "hasty" {
            // What was sent before is answered all the same, however large it is.
            let padded = format!("{body}{}", " ".repeat(100_000));
            let again = keyed.ask("POST", "/v1/videos", Some("application/json"), padded).await.unwrap().ok();
            assert_eq!((again.json()["id"].clone(), again.header("idempotent-replayed")), (first["id"].clone(), "true"));
        }
    }
    assert_eq!(heard_before_its_upload(&world.tenant("rich").client).await, "", "its body is waited for");
    assert_eq!(world.orders(), 3);
    world.end().await;
}

#[tokio::test]
async fn however_a_provider_refuses_no_wish_is_sent_to_it_twice() {
    let unlimited = tenant("acme", "budget = { cap = \"unlimited\" }");
    let world = World::start(&[openai("first", ""), openai("second", ""), unlimited]).await;
    world.misbehave(Faults { refuse_503: 400, accept_then_500: 300, accept_then_cut: 300, list_lag_ms: 600_000, ..Faults::default() });
    let mut clients = JoinSet::new();
    for number in 0..60 {
        let acme = world.tenant("acme");
        clients.spawn(async move { acme.wish(&json!({ "prompt": format!("{number} whales") })).await.ok().json() });
    }
    clients.join_all().await;
    assert_eq!(world.orders(), 60, "a 5xx and a cut line are no evidence that nobody was paid");
    assert_eq!(world.number("SELECT count(*) FROM attempts"), 60);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_hang_up_in_the_middle_leave_nothing_behind() {
    let site = Site::new(1_000, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    assert_eq!(acme.get("/v1/videos").await.status, 200);
    let files = || std::fs::read_dir(format!("/proc/{}/fd", gateway.process.id())).unwrap().count();
    let before = files();
    // Each says that 15 MB follow, for which room in memory is set aside.
    let head = "content-type: application/json\r\ncontent-length: 15000000\r\n\r\n{\"prompt\":";
    let request = acme.spelled_out("POST", "/v1/videos", "", "").replacen("\r\n\r\n", &format!("\r\n{head}"), 1);
    for _ in 0..50 {
        let mut together = Vec::new();
        for _ in 0..20 {
            together.push(acme.send_only(&request).await);
        }
    }
    eventually("their connections are closed", || files() <= before + 5).await;
    // Were their room not given back, there would be none for this.
    let whole = format!("{}{}", json!({ "prompt": "an owl" }), " ".repeat(15_000_000));
    let answer = acme.ask("POST", "/v1/videos", Some("application/json"), whole).await.unwrap().ok();
    assert_eq!(site.number("SELECT count(*) FROM jobs"), 1);
    assert_eq!(answer.json()["status"], "queued");
    site.until_quiet().await;
    site.settle_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_that_moves_while_everybody_spends_is_never_passed() {
    let policy = |cap: &str| [openai("openai", ""), tenant("acme", &format!("budget = {{ cap = \"{cap}\" }}"))];
    let world = World::start(&policy("2.00")).await;
    let (done, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for number in 0..8 {
        let (acme, done, accepted) = (world.tenant("acme"), done.clone(), accepted.clone());
        clients.spawn(async move {
            while !done.load(Ordering::SeqCst) {
                let answer = acme.wish(&json!({ "prompt": format!("{number} whales") })).await;
                assert!(answer.status == 200 || answer.refusal().contains("insufficient_quota"), "{answer:?}");
                accepted.fetch_add(usize::from(answer.status == 200), Ordering::SeqCst);
            }
        });
    }
    let over = "SELECT count(*) FROM balances WHERE held_microusd + spent_microusd > cap_microusd";
    for cap in ["2.00", "0.40", "3.10", "0.00", "4.40", "1.00"].iter().cycle().take(30) {
        world.edit_policy(&policy(cap)).await;
        for _ in 0..5 {
            assert_eq!(world.number(over), 0, "past the cap that was in force when it was held");
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    }
    assert!(world.held("tenant:acme") + world.spent("tenant:acme") <= 4_400_000);
    world.edit_policy(&policy("6.00")).await;
    world::eventually("the cap is reached exactly", || accepted.load(Ordering::SeqCst) == 15).await;
    done.store(true, Ordering::SeqCst);
    clients.join_all().await;
    assert_eq!(accepted.load(Ordering::SeqCst), 15);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_of_one_tenants_clip_is_in_anothers() {
    let mut policy = Vec::new();
    for name in ["acme", "rival"] {
        // Each with an account of its own, so that the provider's watermark tells whose a clip is.
        policy.push(openai(name, ""));
        policy.push(tenant(name, ""));
        policy.push(format!("[[rules]]\nwhen = {{ tenant = \"{name}\" }}\nroutes = [\"{name}\"]"));
    }
    let world = World::start(&policy).await;
    let mut clients = JoinSet::new();
    for number in 0..24 {
        let name = ["acme", "rival"][number % 2];
        let someone = world.tenant(name);
        clients.spawn(async move {
            let video = someone.made(&json!({ "prompt": "the very same whale" })).await;
            let clip = someone.get(&format!("/v1/videos/{}/content", id(&video))).await.ok().body;
            (name, id(&video).to_owned(), clip)
        });
    }
    let clips = clients.join_all().await;
    let says = |clip: &[u8], mark: &str| clip.windows(mark.len()).any(|window| window == mark.as_bytes());
    for (name, video, clip) in &clips {
        let upstream_id = &world.books().rows(&format!("SELECT upstream_id FROM jobs WHERE id = '{video}'"))[0][0];
        let mark = format!("filmgate-simulator {} {upstream_id}", account_of(&format!("sk-test-{name}")));
        assert!(says(clip, &mark), "{video} is not {mark}");
        let other = if *name == "acme" { "rival" } else { "acme" };
        assert!(!says(clip, &account_of(&format!("sk-test-{other}"))), "{video} of {name} has bytes of {other}");
    }
    world.end().await;
}
