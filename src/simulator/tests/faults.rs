//! Misbehaviour: each fault does what it says, and the bill knows.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::talk::{AT_ONCE, Answer, Talk, simulator};
use crate::simulator::{Fault, Faults, PollFault, Settings, start};

async fn order(talk: &Talk) -> Result<Answer, String> {
    talk.try_ask("POST", "/videos", "application/json", json!({"prompt": "a cat"}).to_string()).await
}

#[tokio::test]
async fn a_script_of_faults_is_followed_and_then_over() {
    let simulator = simulator(AT_ONCE).await;
    let talk = Talk::openai(&simulator, "sk-one");
    let script = [
        Fault::AcceptThenCut,
        Fault::CutBeforeRead,
        Fault::AcceptThenStatus(502),
        Fault::AcceptThenReply("<html>".to_owned()),
        Fault::Refuse(503),
        Fault::Refuse(429),
        Fault::Refuse(401),
        Fault::None,
    ];
    simulator.set_faults(Faults { script: script.into(), retry_after: Some("7".to_owned()), ..Faults::default() });
    let mut seen = Vec::new();
    for _ in 0..9 {
        let answer = order(&talk).await;
        let shown = answer.as_ref().map_or("cut".to_owned(), |answer| format!("{} {}", answer.status, answer.header("retry-after")));
        seen.push((shown.trim_end().to_owned(), simulator.bill().jobs.len()));
    }
    let expected = [("cut", 1), ("cut", 1), ("502", 2), ("200", 3), ("503 7", 3), ("429 7", 3), ("401", 3), ("200", 4), ("200", 5)];
    assert_eq!(seen, expected.map(|(shown, jobs)| (shown.to_owned(), jobs)));
    assert_eq!(talk.get("/videos").await.json()["data"].as_array().unwrap().len(), 5, "what was accepted is listed");
    assert_eq!(simulator.bill().total_microusd, 5 * 400_000);
}

#[tokio::test]
async fn chance_is_repeatable_and_near_what_was_asked_for() {
    let simulator = simulator(AT_ONCE).await;
    let talk = Talk::openai(&simulator, "sk-one");
    let faults = Faults { seed: 7, accept_then_cut: 200, refuse_503: 300, ..Faults::default() };
    let mut runs = Vec::new();
    for _ in 0..2 {
        simulator.set_faults(faults.clone());
        let mut seen = Vec::new();
        for _ in 0..200 {
            seen.push(order(&talk).await.map_or(0, |answer| answer.status));
        }
        runs.push(seen);
    }
    assert_eq!(runs[0], runs[1]);
    let count = |status| runs[0].iter().filter(|seen| **seen == status).count();
    assert!((20..60).contains(&count(0)) && (40..80).contains(&count(503)), "{} cut, {} refused", count(0), count(503));
    assert_eq!(simulator.bill().jobs.len(), 2 * (count(0) + count(200)), "cut ones are charged, refused ones are not");
}

#[tokio::test]
async fn faults_are_set_over_http_too() {
    let simulator = simulator(AT_ONCE).await;
    let talk = Talk::openai(&simulator, "sk-one");
    let script = json!({"script": ["accept_then_cut", {"refuse": 503}], "comet_shape": "b"});
    assert_eq!(talk.put("//_simulator/faults", script).await.status, 200);
    assert!(order(&talk).await.is_err());
    assert_eq!(talk.get("//_simulator/faults").await.json()["script"], json!([{"refuse": 503}]));
    assert_eq!(order(&talk).await.unwrap().status, 503);
    let comet = Talk::comet(&simulator).post("/videos", json!({"prompt": "a", "model": "sora-2"})).await.json();
    assert!(comet["task_id"].is_string() && comet["id"].is_null(), "{comet}");
    let misspelt = talk.put("//_simulator/faults", json!({"acept_then_cut": 1})).await;
    assert!(misspelt.status == 400 && misspelt.json()["error"]["message"].as_str().unwrap().contains("acept_then_cut"));
}

#[tokio::test]
async fn a_lost_job_is_charged_and_denied() {
    let simulator = simulator(AT_ONCE).await;
    let talk = Talk::openai(&simulator, "sk-one");
    simulator.set_faults(Faults { script: [Fault::LoseJob].into(), ..Faults::default() });
    let id = order(&talk).await.unwrap().id();
    assert_eq!(talk.get(&format!("/videos/{id}")).await.status, 404);
    assert_eq!(talk.get("/videos").await.json()["data"], json!([]));
    assert!(simulator.bill().jobs[0].lost && simulator.bill().total_microusd == 400_000);
}

#[tokio::test]
async fn retrievals_fail_as_scripted() {
    let simulator = simulator(AT_ONCE).await;
    let talk = Talk::openai(&simulator, "sk-one");
    let id = order(&talk).await.unwrap().id();
    let script =
        [PollFault::Status(404), PollFault::Status(500), PollFault::Cut, PollFault::Reply("{".to_owned()), PollFault::UnknownStatus];
    simulator.set_faults(Faults { poll_script: script.into(), ..Faults::default() });
    let poll = || async { talk.try_ask("GET", &format!("/videos/{id}"), "", "").await };
    assert_eq!(poll().await.unwrap().status, 404);
    assert_eq!(poll().await.unwrap().status, 500);
    assert!(poll().await.is_err());
    assert_eq!(poll().await.unwrap().body, "{");
    assert_eq!(poll().await.unwrap().json()["status"], "hibernating");
    assert_eq!(poll().await.unwrap().json()["id"], Value::String(id.clone()));
}

