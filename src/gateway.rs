//! The gateway: its parts together, as plain data. Built once by `boot`; only the two spines and the
//! workers see it whole.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::archive::Archive;
use crate::callback::Callbacks;
use crate::certificates::Certificates;
use crate::clock::{Clock, Timestamp};
use crate::doorbells::Doorbells;
use crate::emergency::Emergency;
use crate::hall::Hall;
use crate::halting::Halting;
use crate::health::Health;
use crate::id::ModelName;
use crate::limits::Limits;
use crate::link::Links;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::plan::{Candidate, Seen};
use crate::policy::{Current, Route};
use crate::probes::Probes;
use crate::reconciling::Reconciling;
use crate::reload::Reloader;
use crate::sendings::Sendings;
use crate::simulator::Simulator;
use crate::store::Store;
use crate::traffic::Traffic;
use crate::upstream::Upstream;

/// The parts, and nothing else.
pub struct Gateway {
    /// What the operator decided.
    pub policy: Current,
    /// Puts a new policy in force.
    pub reloader: Reloader,
    /// What listeners that speak TLS show.
    pub certificates: Certificates,
    /// Everything durable.
    pub store: Arc<dyn Store>,
    /// For what the store did not take in time.
    pub emergency: Arc<Emergency>,
    /// The way out.
    pub upstream: Upstream,
    /// Where finished clips are kept.
    pub archive: Archive,
    /// Requests per minute.
    pub limits: Limits,
    /// Which routes answered lately.
    pub health: Health,
    /// How long clips take on each route, and how busy each is.
    pub traffic: Traffic,
    /// By which route an attempt's own account can be asked.
    pub accounts: Accounts,
    /// Whether nothing may be bought at present.
    pub reconciling: Reconciling,
    /// Whether an operator has stopped all buying.
    pub halting: Halting,
    /// The simulator inside this process, once a route needed it.
    pub simulator: OnceCell<Simulator>,
    /// What is counted.
    pub metrics: Metrics,
    /// What time it is.
    pub clock: Clock,
    /// When this process began to serve.
    pub started_at: Timestamp,
    /// Signs the addresses that providers call back at.
    pub callbacks: Callbacks,
    /// Signs links to content.
    pub links: Links,
    /// Work that outlives the request it came from; a stop waits for it.
    pub tasks: TaskTracker,
    /// Tells load balancers to look elsewhere: ahead of `stop`, while everybody is still served.
    pub leaving: CancellationToken,
    /// Tells everybody that the gateway is stopping.
    pub stop: CancellationToken,
    /// What is remembered of requests that may be sent again.
    pub sendings: Sendings,
    /// What is remembered of the outbox.
    pub outbox: Outbox,
    /// What is remembered of callbacks.
    pub doorbells: Doorbells,
    /// What was found out by probes, and which are under way.
    pub probes: Probes,
    /// What is remembered of those who stand in line.
    pub hall: Hall,
    /// Rings when a job may be due earlier than the poller expects.
    pub due: Notify,
    /// Kibibytes of request bodies that may be in memory at a time.
    pub body_kib: Semaphore,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gateway")
    }
}

impl Gateway {
    /// What is seen of routes at present, as a plan asks.
    pub const fn seen(&self) -> Lately<'_> {
        Lately { traffic: &self.traffic, health: &self.health }
    }
}

/// What this process has seen of routes.
#[derive(Clone, Copy, Debug)]
pub struct Lately<'a> {
    traffic: &'a Traffic,
    health: &'a Health,
}

impl Seen for Lately<'_> {
    fn takes(&self, candidate: &Candidate, model: &ModelName, at: Timestamp) -> Duration {
        self.traffic.takes(candidate, model, at)
    }

    fn in_flight(&self, route: &Route) -> u32 {
        self.traffic.in_flight(route)
    }

    fn has(&self, route: &Route, model: &ModelName) -> bool {
        !self.health.is_gone(route, model)
    }
}
