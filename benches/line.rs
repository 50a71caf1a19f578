//! A line of ten thousand jobs that wait for a route, beside one of ten: what a job more costs, what it costs to be told
//! one's place, to be scraped and to wait, and how quickly the line is served. `cargo bench --bench line`
//!
//! Both gateways run at the same time and are asked by turns. The long line is served at the end, by a provider that is
//! quick: what a job of its first thousand took stands beside one of its last. PostgreSQL is a private server, and left
//! out where it is not installed.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[allow(dead_code, clippy::unwrap_used, reason = "tests stop it and look into it, and fail where it does")]
#[path = "../tests/cluster/mod.rs"]
mod cluster;
#[allow(dead_code, reason = "another bench has more to ask")]
#[path = "proxy/load/mod.rs"]
mod load;
#[allow(dead_code, reason = "another bench opens jobs by itself")]
mod wish;

use anyhow::{Context as _, ensure};
use load::process::{Program, free_address};
use load::{ask, get, post, ready, run};
use tokio::task::JoinSet;

const LINES: [usize; 2] = [10, 10_000];
/// Of `filmgate-demo-key`.
const KEY_SHA256: &str = "60eb4ca46c272b89621d56e8ae5383c6a4837c1a7b707081f04aa47a516e491c";
const KEY: &str = "filmgate-demo-key";
const CONNECTIONS: usize = 16;
/// How often each side has its turn.
const ROUNDS: usize = 10;
/// Creates, and deletions, in each.
const EACH: usize = 5;
const LASTING: Duration = Duration::from_millis(300);
const IDLE: Duration = Duration::from_secs(10);
/// Jobs at the beginning and at the end of the long line that are looked at while it is served.
const SERVED: usize = 1_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("line");
    drop(fs::remove_dir_all(&folder));
    let (slow, quick) = (free_address()?, free_address()?);
    let _slow = Program::start(&["simulate", "--speed", "1", "--listen", &slow.to_string()])?;
    let _quick = Program::start(&["simulate", "--speed", "1000", "--listen", &quick.to_string()])?;
    ready(slow, "/_simulator/stats").await?;
    ready(quick, "/_simulator/stats").await?;
    let books = LINES.map(|jobs| format!("sqlite:{}", folder.join(format!("{jobs}.db")).display()));
    fs::create_dir_all(&folder)?;
    println!("a line of {} beside one of {} (SQLite)", LINES[1], LINES[0]);
    lines(&folder, &books, slow, quick).await?;
    if wish::has_postgres() {
        let server = tokio::task::spawn_blocking(cluster::Cluster::start).await?;
        println!("a line of {} beside one of {} (PostgreSQL)", LINES[1], LINES[0]);
        lines(&folder, &LINES.map(|_| server.books().address), slow, quick).await?;
    }
    Ok(fs::remove_dir_all(&folder)?)
}

async fn lines(folder: &Path, books: &[String; 2], slow: SocketAddr, quick: SocketAddr) -> anyhow::Result<()> {
    let short = Waited::start(folder, &books[0], slow, LINES[0]).await?;
    let long = Waited::start(folder, &books[1], slow, LINES[1]).await?;
    let sides = [&short, &long];
    let (mut created, mut deleted, mut scraped) = (Samples::default(), Samples::default(), Samples::default());
    let (mut told, mut late) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        for (n, side) in sides.into_iter().enumerate() {
            let mut ids = Vec::new();
            for _ in 0..EACH {
                ids.push(created.time(n, side.create(0)).await?);
            }
            for id in ids {
                deleted.time(n, ask(side.at, &delete(&id))).await?;
            }
            for _ in 0..EACH {
                scraped.time(n, ask(side.admin, &admins("GET", "/metrics", side.admin))).await?;
            }
            let asked = run(side.at, &get(&format!("/v1/videos/{}", side.last), KEY), CONNECTIONS, LASTING).await?;
            told.0[n].push(asked.percentile_us(50));
            late.0[n].push(asked.percentile_us(99));
        }
    }
    let before = sides.map(|side| side.gateway.cpu_us().unwrap_or(0));
    tokio::time::sleep(IDLE).await;
    let after = sides.map(|side| side.gateway.cpu_us().unwrap_or(0));
    created.show("a create into it");
    deleted.show("a deletion out of it");
    told.show("a place told, p50");
    late.show("a place told, p99");
    scraped.show("a scrape");
    let share = |n: usize| (after[n] - before[n]) as f64 / IDLE.as_secs_f64() / 1e4;
    println!("  waiting                 {:>8.1} % of a core, {:.1} % with {}", share(1), share(0), LINES[0]);
    let mib = |side: &Waited| side.gateway.resident_kib().map_or(f64::NAN, |kib| kib as f64 / 1024.0);
    println!("  resident memory         {:>8.1} MiB, {:.1} MiB with {}", mib(&long), mib(&short), LINES[0]);
    long.serve(quick).await
}

/// What each side took.
#[derive(Default)]
struct Samples([Vec<f64>; 2]);

impl Samples {
    async fn time<T>(&mut self, side: usize, asking: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let began = Instant::now();
        let answer = asking.await?;
        self.0[side].push(began.elapsed().as_secs_f64() * 1e6);
        Ok(answer)
    }

