//! What the gateway adds: the same exchanges through it, past it, and through nginx. `cargo bench --bench proxy`
//!
//! Everything measured is a process of its own: the gateway, the provider's simulator, nginx. This one only asks.
//! On a machine that does other work the ratios and the processor time per exchange say more than the rates.

mod load;
mod watching;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use load::process::{Nginx, Program, free_address};
use load::{Load, ask, get, post, ready, run};

const LASTING: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 64;
/// Downloads at a time.
const DOWNLOADS: usize = 8;
const CLIP_BYTES: &str = "16777216";
/// The gateway's key, and one for the simulator.
const KEY: &str = "filmgate-demo-key";
const KEY_SHA256: &str = "60eb4ca46c272b89621d56e8ae5383c6a4837c1a7b707081f04aa47a516e491c";
const UPSTREAM_KEY: &str = "sk-bench";
const PROMPT: &str = "A calico cat playing a piano on stage, soft light, 35 mm, shallow depth of field";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("proxy");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder)?;
    let upstream = free_address()?;
    let _simulator = Program::start(&["simulate", "--speed", "1000", "--clip-bytes-min", CLIP_BYTES, "--listen", &upstream.to_string()])?;
    ready(upstream, "/_simulator/stats").await?;

    let (gateway, at) = start(&folder, upstream).await?;
    let clip = finished_clip(at).await?;
    polls(&folder, &gateway, at, &clip).await?;
    content(&folder, &gateway, at, &clip, upstream).await?;
    creates(&gateway, at, upstream).await?;
    drop(gateway);
    watching::watching(&folder).await?;
    Ok(fs::remove_dir_all(&folder)?)
}

