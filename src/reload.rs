//! Reload: the running gateway follows its file.
//!
//! Read, compile, compare, swap. A file that does not compile changes nothing: the last good one stays
//! in force, and why is in the log, in the metrics and on the operator's page. The file is looked at by
//! content and not by event, which is the same for a rename, a write in place and a swapped link. It is
//! followed once two looks in a row found the same: half of a file that is being written can be a policy
//! too, one without the tenants of the other half.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::auth;
use crate::clock::Timestamp;
use crate::id::RouteName;
use crate::policy::load::{LoadError, load};
use crate::policy::{Current, Policy, Route, Tenant};

/// How often the file is looked at.
pub const EVERY: Duration = Duration::from_millis(250);

/// The most changes of one table that are told.
const CHANGES_MAX: usize = 20;

/// Keeps the policy in step with its file.
#[derive(Debug)]
pub struct Reloader {
    path: PathBuf,
    state: Mutex<State>,
}

/// The latest reload.
#[derive(Clone, Debug)]
pub struct State {
    /// What the bytes hash to of the file that was last taken or refused; `None` if it could not be read.
    seen: Option<[u8; 32]>,
    /// The file as last looked at, which may still be being written: when it was, beside what its bytes hash to.
    glimpsed: Option<(SystemTime, [u8; 32])>,
    /// When the file was last read.
    pub looked_at: Timestamp,
    /// Why the file as it stands is not in force, if it is not.
    pub refused: Option<String>,
    /// How many files were put in force, the first included.
    pub loaded: u64,
    /// How many were refused.
    pub refusals: u64,
}

/// What a look at the file came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It is as it was.
    Same,
    /// It is in force; what changed, a line each.
    Swapped(Vec<String>),
    /// It is refused and nothing changed.
    Refused(String),
}

impl Reloader {
    /// Loads the file for the first time.
    pub fn start(path: &Path, now: Timestamp) -> Result<(Self, Policy), LoadError> {
        let seen = glimpse(path).map(|(_, fingerprint)| fingerprint);
        let policy = load(path)?;
        let state = State { seen, glimpsed: None, looked_at: now, refused: None, loaded: 1, refusals: 0 };
        Ok((Self { path: path.to_owned(), state: Mutex::new(state) }, policy))
    }

    /// The latest reload.
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the file, and puts it in force if it changed and now stands still; if `anyway`, as it is
    /// and even if it did not change: secrets in other files may have.
    ///
    /// Holds the lock throughout: two looks at once would be two opinions on what came last.
    pub fn look(&self, current: &Current, now: Timestamp, anyway: bool) -> Looked {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let glimpsed = glimpse(&self.path);
        let seen = glimpsed.map(|(_, fingerprint)| fingerprint);
        let stands_still = std::mem::replace(&mut state.glimpsed, glimpsed) == glimpsed;
        if !anyway && (seen == state.seen || !stands_still) {
            return Looked::Same;
        }
        let loaded = load(&self.path);
        if !anyway && glimpse(&self.path) != glimpsed {
            return Looked::Same;
        }
        (state.seen, state.looked_at) = (seen, now);
        let refused = match loaded {
            Ok(policy) => {
                let old = current.snapshot();
                let policy = Policy { retired: retired(&old, &policy), ..policy };
                let changes = changes(&old, &policy);
                current.swap(policy);
                state.refused = None;
                state.loaded += 1;
                return Looked::Swapped(changes);
            }
            Err(refused) => refused.render(false),
        };
        state.refused = Some(refused.clone());
        state.refusals += 1;
        Looked::Refused(refused)
    }
}

/// When the file was written and what its bytes hash to, if it can be read.
fn glimpse(path: &Path) -> Option<(SystemTime, [u8; 32])> {
    let written = std::fs::metadata(path).and_then(|file| file.modified()).ok()?;
    Some((written, auth::hash(&std::fs::read(path).ok()?)))
}

/// Routes that only earlier files had: jobs that they took are followed to their end.
fn retired(old: &Policy, new: &Policy) -> BTreeMap<RouteName, Arc<Route>> {
    let gone = old.retired.iter().chain(&old.routes).filter(|(name, _)| !new.routes.contains_key(*name));
    gone.map(|(name, route)| (name.clone(), route.clone())).collect()
}

/// What a reload changed, for the log. Values are not told: some are secrets.
fn changes(old: &Policy, new: &Policy) -> Vec<String> {
    let mut changes = changed("route", &old.routes, &new.routes);
    changes.extend(changed("tenant", &old.tenants, &new.tenants));
    let is_gone = |(key, tenant): &(&[u8; 32], &Arc<Tenant>)| new.keys.get(*key).is_none_or(|now| now.name != tenant.name);
    let gone = old.keys.iter().filter(is_gone).count();
    if gone > 0 {
        changes.push(format!("{gone} keys revoked"));
    }
    for (what, before, now) in [
        ("[archive]", format!("{:?}", old.archive), format!("{:?}", new.archive)),
        ("[budget]", format!("{:?}", old.budget), format!("{:?}", new.budget)),
        ("[server] halt", old.server.halt.to_string(), new.server.halt.to_string()),
        ("[defaults]", format!("{:?}", old.defaults), format!("{:?}", new.defaults)),
        ("[guard]", format!("{:?}", old.guard), format!("{:?}", new.guard)),
        ("[[rules]]", format!("{:?}", old.rules), format!("{:?}", new.rules)),
    ] {
        if before != now {
            changes.push(format!("{what} changed"));
        }
    }
    if (old.server.listen, old.server.admin, &old.store) != (new.server.listen, new.server.admin, &new.store) {
        changes.push("addresses or [store] changed: that takes effect at the next restart".to_owned());
    }
    changes
}

/// Which entries of a table came, went or are not what they were; at most [`CHANGES_MAX`] of them.
fn changed<K: Ord + Display, V: Debug>(what: &str, old: &BTreeMap<K, Arc<V>>, new: &BTreeMap<K, Arc<V>>) -> Vec<String> {
    let told = |name: &K, how: &str| format!("{what} {name} {how}");
    let removed = old.keys().filter(|name| !new.contains_key(name)).map(|name| told(name, "removed"));
    let others = new.iter().filter_map(|(name, now)| match old.get(name) {
        None => Some(told(name, "added")),
        Some(before) => (format!("{before:?}") != format!("{now:?}")).then(|| told(name, "changed")),
    });
    removed.chain(others).take(CHANGES_MAX).collect()
}
