//! The archive: what was completed can be fetched, also when its provider has forgotten it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use filmgate::simulator::{self, Faults};
use serde_json::{Value, json};

use crate::process::Site;
use crate::world::{World, eventually, id, openai, tenant};

const DAY: Duration = Duration::from_secs(86_400);

fn policy_with(archive: &str) -> [String; 3] {
    [format!("[archive]\n{archive}\n"), openai("openai", ""), tenant("acme", "")]
}

/// Finished clips go into a folder of this world's.
fn kept() -> [String; 3] {
    policy_with("url = \"file:{folder}/clips\"")
}

fn content(video: &Value) -> String {
    format!("/v1/videos/{}/content", id(video))
}

fn wish() -> Value {
    json!({ "prompt": "a whale" })
}

/// Every file below a folder, as paths from there.
fn files(root: PathBuf) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(&root).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

impl World {
    fn clips(&self) -> Vec<String> {
        files(self.path("clips"))
    }

    fn downloads(&self) -> u64 {
        self.simulator.stats().count("content")
    }

    /// The provider does not know its jobs' files from now on.
    fn provider_forgets(&self) {
        self.misbehave(Faults { content_status: Some(404), ..Faults::default() });
    }

    async fn metric(&self, series: &str) -> u64 {
        let text = self.operator().get("/metrics").await.text().to_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

#[tokio::test]
async fn a_finished_clip_and_its_stills_are_kept_and_outlive_the_provider() {
    let world = World::start(&kept()).await;
    let acme = world.tenant("acme");
    let video = acme.made(&wish()).await;
    assert_eq!(world.downloads(), 3);
    let (made, ends) = (video["completed_at"].as_i64().unwrap(), video["expires_at"].as_i64().unwrap());
    assert_eq!(ends - made, 30 * 86_400, "it is promised for as long as it is kept");

    let clips = world.clips();
    assert_eq!(clips.len(), 3, "{clips:?}");
    for (file, kind) in clips.iter().zip([".mp4", ".spritesheet.jpg", ".thumbnail.webp"]) {
        assert!(file.ends_with(&format!("/{}{kind}", id(&video))), "{file}");
    }
    world.provider_forgets();
    for (query, media_type, magic) in [
        ("", "video/mp4", &b"ftyp"[..]),
        ("?variant=thumbnail", "image/webp", b"WEBP"),
        ("?variant=spritesheet", "image/jpeg", b"\xff\xd8\xff"),
    ] {
        let answer = acme.get(&format!("{}{query}", content(&video))).await.ok();
        assert_eq!(answer.header("content-type"), media_type);
        assert!(answer.body.windows(magic.len()).take(16).any(|bytes| bytes == magic), "{query}");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        assert_eq!((answer.header("x-content-type-options"), answer.header("cache-control")), ("nosniff", "private"));
        assert!(answer.header("content-disposition").contains(id(&video)), "{answer:?}");
    }
    assert_eq!(world.downloads(), 3, "nobody asked the provider again");
    assert_eq!(world.metric("filmgate_archive_copies_total{outcome=\"copied\",variant=\"video\"}").await, 1);
    assert!(world.metric("filmgate_archive_bytes_total").await > 1_000);
    world.end().await;
}

#[tokio::test]
async fn parts_of_a_kept_clip_are_served_as_the_standard_says() {
    let world = World::start(&kept()).await;
    let acme = world.tenant("acme");
    let path = content(&acme.made(&wish()).await);
    let whole = acme.get(&path).await.ok();
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let (bytes, length, tag) = (&whole.body, whole.body.len(), whole.header("etag"));
    let part = |range: &str| acme.client.with("range", range);

    for (range, from, until) in [
        ("bytes=0-", 0, length),
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=100-99999999999999999999", 100, length),
        ("bytes=-50", length - 50, length),
        ("bytes=-999999999", 0, length),
    ] {
        for asked in [part(range), part(range).with("if-range", tag)] {
            let answer = asked.get(&path).await;
            assert_eq!((answer.status, &answer.body), (206, &bytes.slice(from..until)), "{range}");
            assert_eq!(answer.header("content-range"), format!("bytes {from}-{}/{length}", until - 1));
            assert_eq!(answer.header("content-length"), (until - from).to_string());
            assert_eq!(answer.header("etag"), tag);
        }
    }
    for range in [format!("bytes={length}-"), "bytes=-0".to_owned(), "bytes=99999999999999999999-".to_owned()] {
        let beyond = part(&range).get(&path).await;
        assert_eq!((beyond.status, beyond.header("content-range")), (416, format!("bytes */{length}").as_str()), "{range}");
        assert!(beyond.body.is_empty());
    }
    for odd in ["bytes=0-1,4-5", "lines=1-2", "bytes 0-1", "bytes=9-1", "bytes=x-"] {
        assert_eq!(part(odd).get(&path).await.ok().body, bytes, "{odd}");
    }
    for other in ["\"another\"", &format!("W/{tag}"), "Wed, 25 Nov 2026 00:00:00 GMT"] {
        assert_eq!(part("bytes=0-3").with("if-range", other).get(&path).await.ok().body, bytes, "another version was wanted: {other}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_clip_that_is_not_whole_is_not_kept_and_holds_its_job_up_until_it_is() {
    let large = simulator::Settings { speed: 1_000, clip_bytes_min: 1 << 20, ..simulator::Settings::default() };
    let world = World::with_provider(large, &kept()).await;
    let acme = world.tenant("acme");
    let tries =
        async |outcome: &str| world.metric(&format!("filmgate_archive_copies_total{{outcome=\"{outcome}\",variant=\"video\"}}")).await;
    for (fault, outcome) in [
        (Faults { content_short_by: 1_000, ..Faults::default() }, "damaged"),
        (Faults { stop_after: Some(100_000), ..Faults::default() }, "provider"),
        (Faults { content_status: Some(503), ..Faults::default() }, "provider"),
        (Faults { content_page: Some("<html>come back later</html>".to_owned()), ..Faults::default() }, "damaged"),
    ] {
        let before = tries(outcome).await;
        world.misbehave(fault.clone());
        let video = acme.ordered(&wish()).await;
        while tries(outcome).await < before + 2 {
            let video = acme.video(id(&video)).await;
            assert!(["queued", "in_progress"].iter().any(|status| video["status"] == *status), "{fault:?}: {video}");
            assert_eq!(acme.get(&content(&video)).await.refusal(), "404 video_not_ready -");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(world.held("tenant:acme") > 0);
        assert!(world.clips().iter().all(|file| !file.contains(id(&video)) || !file.ends_with(".mp4")), "half a clip has no name");

        world.misbehave(Faults::default());
        let video = acme.ended(id(&video)).await;
        assert_eq!(video["status"], "completed", "{video}");
        assert_eq!(acme.get(&content(&video)).await.ok().body.len(), 1 << 20);
    }
    world.end().await;
}

#[tokio::test]
async fn patience_with_a_clip_ends_and_its_money_is_settled() {
    let world_policy = policy_with("url = \"file:{folder}/clips\"\ngive_up = \"0s\"");
    let mut world = World::start(&world_policy).await;
    world.expect_error("completed without a copy");
    let acme = world.tenant("acme");
    world.misbehave(Faults { content_short_by: 10, ..Faults::default() });
    let video = acme.made(&wish()).await;
    assert_eq!((world.held("tenant:acme"), world.spent("tenant:acme")), (0, 400_000));
    assert_eq!(world.metric("filmgate_archive_given_up_total").await, 1);
    assert!(world.clips().iter().all(|file| !file.ends_with(".mp4")));

    world.misbehave(Faults::default());
    acme.get(&content(&video)).await.ok();
    world.provider_forgets();
    assert_eq!(acme.get(&content(&video)).await.refusal(), "410 video_expired -", "it is nowhere");
    world.end().await;
}

#[tokio::test]
async fn what_is_kept_goes_when_its_job_is_deleted_or_its_time_is_over() {
    let world = World::start(&kept()).await;
    let acme = world.tenant("acme");
    let (deleted, kept) = (acme.made(&wish()).await, acme.made(&wish()).await);
    acme.client.delete(&format!("/v1/videos/{}", id(&deleted))).await.ok();
    eventually("its files are gone", || world.clips().iter().all(|file| !file.contains(id(&deleted)))).await;
    assert_eq!(world.clips().len(), 3);
    acme.get(&content(&kept)).await.ok();

    world.provider_forgets();
    world.turn_clock(DAY * 30 - Duration::from_secs(60));
    acme.get(&content(&kept)).await.ok();
    world.turn_clock(Duration::from_secs(120));
    assert_eq!(acme.get(&content(&kept)).await.refusal(), "410 video_expired -");
    world.turn_clock(DAY * 2);
    eventually("they are removed", || world.clips().is_empty()).await;
    assert_eq!(world.metric("filmgate_archive_removed_total{cause=\"deleted\"}").await, 3);
    assert_eq!(world.metric("filmgate_archive_removed_total{cause=\"expired\"}").await, 3);
    world.end().await;
}

#[tokio::test]
async fn a_removal_that_could_not_be_made_at_once_is_made_within_the_hour() {
    let world = World::start(&kept()).await;
    let acme = world.tenant("acme");
    let video = acme.made(&wish()).await;
    // Files that the books say are deleted, as after a removal that failed.
    let file = world.path("clips").join(&world.clips()[0]);
    let copy = std::fs::read(&file).unwrap();
    acme.client.delete(&format!("/v1/videos/{}", id(&video))).await.ok();
    eventually("its files are gone", || world.clips().is_empty()).await;
    std::fs::write(&file, copy).unwrap();
    let strangers = world.path("clips/notes.txt");
    std::fs::write(&strangers, "not ours").unwrap();

    world.turn_clock(Duration::from_secs(3_600));
    eventually("they are gone again", || world.clips() == ["notes.txt"]).await;
    world.end().await;
}

#[tokio::test]
async fn without_an_archive_clips_are_streamed_and_it_can_be_turned_on_and_off() {
    let world = World::start(&policy_with("url = \"off\"")).await;
    let acme = world.tenant("acme");
    let streamed = acme.made(&wish()).await;
    assert_eq!((world.downloads(), world.clips().len()), (0, 0));
    acme.get(&content(&streamed)).await.ok();

    world.edit_policy(&kept()).await;
    assert!(world.log().contains("archive.url"), "the operator is told");
    let kept = acme.made(&wish()).await;
    assert_eq!(world.clips().len(), 3);
    let before = world.downloads();
    acme.get(&content(&kept)).await.ok();
    assert_eq!(world.downloads(), before);
    acme.get(&content(&streamed)).await.ok();
    assert_eq!(world.downloads(), before + 1, "what was not kept still comes from the provider");

    world.edit_policy(&policy_with("url = \"off\"")).await;
    acme.get(&content(&kept)).await.ok();
    assert_eq!(world.downloads(), before + 2);
    world.end().await;
}

/// A copy that is killed leaves nothing to be seen, and is made again.
#[tokio::test]
async fn a_gateway_killed_in_mid_copy_copies_again() {
    let site = Site::new(1_000, 64 << 20, &kept()).await;
    let gateway = site.gateway().await;
    site.simulator.set_faults(Faults { content_stalls_after: Some(4 << 20), ..Faults::default() });
    let video = gateway.tenant("acme").post("/v1/videos", &wish()).await.ok().json();
    let clips = || files(site.path("clips"));
    crate::process::eventually("a copy is under way", || clips().iter().any(|file| file.starts_with(".partial/"))).await;
    gateway.process.kill();
    assert!(clips().iter().all(|file| !file.ends_with(".mp4")), "{:?}", clips());
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE ended_at_ms IS NULL"), 1);

    site.simulator.set_faults(Faults::default());
    let gateway = site.gateway().await;
    site.until_quiet().await;
    let answer = gateway.tenant("acme").get(&content(&video)).await.ok();
    assert_eq!(answer.body.len(), 64 << 20);
    site.settle_up();
}

/// Between the copy and the books lies an instant: what was copied then is found, and not copied again.
#[tokio::test]
async fn a_gateway_killed_between_copy_and_books_finds_the_copy() {
    let site = Site::new(1_000, 0, &kept()).await;
    let dying = site.gateway_of(&[vec!["env".to_owned(), "FILMGATE_CRASH_AT=after_copy".to_owned()], site.serve()].concat()).await;
    let video = dying.tenant("acme").post("/v1/videos", &wish()).await.ok().json();
    dying.process.ends_within(Duration::from_secs(20)).await.expect("it dies");
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE ended_at_ms IS NULL"), 1);

    site.simulator.set_faults(Faults { content_status: Some(404), ..Faults::default() });
    let gateway = site.gateway().await;
    site.until_quiet().await;
    assert_eq!(&gateway.tenant("acme").get(&content(&video)).await.ok().body[4..8], b"ftyp");
    assert_eq!(site.simulator.stats().count("content"), 3, "each file was asked for once");
    site.settle_up();
}

/// An archive that cannot be written holds clips up for a while and nothing else.
#[tokio::test]
async fn where_nothing_can_be_kept_jobs_still_end_and_money_is_settled() {
    let mut world = World::start(&policy_with("url = \"file:{folder}/gateway.toml/clips\"\ngive_up = \"0s\"")).await;
    world.expect_error("completed without a copy");
    let acme = world.tenant("acme");
    let video = acme.made(&wish()).await;
    assert_eq!((world.held("tenant:acme"), world.spent("tenant:acme")), (0, 400_000));
    acme.get(&content(&video)).await.ok();
    assert!(world.metric("filmgate_archive_copies_total{outcome=\"storage\",variant=\"video\"}").await >= 2);
    acme.client.delete(&format!("/v1/videos/{}", id(&video))).await.ok();
    world.end().await;
}

/// A file system of a megabyte for the archive that only the gateway sees. Needs the right to mount.
#[tokio::test]
async fn a_full_archive_leaves_money_alone_and_nothing_behind() {
    let may_mount = Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|output| output.status.success());
    if !may_mount {
        eprintln!("SKIPPED: this user may not mount");
        return;
    }
    let site = Site::new(1_000, 4 << 20, &policy_with("url = \"file:{folder}/clips\"\ngive_up = \"0s\"")).await;
    let clips = site.path("clips");
    std::fs::create_dir_all(&clips).unwrap();
    let private = format!("mount -t tmpfs -o size=1024k none {} && exec {}", clips.display(), site.serve().join(" "));
    let gateway = site.gateway_of(&["unshare", "-m", "sh", "-c", &private].map(str::to_owned)).await;
    let (acme, pid) = (gateway.tenant("acme"), gateway.process.id().to_string());
    let video = acme.post("/v1/videos", &wish()).await.ok().json();
    site.until_quiet().await;
    assert_eq!(acme.get(&content(&video)).await.ok().body.len(), 4 << 20, "the provider still has it");
    let inside = |program: &[&str]| Command::new("nsenter").args(["-m", "-t", &pid]).args(program).output().unwrap();
    let left = inside(&["find", &clips.display().to_string(), "-name", "*.mp4", "-o", "-path", "*/.partial/*"]).stdout;
    assert_eq!(String::from_utf8(left).unwrap(), "", "what did not fit is gone");

    assert!(inside(&["mount", "-o", "remount,size=64m", &clips.display().to_string()]).status.success());
    let video = acme.post("/v1/videos", &wish()).await.ok().json();
    site.until_quiet().await;
    site.simulator.set_faults(Faults { content_status: Some(404), ..Faults::default() });
    assert_eq!(acme.get(&content(&video)).await.ok().body.len(), 4 << 20, "with room again, clips are kept");
    site.settle_up();
}

/// A large clip passes through in pieces, on its way in and on its way out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_clip_is_copied_and_served_without_a_trace_in_memory() {
    const CLIP_BYTES: u64 = 256 << 20;
    const GROWTH_KIB_MAX: u64 = 24 << 10;
    let site = Site::new(1_000, CLIP_BYTES, &kept()).await;
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    acme.get("/v1/videos").await.ok();
    let before = gateway.resident_kib();
    let video = acme.post("/v1/videos", &wish()).await.ok().json();
    let mut most = before;
    while site.number("SELECT count(*) FROM jobs WHERE ended_at_ms IS NULL") > 0 {
        most = most.max(gateway.resident_kib());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let answer = acme.get(&content(&video)).await.ok();
    most = most.max(gateway.resident_kib());
    assert_eq!(answer.body.len() as u64, CLIP_BYTES);
    assert_eq!(site.simulator.stats().count("content"), 3);
    assert!(most - before < GROWTH_KIB_MAX, "{before} KiB before, {most} KiB while copying and serving");
}