/// Starts the gateway; prints how soon it is ready and what it takes when it is idle.
async fn start(folder: &Path, upstream: SocketAddr) -> anyhow::Result<(Program, SocketAddr)> {
    let (at, admin) = (free_address()?, free_address()?);
    let config = folder.join("gateway.toml");
    fs::write(&config, policy(folder, upstream))?;
    let began = Instant::now();
    let config = config.to_str().context("a folder whose name is text")?;
    let gateway = Program::start(&["serve", "--config", config, "--listen", &at.to_string(), "--admin", &admin.to_string()])?;
    ready(admin, "/readyz").await?;
    println!("ready after start         {:>8.0} ms", began.elapsed().as_secs_f64() * 1000.0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    if let Some(kib) = gateway.resident_kib() {
        println!("resident memory, idle     {:>8.1} MiB", kib as f64 / 1024.0);
    }
    Ok((gateway, at))
}

/// Two routes to one simulator: the jobs of `quick` are followed closely, those of `slow` leave the books alone
/// while creates are counted.
fn policy(folder: &Path, upstream: SocketAddr) -> String {
    let route = |name: &str, poll: &str| {
        format!(
            "[routes.{name}]\nprovider = \"openai_compatible\"\nbase_url = \"http://{upstream}/openai/v1\"\napi_key = \"{UPSTREAM_KEY}\"\n\
             poll = {{ early = \"{poll}\", late = \"{poll}\" }}\n\
             [routes.{name}.models.{name}]\nas = \"sora-2\"\nseconds = [4]\nprice = \"0.10\"\n"
        )
    };
    format!(
        "[store]\nurl = \"sqlite:{}\"\n{}{}[tenants.demo]\nbudget = {{ cap = \"unlimited\", per = \"total\" }}\n\
         keys = [\"sha256:{KEY_SHA256}\"]\n",
        folder.join("books.db").display(),
        route("quick", "100ms"),
        route("slow", "60s")
    )
}

/// Makes one clip, through to its end.
async fn finished_clip(at: SocketAddr) -> anyhow::Result<String> {
    let created = ask(at, &create("/v1", KEY, "quick")).await?;
    let id = id_in(&created)?;
    let began = Instant::now();
    while !ask(at, &get(&format!("/v1/videos/{id}"), KEY)).await?.contains("\"completed\"") {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(10), "the clip is not made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(id)
}

/// Status polls against what nginx does for any small body: pass it on.
async fn polls(folder: &Path, gateway: &Program, at: SocketAddr, clip: &str) -> anyhow::Result<()> {
    let request = get(&format!("/v1/videos/{clip}"), KEY);
    let body = ask(at, &request).await?;
    println!("status polls, {CONNECTIONS} connections");
    let ours = timed(at, &request, CONNECTIONS, || gateway.cpu_us()).await?;
    show("gateway", &ours);

    let (proxy, instant) = (free_address()?, free_address()?);
    fs::create_dir_all(folder.join("instant"))?;
    let said = format!("server {{ listen {instant}; location / {{ default_type application/json; return 200 '{body}'; }} }}\n");
    let upstream = Nginx::start(&folder.join("instant"), &said)?;
    let Some(nginx) = Nginx::start(folder, &passing(proxy, instant))? else {
        println!("  nginx not installed: skipped");
        return Ok(());
    };
    ready(proxy, "/").await?;
    let theirs = timed(proxy, &request, CONNECTIONS, || nginx.cpu_us()).await?;
    show("nginx, instant upstream", &theirs);
    println!("  gateway / nginx         {:>8.2}", ours.0.per_second() / theirs.0.per_second());
    drop(upstream);
    Ok(())
}

/// Clips through the gateway, through nginx, and straight from the simulator.
async fn content(folder: &Path, gateway: &Program, at: SocketAddr, clip: &str, upstream: SocketAddr) -> anyhow::Result<()> {
    println!("content, {DOWNLOADS} downloads at a time, MiB/s");
    let direct = id_in(&ask(upstream, &create("/openai/v1", UPSTREAM_KEY, "sora-2")).await?)?;
    let request = get(&format!("/openai/v1/videos/{direct}/content"), UPSTREAM_KEY);
    let began = Instant::now();
    while ask(upstream, &get(&format!("/openai/v1/videos/{direct}"), UPSTREAM_KEY))
        .await
        .is_ok_and(|video| !video.contains("\"completed\""))
    {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(10), "the simulator's clip is not made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let straight = run(upstream, &request, DOWNLOADS, LASTING).await?.mib_per_second();
    println!("  direct                  {straight:>8.0}");

    let ours = timed(at, &get(&format!("/v1/videos/{clip}/content"), KEY), DOWNLOADS, || gateway.cpu_us()).await?;
    let rate = ours.0.mib_per_second();
    println!("  gateway                 {rate:>8.0}  = {:.2} of direct{}", rate / straight, per_mib(&ours));
    let proxy = free_address()?;
    let Some(nginx) = Nginx::start(folder, &passing(proxy, upstream))? else {
        println!("  nginx not installed: skipped");
        return Ok(());
    };
    ready(proxy, "/_simulator/stats").await?;
    let theirs = timed(proxy, &request, DOWNLOADS, || nginx.cpu_us()).await?;
    let passed = theirs.0.mib_per_second();
    println!("  nginx                   {passed:>8.0}  = {:.2} of direct{}", passed / straight, per_mib(&theirs));
    println!("  gateway / nginx         {:>8.2}", rate / passed);
    Ok(())
}

/// Creates: one after the other for what is added to each, then many at once for how many are durable in a second.
async fn creates(gateway: &Program, at: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
    let (ours, theirs) = (create("/v1", KEY, "slow"), create("/openai/v1", UPSTREAM_KEY, "sora-2"));
    let alone = Duration::from_secs(1);
    let (direct, through) = (run(upstream, &theirs, 1, alone).await?, run(at, &ours, 1, alone).await?);
    let (direct_us, through_us) = (direct.percentile_us(50), through.percentile_us(50));
    println!("creates, one at a time, median");
    println!("  direct                  {direct_us:>8.0} us\n  gateway                 {through_us:>8.0} us");
    println!("  added                   {:>8.0} us  (two commits to disk and a connection of its own included)", through_us - direct_us);
    println!("creates, {CONNECTIONS} connections");
    let direct = run(upstream, &theirs, CONNECTIONS, LASTING).await?;
    println!("  direct                  {:>8.0} /s", direct.per_second());
    let through = timed(at, &ours, CONNECTIONS, || gateway.cpu_us()).await?;
    show("gateway, durable", &through);
    println!("  gateway / direct        {:>8.2}", through.0.per_second() / direct.per_second());
    Ok(())
}

/// A run, and the processor time that the measured side took for it.
async fn timed(
    at: SocketAddr,
    request: &[u8],
    connections: usize,
    cpu_us: impl Fn() -> Option<u64>,
) -> anyhow::Result<(Load, Option<f64>)> {
    let before = cpu_us();
    let load = run(at, request, connections, LASTING).await?;
    let spent = cpu_us().zip(before).map(|(after, before)| (after - before) as f64);
    Ok((load, spent))
}

fn show(who: &str, (load, cpu_us): &(Load, Option<f64>)) {
    let each = cpu_us.map_or(String::new(), |us| format!(", {:.0} us of processor each", us / load.count()));
    println!("  {who:<23} {:>8.0} /s  p50 {:.0} us, p99 {:.0} us{each}", load.per_second(), load.percentile_us(50), load.percentile_us(99));
}

fn per_mib((load, cpu_us): &(Load, Option<f64>)) -> String {
    let mib = load.mib_per_second() * LASTING.as_secs_f64();
    cpu_us.map_or(String::new(), |us| format!(", {:.0} us of processor a MiB", us / mib))
}

/// An nginx that passes everything on, over connections that it keeps.
fn passing(at: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "upstream up {{ server {upstream}; keepalive 128; keepalive_requests 100000000; }}\n\
         server {{ listen {at}; location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_max_temp_file_size 0; }} }}\n"
    )
}

fn create(prefix: &str, key: &str, model: &str) -> Vec<u8> {
    let json = format!(r#"{{"model":"{model}","prompt":"{PROMPT}","seconds":"4","size":"720x1280"}}"#);
    post(&format!("{prefix}/videos"), key, &json)
}

fn id_in(json: &str) -> anyhow::Result<String> {
    let video: serde_json::Value = serde_json::from_str(json)?;
    Ok(video["id"].as_str().context("a video has an id")?.to_owned())
}
