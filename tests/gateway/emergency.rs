//! Books that fail between a paid reply and its being written down: the provider's id is not lost.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use filmgate::simulator::Faults;
use serde_json::json;
use tokio::task::JoinSet;

use crate::client::Answer;
use crate::process::{Gateway, Site, eventually};
use crate::world::{id, openai, tenant};

/// Nothing is ever found in a list that does not show it: what is known later, the journal told.
fn unlisted() -> Faults {
    Faults { delay_ms: 1_000, list_lag_ms: 3_600_000, ..Faults::default() }
}

async fn site() -> Site {
    Site::new(1_000, 0, &[openai("openai", ""), tenant("acme", ""), "[defaults]\nanswer_after = \"2s\"".to_owned()]).await
}

fn journal(site: &Site) -> PathBuf {
    site.path("books/books.emergency.jsonl")
}

/// No file of the gateway's may grow past so many bytes; what it has is longer already.
fn limit_files(gateway: &Gateway, bytes: &str) {
    let limited = Command::new("prlimit").args([&format!("--fsize={bytes}:"), "--pid", &gateway.process.id().to_string()]).status();
    assert!(limited.unwrap().success());
}

/// Orders a clip, and has the books fail while the provider makes up its answer.
async fn ordered_into_failing_books(site: &Site, gateway: &Gateway) -> Answer {
    let acme = gateway.tenant("acme");
    acme.post("/v1/videos", &json!({ "prompt": "a red kite", "seconds": "4" })).await.ok();
    site.until_quiet().await;
    site.simulator.set_faults(unlisted());
    let mut order = JoinSet::new();
    order.spawn(async move { acme.post("/v1/videos", &json!({ "prompt": "a green kite", "seconds": "4" })).await });
    eventually("the provider has the order", || site.simulator.bill().jobs.len() == 2).await;
    limit_files(gateway, "4096");
    let answer = order.join_all().await.remove(0).ok();
    assert_eq!(answer.json()["status"], "queued", "it is on disk that it is being submitted");
    eventually("its id is on disk", || journal(site).exists()).await;
    answer
}

#[tokio::test]
async fn an_id_that_the_books_do_not_take_is_taken_over_at_the_next_start() {
    let site = site().await;
    let gateway = site.gateway().await;
    let answer = ordered_into_failing_books(&site, &gateway).await;
    let billed = site.simulator.bill().jobs[1].upstream_id.clone();
    let line = std::fs::read_to_string(journal(&site)).unwrap();
    assert!(line.contains(&billed) && line.ends_with('\n'), "{line}");
    gateway.process.kill();
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'submitting'"), 1);

    let gateway = site.gateway().await;
    site.until_quiet().await;
    assert!(!journal(&site).exists(), "what is in the books is not in the journal");
    let video = gateway.tenant("acme").get(&format!("/v1/videos/{}", id(&answer.json()))).await.ok().json();
    assert_eq!(video["status"], "completed");
    assert_eq!(site.simulator.stats().count("create"), 2);
    site.settle_up();
}

#[tokio::test]
async fn books_that_work_again_take_the_id_and_the_journal_ends() {
    let site = site().await;
    let gateway = site.gateway().await;
    ordered_into_failing_books(&site, &gateway).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    limit_files(&gateway, "unlimited");
    site.until_quiet().await;
    eventually("the journal has ended", || !journal(&site).exists()).await;
    site.settle_up();
}
