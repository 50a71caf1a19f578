//! Books that have grown, and a log that is told everything: neither slows anybody down, nor tells too much.

use std::time::{Duration, Instant};

use filmgate::simulator::{Fault, Faults};
use rusqlite::Connection;
use serde_json::json;

use crate::campaign;
use crate::process::{Process, Site, eventually};
use crate::world::{id, key_of, openai, tenant};

/// Fills the books with copies of their one job, a tenth of them open and none of them due for an hour.
fn fill(site: &Site, jobs: usize) {
    let books = Connection::open(site.path("books/books.db")).unwrap();
    let mut columns = books.prepare("SELECT name FROM pragma_table_info('jobs')").unwrap();
    let columns: Vec<String> = columns.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let ended = |then: &str, otherwise: &str| format!("CASE WHEN n % 10 = 0 THEN {otherwise} ELSE {then} END");
    let values: Vec<String> = columns
        .iter()
        .map(|column| match column.as_str() {
            "id" => "printf('video_%032x', n)".to_owned(),
            "state" => ended("'completed'", "'accepted'"),
            "cost_microusd" => ended("price_microusd", "NULL"),
            "ended_at_ms" => ended("created_at_ms", "NULL"),
            "due_at_ms" => "created_at_ms + 3600000".to_owned(),
            "upstream_id" => "'up-' || n".to_owned(),
            other => other.to_owned(),
        })
        .collect();
    let sql = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {jobs})
         INSERT INTO jobs ({}) SELECT {} FROM numbers, (SELECT * FROM jobs LIMIT 1)",
        columns.join(", "),
        values.join(", ")
    );
    assert_eq!(books.execute(&sql, []).unwrap(), jobs);
}

#[tokio::test]
async fn full_books_are_opened_and_leafed_through_at_once() {
    let jobs = (campaign::cycles(1_000) * 1_000).min(1_000_000);
    let site = Site::new(1, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    let first = gateway.tenant("acme").post("/v1/videos", &json!({ "prompt": "an owl" })).await.ok().json();
    gateway.process.signal("TERM");
    assert!(gateway.process.ends_within(Duration::from_secs(20)).await.is_some());
    fill(&site, jobs);

    let began = Instant::now();
    let gateway = site.gateway().await;
    let booted = began.elapsed();
    assert!(booted < Duration::from_secs(5), "{jobs} jobs, and {booted:?} until it serves");
    let acme = gateway.tenant("acme");
    let mut slowest = Duration::ZERO;
    for page in ["", "&order=asc", "&after=video_0000000000000000000000000000ffff"] {
        let mut listed = Duration::MAX;
        for _ in 0..5 {
            let began = Instant::now();
            let list = acme.get(&format!("/v1/videos?limit=100{page}")).await.ok();
            listed = listed.min(began.elapsed());
            assert_eq!(list.json()["data"].as_array().map(Vec::len), Some(100), "{page}");
        }
        assert!(listed < Duration::from_millis(50), "{jobs} jobs, and {listed:?} for a page of them");
        slowest = slowest.max(listed);
    }
    assert_eq!(acme.get(&format!("/v1/videos/{}", id(&first))).await.status, 200);
    println!("FIGURE full books: {jobs} jobs, serves after {} ms, a page in {} ms", booted.as_millis(), slowest.as_millis());
}

#[tokio::test]
async fn a_log_that_is_told_everything_is_told_no_secret() {
    let site = Site::new(1_000, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    let command: Vec<String> = ["env", "FILMGATE_LOG=trace"].map(str::to_owned).into_iter().chain(site.serve()).collect();
    let gateway = site.gateway_of(&command).await;
    let acme = gateway.tenant("acme");
    let secret = json!({ "prompt": "the whale is called Moby" });
    let faults = [Fault::None, Fault::AcceptThenCut, Fault::Refuse(401), Fault::Refuse(400), Fault::AcceptThenStatus(500)];
    site.simulator.set_faults(Faults { script: faults.clone().into(), ..Faults::default() });
    for _ in faults {
        acme.post("/v1/videos", &secret).await;
    }
    acme.post("/v1/videos", &json!({ "prompt": "the whale is called Moby", "seconds": "5" })).await;
    assert_eq!(gateway.tenant("nobody").get("/v1/videos").await.status, 401);
    site.until_quiet().await;
    gateway.process.signal("TERM");
    assert!(gateway.process.ends_within(Duration::from_secs(20)).await.is_some());
    eventually("its last words are heard", || gateway.process.log().contains("stopped")).await;
    tells_nothing(&gateway.process, &site);
}

fn tells_nothing(process: &Process, site: &Site) {
    let log = process.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "it was told everything");
    let keys = [key_of("acme"), key_of("nobody"), "sk-test-openai".to_owned()];
    for secret in keys.iter().map(String::as_str).chain(["Moby"]) {
        let told = log.lines().find(|line| line.contains(secret));
        assert_eq!(told, None, "{secret} is told");
    }
    let books = std::fs::read(site.path("books/books.db")).unwrap();
    let has = |text: &str| books.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("Moby"), "the books know the wish");
    assert!(keys.iter().all(|key| !has(key)), "and no key");
}
