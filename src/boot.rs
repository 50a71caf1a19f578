//! Boot: builds every part once, in the order in which they need each other; owns stopping.
//!
//! The listeners are bound last, after the books are open and what a crash left behind is known, so that
//! a gateway that accepts connections is one that can keep its promises.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::{Notify, OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::accounts::Accounts;
use crate::archive::Archive;
use crate::callback::Callbacks;
use crate::certificates::Certificates;
use crate::clock::{Clock, Timestamp};
use crate::doorbells::Doorbells;
use crate::emergency::Emergency;
use crate::gateway::Gateway;
use crate::hall::Hall;
use crate::halting::Halting;
use crate::health::Health;
use crate::limits::Limits;
use crate::link::Links;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::policy::{Current, Policy, StoreUrl};
use crate::probes::Probes;
use crate::reconciling::Reconciling;
use crate::reload::Reloader;
use crate::sendings::Sendings;
use crate::store::{Postgres, Sqlite, Store};
use crate::traffic::Traffic;
use crate::upstream::Upstream;
use crate::{admin, jobs, operator, ops, routes, server};

/// Request bodies in memory at a time, kibibytes: 256 MiB.
const BODY_KIB: usize = 256 * 1024;
/// After readiness is withdrawn, before connections are turned away: what a load balancer needs to notice.
const UNREADY_FOR: Duration = Duration::from_millis(200);

/// The books may be ahead of the machine's clock by so much, and are believed.
const AHEAD_MAX: Duration = Duration::from_secs(86_400);

/// What the command line decides; everything else is in the file.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The policy file.
    pub config: PathBuf,
    /// Instead of `[server].listen`.
    pub listen: Option<SocketAddr>,
    /// Instead of `[server].admin`.
    pub admin: Option<SocketAddr>,
    /// Whether the books are a backup that was restored: nothing is bought until they are reconciled.
    pub reconcile_only: bool,
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Running {
    /// Its parts.
    gw: Arc<Gateway>,
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    servers: TaskTracker,
}

/// Starts a gateway and answers once it serves.
pub async fn start(settings: Settings) -> anyhow::Result<Running> {
    let clock = Clock::default();
    let (reloader, policy) = Reloader::start(&settings.config, clock.now())?;
    for warning in &policy.warnings {
        warn!("{warning}");
    }
    let certificates = Certificates::start(&policy.server).map_err(anyhow::Error::msg)?;
    for warning in certificates.warnings(clock.now()) {
        warn!("{warning}");
    }
    let store = open_store(&policy, settings.reconcile_only).await?;
    agree_on_time(&clock, &*store).await?;
    let emergency = take_over(&policy, &*store, clock.now()).await?;
    if settings.reconcile_only {
        store.reconcile_only().await?;
    }
    let accounts = Accounts::default();
    let reconciling = Reconciling::new(store.reconciling().await?);
    let halting = Halting::start(policy.server.halt, &*store).await?;
    let key = store.signing_key().await?;
    let (links, callbacks) = (Links::new(key), Callbacks::new(key));
    let listener = bind(settings.listen.unwrap_or(policy.server.listen)).await?;
    let admin_listener = bind(settings.admin.unwrap_or(policy.server.admin)).await?;
    let (address, admin) = (listener.local_addr()?, admin_listener.local_addr()?);

    let metrics = Metrics::new();
    metrics.policy_loaded(&policy, clock.now());
    certificates.all().for_each(|shown| metrics.certificate_loaded(shown.listener));
    info!(policy.revision = policy.revision, "policy in force");
    let gw = Arc::new(Gateway {
        policy: Current::new(policy),
        reloader,
        certificates,
        store,
        emergency,
        upstream: Upstream::new(reconciling.clone(), halting.clone(), accounts.clone()),
        reconciling,
        accounts,
        halting,
        simulator: OnceCell::new(),
        archive: Archive::default(),
        limits: Limits::default(),
        health: Health::default(),
        traffic: Traffic::default(),
        metrics,
        started_at: clock.now(),
        clock,
        links,
        callbacks,
        tasks: TaskTracker::new(),
        leaving: CancellationToken::new(),
        stop: CancellationToken::new(),
        sendings: Sendings::default(),
        outbox: Outbox::default(),
        doorbells: Doorbells::default(),
        probes: Probes::default(),
        hall: Hall::default(),
        due: Notify::new(),
        body_kib: Semaphore::new(BODY_KIB),
    });
    ops::start_simulator(&gw).await.context("cannot start the simulator")?;
    jobs::start(&gw);
    operator::start(&gw);
    gw.tasks.spawn(ops::follow_file(gw.clone()));
    gw.tasks.spawn(ops::count_traffic(gw.clone()));

    let servers = serve(&gw, listener, admin_listener);
    info!(%address, %admin, "serving");
    Ok(Running { gw, address, admin, servers })
}

