//! Many who open jobs of one tenant at once: how many get through, and how long each waits. `cargo bench --bench crowd`
//!
//! Their holds meet in the same balances, so each waits for those before it. Beside each figure of PostgreSQL stands
//! what as many connections do that add to one row, a commit each: nobody who holds a lock until a commit of its own is
//! on the disk is faster. `far` is the same server behind a wire that takes [`WIRE`] each way. The server is a private
//! one; without PostgreSQL only SQLite is measured.
//!
//! When the locks went from fifteen exchanges of messages to one, 24 at once went from 117 to 252 a second near the server and
//! from 9 to 109 far from it (medians from 180 to 96 and from 2,468 to 213 ms); with at most four of a gateway at the locks, a
//! read beside 48 of them went from 286 to 4 ms at the 99th percentile. Caps of a key and a user cost nothing that shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[allow(dead_code, clippy::unwrap_used, reason = "tests stop it and look into it, and fail where it does")]
#[path = "../tests/cluster/mod.rs"]
mod cluster;
mod wish;

use filmgate::bench::{Account, Booking, Clock, JobId, MicroUsd, Postgres, Sqlite, Store, TenantName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

const LASTING: Duration = Duration::from_secs(2);
const CROWDS: [usize; 4] = [1, 8, 24, 48];
const WIRE: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    println!("open_job of one tenant, {} s each", LASTING.as_secs());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("crowd");
    for (tasks, capped) in CROWDS.map(|tasks| (tasks, false)).into_iter().chain([(24, true)]) {
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder)?;
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&folder.join("books.db"))?);
        let crowd = Crowd::run(&[store], tasks, capped).await?;
        println!("  sqlite    1 x {tasks:>2} {}{crowd}", if capped { "capped " } else { "" });
    }
    fs::remove_dir_all(&folder)?;
    if wish::has_postgres() {
        in_postgres().await?;
    }
    Ok(())
}

async fn in_postgres() -> anyhow::Result<()> {
    let server = tokio::task::spawn_blocking(cluster::Cluster::start).await?;
    let far = Far::before(&server.address()).await?;
    for (what, is_far) in [("postgres ", false), ("far      ", true)] {
        let address = |url: &str| if is_far { far.address(url) } else { url.to_owned() };
        for tasks in CROWDS {
            let updates = updates(&server, &address(&server.address()), tasks).await?;
            for replicas in [1, 3] {
                if replicas == 3 && tasks < 24 {
                    continue;
                }
                let crowd = Crowd::run(&open(&address(&server.books().address), replicas).await?, tasks / replicas, false).await?;
                let ratio = crowd.a_second() / updates;
                println!("  {what} {replicas} x {:>2} {crowd}, {ratio:.2} of {updates:.0} updates", tasks / replicas);
            }
        }
        let crowd = Crowd::run(&open(&address(&server.books().address), 1).await?, 24, true).await?;
        println!("  {what} 1 x 24 with caps of a key and a user {crowd}");
        let store = open(&address(&server.books().address), 1).await?;
        println!("  {what} a read, nobody else there {}", reads(&store[0], 0).await?);
        println!("  {what} a read, while 48 open jobs {}", reads(&store[0], 48).await?);
    }
    Ok(())
}

async fn open(address: &str, replicas: usize) -> anyhow::Result<Vec<Arc<dyn Store>>> {
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..replicas {
        stores.push(Arc::new(Postgres::open(address).await?));
    }
    Ok(stores)
}

/// How it went for many, one after the other.
#[derive(Default)]
struct Crowd {
    waits: Vec<Duration>,
    refused: usize,
    lasting: Duration,
}

impl Crowd {
    /// Has `tasks` at each replica open one job after the other.
    async fn run(stores: &[Arc<dyn Store>], tasks: usize, capped: bool) -> anyhow::Result<Self> {
        // Who comes first adds the accounts; that is not what is measured.
        open_one(&*stores[0], &Clock::default(), capped).await?;
        let began = Instant::now();
        let mut running = JoinSet::new();
        for store in stores.iter().cloned().cycle().take(tasks * stores.len()) {
            running.spawn(async move {
                let (clock, mut waits, mut refused) = (Clock::default(), Vec::new(), 0);
                while began.elapsed() < LASTING {
                    let asked = Instant::now();
                    match open_one(&*store, &clock, capped).await {
                        Ok(_) => waits.push(asked.elapsed()),
                        Err(_) => refused += 1,
                    }
                }
                (waits, refused)
            });
        }
        let mut crowd = Self::default();
        for (waits, refused) in running.join_all().await {
            crowd.waits.extend(waits);
            crowd.refused += refused;
        }
        crowd.lasting = began.elapsed();
        let faults = stores[0].audit().await?;
        anyhow::ensure!(faults.is_empty(), "the books do not add up: {faults:?}");
        Ok(crowd)
    }

