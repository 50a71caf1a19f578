//! Ten thousand open jobs, each of which its client asks about once a second: how quickly it is told, and how
//! often the provider is asked on their behalf.
//!
//! What it takes from the provider is what is promised to operators: an account's rate is spent on jobs, and
//! not on those who wait for them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::load::process::{Program, free_address};
use crate::load::{ask, get, paced, post, ready};
use crate::{CONNECTIONS, KEY, KEY_SHA256};

const JOBS: usize = 10_000;
/// How long everybody asks.
const LASTING: Duration = Duration::from_secs(30);

/// Ten thousand, and what comes of asking about them.
pub async fn watching(folder: &Path) -> anyhow::Result<()> {
    let folder = &folder.join("watching");
    fs::create_dir_all(folder)?;
    let (upstream, at, admin) = (free_address()?, free_address()?, free_address()?);
    // A clip takes a minute and more there: all are open until this is over.
    let _simulator = Program::start(&["simulate", "--speed", "1", "--listen", &upstream.to_string()])?;
    ready(upstream, "/_simulator/stats").await?;
    let config = folder.join("gateway.toml");
    fs::write(&config, policy(folder, upstream))?;
    let config = config.to_str().context("a folder whose name is text")?;
    let gateway = Program::start(&["serve", "--config", config, "--listen", &at.to_string(), "--admin", &admin.to_string()])?;
    ready(admin, "/readyz").await?;

    let began = Instant::now();
    let ids = ordered(at).await?;
    println!(
        "{} open jobs, ordered in {:.1} s, each asked about once a second for {} s",
        ids.len(),
        began.elapsed().as_secs_f64(),
        LASTING.as_secs()
    );
    let (asked, cpu_us) = (questions(upstream).await?, gateway.cpu_us());
    let requests: Vec<Vec<u8>> = ids.iter().map(|id| get(&format!("/v1/videos/{id}"), KEY)).collect();
    let told = paced(at, &requests, CONNECTIONS, Duration::from_secs(1), LASTING).await?;
    let (asked, minutes) = (questions(upstream).await? - asked, LASTING.as_secs_f64() / 60.0);
    println!(
        "  answers                 {:>8.0} /s  p50 {:.0} us, p99 {:.0} us",
        told.per_second(),
        told.percentile_us(50),
        told.percentile_us(99)
    );
    if let Some((after, before)) = gateway.cpu_us().zip(cpu_us) {
        println!("  processor               {:>8.0} % of one", (after - before) as f64 / LASTING.as_secs_f64() / 1e4);
    }
    println!("  questions upstream      {:>8.0} a minute, {:.4} a job-minute", asked / minutes, asked / minutes / ids.len() as f64);
    if let Some(kib) = gateway.resident_kib() {
        println!("  resident memory         {:>8.1} MiB", kib as f64 / 1024.0);
    }
    Ok(())
}

/// One route that is asked as shipped.
fn policy(folder: &Path, upstream: SocketAddr) -> String {
    format!(
        "[store]\nurl = \"sqlite:{}\"\n\
         [routes.studio]\nprovider = \"openai_compatible\"\nbase_url = \"http://{upstream}/openai/v1\"\napi_key = \"sk-bench\"\n\
         [routes.studio.models.sora-2]\nas = \"sora-2\"\nseconds = [4]\nprice = \"0.10\"\n\
         [tenants.demo]\nbudget = {{ cap = \"unlimited\", per = \"total\" }}\nkeys = [\"sha256:{KEY_SHA256}\"]\n",
        folder.join("books.db").display(),
    )
}

async fn ordered(at: SocketAddr) -> anyhow::Result<Vec<String>> {
    let mut ordering = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let share = JOBS / CONNECTIONS + usize::from(connection < JOBS % CONNECTIONS);
        ordering.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..share {
                let created =
                    ask(at, &post("/v1/videos", KEY, r#"{"model":"sora-2","prompt":"A whale","seconds":"4","size":"720x1280"}"#)).await?;
                let video: serde_json::Value = serde_json::from_str(&created)?;
                ids.push(video["id"].as_str().context("a video has an id")?.to_owned());
            }
            anyhow::Ok(ids)
        });
    }
    Ok(ordering.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat())
}

/// What the provider has been asked about jobs so far.
async fn questions(upstream: SocketAddr) -> anyhow::Result<f64> {
    let stats: serde_json::Value = serde_json::from_str(&ask(upstream, &get("/_simulator/stats", "")).await?)?;
    let of = |operation: &str| stats["requests"][operation].as_f64().unwrap_or(0.0);
    Ok(of("openai/retrieve") + of("openai/list"))
}
