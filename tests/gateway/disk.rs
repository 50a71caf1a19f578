//! A disk that is full: no money moves, everything else goes on, and it heals.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::client::{Answer, Client};
use crate::process::{Gateway, Process, Site};
use crate::world::{id, openai, tenant};

async fn order(acme: &Client) -> Answer {
    acme.post("/v1/videos", &json!({ "prompt": "a kite ".repeat(100), "seconds": "4" })).await
}

/// Orders until the disk is full; then nothing more is ordered, and reading goes on.
async fn fills_up(site: &Site, acme: &Client, first: &str) {
    let refused = loop {
        let answer = order(acme).await;
        if answer.status != 200 {
            break answer;
        }
    };
    let orders = || site.simulator.stats().count("create");
    let before = orders();
    assert_eq!(refused.refusal(), "503 ledger_unavailable -");
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|secs| (1..=60).contains(&secs)));
    for _ in 0..3 {
        assert_eq!(order(acme).await.refusal(), "503 ledger_unavailable -");
    }
    assert_eq!(orders(), before, "nothing is ordered that cannot be written down");
    let video = acme.get(&format!("/v1/videos/{first}")).await.ok().json();
    assert_eq!(video["status"], "completed");
    assert_eq!(&acme.get(&format!("/v1/videos/{first}/content")).await.ok().body[4..8], b"ftyp");
    assert_eq!(acme.get("/v1/videos?limit=5").await.status, 200);
}

async fn takes_orders_again(acme: &Client) {
    for _ in 0..100 {
        if order(acme).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    order(acme).await.ok();
}

/// With room again it takes orders, and the books are whole.
async fn heals(site: &Site, gateway: &Gateway) {
    takes_orders_again(&gateway.tenant("acme")).await;
    assert!(!gateway.process.has_ended());
    gateway.process.signal("TERM");
    let ended = gateway.process.ends_within(Duration::from_secs(20)).await;
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "{}", gateway.process.log());
    let again = site.gateway().await;
    // What could not be written down when it happened is found, and closed, now.
    let acme = again.tenant("acme");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    order(&acme).await.ok();
    site.until_quiet().await;
    site.settle_up();
}

const HASTY: &str = "submit_timeout = \"2s\"\nunknown = { grace = \"2s\" }";

async fn site() -> Site {
    Site::new(1_000, 0, &[openai("openai", HASTY), tenant("acme", "budget = { cap = \"unlimited\" }")]).await
}

async fn first_clip(site: &Site, gateway: &Gateway) -> String {
    let video = order(&gateway.tenant("acme")).await.ok().json();
    site.until_quiet().await;
    id(&video).to_owned()
}

#[tokio::test]
async fn at_its_limit_on_file_size_it_stays_alive_and_recovers() {
    let site = site().await;
    let limited = format!("ulimit -S -f 1024; exec {}", site.serve().join(" "));
    let gateway = site.gateway_of(&["bash".to_owned(), "-c".to_owned(), limited]).await;
    let first = first_clip(&site, &gateway).await;
    fills_up(&site, &gateway.tenant("acme"), &first).await;
    let lifted = Command::new("prlimit").args(["--fsize=unlimited:", "--pid", &gateway.process.id().to_string()]).status().unwrap();
    assert!(lifted.success());
    heals(&site, &gateway).await;
}

/// The books on a file system of a megabyte that only the gateway sees. Needs the right to mount.
#[tokio::test]
async fn on_a_full_disk_it_reads_on_and_recovers_when_there_is_room() {
    let may_mount = Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|output| output.status.success());
    if !may_mount {
        eprintln!("SKIPPED: this user may not mount");
        return;
    }
    let site = site().await;
    let books = site.path("books");
    let private = format!("mount -t tmpfs -o size=1024k none {} && exec {}", books.display(), site.serve().join(" "));
    let gateway = site.gateway_of(&["unshare", "-m", "sh", "-c", &private].map(str::to_owned)).await;
    let acme = gateway.tenant("acme");
    let first = order(&acme).await.ok().json();
    let first = id(&first);
    while acme.get(&format!("/v1/videos/{first}")).await.json()["status"] != "completed" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fills_up(&site, &acme, first).await;

    let pid = gateway.process.id().to_string();
    let grown =
        Command::new("nsenter").args(["-m", "-t", &pid, "mount", "-o", "remount,size=64m", &books.display().to_string()]).status().unwrap();
    assert!(grown.success());
    takes_orders_again(&acme).await;
    assert_eq!(gateway.operator().get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_second_gateway_on_the_same_books_refuses_to_start() {
    let site = site().await;
    let gateway = site.gateway().await;
    let second = Process::start(&site.serve());
    let ended = second.ends_within(Duration::from_secs(10)).await.expect("it ends");
    assert_eq!(ended.code(), Some(1));
    let log = second.log();
    assert!(log.contains("another gateway is running on this database") && log.contains("books.db"), "{log}");
    assert_eq!(order(&gateway.tenant("acme")).await.status, 200, "and the first one goes on");
}
