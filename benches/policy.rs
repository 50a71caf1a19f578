//! A policy of a hundred thousand tenants and a thousand rules: what it takes to put it in force and to decide by it.
//! `cargo bench --bench policy`
//!
//! The rules are the same whatever the number of tenants, and all but the last are for somebody else than who is
//! measured. The creates of a large and of a small policy alternate, so that both see the same machine.

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "another bench has more to ask")]
#[path = "proxy/load/mod.rs"]
mod load;

use anyhow::{Context as _, anyhow};
use filmgate::bench::{Extras, JobId, ModelName, Moment, Origin, Policy, Seconds, SecretSource, Timestamp, Wish, compile, plan};
use load::process::{Program, free_address};
use load::{Load, ask, get, post, ready, run};

const RULES: usize = 1_000;
const TENANTS: [usize; 3] = [10, 1_000, 100_000];
/// Of `filmgate-demo-key`, which is the tenant's who creates.
const KEY_SHA256: &str = "60eb4ca46c272b89621d56e8ae5383c6a4837c1a7b707081f04aa47a516e491c";
const KEY: &str = "filmgate-demo-key";
/// Of `filmgate-second-key`, which the same tenant has in every other file.
const SECOND_KEY_SHA256: &str = "e727c3b2d4a798d4bfa85f2ceeb5dc99a646a931840dd80d68e213c51412174a";
const SECOND_KEY: &str = "filmgate-second-key";
const ROUNDS: usize = 5;
const LASTING: Duration = Duration::from_secs(1);
const CONNECTIONS: usize = 16;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("policy");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder)?;
    let upstream = free_address()?;
    println!("compiling, and planning a wish that only the last of {RULES} rules is for");
    for tenants in TENANTS {
        decide(tenants, upstream)?;
    }
    let _simulator = Program::start(&["simulate", "--speed", "1000", "--listen", &upstream.to_string()])?;
    ready(upstream, "/_simulator/stats").await?;
    let small = Served::start(&folder, "small", 10, upstream).await?;
    let large = Served::start(&folder, "large", TENANTS[2], upstream).await?;
    for (who, served) in [("10 tenants", &small), ("100,000 tenants", &large)] {
        let reloads = served.reloads().await?;
        println!("  {who:<16} reload {:>6.0} ms, memory {:>6.1} MiB, {:.1} MiB after {ROUNDS} reloads", reloads.0, reloads.1, reloads.2);
        println!("  {who:<16} a key comes and goes {:>6.0} ms after the file was renamed, unasked", served.notices().await?);
    }
    creates(&small, &large).await?;
    drop((small, large));
    Ok(fs::remove_dir_all(&folder)?)
}

/// Tenants named by rules, then those that only the last rule is for, then whoever creates.
fn policy(tenants: usize, books: &str, upstream: SocketAddr) -> String {
    let mut text = format!("[store]\nurl = \"sqlite:{books}\"\n");
    for name in ["one", "other"] {
        let _ = writeln!(
            text,
            "[routes.{name}]\nprovider = \"openai_compatible\"\nbase_url = \"http://{upstream}/openai/v1\"\napi_key = \"sk-bench-{name}\"\n\
             poll = {{ early = \"60s\", late = \"60s\" }}\nmodels.sora-2 = {{ seconds = [4, 8, 12], price = \"0.10\" }}"
        );
    }
    for i in 1..RULES {
        let _ = writeln!(text, "[[rules]]\nwhen = {{ tenant = \"ruled{i}\", seconds = [4, 8] }}\nroutes = [\"other\"]");
    }
    text.push_str("[[rules]]\nroutes = [\"one\", \"other\"]\n");
    let names = (1..RULES).map(|i| format!("ruled{i}")).chain((0..tenants).map(|i| format!("t{i}")));
    for (i, name) in names.enumerate() {
        let _ =
            writeln!(text, "[tenants.{name}]\nkeys = [\"sha256:{i:064x}\"]\nbudget = {{ cap = \"500.00\", timezone = \"Europe/Berlin\" }}");
    }
    let _ = writeln!(text, "[tenants.demo]\nkeys = [\"sha256:{KEY_SHA256}\"]\nbudget = {{ cap = \"unlimited\" }}");
    text
}

fn decide(tenants: usize, upstream: SocketAddr) -> anyhow::Result<()> {
    let text = policy(tenants, "books.db", upstream);
    let compiled = || -> anyhow::Result<(Policy, Duration)> {
        let began = Instant::now();
        let policy = compile(&text, &|_, source| match source {
            SecretSource::Literal(secret) => Ok(secret.clone()),
            _ => Err("the policy has no other secrets".to_owned()),
        });
        Ok((policy.map_err(|faults| anyhow!(faults.render(false)))?, began.elapsed()))
    };
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        took.push(compiled()?.1);
    }
    let (policy, _) = compiled()?;
    let fastest = took.iter().min().context("it was compiled")?;
    let tenant = policy.tenants.get("demo").context("the tenant is there")?;
    let wish = wish();
    let (at, id) = (Timestamp::from_secs(1_795_435_200), JobId::mint());
    let mut per_call: Vec<f64> = (0..ROUNDS * 4)
        .map(|_| {
            let (began, calls) = (Instant::now(), 20_000_u32);
            for _ in 0..calls {
                black_box(plan(&policy, tenant, &wish, None, Moment::of(at).drawing(id.seed())).is_ok());
            }
            began.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
        })
        .collect();
    per_call.sort_by(f64::total_cmp);
    println!(
        "  {tenants:>7} tenants and {} more: compiled in {:>5.0} ms ({:.1} MiB of text), {:>5.0} ns a plan",
        RULES - 1,
        fastest.as_secs_f64() * 1e3,
        text.len() as f64 / f64::from(1 << 20),
        per_call[per_call.len() / 2]
    );
    Ok(())
}

