//! Operation: following the policy's file, and the simulator that a policy may ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;
use tracing::{debug, error, info, warn};

use crate::budget::Account;
use crate::certificates;
use crate::gateway::Gateway;
use crate::id::{AccountId, RouteName};
use crate::policy::{Choose, Policy, Route, StoreUrl};
use crate::reload::{self, Looked};
use crate::simulator;
use crate::store::Inhabited;
use crate::traffic::COUNTED_EVERY;

/// Follows the policy's file until the gateway stops.
pub async fn follow_file(gw: Arc<Gateway>) {
    let mut due = tokio::time::interval(reload::EVERY);
    // A look that took long is followed by the next at once: that is the one that puts in force what it made.
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = gw.stop.cancelled() => return,
            _ = due.tick() => {}
        }
        look(&gw, false).await;
        look_at_certificates(&gw, false).await;
    }
}

/// Counts how busy the routes are among which the least busy is chosen, until the gateway stops. While the books do not
/// answer, the last count stands.
pub async fn count_traffic(gw: Arc<Gateway>) {
    loop {
        tokio::select! {
            () = gw.stop.cancelled() => return,
            () = tokio::time::sleep(COUNTED_EVERY) => {}
        }
        let policy = gw.policy.snapshot();
        let chosen_by_load = policy.rules.iter().filter(|rule| rule.choose == Choose::LeastBusy);
        let routes: BTreeSet<&RouteName> = chosen_by_load.flat_map(|rule| &rule.routes).map(|(route, _)| &route.name).collect();
        let counts = routes.into_iter().map(|route| {
            let gw = &gw;
            async move { gw.store.places_taken(&Account::Route(route.clone())).await.map(|taken| (route.clone(), taken)) }
        });
        match try_join_all(counts).await {
            Ok(counts) => gw.traffic.counted(counts),
            Err(error) => debug!(%error, "how busy routes are cannot be counted"),
        }
    }
}

/// What a reload came to that was asked for.
#[derive(Debug)]
pub struct Reloaded {
    /// The policy's file.
    pub policy: Looked,
    /// Why certificates are refused, each with its key in the policy.
    pub certificates: Vec<String>,
}

/// Puts the files in force as they stand now, also if only secrets outside the policy changed.
pub async fn reload(gw: &Arc<Gateway>) -> Reloaded {
    Reloaded { policy: look(gw, true).await, certificates: look_at_certificates(gw, true).await }
}

/// Shows what the files hold now; answers which are refused.
async fn look_at_certificates(gw: &Arc<Gateway>, anyway: bool) -> Vec<String> {
    let mut told = Vec::new();
    for shown in gw.certificates.all() {
        let (shown, server, now) = (shown.clone(), gw.policy.snapshot(), gw.clock.now());
        let key = shown.key();
        let looking = shown.clone();
        let looked = tokio::task::spawn_blocking(move || looking.look(&server.server, now, anyway)).await;
        match looked {
            Ok(certificates::Looked::Same) => {}
            Ok(certificates::Looked::Swapped) => {
                gw.metrics.certificate_loaded(shown.listener);
                info!(key, ends = shown.standing().validity.warning(now), "another certificate is shown");
            }
            Ok(certificates::Looked::Refused(why)) => {
                gw.metrics.certificate_refused(shown.listener);
                error!(key, "the certificate is refused and the one before it is shown: {why}");
                told.push(format!("{key}: {why}"));
            }
            Err(died) => told.push(format!("{key}: reading the files failed: {died}")),
        }
    }
    told
}

async fn look(gw: &Arc<Gateway>, anyway: bool) -> Looked {
    // No more of the policy than that: it is let go where it was made.
    let before = accounts(&gw.policy.snapshot());
    let looking = gw.clone();
    let (answer, looked) = oneshot::channel();
    gw.reloader.give(move || {
        // To stop all buying is not to wait for what is told of the rest.
        let follow = |policy: &Policy| looking.halting.follow_file(policy.server.halt);
        let _ = answer.send(looking.reloader.look(&looking.policy, looking.clock.now(), anyway, follow));
    });
    let mut looked = match looked.await {
        Ok(looked) => looked,
        Err(died) => Looked::Refused(format!("reading the file failed: {died}")),
    };
    match &mut looked {
        Looked::Same => {}
        Looked::Swapped(changes) => {
            let moved = moved(gw, &before).await;
            gw.reloader.tell(&moved);
            changes.extend(moved);
            swapped(gw, changes).await;
        }
        Looked::Refused(why) => {
            gw.metrics.policy_refused();
            error!("the policy file is refused and the last good one stays in force:\n{why}");
        }
    }
    looked
}