    fn a_second(&self) -> f64 {
        self.waits.len() as f64 / self.lasting.as_secs_f64()
    }
}

impl std::fmt::Display for Crowd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let ms = |share: f64| waits.get((waits.len() as f64 * share) as usize).map_or(f64::NAN, |wait| wait.as_secs_f64() * 1_000.0);
        write!(f, "{:>6.0} /s, p50 {:>6.1} ms, p99 {:>6.1} ms", self.a_second(), ms(0.5), ms(0.99))?;
        if self.refused > 0 { write!(f, ", {} too late", self.refused) } else { Ok(()) }
    }
}

async fn open_one(store: &dyn Store, clock: &Clock, capped: bool) -> anyhow::Result<JobId> {
    let (mut job, attempt) = wish::wish(clock);
    if capped {
        let tenant = TenantName::new("demo");
        (job.key_name, job.end_user) = (Some("web".to_owned()), Some("ann".to_owned()));
        for account in [Account::Key(tenant.clone(), "web".to_owned()), Account::User(tenant, Some("ann".to_owned()))] {
            job.bookings.push(Booking { cap: Some(MicroUsd::MAX), ..Booking::at(account, None, job.at) });
        }
    }
    Ok(store.open_job(job, attempt).await?.id)
}

/// How long it takes to read a job while so many open others.
async fn reads(store: &Arc<dyn Store>, openers: usize) -> anyhow::Result<Crowd> {
    let id = open_one(&**store, &Clock::default(), false).await?;
    let over = Arc::new(AtomicBool::new(false));
    let mut reader = JoinSet::new();
    reader.spawn({
        let (store, over) = (Arc::clone(store), Arc::clone(&over));
        async move {
            let (began, mut crowd) = (Instant::now(), Crowd::default());
            while !over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                match store.job(&TenantName::new("demo"), id).await {
                    Ok(_) => crowd.waits.push(asked.elapsed()),
                    Err(_) => crowd.refused += 1,
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            crowd.lasting = began.elapsed();
            crowd
        }
    });
    match openers {
        0 => tokio::time::sleep(LASTING).await,
        many => drop(Crowd::run(std::slice::from_ref(store), many, false).await?),
    }
    over.store(true, Ordering::Relaxed);
    Ok(reader.join_all().await.remove(0))
}

/// How often a second so many connections add to one row, a commit each.
async fn updates(server: &cluster::Cluster, address: &str, tasks: usize) -> anyhow::Result<f64> {
    server.sql("CREATE TABLE IF NOT EXISTS counter (n BIGINT); TRUNCATE counter; INSERT INTO counter VALUES (0)");
    let (mut clients, mut connections) = (Vec::new(), JoinSet::new());
    for _ in 0..tasks {
        let (client, connection) = tokio_postgres::connect(address, NoTls).await?;
        connections.spawn(connection);
        let update = client.prepare("UPDATE counter SET n = n + 1").await?;
        clients.push((client, update));
    }
    let began = Instant::now();
    let mut running = JoinSet::new();
    for (client, update) in clients {
        running.spawn(async move {
            let mut count = 0_u32;
            while began.elapsed() < LASTING && client.execute(&update, &[]).await.is_ok() {
                count += 1;
            }
            count
        });
    }
    let count: u32 = running.join_all().await.into_iter().sum();
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

/// A socket before another one's, and a slow wire between them.
struct Far {
    near: String,
    far: String,
    folder: PathBuf,
    _carriers: JoinSet<()>,
}

impl Far {
    async fn before(address: &str) -> anyhow::Result<Self> {
        let host = |path: &Path| path.to_string_lossy().replace('/', "%2F");
        let near = address.split(['@', '/']).find(|part| part.starts_with("%2F")).unwrap_or_default().to_owned();
        let socket = PathBuf::from(near.replace("%2F", "/")).join(".s.PGSQL.5432");
        let folder = std::env::temp_dir().join(format!("filmgate-far-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432"))?;
        let mut carriers = JoinSet::new();
        carriers.spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = UnixStream::connect(&socket).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                carried.spawn(carry(from_client, to_server));
                carried.spawn(carry(from_server, to_client));
            }
        });
        Ok(Self { near, far: host(&folder), folder, _carriers: carriers })
    }

    fn address(&self, url: &str) -> String {
        url.replace(&self.near, &self.far)
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Carries what comes along, each piece after [`WIRE`].
async fn carry(mut from: tokio::net::unix::OwnedReadHalf, mut to: tokio::net::unix::OwnedWriteHalf) {
    let (sender, mut pieces) = tokio::sync::mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
    let reading = async move {
        let mut piece = vec![0; 65_536];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            drop(sender.send((tokio::time::Instant::now() + WIRE, piece[..length].to_vec())));
        }
    };
    let writing = async move {
        while let Some((at, piece)) = pieces.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
