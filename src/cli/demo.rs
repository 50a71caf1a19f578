//! `filmgate demo`: a gateway with the simulator behind it makes one clip, from wish to MP4, shows what it
//! cost and stays up to be looked at. Needs no account, no file and no other program.

use std::io::{IsTerminal as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::boot::{self, Settings};

/// The policy it runs: the one that is shipped.
const POLICY: &str = include_str!("../../gateway.toml");
/// Where that policy keeps its books; the demo's are kept apart.
const SHIPPED_STORE: &str = "sqlite:filmgate.db";
/// Where it keeps its clips, likewise.
const SHIPPED_ARCHIVE: &str = "file:clips";
/// The shipped policy's key for its tenant `demo`.
const KEY: &str = "filmgate-demo-key";
/// A clip of the simulator is small; more is not one.
const CLIP_BYTES_MAX: usize = 64 << 20;
/// The simulator is done long before.
const DONE_WITHIN: Duration = Duration::from_secs(120);

/// What `demo` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// Where the clip is written.
    #[arg(long, default_value = "filmgate-demo.mp4")]
    output: PathBuf,
    /// What it shall show.
    #[arg(long, default_value = "A paper boat crosses a rain-lit street")]
    prompt: String,
    /// End when the clip is written instead of staying up.
    #[arg(long)]
    once: bool,
}

/// Makes one clip, and stays up.
pub fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let home = std::env::temp_dir().join(format!("filmgate-demo-{}", std::process::id()));
    std::fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let outcome = super::runtime()?.block_on(show(args, &home));
    // What is left behind is a temporary folder; not being able to remove it is no failure of the demo.
    let _ = std::fs::remove_dir_all(&home);
    outcome
}

async fn show(args: &DemoArgs, home: &Path) -> anyhow::Result<ExitCode> {
    let config = home.join("gateway.toml");
    let store = format!("sqlite:{}", home.join("filmgate.db").display());
    let archive = format!("file:{}", home.join("clips").display());
    let policy = POLICY.replace(SHIPPED_STORE, &store).replace(SHIPPED_ARCHIVE, &archive);
    std::fs::write(&config, policy).with_context(|| format!("cannot write {}", config.display()))?;
    let settings = Settings { config, listen: Some(free(8080)), admin: Some(free(9090)), reconcile_only: false };
    let running = boot::start(settings).await?;
    let base = format!("http://{}/v1", running.address);
    println!("gateway    {base}\noperator   http://{}/\n", running.admin);

    let client = Caller::new(base.clone());
    let (clip, cost, left) = make(&client, &args.prompt).await?;
    std::fs::write(&args.output, &clip).with_context(|| format!("cannot write {}", args.output.display()))?;
    println!("clip       {} ({} bytes)", args.output.display(), clip.len());
    println!("cost       {cost} USD (of the simulator's play money)\nleft       {left} USD of the budget of tenant demo\n");
    if args.once {
        running.stop().await;
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", invitation(&base, running.admin));
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = term.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// The address that the shipped policy names, or any if another program is there.
fn free(port: u16) -> SocketAddr {
    let usual = SocketAddr::from(([127, 0, 0, 1], port));
    if TcpListener::bind(usual).is_ok() { usual } else { SocketAddr::from(([127, 0, 0, 1], 0)) }
}

/// From wish to bytes; what it cost, and what is left.
async fn make(client: &Caller, prompt: &str) -> anyhow::Result<(Bytes, String, String)> {
    let wish = json!({ "model": "sora-2", "prompt": prompt, "seconds": "4", "size": "1280x720" });
    let made = client.ask(Method::POST, "/videos", Some(&wish)).await?;
    let header = |name: &str| made.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("?").to_owned();
    let (cost, left) = (header("filmgate-cost"), header("filmgate-budget-remaining"));
    let mut video: Value = serde_json::from_slice(made.body())?;
    let id = video["id"].as_str().context("the gateway gave no id")?.to_owned();
    println!("job        {id}");

    let (started, terminal) = (Instant::now(), std::io::stdout().is_terminal());
    while !matches!(video["status"].as_str(), Some("completed" | "failed")) {
        if started.elapsed() > DONE_WITHIN {
            bail!("the clip took longer than {} s", DONE_WITHIN.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        video = serde_json::from_slice(client.ask(Method::GET, &format!("/videos/{id}"), None).await?.body())?;
        if terminal {
            print!("\rprogress   {:>3} %", video["progress"]);
            std::io::stdout().flush()?;
        }
    }
    println!("{}status     {}", if terminal { "\r" } else { "" }, video["status"].as_str().unwrap_or_default());
    if video["status"] == "failed" {
        bail!("the clip was not made: {}", video["error"]);
    }
    let clip = client.ask(Method::GET, &format!("/videos/{id}/content"), None).await?;
    Ok((clip.into_body(), cost, left))
}

/// Talks to the gateway as any client would.
struct Caller {
    base: String,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl Caller {
    fn new(base: String) -> Self {
        Self { base, http: Client::builder(TokioExecutor::new()).build_http() }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Response<Bytes>> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .body(Full::new(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default()))?;
        let (head, body) = self.http.request(request).await?.into_parts();
        let body = Limited::new(body, CLIP_BYTES_MAX).collect().await.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        if !head.status.is_success() {
            bail!("the gateway answered {}: {}", head.status, String::from_utf8_lossy(&body));
        }
        Ok(Response::from_parts(head, body))
    }
}

/// What to try next.
fn invitation(base: &str, admin: SocketAddr) -> String {
    format!(
        r#"It stays up until Ctrl-C. The operator's page is at http://{admin}/ and this is how to order:

curl {base}/videos -H "Authorization: Bearer {KEY}" \
  -H "Content-Type: application/json" \
  -d '{{"model": "sora-2", "prompt": "A fox in the snow", "seconds": "4"}}'

from openai import OpenAI

client = OpenAI(base_url="{base}", api_key="{KEY}")
video = client.videos.create_and_poll(model="sora-2", prompt="A fox in the snow", seconds="4")
client.videos.download_content(video.id).write_to_file("fox.mp4")
"#
    )
}