/// Serves clients at one listener and operators at the other, until the gateway stops.
fn serve(gw: &Arc<Gateway>, listener: TcpListener, admin_listener: TcpListener) -> TaskTracker {
    let servers = TaskTracker::new();
    let path = {
        let gw = gw.clone();
        move |request| routes::answer(gw.clone(), request)
    };
    let (timeouts, tls) = (server::Timeouts::default(), &gw.certificates);
    servers.spawn(server::serve(listener, server::rim(path), tls.public.clone(), timeouts, servers.clone(), gw.stop.clone()));
    let path = {
        let gw = gw.clone();
        move |request| admin::answer(gw.clone(), request)
    };
    servers.spawn(server::serve(admin_listener, server::rim(path), tls.admin.clone(), timeouts, servers.clone(), gw.stop.clone()));
    servers
}

/// Time begins where the books end: a machine whose clock is a little behind them is waited for. Whose is far
/// behind has been wrong, then or now, and somebody has to know.
async fn agree_on_time(clock: &Clock, store: &dyn Store) -> anyhow::Result<()> {
    let Some(latest) = store.latest_line_at().await? else { return Ok(()) };
    let ahead = latest.since(clock.now());
    if ahead <= AHEAD_MAX {
        clock.not_before(latest);
    } else {
        let secs = ahead.as_secs();
        error!(ahead_secs = secs, "the books' latest line is from the future: the machine's clock was wrong then or is wrong now");
    }
    Ok(())
}

/// What an earlier process left unfinished: what it noted down in an emergency, then what it was submitting.
async fn take_over(policy: &Policy, store: &dyn Store, now: Timestamp) -> anyhow::Result<Arc<Emergency>> {
    let journal = &policy.emergency_journal;
    let emergency = Arc::new(Emergency::open(journal).with_context(|| format!("cannot read {}", journal.display()))?);
    jobs::replay(store, &emergency, now).await?;
    let unknown = store.recover(now).await?;
    if unknown > 0 {
        warn!(jobs = unknown, "submissions were under way when the gateway last stopped; they are looked for upstream");
    }
    Ok(emergency)
}

impl Running {
    /// Looks at the policy file now, as SIGHUP asks for.
    pub async fn reload(&self) {
        ops::reload(&self.gw).await;
    }

    /// Turns the gateway's clock forward, for tests of what happens in time.
    pub fn turn_clock(&self, span: Duration) {
        self.gw.clock.turn(span);
    }

    /// Sets the machine's clock, as far as the gateway can see, for tests of who is misled by it.
    pub fn set_machine_clock(&self, by_ms: i64) {
        self.gw.clock.set_machine(by_ms);
    }

    /// What does not add up in the books; nothing, it is hoped.
    pub async fn audit(&self) -> Vec<String> {
        self.gw.store.audit().await.unwrap_or_else(|error| vec![error.to_string()])
    }

    /// Stops: no new work, what is under way to its end, within the policy's `drain`.
    ///
    /// Answers whether everything ended by itself.
    pub async fn stop(self) -> bool {
        let drain = self.gw.policy.snapshot().server.drain;
        info!(drain_secs = drain.as_secs(), "stopping");
        self.gw.leaving.cancel();
        tokio::time::sleep(UNREADY_FOR).await;
        self.gw.stop.cancel();
        self.gw.tasks.close();
        self.servers.close();
        let ended = tokio::time::timeout(drain, async {
            self.servers.wait().await;
            self.gw.tasks.wait().await;
        });
        let clean = ended.await.is_ok();
        if !clean {
            error!("not everything ended in time; what was being submitted is looked for at the next start");
        }
        clean
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    server::bind(address).await.with_context(|| format!("cannot listen on {address}; is another program there?"))
}

/// Opens the books that the policy names for looking only, beside the gateway that keeps them.
pub async fn open_books(policy: &Policy) -> anyhow::Result<Arc<dyn Store>> {
    match &policy.store {
        StoreUrl::Sqlite(path) => Ok(Arc::new(
            Sqlite::open_to_read(path).context("there are no books to read: has a gateway run in this folder? (see [store] url)")?,
        )),
        StoreUrl::Postgres(url) => Ok(Arc::new(Postgres::open_to_read(url.reveal()).await.context("cannot read the books in PostgreSQL")?)),
    }
}

/// Opens the books that the policy names.
pub async fn open_store(policy: &Policy, restored: bool) -> anyhow::Result<Arc<dyn Store>> {
    let open = if restored { Sqlite::open_restored } else { Sqlite::open };
    match &policy.store {
        StoreUrl::Sqlite(path) => Ok(Arc::new(open(path).with_context(|| format!("cannot open {}", path.display()))?)),
        StoreUrl::Postgres(url) => Ok(Arc::new(Postgres::open(url.reveal()).await.context("cannot open the books in PostgreSQL")?)),
    }
}
