//! A backup that is restored: what was bought since is found, and nothing is bought until a person has looked.

use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Gateway, Site, eventually};
use crate::world::{id, openai, tenant};

/// Long enough for every clip.
const A_WHILE: Duration = Duration::from_secs(600);

async fn order(gateway: &Gateway, seconds: &str) -> Value {
    gateway.tenant("acme").post("/v1/videos", &json!({ "prompt": "a whale", "seconds": seconds })).await.ok().json()
}

async fn status(gateway: &Gateway, video: &Value) -> String {
    let video = gateway.tenant("acme").get(&format!("/v1/videos/{}", id(video))).await.ok().json();
    video["status"].as_str().unwrap().to_owned()
}

/// What `filmgate` says and how it exits, run beside the gateway.
fn filmgate(site: &Site, gateway: &Gateway, args: &[&str]) -> (Option<i32>, String) {
    let (config, admin) = (site.policy_file().display().to_string(), gateway.admin.to_string());
    let all: Vec<&str> = args.iter().copied().chain(["--config", &config, "--admin", &admin]).collect();
    let Output { status, stdout, stderr } = site.run(&all);
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

async fn stop(gateway: Gateway) {
    gateway.process.signal("TERM");
    let ended = gateway.process.ends_within(Duration::from_secs(30)).await;
    assert!(ended.is_some_and(|status| status.success()), "{}", gateway.process.log());
}

/// Puts the backup where the books are, as the README says.
fn restore(site: &Site, backup: &str) {
    for suffix in ["-wal", "-shm"] {
        // Gone already if the gateway stopped in order.
        let _ = std::fs::remove_file(site.path(&format!("books/books.db{suffix}")));
    }
    std::fs::copy(site.path(backup), site.path("books/books.db")).unwrap();
}

/// On several threads: the provider has to answer while a command runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_buys_nothing_until_somebody_has_looked() {
    let site = Site::new(1, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    let made = order(&gateway, "4").await;
    site.simulator.turn_clock(A_WHILE);
    site.until_quiet().await;
    let running = order(&gateway, "12").await;
    site.books().execute("VACUUM INTO ?1", [site.path("backup.db").to_str().unwrap()]).unwrap();
    let lost = [order(&gateway, "4").await, order(&gateway, "8").await];
    stop(gateway).await;

    restore(&site, "backup.db");
    let gateway = site.gateway().await;
    let refused = gateway.tenant("acme").post("/v1/videos", &json!({ "prompt": "a whale" })).await;
    assert_eq!(refused.refusal(), "503 reconciling -");
    assert_eq!((refused.header("x-should-retry"), refused.header("retry-after")), ("false", "60"));
    assert!(gateway.operator().get("/readyz").await.ok().text().contains("reconciling"));
    assert!(gateway.operator().get("/metrics").await.ok().text().contains("\nfilmgate_reconciling 1\n"));
    assert_eq!(status(&gateway, &made).await, "completed");
    let clip = gateway.tenant("acme").get(&format!("/v1/videos/{}/content", id(&made))).await.ok();
    assert_eq!(&clip.body[4..8], b"ftyp", "what is known can be had");
    for video in &lost {
        assert_eq!(gateway.tenant("acme").get(&format!("/v1/videos/{}", id(video))).await.status, 404, "nobody here knows it");
    }
    let suspense = "SELECT coalesce(sum(amount_microusd), 0) FROM ledger WHERE job_id IS NULL";
    eventually("what was bought since is in suspense", || site.number(suspense) == 1_200_000).await;

    stop(gateway).await;
    let gateway = site.gateway().await;
    let again = gateway.tenant("acme").post("/v1/videos", &json!({ "prompt": "a whale" })).await;
    assert_eq!(again.refusal(), "503 reconciling -", "a restart does not forget");
    site.simulator.turn_clock(A_WHILE);
    site.until_quiet().await;
    assert_eq!(status(&gateway, &running).await, "completed", "what was known is followed to its end");
    let spent = site.number("SELECT sum(spent_microusd) FROM balances WHERE account = 'gateway'");
    assert_eq!(site.simulator.bill().total_microusd, spent + site.number(suspense), "the bill is books and suspense");
    assert_eq!(site.simulator.bill().jobs.len(), 4, "nothing was bought meanwhile");

    let (code, told) = filmgate(&site, &gateway, &["reconcile"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("In suspense: 1.20") && told.contains("reconcile --done"), "{told}");
    let (code, told) = filmgate(&site, &gateway, &["reconcile", "--done"]);
    assert_eq!(code, Some(0), "{told}");
    let mut taken = gateway.tenant("acme").post("/v1/videos", &json!({ "prompt": "a whale" })).await;
    for _ in 0..200 {
        if taken.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        taken = gateway.tenant("acme").post("/v1/videos", &json!({ "prompt": "a whale" })).await;
    }
    taken.ok();

    site.simulator.turn_clock(A_WHILE);
    site.until_quiet().await;
    for job in &site.simulator.bill().jobs[2..4] {
        let (code, told) =
            filmgate(&site, &gateway, &["suspense", "explain", "openai", &job.upstream_id, "--note", "sold before the crash"]);
        assert_eq!(code, Some(0), "{told}");
    }
    let (code, told) = filmgate(&site, &gateway, &["reconcile", "--since", "1h"]);
    assert_eq!(code, Some(0), "{told}");
    stop(gateway).await;
    let gateway = site.gateway().await;
    order(&gateway, "4").await;
}

/// After a crash there is no telling a backup from books that lost their log: a person says which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_a_backup_is_started_by_saying_that_it_is_one() {
    let site = Site::new(1_000, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    order(&gateway, "4").await;
    site.until_quiet().await;
    site.books().execute("VACUUM INTO ?1", [site.path("backup.db").to_str().unwrap()]).unwrap();
    order(&gateway, "8").await;
    gateway.process.kill();
    restore(&site, "backup.db");
    let config = site.policy_file().display().to_string();
    let told = site.run(&["serve", "--config", &config, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert!(String::from_utf8_lossy(&told.stderr).contains("--reconcile-only"), "{told:?}");

    let mut serve = site.serve();
    serve.push("--reconcile-only".to_owned());
    let gateway = site.gateway_of(&serve).await;
    eventually("it is in suspense", || site.number("SELECT count(*) FROM ledger WHERE kind = 'suspense'") == 1).await;
    let (code, told) = filmgate(&site, &gateway, &["reconcile", "--json"]);
    let report: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &report["suspense_total"]), (Some(1), &json!("0.80")));
}

/// A provider's bill beside the books.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bill_is_compared_line_by_line() {
    let site = Site::new(1_000, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    for seconds in ["4", "8", "12"] {
        order(&gateway, seconds).await;
    }
    site.until_quiet().await;
    let ids: Vec<String> = site.simulator.bill().jobs.iter().map(|job| job.upstream_id.clone()).collect();
    let file = site.path("bill.csv").display().to_string();
    let against = |bill: String, more: &[&str]| {
        std::fs::write(site.path("bill.csv"), bill).unwrap();
        let args: Vec<&str> =
            ["reconcile", "--route", "openai", "--json", "--bill", &file].into_iter().chain(more.iter().copied()).collect();
        let (code, told) = filmgate(&site, &gateway, &args);
        let report: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}"));
        (code, report)
    };
    let whole = format!("upstream_id,amount\n{},0.40\n{},0.80\n{},1.20\n", ids[0], ids[1], ids[2]);
    assert_eq!(against(whole, &[]).0, Some(0));

    let twice = format!("upstream_id,amount\n{0},0.40\n{0},0.40\n{1},0.80\nvideo_ghost,5.00\n", ids[0], ids[1]);
    let (code, report) = against(twice.clone(), &[]);
    let route = &report["routes"][0];
    assert_eq!(code, Some(1));
    assert_eq!((&route["orphans"][0]["upstream_id"], &route["orphans"][0]["amount"]), (&json!("video_ghost"), &json!("5.00")));
    assert_eq!((&route["differing"][0]["upstream_id"], &route["differing"][0]["why"]), (&json!(ids[0]), &json!("the bill says 0.80")));
    assert_eq!(route["unbilled"][0]["upstream_id"], json!(ids[2]));
    assert_eq!(report["suspense_total"], "0.00", "nothing is written unless it is asked for");
    assert_eq!(against(twice, &["--write"]).1["suspense_total"], "5.00");
    assert_eq!(filmgate(&site, &gateway, &["reconcile"]).0, Some(1), "it stays until it is explained");
}
