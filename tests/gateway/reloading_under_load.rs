//! Hundreds of edits of the policy file, in every way that files are edited, while clients go on.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::client::{Answer, Client};
use crate::process::Site;
use crate::world::{id, tenant};

const EDITS: usize = 500;
/// How many different files there are: each has one route of its own name, at a price of its own.
const KINDS: usize = 40;
const CLIENTS: usize = 4;

/// The parts of the file of that kind; tenants stand last, so that half a file may be a policy without them.
fn parts(kind: usize) -> [String; 2] {
    let route = format!(
        "[routes.r{kind}]\nprovider = \"openai\"\nbase_url = \"{{simulator}}/openai/v1\"\napi_key = \"sk-test-r{kind}\"\n\
         poll = {{ early = \"200ms\", late = \"200ms\" }}\n\
         [routes.r{kind}.models.sora-2]\nseconds = [4]\nprice = \"{}\"\n",
        per_second(kind)
    );
    [route, tenant("acme", "budget = { cap = \"unlimited\" }\nshow_route = true")]
}

fn per_second(kind: usize) -> String {
    format!("0.{:03}", 100 + kind)
}

/// What 4 s cost on a route, micro-dollars.
fn price_of(route: &str) -> i64 {
    let kind: i64 = route.strip_prefix('r').and_then(|kind| kind.parse().ok()).unwrap_or_else(|| panic!("no route is called {route:?}"));
    (100 + kind) * 4_000
}

/// An answer was decided by one file: its route and its price belong together.
fn assert_of_one_file(answer: &Answer) {
    let (route, cost) = (answer.header("filmgate-route"), answer.header("filmgate-cost"));
    let microusd = (cost.parse::<f64>().unwrap() * 1_000_000.0).round() as i64;
    assert_eq!(microusd, price_of(route), "{route} at {cost}");
}

/// Orders and asks until told to stop; how many clips it ordered.
async fn keep_ordering(acme: Client, done: Arc<AtomicBool>, requests: Arc<AtomicUsize>) -> usize {
    let mut ordered = 0;
    while !done.load(Ordering::SeqCst) {
        let answer = acme.post("/v1/videos", &json!({ "prompt": "a kite", "seconds": "4" })).await.ok();
        assert_of_one_file(&answer);
        let video = answer.json();
        for path in [format!("/v1/videos/{}", id(&video)), "/v1/videos?limit=2".to_owned(), "/v1/models".to_owned()] {
            acme.get(&path).await.ok();
        }
        ordered += 1;
        requests.fetch_add(4, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ordered
}

/// Puts the text there, in one of the ways that editors, tools and orchestrators do.
async fn edit(site: &Site, number: usize, text: &str) {
    let file = site.policy_file();
    match number % 3 {
        0 => {
            let beside = site.path("gateway.toml.new");
            std::fs::write(&beside, text).unwrap();
            std::fs::rename(beside, file).unwrap();
        }
        1 => in_place(&file, text).await,
        _ => {
            let version = site.path(&format!("version-{number}.toml"));
            std::fs::write(&version, text).unwrap();
            let link = site.path("gateway.toml.link");
            std::os::unix::fs::symlink(version, &link).unwrap();
            std::fs::rename(link, file).unwrap();
        }
    }
}

/// In three pieces, with time to look in between.
async fn in_place(file: &Path, text: &str) {
    // The tenants are in the last third.
    let tenants = text.find("[tenants").unwrap_or(text.len());
    let mut file = File::create(file).unwrap();
    for (from, to) in [(0, tenants / 2), (tenants / 2, tenants), (tenants, text.len())] {
        file.write_all(&text.as_bytes()[from..to]).unwrap();
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_edits_fail_no_request_and_mix_no_decision() {
    let site = Site::new(1_000, 0, &parts(0)).await;
    let gateway = site.gateway().await;
    let (done, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(keep_ordering(gateway.tenant("acme"), done.clone(), requests.clone()));
    }

    let operator = gateway.operator().with("x-filmgate-admin", "1");
    let (mut taken, mut refused) = (0, 0);
    for number in 1..=EDITS {
        let text = site.policy(&parts(number % KINDS));
        let broken = number % 10 == 0;
        let text = if broken { text.replace("provider = \"openai\"", "provider = \"opnai\"") } else { text };
        edit(&site, number, &text).await;
        let answer = operator.post("/api/reload", &json!({})).await;
        match answer.status {
            200 => taken += 1,
            422 => refused += 1,
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!((taken, refused), (EDITS - EDITS / 10, EDITS / 10));
    done.store(true, Ordering::SeqCst);
    let ordered: usize = clients.join_all().await.into_iter().sum();
    assert!(ordered > EDITS / 5, "{ordered} clips were ordered meanwhile");
    assert!(requests.load(Ordering::SeqCst) >= ordered * 4);

    site.until_quiet().await;
    let books = site.books();
    let mut jobs = books.prepare("SELECT route, price_microusd, ceiling_microusd FROM jobs").unwrap();
    let jobs = jobs.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let jobs: Vec<(String, i64, i64)> = jobs.map(Result::unwrap).collect();
    assert_eq!(jobs.len(), ordered);
    for (route, price, ceiling) in jobs {
        assert_eq!((price, ceiling), (price_of(&route), price_of(&route)), "{route}");
    }
    assert_eq!(gateway.operator().get("/readyz").await.status, 200);
}

#[tokio::test]
async fn half_a_file_is_not_a_policy_even_if_it_could_be_one() {
    let site = Site::new(1_000, 0, &parts(0)).await;
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    let text = site.policy(&parts(1));
    for _ in 0..20 {
        in_place(&site.policy_file(), &text).await;
        assert_eq!(acme.get("/v1/models").await.status, 200);
    }
    // And it is followed once it stands still.
    let took = std::time::Instant::now();
    loop {
        let answer = acme.post("/v1/videos", &json!({ "prompt": "a kite", "seconds": "4" })).await.ok();
        assert_of_one_file(&answer);
        if answer.header("filmgate-route") == "r1" {
            break;
        }
        assert!(took.elapsed() < Duration::from_secs(2), "the edit is not followed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
