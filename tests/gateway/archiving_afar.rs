//! The archive in a bucket: what holds for a folder holds there, and what only happens on the way there.

use std::time::Duration;

use filmgate::simulator::{self, Faults};
use serde_json::{Value, json};

use crate::bucket::{Bucket, Trouble};
use crate::process::Site;
use crate::world::{World, eventually, id, openai, tenant};

const DAY: Duration = Duration::from_secs(86_400);
/// More than goes in one request.
const LARGE: u64 = 12 << 20;

fn policy(bucket: &Bucket, more: &str) -> [String; 3] {
    [format!("[archive]\n{}\n{more}\n", bucket.archive()), openai("openai", ""), tenant("acme", "")]
}

fn content(video: &Value) -> String {
    format!("/v1/videos/{}/content", id(video))
}

fn wish() -> Value {
    json!({ "prompt": "a whale" })
}

fn clips(bucket: &Bucket) -> usize {
    bucket.names().iter().filter(|name| name.ends_with(".mp4")).count()
}

fn provider_forgets(world: &World) {
    world.misbehave(Faults { content_status: Some(404), ..Faults::default() });
}

/// How often a clip was not put away.
async fn refusals(world: &World) -> u64 {
    let text = world.operator().get("/metrics").await.text().to_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("filmgate_archive_copies_total{outcome=\"storage\",variant=\"video\"} "));
    line.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn a_clip_in_a_bucket_outlives_the_provider_and_is_served_in_parts() {
    let bucket = Bucket::open().await;
    let settings = simulator::Settings { speed: 1_000, clip_bytes_min: LARGE, ..simulator::Settings::default() };
    let world = World::with_provider(settings, &policy(&bucket, "")).await;
    let acme = world.tenant("acme");
    let video = acme.made(&wish()).await;
    let names = bucket.names();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names[0].starts_with("made/here/2") && names[0].ends_with(&format!("/{}.mp4", id(&video))), "{names:?}");
    assert_eq!(bucket.unfinished(), (0, 1), "a clip this large goes in parts");
    let kept = bucket.object(&names[0]);

    provider_forgets(&world);
    let whole = acme.get(&content(&video)).await.ok();
    assert_eq!((whole.body.len() as u64, &whole.body), (LARGE, &kept));
    acme.get(&format!("{}?variant=thumbnail", content(&video))).await.ok();
    for (range, from, until) in [("bytes=100-199", 100, 200), ("bytes=-50", kept.len() - 50, kept.len())] {
        let part = acme.client.with("range", range).get(&content(&video)).await;
        assert_eq!((part.status, &part.body), (206, &kept.slice(from..until)));
    }
    bucket.misbehave(Trouble { cuts: 1, ..Trouble::default() });
    assert_eq!(acme.get(&content(&video)).await.ok().body, kept, "what a store cuts off is asked for again");
    assert_eq!(bucket.refused(), [""; 0]);
    world.end().await;
}

#[tokio::test]
async fn what_is_in_a_bucket_goes_when_its_job_is_deleted_or_its_time_is_over() {
    let bucket = Bucket::open().await;
    let world = World::start(&policy(&bucket, "")).await;
    let acme = world.tenant("acme");
    let (deleted, kept) = (acme.made(&wish()).await, acme.made(&wish()).await);
    let name = bucket.names().into_iter().find(|name| name.contains(id(&deleted))).unwrap();
    let copy = bucket.object(&name);
    acme.client.delete(&format!("/v1/videos/{}", id(&deleted))).await.ok();
    eventually("its files are gone", || bucket.names().iter().all(|name| !name.contains(id(&deleted)))).await;

    bucket.put(&name, copy);
    bucket.put("made/here/notes.txt", "not ours".into());
    world.turn_clock(Duration::from_secs(3_600));
    eventually("they are gone again", || bucket.names().len() == 4).await;
    acme.get(&content(&kept)).await.ok();
    world.turn_clock(DAY * 33);
    eventually("what is over is removed", || bucket.names() == ["made/here/notes.txt"]).await;
    provider_forgets(&world);
    assert_eq!(acme.get(&content(&kept)).await.refusal(), "410 video_expired -");
    world.end().await;
}

