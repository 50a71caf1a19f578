//! A disk that is full, read-only or broken: no money moves that could not be written down, everything else
//! goes on as far as it can, and it heals.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Answer, Client};
use crate::power::{cut, remembering};
use crate::process::{BINARY, Gateway, Process, Site, eventually};
use crate::world::{id, key_of, openai, tenant};

async fn order(acme: &Client) -> Answer {
    acme.post("/v1/videos", &json!({ "prompt": "a kite ".repeat(100), "seconds": "4" })).await
}

/// Orders until the disk is full; then nothing more is ordered, and reading goes on.
async fn fills_up(site: &Site, gateway: &Gateway, first: &str) {
    let acme = &gateway.tenant("acme");
    assert_eq!(store_up(gateway).await, "1");
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
    assert_eq!(store_up(gateway).await, "0");
    let video = acme.get(&format!("/v1/videos/{first}")).await.ok().json();
    assert_eq!(video["status"], "completed");
    assert_eq!(&acme.get(&format!("/v1/videos/{first}/content")).await.ok().body[4..8], b"ftyp");
    assert_eq!(acme.get("/v1/videos?limit=5").await.status, 200);
}

async fn takes_orders_again(gateway: &Gateway) {
    let acme = gateway.tenant("acme");
    for _ in 0..100 {
        if order(&acme).await.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    order(&acme).await.ok();
    let began = Instant::now();
    while store_up(gateway).await != "1" {
        assert!(began.elapsed() < Duration::from_secs(30), "operators are still told that it does not take writes");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What operators are told.
async fn store_up(gateway: &Gateway) -> String {
    let metrics = gateway.operator().get("/metrics").await;
    metrics.text().lines().find_map(|line| line.strip_prefix("filmgate_store_up ")).unwrap().to_owned()
}

/// With room again it takes orders, and the books are whole.
async fn heals(site: &Site, gateway: &Gateway) {
    takes_orders_again(gateway).await;
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
    fills_up(&site, &gateway, &first).await;
    let lifted = Command::new("prlimit").args(["--fsize=unlimited:", "--pid", &gateway.process.id().to_string()]).status().unwrap();
    assert!(lifted.success());
    heals(&site, &gateway).await;
}

/// The books on a file system of a megabyte that only the gateway sees. Needs the right to mount.
#[tokio::test]
async fn on_a_full_disk_it_reads_on_and_recovers_when_there_is_room() {
    if !may_mount() {
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
    fills_up(&site, &gateway, first).await;

    let pid = gateway.process.id().to_string();
    let grown =
        Command::new("nsenter").args(["-m", "-t", &pid, "mount", "-o", "remount,size=64m", &books.display().to_string()]).status().unwrap();
    assert!(grown.success());
    takes_orders_again(&gateway).await;
    assert_eq!(gateway.operator().get("/readyz").await.status, 200);
}

fn may_mount() -> bool {
    let may = Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("SKIPPED: this user may not mount");
    }
    may
}

#[tokio::test]
async fn on_a_read_only_disk_it_does_not_start_and_says_why() {
    if !may_mount() {
        return;
    }
    let site = site().await;
    drop(site.gateway().await);
    let books = site.path("books").display().to_string();
    let private = format!("mount --bind {books} {books} && mount -o remount,bind,ro {books} && exec {}", site.serve().join(" "));
    let refused = Process::start(&["unshare", "-m", "sh", "-c", &private].map(str::to_owned));
    let ended = refused.ends_within(Duration::from_secs(20)).await.expect("it ends");
    assert_eq!(ended.code(), Some(1));
    let log = refused.log();
    assert!(log.contains("books.db") && log.contains("Read-only file system"), "{log}");
    let again = site.gateway().await;
    order(&again.tenant("acme")).await.ok();
}

/// A disk that did not keep what it was given cannot be asked again: only a start tells what is there.
async fn ends_when_it_cannot_sync(files: &str) {
    let site = site().await;
    let gateway = site.gateway_of(&[remembering(&site), site.serve()].concat()).await;
    let first = first_clip(&site, &gateway).await;
    let broken = site.path("unsynced.fail");
    std::fs::write(&broken, files).unwrap();
    let acme = gateway.tenant("acme");
    let wish = json!({ "prompt": "a kite ".repeat(4_000), "seconds": "4" }).to_string();
    for _ in 0..500 {
        if gateway.process.has_ended() {
            break;
        }
        // Whoever is cut off here finds the job, or makes it, with the next gateway.
        let _ = acme.ask("POST", "/v1/videos", Some("application/json"), wish.clone()).await;
    }
    let ended = gateway.process.ends_within(Duration::from_secs(10)).await;
    assert_eq!(ended.and_then(|status| status.code()), Some(1), "{}", gateway.process.log());
    eventually("it has said why", || gateway.process.log().contains("the disk did not keep what was written")).await;

    cut(&site);
    std::fs::remove_file(broken).unwrap();
    let again = site.gateway().await;
    let acme = again.tenant("acme");
    assert_eq!(acme.get(&format!("/v1/videos/{first}")).await.ok().json()["status"], "completed");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    order(&acme).await.ok();
    site.until_quiet().await;
    site.settle_up();
}

#[tokio::test]
async fn it_ends_when_what_it_committed_cannot_be_synced() {
    ends_when_it_cannot_sync("-wal").await;
}

#[tokio::test]
async fn it_ends_when_what_it_folds_into_the_database_cannot_be_synced() {
    ends_when_it_cannot_sync(".db").await;
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_no_reason_to_stop() {
    let site = site().await;
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (address, admin) = (free(), free());
    let config = site.policy_file().display().to_string();
    let script = format!("exec {BINARY} serve --config {config} --listen {address} --admin {admin} 2>/dev/full");
    let process = Process::start(&["sh", "-c", &script].map(str::to_owned));
    let acme = Client::new(address).bearer(&key_of("acme"));
    let began = Instant::now();
    while acme.ask("GET", "/v1/videos", None, "").await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(30) && !process.has_ended(), "it does not serve");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    order(&acme).await.ok();
    site.until_quiet().await;
    site.settle_up();
    assert!(!process.has_ended());
}

/// Somebody reads for long, as a backup does: nobody waits for them, and the log is folded in afterwards.
#[tokio::test]
async fn a_long_look_at_the_books_keeps_nobody_waiting() {
    let site = site().await;
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    order(&acme).await.ok();
    let look = site.books();
    look.execute_batch("BEGIN; SELECT count(*) FROM jobs").unwrap();
    let wish = json!({ "prompt": "a kite ".repeat(4_000), "seconds": "4" });
    let log = || std::fs::metadata(site.path("books/books.db-wal")).unwrap().len();
    let began = Instant::now();
    while log() < 12 << 20 {
        acme.post("/v1/videos", &wish).await.ok();
        assert!(began.elapsed() < Duration::from_secs(60), "the log has {} bytes", log());
    }
    assert_eq!(look.query_row("SELECT count(*) FROM jobs", [], |row| row.get::<_, i64>(0)), Ok(1));
    drop(look);
    let mut sizes = Vec::new();
    for _ in 0..40 {
        acme.post("/v1/videos", &wish).await.ok();
        sizes.push(log());
    }
    assert_eq!(sizes[20], sizes[39], "the log goes on growing");
    site.until_quiet().await;
    site.settle_up();
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

/// Somebody removes the books of a gateway that runs: nothing more is bought that would be forgotten with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_that_are_removed_under_a_gateway_take_no_more_orders() {
    for what in ["books/books.db", "books/books.db-wal"] {
        let site = Site::new(1_000, 0, &[openai("studio", ""), tenant("acme", "")]).await;
        let gateway = site.gateway().await;
        let acme = gateway.tenant("acme");
        let video = order(&acme).await.ok().json();
        site.until_quiet().await;
        std::fs::rename(site.path(what), site.path("moved")).unwrap();
        for _ in 0..3 {
            assert_eq!(order(&acme).await.refusal(), "503 ledger_unavailable -", "{what}");
        }
        assert_eq!(site.simulator.bill().jobs.len(), 1);
        assert_eq!(store_up(&gateway).await, "0");
        assert!(gateway.process.log().contains("was removed or replaced while it was open"), "{}", gateway.process.log());
        assert_eq!(acme.get(&format!("/v1/videos/{}", id(&video))).await.status, 200, "what is known can be read");
        std::fs::rename(site.path("moved"), site.path(what)).unwrap();
        order(&acme).await.ok();
        site.until_quiet().await;
        site.settle_up();
    }
}
