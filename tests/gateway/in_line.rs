//! What is told of those who wait, to themselves and to operators: who stands where, and for how long yet.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::run_in;
use crate::queueing::{LINE, ONE, order, place, serve_all};
use crate::world::{Tenant, World, eventually, id, openai, tenant};

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

/// Waits until a video is told a time to wait like that.
async fn eventually_placed(tenant: &Tenant, video: &Value, is_it: impl Fn(u64) -> bool) {
    let began = Instant::now();
    while !place(tenant, video).await.is_some_and(|(_, starts_in)| is_it(starts_in)) {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", place(tenant, video).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_place_is_told_by_the_clips_ahead_and_by_how_long_clips_take_there() {
    let world = World::at_speed(1, &[openai("openai", ONE), tenant("acme", LINE)]).await;
    let acme = world.tenant("acme");
    let mut videos = Vec::new();
    for seconds in ["4", "4", "12", "4"] {
        videos.push(acme.ordered(&json!({ "prompt": "a whale", "seconds": seconds })).await);
    }
    // From the start of the long one to that of the short one behind it, once the long one stands where it is said to.
    let long = async |position| loop {
        let places = [place(&acme, &videos[2]).await, place(&acme, &videos[3]).await];
        if let [Some((at, starts)), Some((behind, then))] = places
            && (at, behind) == (position, position + 1)
        {
            break then - starts;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    // 60 to 120 s, by the table.
    let told = long(2).await;
    assert!((80..=100).contains(&told), "{told}");
    // The first in line is told how far the one is that it waits for: it takes 20 to 45 s.
    let before = place(&acme, &videos[1]).await.unwrap().1;
    assert!((20..=33).contains(&before), "{before}");
    world.turn_clock(Duration::from_secs(15));
    eventually("it is being made", || world.jobs_in("running") == 1).await;
    eventually_placed(&acme, &videos[1], |starts_in| (4..=18).contains(&starts_in)).await;

    // What the table has in 20 to 45 s takes ten minutes.
    world.turn_clock(Duration::from_secs(600));
    let slow = long(1).await;
    assert!((450..1_700).contains(&slow), "{slow}");

    serve_all(&world).await;
    for video in &videos {
        assert_eq!(acme.ended(id(video)).await["status"], "completed");
    }
    world.end().await;
}

/// How long one clip takes nobody knows; how long a line of them does can be told.
#[tokio::test]
async fn what_is_foretold_of_a_line_comes_about() {
    const STEP: Duration = Duration::from_secs(5);
    let world = World::at_speed(1, &[openai("openai", "limits = { in_flight = 3 }"), tenant("acme", LINE)]).await;
    let acme = world.tenant("acme");
    let mut videos = Vec::new();
    for (n, seconds) in ["4", "8", "12"].into_iter().cycle().take(24).enumerate() {
        let wish = json!({ "prompt": format!("a whale #intent:{n}"), "seconds": seconds });
        videos.push(acme.ordered(&wish).await);
    }
    while place(&acme, &videos[23]).await.is_none_or(|(position, _)| position != 21) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut foretold = Vec::new();
    for video in &videos[3..] {
        foretold.push(place(&acme, video).await.unwrap().1);
    }
    let mut sent_after = Vec::new();
    for step in 0.. {
        let sent = order(&world).len() - 3;
        sent_after.resize(sent, STEP.as_secs() * step);
        if sent == foretold.len() {
            break;
        }
        assert!(step < 400, "{sent_after:?}");
        world.turn_clock(STEP);
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    println!("FIGURE seconds until each was sent: foretold {foretold:?}, came about {sent_after:?}");
    // The gateway hears of an end when it asks, and the test's clock goes in leaps: a little later.
    let (last, foretold) = (sent_after[20], foretold[20]);
    assert!((foretold * 7 / 10..foretold * 2).contains(&last), "{last} s and not {foretold}");
    serve_all(&world).await;
    world.end().await;
}