#[tokio::test]
async fn lists_lag_and_replies_are_held_back() {
    let simulator = simulator(AT_ONCE).await;
    let talk = Talk::openai(&simulator, "sk-one");
    simulator.set_faults(Faults { list_lag_ms: 60_000, delay_ms: 100, ..Faults::default() });
    let started = Instant::now();
    order(&talk).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert_eq!(talk.get("/videos").await.json()["data"], json!([]));
    simulator.turn_clock(Duration::from_secs(60));
    assert_eq!(talk.get("/videos").await.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn one_job_more_than_the_account_may_run_is_refused() {
    let simulator = simulator(1).await;
    simulator.set_faults(Faults { in_flight_max: Some(2), ..Faults::default() });
    let azure = Talk::azure(&simulator, "key");
    let order = || azure.post("/videos", json!({"prompt": "a cat", "model": "d"}));
    assert_eq!((order().await.status, order().await.status), (200, 200));
    let refused = order().await;
    assert_eq!((refused.status, refused.json()["error"]["message"].as_str()), (429, Some("Too many running tasks")));
    simulator.turn_clock(Duration::from_secs(45));
    assert_eq!(order().await.status, 200);
    assert_eq!(simulator.stats().in_flight_max.into_values().collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn content_breaks_off_comes_short_and_comes_in_ranges() {
    const BYTES: u64 = 3_000_001;
    let simulator = start(Settings { speed: AT_ONCE, clip_bytes_min: BYTES, ..Settings::default() }).await.unwrap();
    let talk = Talk::openai(&simulator, "sk-one");
    let id = order(&talk).await.unwrap().id();
    talk.finished(&id).await;
    let path = format!("/videos/{id}/content");
    let whole = talk.get(&path).await;
    assert_eq!((whole.status, whole.body.len() as u64), (200, BYTES));

    for (range, shown, bytes) in [
        ("bytes=0-9", "bytes 0-9/3000001", &whole.body[..10]),
        ("bytes=2000-70000", "bytes 2000-70000/3000001", &whole.body[2_000..70_001]),
        ("bytes=-1000000", "bytes 2000001-3000000/3000001", &whole.body[2_000_001..]),
    ] {
        let part = talk.with("range", range).get(&path).await;
        assert_eq!((part.status, part.header("content-range")), (206, shown));
        assert!(part.body == bytes, "{range}");
    }
    let beyond = talk.with("range", "bytes=3000001-").get(&path).await;
    assert_eq!((beyond.status, beyond.header("content-range"), beyond.body.len()), (416, "bytes */3000001", 0));
    assert_eq!(talk.with("range", "bytes=0-1,4-5").get(&path).await.status, 200);

    simulator.set_faults(Faults { stop_after: Some(100_000), ..Faults::default() });
    let broken = talk.try_ask("GET", &path, "", "").await;
    assert!(broken.is_err(), "a broken download is no clean end");
    simulator.set_faults(Faults { content_short_by: 1_000, ..Faults::default() });
    assert_eq!(talk.get(&path).await.body, whole.body.slice(..3_000_001 - 1_000));
}

/// Takes what is posted to it, as `webhook-id` and body.
async fn receiver() -> (String, tokio::sync::mpsc::UnboundedReceiver<(String, Value)>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/sim", listener.local_addr().unwrap());
    let (told, heard) = tokio::sync::mpsc::unbounded_channel();
    tokio_util::task::TaskTracker::new().spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let told = told.clone();
            let service = service_fn(move |request: http::Request<Incoming>| {
                let told = told.clone();
                async move {
                    let (head, body) = request.into_parts();
                    assert!(head.headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
                    let id = head.headers["webhook-id"].to_str().unwrap().to_owned();
                    let body = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
                    told.send((id, body)).ok();
                    Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
                }
            });
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
        }
    });
    (url, heard)
}

#[tokio::test]
async fn a_webhook_is_told_once_or_twice_or_never() {
    let simulator = simulator(AT_ONCE).await;
    let talk = Talk::openai(&simulator, "sk-one");
    let (url, mut heard) = receiver().await;
    assert_eq!(talk.put("//_simulator/webhook", json!({"url": url, "secret": "whsec_c2VjcmV0"})).await.status, 200);
    let mut told = Vec::new();
    for (copies, prompt) in [(None, "a cat"), (Some(2), "[fail]"), (Some(0), "a dog"), (Some(1), "a bird")] {
        simulator.set_faults(Faults { webhook_copies: copies, ..Faults::default() });
        let id = talk.post("/videos", json!({"prompt": prompt})).await.id();
        // The courier looks every 20 ms; the next job's notice tells that it is past this one.
        for _ in 0..copies.unwrap_or(1) {
            let (event, body) = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.unwrap().unwrap();
            assert_eq!((&body["data"]["id"], &body["id"]), (&json!(id), &json!(event)));
            told.push((event, body["type"].as_str().unwrap().to_owned()));
        }
        if copies == Some(0) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    let types: Vec<&str> = told.iter().map(|(_, event)| event.as_str()).collect();
    assert_eq!(types, ["video.completed", "video.failed", "video.failed", "video.completed"]);
    assert_eq!(told[1].0, told[2].0, "both copies have one id");
}
