//! What an operator sees of those who wait.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::run_in;
use crate::world::{World, id, openai, tenant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_whom_and_for_how_long_yet_is_shown_line_by_line_and_job_by_job() {
    let queue = |max: u32| format!("queue = {{ max = {max}, wait = \"7d\" }}");
    let policy = [openai("main", "limits = { in_flight = 1 }"), tenant("acme", &queue(9)), tenant("rival", &queue(5))];
    let world = World::at_speed(1, &policy).await;
    let (acme, rival) = (world.tenant("acme"), world.tenant("rival"));
    let nobody = world.operator().get("/api/queue").await.ok().json();
    assert_eq!((&nobody["waiting"], &nobody["lines"], &nobody["left_out"]), (&json!(0), &json!([]), &json!(0)));

    let first = acme.ordered(&json!({ "prompt": "a whale" })).await;
    let mut waiting = Vec::new();
    for who in [&acme, &acme, &acme, &rival] {
        waiting.push(who.ordered(&json!({ "prompt": "a whale in line" })).await);
    }
    world.turn_gateways_clock(Duration::from_secs(60));
    let began = Instant::now();
    let told = loop {
        let told = world.operator().get("/api/queue").await.ok().json();
        if told["waiting"] == 4 && told["lines"].as_array().unwrap().iter().all(|line| line["head"].is_object()) {
            break told;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let line = |n: usize| {
        let line = &told["lines"][n];
        let numbers = ["waiting", "waiting_max", "in_flight_max"].map(|name| line[name].as_u64().unwrap());
        (line["tenant"].as_str().unwrap(), line["routes"].clone(), numbers)
    };
    assert_eq!([line(0), line(1)], [("acme", json!(["main"]), [3, 9, 1]), ("rival", json!(["main"]), [1, 5, 1])], "the longest first");
    let heads: Vec<&Value> = told["lines"].as_array().unwrap().iter().map(|line| &line["head"]["id"]).collect();
    assert_eq!(heads, [&waiting[0]["id"], &waiting[3]["id"]]);
    assert!(told["lines"][0]["oldest_seconds"].as_u64().unwrap() >= 60, "{told}");

    // Each job's own place: for its client, in the list of jobs, and for who looks it up.
    for video in &waiting {
        let of_client = [&acme, &rival][usize::from(video == &waiting[3])].video(id(video)).await["queue"].clone();
        let jobs = world.operator().get("/api/jobs").await.ok().json();
        let of_list = jobs["jobs"].as_array().unwrap().iter().find(|job| job["id"] == video["id"]).unwrap()["queue"].clone();
        let policy = world.policy_file();
        let (folder, admin, wanted) = (world.path(""), world.gateway().admin.to_string(), id(video).to_owned());
        let show = move || run_in(&folder, &["jobs", "--config", policy.to_str().unwrap(), "--admin", &admin, "show", &wanted]);
        let shown = tokio::task::spawn_blocking(show).await.unwrap();
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap_or_else(|_| panic!("{shown:?}"));
        assert!(of_client["position"].is_u64());
        assert_eq!([&of_list["position"], &shown["queue"]["position"]], [&of_client["position"]; 2]);
    }
    let of_nobody = world.operator().get(&format!("/api/queue?job={}", id(&first))).await.ok().json();
    assert_eq!(of_nobody["queue"], Value::Null);
    assert_eq!(world.operator().get("/api/queue?job=nonsense").await.status, 422);

    for video in &waiting {
        let who = [&acme, &rival][usize::from(video == &waiting[3])];
        who.client.delete(&format!("/v1/videos/{}", id(video))).await.ok();
    }
    world.turn_clock(Duration::from_secs(600));
    acme.ended(id(&first)).await;
    world.end().await;
}
