//! Clips much larger than what the gateway may keep of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::process::{Site, eventually};
use crate::world::{id, openai, tenant};

const CLIP_BYTES: u64 = 256 << 20;
const DOWNLOADS: usize = 8;
const GROWTH_KIB_MAX: u64 = 24 << 10;

/// The head of the answer and how many bytes follow it; `slow` takes a sip at a time until told to hurry.
async fn download(mut stream: TcpStream, slow: bool, hurry: Arc<AtomicBool>) -> (String, u64) {
    let mut buffer = vec![0; 256 << 10];
    let (mut head, mut bytes) = (Vec::new(), 0);
    loop {
        if slow && !hurry.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let read = stream.read(&mut buffer).await.unwrap();
        if read == 0 {
            return (String::from_utf8(head).unwrap(), bytes);
        }
        let mut fresh = &buffer[..read];
        if !head.ends_with(b"\r\n\r\n") {
            let before = head.len();
            head.extend_from_slice(fresh);
            let end = head.windows(4).position(|four| four == b"\r\n\r\n").expect("a head comes in one piece") + 4;
            head.truncate(end);
            fresh = &fresh[end - before..];
        }
        bytes += fresh.len() as u64;
    }
}

async fn finished_clip(site: &Site, acme: &Client) -> String {
    let video = acme.post("/v1/videos", &json!({ "prompt": "a long kite", "seconds": "4" })).await.ok().json();
    site.until_quiet().await;
    format!("/v1/videos/{}/content", id(&video))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_large_downloads_leave_no_trace_in_memory_whatever_their_pace() {
    let site = Site::new(1_000, CLIP_BYTES, &[openai("openai", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    let path = finished_clip(&site, &acme).await;

    let before = gateway.resident_kib();
    let (hurry, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut downloads = JoinSet::new();
    for number in 0..DOWNLOADS {
        let (acme, path, hurry, ended) = (acme.clone(), path.clone(), hurry.clone(), ended.clone());
        downloads.spawn(async move {
            let stream = acme.send_only(acme.spelled_out("GET", &path, "", "")).await;
            let got = download(stream, number == 0, hurry).await;
            ended.fetch_add(1, Ordering::SeqCst);
            got
        });
    }
    let mut most = before;
    while ended.load(Ordering::SeqCst) < DOWNLOADS - 1 {
        most = most.max(gateway.resident_kib());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    hurry.store(true, Ordering::SeqCst);
    for (head, bytes) in downloads.join_all().await {
        assert!(head.starts_with("HTTP/1.1 200") && head.contains(&format!("content-length: {CLIP_BYTES}\r\n")), "{head}");
        assert_eq!(bytes, CLIP_BYTES);
    }
    assert!(most - before < GROWTH_KIB_MAX, "{before} KiB before, {most} KiB while downloading");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_in_the_middle_leaves_nothing_open() {
    let site = Site::new(1_000, CLIP_BYTES, &[openai("openai", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    let path = finished_clip(&site, &acme).await;
    let files = || std::fs::read_dir(format!("/proc/{}/fd", gateway.process.id())).unwrap().count();
    let before = files();
    for _ in 0..100 {
        let mut stream = acme.send_only(acme.spelled_out("GET", &path, "", "")).await;
        stream.read_exact(&mut [0; 1_024]).await.unwrap();
    }
    eventually("their connections are closed, up and down", || files() <= before + 5).await;
    assert_eq!(acme.get("/v1/videos").await.status, 200);
}