#[tokio::test]
async fn while_a_bucket_does_not_take_a_clip_its_job_waits() {
    let bucket = Bucket::open().await;
    let world = World::start(&policy(&bucket, "")).await;
    let acme = world.tenant("acme");
    for trouble in [
        Trouble { status: Some(403), ..Trouble::default() },
        Trouble { status: Some(503), ..Trouble::default() },
        Trouble { loses: true, ..Trouble::default() },
    ] {
        let before = refusals(&world).await;
        bucket.misbehave(trouble);
        let video = acme.ordered(&wish()).await;
        let clips_before = clips(&bucket);
        while refusals(&world).await == before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let shown = acme.video(id(&video)).await;
        assert!(["queued", "in_progress"].iter().any(|status| shown["status"] == *status), "{trouble:?}: {shown}");
        assert!(world.held("tenant:acme") > 0);
        assert!(world.log().contains("the archive at s3://clips/made/here is out of order"));
        bucket.misbehave(Trouble::default());
        assert_eq!(acme.ended(id(&video)).await["status"], "completed");
        assert_eq!(clips(&bucket), clips_before + 1);
    }
    world.end().await;
}

#[tokio::test]
async fn patience_with_a_bucket_ends_and_money_is_settled() {
    let bucket = Bucket::open().await;
    bucket.misbehave(Trouble { status: Some(403), ..Trouble::default() });
    let mut world = World::start(&policy(&bucket, "give_up = \"0s\"")).await;
    world.expect_error("completed without a copy");
    let acme = world.tenant("acme");
    let video = acme.made(&wish()).await;
    assert_eq!((world.held("tenant:acme"), world.spent("tenant:acme")), (0, 400_000));
    acme.get(&content(&video)).await.ok();
    world.end().await;
}

#[tokio::test]
async fn a_clip_that_is_not_whole_is_never_seen_and_its_parts_are_aborted() {
    let bucket = Bucket::open().await;
    let settings = simulator::Settings { speed: 1_000, clip_bytes_min: LARGE, ..simulator::Settings::default() };
    let world = World::with_provider(settings, &policy(&bucket, "")).await;
    let acme = world.tenant("acme");
    world.misbehave(Faults { content_short_by: 1_000, ..Faults::default() });
    let video = acme.ordered(&wish()).await;
    eventually("two tries came to nothing", || {
        let (left, begun) = bucket.unfinished();
        begun >= 2 && left < 2
    })
    .await;
    assert_eq!(clips(&bucket), 0);
    world.misbehave(Faults::default());
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");
    eventually("nothing is left of them", || bucket.unfinished().0 == 0).await;
    assert_eq!(clips(&bucket), 1);
    world.end().await;
}

#[tokio::test]
async fn a_gateway_killed_on_the_way_to_a_bucket_copies_again() {
    let bucket = Bucket::open().await;
    let site = Site::new(1_000, LARGE, &policy(&bucket, "")).await;
    let gateway = site.gateway().await;
    bucket.misbehave(Trouble { stalls_parts: true, ..Trouble::default() });
    let video = gateway.tenant("acme").post("/v1/videos", &wish()).await.ok().json();
    crate::process::eventually("a copy is under way", || bucket.unfinished().0 > 0).await;
    gateway.process.kill();
    assert_eq!(clips(&bucket), 0, "parts are nothing");

    bucket.misbehave(Trouble::default());
    let gateway = site.gateway().await;
    site.until_quiet().await;
    assert_eq!(gateway.tenant("acme").get(&content(&video)).await.ok().body.len() as u64, LARGE);
    site.settle_up();
}

#[tokio::test]
async fn a_gateway_killed_between_bucket_and_books_finds_the_copy() {
    let bucket = Bucket::open().await;
    let site = Site::new(1_000, 0, &policy(&bucket, "")).await;
    let dying = site.gateway_of(&[vec!["env".to_owned(), "FILMGATE_CRASH_AT=after_copy".to_owned()], site.serve()].concat()).await;
    let video = dying.tenant("acme").post("/v1/videos", &wish()).await.ok().json();
    dying.process.ends_within(Duration::from_secs(20)).await.expect("it dies");

    site.simulator.set_faults(Faults { content_status: Some(404), ..Faults::default() });
    let gateway = site.gateway().await;
    site.until_quiet().await;
    assert_eq!(&gateway.tenant("acme").get(&content(&video)).await.ok().body[4..8], b"ftyp");
    assert_eq!(site.simulator.stats().count("content"), 3, "each file was asked for once");
    site.settle_up();
}