/// Which account each route has.
fn accounts(policy: &Policy) -> BTreeMap<RouteName, AccountId> {
    policy.routes.values().map(|route| (route.name.clone(), route.account.clone())).collect()
}

/// What a reload has to say of routes that have another account now.
async fn moved(gw: &Gateway, before: &BTreeMap<RouteName, AccountId>) -> Vec<String> {
    let policy = gw.policy.snapshot();
    let is_moved = |route: &&Arc<Route>| before.get(&route.name).is_some_and(|before| *before != route.account);
    let moved: Vec<_> = policy.routes.values().filter(is_moved).collect();
    let removed: Vec<_> = before.keys().filter(|name| !policy.routes.contains_key(*name)).collect();
    if moved.is_empty() && removed.is_empty() {
        return Vec::new();
    }
    let inhabited = gw.store.inhabited().await.ok();
    let left = removed.into_iter().filter_map(|name| {
        let open = inhabited.as_ref()?.iter().filter(|left| left.home.route == *name).map(|left| left.jobs).sum::<u64>();
        let jobs = if open == 1 { "1 open job is" } else { &format!("{open} open jobs are") };
        (open > 0).then(|| {
            format!("routes.{name}: removed; {jobs} followed until this gateway stops, and after that only if the route is back (`drain = true`)")
        })
    });
    let told = moved.into_iter().map(|route| {
        let former = |left: &&Inhabited| left.home.route == route.name && !route.is_at(&left.home);
        let open = inhabited.as_ref().map(|inhabited| inhabited.iter().filter(former).map(|left| left.jobs).sum::<u64>());
        let stay = match open {
            Some(1) => "1 open job stays".to_owned(),
            Some(open) => format!("{open} open jobs stay"),
            None => "open jobs stay".to_owned(),
        };
        format!("routes.{}: account changed; {stay} with the former", route.name)
    });
    left.chain(told).collect()
}

/// Tells everybody who keeps something by route or tenant.
async fn swapped(gw: &Arc<Gateway>, changes: &[String]) {
    let policy = gw.policy.snapshot();
    for warning in &policy.warnings {
        warn!("{warning}");
    }
    if let Err(error) = start_simulator(gw).await {
        error!(%error, "the simulator could not be started; routes to it cannot be reached");
    }
    let told = (gw.clone(), policy.clone());
    // With a hundred thousand tenants, too long for a thread that answers requests.
    let telling = tokio::task::spawn_blocking(move || tell(&told.0, &told.1));
    if telling.await.is_err() {
        error!("not everybody was told of the new policy");
    }
    info!(policy.revision = policy.revision, "policy in force");
    for change in changes {
        info!(policy.revision = policy.revision, "changed: {change}");
    }
}

fn tell(gw: &Gateway, policy: &Policy) {
    gw.limits.retain(policy);
    gw.doorbells.retain(|route| policy.route_of(route).is_some());
    gw.hall.retain(|route| policy.routes.contains_key(route));
    gw.health.retain(policy);
    gw.accounts.retain(policy);
    gw.traffic.retain(|route| policy.route_of(route).is_some());
    gw.metrics.policy_loaded(policy, gw.clock.now());
}

/// Starts the simulator if a route needs it and it does not run; its jobs live beside the books.
pub async fn start_simulator(gw: &Gateway) -> io::Result<()> {
    let policy = gw.policy.snapshot();
    let Some(route) = policy.routes.values().find(|route| route.simulated) else { return Ok(()) };
    let journal = match &policy.store {
        StoreUrl::Sqlite(path) => Some(path.with_extension("simulator.jsonl")),
        StoreUrl::Postgres(_) => Some(PathBuf::from("filmgate.simulator.jsonl")),
    };
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = simulator::Settings { listen, speed: route.speed, journal, clip_bytes_min: 0 };
    let simulator = gw.simulator.get_or_try_init(|| simulator::start(settings)).await?;
    gw.upstream.simulator_is_at(simulator.addr());
    Ok(())
}