fn wish() -> Wish {
    Wish {
        origin: Origin::Create,
        prompt: "A calm sea at dawn".to_owned(),
        model: Some(ModelName::new("sora-2")),
        seconds: Seconds::new(4),
        size: None,
        reference: None,
        characters: Vec::new(),
        extras: Extras::default(),
        end_user: None,
    }
}

/// A gateway with a policy of its own.
struct Served {
    gateway: Program,
    at: SocketAddr,
    admin: SocketAddr,
    config: PathBuf,
}

impl Served {
    async fn start(folder: &Path, name: &str, tenants: usize, upstream: SocketAddr) -> anyhow::Result<Self> {
        let (at, admin) = (free_address()?, free_address()?);
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let config = folder.join("gateway.toml");
        fs::write(&config, policy(tenants, &folder.join("books.db").display().to_string(), upstream))?;
        let path = config.to_str().context("a folder whose name is text")?;
        let gateway = Program::start(&["serve", "--config", path, "--listen", &at.to_string(), "--admin", &admin.to_string()])?;
        ready(admin, "/readyz").await?;
        Ok(Self { gateway, at, admin, config })
    }

    fn resident_mib(&self) -> f64 {
        self.gateway.resident_kib().map_or(f64::NAN, |kib| kib as f64 / 1024.0)
    }

    /// Edits the file and has it put in force, over and over: the median in milliseconds, and memory before and after, MiB.
    async fn reloads(&self) -> anyhow::Result<(f64, f64, f64)> {
        let before = self.resident_mib();
        let text = fs::read_to_string(&self.config)?;
        let request = format!("POST /api/reload HTTP/1.1\r\nHost: {}\r\nx-filmgate-admin: 1\r\nContent-Length: 0\r\n\r\n", self.admin);
        let mut took = Vec::new();
        for round in 0..ROUNDS {
            fs::write(&self.config, format!("{text}[guard]\nprompt_max_chars = {}\n", 1_000 + round))?;
            let began = Instant::now();
            ask(self.admin, request.as_bytes()).await?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        took.sort_by(f64::total_cmp);
        Ok((took[ROUNDS / 2], before, self.resident_mib()))
    }

    /// Renames another file into place, which gives the tenant a key more or takes it away, and asks with that key until
    /// it is so: the median in milliseconds. Nobody tells the gateway to look.
    async fn notices(&self) -> anyhow::Result<f64> {
        let text = fs::read_to_string(&self.config)?;
        let one = format!("keys = [\"sha256:{KEY_SHA256}\"]");
        let two = text.replace(&one, &format!("keys = [\"sha256:{KEY_SHA256}\", \"sha256:{SECOND_KEY_SHA256}\"]"));
        let beside = self.config.with_extension("new");
        let models = get("/v1/models", SECOND_KEY);
        let mut took = Vec::new();
        for round in 0..ROUNDS as u64 {
            let is_given = round % 2 == 0;
            fs::write(&beside, if is_given { &two } else { &text })?;
            let began = Instant::now();
            fs::rename(&beside, &self.config)?;
            while ask(self.at, &models).await.is_ok() != is_given {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            took.push(began.elapsed().as_secs_f64() * 1e3);
            // The file has settled by then; and the next edit comes at another moment between two looks at it.
            tokio::time::sleep(Duration::from_millis(5_000 + 53 * round)).await;
        }
        took.sort_by(f64::total_cmp);
        Ok(took[ROUNDS / 2])
    }
}

/// Creates by turns; prints the median of what each round's 99th percentile was.
async fn creates(small: &Served, large: &Served) -> anyhow::Result<()> {
    let create = post("/v1/videos", KEY, r#"{"model":"sora-2","prompt":"A calm sea at dawn","seconds":"4"}"#);
    let p99 = async |served: &Served| -> anyhow::Result<Load> { run(served.at, &create, CONNECTIONS, LASTING).await };
    let (mut of_small, mut of_large) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_small.push(p99(small).await?.percentile_us(99));
        of_large.push(p99(large).await?.percentile_us(99));
    }
    for list in [&mut of_small, &mut of_large] {
        list.sort_by(f64::total_cmp);
    }
    let (few, many) = (of_small[ROUNDS / 2], of_large[ROUNDS / 2]);
    println!("creates, {CONNECTIONS} connections, p99: 10 tenants {few:.0} us, 100,000 tenants {many:.0} us, ratio {:.2}", many / few);
    Ok(())
}