    fn show(mut self, what: &str) {
        let [short, long] = [0, 1].map(|n| {
            self.0[n].sort_by(f64::total_cmp);
            self.0[n].get(self.0[n].len() / 2).copied().unwrap_or(f64::NAN)
        });
        println!("  {what:<23} {long:>8.0} us, {short:.0} us with {}: ratio {:.2}", LINES[0], long / short);
    }
}

/// A gateway where so many wait.
struct Waited {
    gateway: Program,
    at: SocketAddr,
    admin: SocketAddr,
    config: PathBuf,
    books: String,
    /// Who came last.
    last: String,
}

impl Waited {
    async fn start(folder: &Path, books: &str, upstream: SocketAddr, jobs: usize) -> anyhow::Result<Self> {
        let (at, admin) = (free_address()?, free_address()?);
        let config = folder.join(format!("{jobs}.toml"));
        fs::write(&config, policy(books, upstream, 4))?;
        let path = config.to_str().context("a folder whose name is text")?;
        let gateway = Program::start(&["serve", "--config", path, "--listen", &at.to_string(), "--admin", &admin.to_string()])?;
        ready(admin, "/readyz").await?;
        let mut waited = Self { gateway, at, admin, config, books: books.to_owned(), last: String::new() };
        let began = Instant::now();
        waited.fill(jobs).await?;
        println!("  {jobs} came in {:.1} s", began.elapsed().as_secs_f64());
        Ok(waited)
    }

    async fn fill(&mut self, jobs: usize) -> anyhow::Result<()> {
        let mut coming = JoinSet::new();
        for connection in 0..CONNECTIONS {
            let at = self.at;
            coming.spawn(async move {
                for n in (connection..jobs).step_by(CONNECTIONS) {
                    create(at, n).await?;
                }
                anyhow::Ok(())
            });
        }
        coming.join_all().await.into_iter().collect::<anyhow::Result<()>>()?;
        // Those that are on the route wait no more.
        for n in 0..5 {
            self.last = self.create(jobs + n).await?;
        }
        let began = Instant::now();
        while !ask(self.at, &get(&format!("/v1/videos/{}", self.last), KEY)).await?.contains("starts_in_seconds") {
            ensure!(began.elapsed() < Duration::from_secs(30), "whoever came last is not told its place");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn create(&self, n: usize) -> anyhow::Result<String> {
        create(self.at, n).await
    }

    /// Has the line served by a provider that is quick, and tells how its ends fared.
    async fn serve(&self, quick: SocketAddr) -> anyhow::Result<()> {
        let (before, all) = (sent(quick).await?, LINES[1]);
        fs::write(&self.config, policy(&self.books, quick, 64))?;
        ask(self.admin, &admins("POST", "/api/reload", self.admin)).await?;
        let began = Instant::now();
        let mut marks = Vec::new();
        for mark in [1, SERVED, all - SERVED, all - 100] {
            while sent(quick).await? - before < mark {
                ensure!(began.elapsed() < Duration::from_secs(600), "the line is not served");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            marks.push((sent(quick).await? - before, began.elapsed().as_secs_f64(), self.gateway.cpu_us().unwrap_or(0)));
        }
        let part = |from: (usize, f64, u64), to: (usize, f64, u64)| {
            let jobs = (to.0 - from.0) as f64;
            (jobs / (to.1 - from.1), (to.2 - from.2) as f64 / jobs)
        };
        let (first, last) = (part(marks[0], marks[1]), part(marks[2], marks[3]));
        println!("  served while {all} wait  {:>6.0} /s, {:.0} us of processor a job", first.0, first.1);
        println!("  served at its end       {:>8.0} /s, {:.0} us: ratio {:.2}", last.0, last.1, first.1 / last.1);
        Ok(())
    }
}

/// One route, whose places are few.
fn policy(books: &str, upstream: SocketAddr, places: u32) -> String {
    format!(
        "[store]\nurl = \"{books}\"\n\
         [routes.studio]\nprovider = \"openai_compatible\"\nbase_url = \"http://{upstream}/openai/v1\"\napi_key = \"sk-bench\"\n\
         limits = {{ in_flight = {places} }}\npoll = {{ early = \"100ms\", late = \"1s\", rate = 60000 }}\n\
         models.sora-2 = {{ seconds = [4, 8, 12], price = \"0.10\" }}\n\
         [tenants.demo]\nbudget = {{ cap = \"unlimited\", per = \"total\" }}\nkeys = [\"sha256:{KEY_SHA256}\"]\n\
         queue = {{ max = 100000, wait = \"24h\" }}\n",
    )
}

async fn create(at: SocketAddr, n: usize) -> anyhow::Result<String> {
    let json = format!(r#"{{"model":"sora-2","prompt":"A whale, and {n} gulls above it","seconds":"12","size":"720x1280"}}"#);
    let video: serde_json::Value = serde_json::from_str(&ask(at, &post("/v1/videos", KEY, &json)).await?)?;
    Ok(video["id"].as_str().context("a video has an id")?.to_owned())
}

fn delete(id: &str) -> Vec<u8> {
    format!("DELETE /v1/videos/{id} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n\r\n").into_bytes()
}

fn admins(method: &str, path: &str, at: SocketAddr) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nx-filmgate-admin: 1\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// How many jobs a provider was sent.
async fn sent(upstream: SocketAddr) -> anyhow::Result<usize> {
    let stats: serde_json::Value = serde_json::from_str(&ask(upstream, &get("/_simulator/stats", "")).await?)?;
    Ok(usize::try_from(stats["requests"]["openai/create"].as_u64().unwrap_or(0))?)
}
