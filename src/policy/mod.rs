//! Policy: what we run. Compiled from `gateway.toml` by [`compile`](compile::compile), immutable, every name resolved.
//!
//! There are two types for configuration: `file` is what the operator wrote, [`Policy`] is what it
//! means. A request takes one [`Current::snapshot`] at its first line and nothing below it takes
//! another, so no decision mixes two files. Knows no socket and no store; secrets were read while
//! loading, and compiling is a pure function of text and secrets.

mod archive;
mod budget;
pub mod compile;
mod current;
pub mod diff;
pub mod fault;
pub mod file;
pub mod fit;
mod guard;
pub mod load;
mod offer;
mod queue;
mod read;
mod route;
mod rule;
pub mod rules;
pub mod schema;
mod settings;
mod shroud;
pub mod sunset;
mod tenant;
mod terms;
mod tls;
mod webhook;
pub mod window;
#[cfg(test)]
pub mod sample;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use crate::id::{Home, RouteName, TenantName};

pub use archive::{Archive, ArchivePlace, Bucket};
pub use budget::{Budget, Limits, Per};
pub use current::Current;
pub use guard::{Guard, Moderation, OnError};
pub use offer::{Fit, Offer, Price};
pub use queue::Queue;
pub use route::{BreakerPolicy, PollSchedule, Route, UnknownPolicy, WrittenOff};
pub use rule::{Choose, Rule};
pub use rules::{Rules, When};
pub use settings::{Alerts, Defaults, Server, StoreUrl, Telemetry};
pub use tenant::{Charge, Key, Tenant};
pub use tls::Tls;
pub use webhook::Webhook;
pub use window::Window;

/// The whole of what the operator decided, as one immutable value.
#[derive(Clone, Debug)]
pub struct Policy {
    /// SHA-256 of the file, in hexadecimal: which file decided.
    pub revision: String,
    /// `[server]`; the addresses need a restart, the rest does not.
    pub server: Server,
    /// `[store]`; a change needs a restart.
    pub store: StoreUrl,
    /// Where upstream ids go that the store does not take in time; a change needs a restart.
    pub emergency_journal: PathBuf,
    /// `[archive]`
    pub archive: Archive,
    /// `[defaults]`
    pub defaults: Defaults,
    /// `[budget]`: the cap over everything, if there is one.
    pub budget: Option<Budget>,
    /// `[routes.*]`
    pub routes: BTreeMap<RouteName, Arc<Route>>,
    /// Routes of earlier files that are in this one no more, or with another account, the latest first; filled in by a reload.
    pub retired: BTreeMap<RouteName, Vec<Arc<Route>>>,
    /// Fields beyond the protocol that some offer takes: all others are nobody's.
    pub extras: BTreeSet<String>,
    /// `[[rules]]`, first match wins.
    pub rules: Rules,
    /// `[tenants.*]`
    pub tenants: BTreeMap<TenantName, Arc<Tenant>>,
    /// SHA-256 of a key → whose it is.
    pub keys: HashMap<[u8; 32], Arc<Tenant>>,
    /// `[guard]`
    pub guard: Guard,
    /// `[alerts]`
    pub alerts: Alerts,
    /// `[telemetry]`
    pub telemetry: Telemetry,
    /// Things that are legal and that the operator should know.
    pub warnings: Vec<String>,
}

impl Policy {
    /// A route by name, also one that the file has no more: jobs that it took are followed to their end.
    pub fn route_of(&self, name: &RouteName) -> Option<&Arc<Route>> {
        self.all_of(name).next()
    }

    /// A route as it is, and as it was with other accounts, the latest first.
    pub fn all_of<'a>(&'a self, name: &RouteName) -> impl Iterator<Item = &'a Arc<Route>> + use<'a> {
        self.routes.get(name).into_iter().chain(self.retired.get(name).into_iter().flatten())
    }

    /// Every route, also those that only earlier files had, or had with another account.
    pub fn all_routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values().chain(self.retired.values().flatten())
    }

    /// A route to the very account that something was sent to: the one that it was sent by, or another.
    pub fn of_account(&self, home: &Home) -> Option<&Arc<Route>> {
        let account = home.account.as_ref()?;
        let same = |route: &&Arc<Route>| route.account == *account;
        self.all_of(&home.route).find(same).or_else(|| self.all_routes().find(same))
    }

    /// Takes the tenants over from `old` that are the same there: two files in a row then take the memory of one.
    pub fn sharing(mut self, old: &Self) -> Self {
        // Both are in the order of their names, so that nobody is looked up: of a hundred thousand that takes long.
        let mut before = old.tenants.iter().peekable();
        let shared = |(name, new): (TenantName, Arc<Tenant>)| {
            while before.next_if(|(former, _)| **former < name).is_some() {}
            match before.peek() {
                Some((former, same)) if **former == name && **same == new => ((*former).clone(), Arc::clone(same)),
                _ => (name, new),
            }
        };
        self.tenants = self.tenants.into_iter().map(shared).collect();
        for tenant in self.tenants.values() {
            for key in &tenant.keys {
                if let Some(whose) = self.keys.get_mut(&key.hash) {
                    *whose = Arc::clone(tenant);
                }
            }
        }
        self
    }
}
