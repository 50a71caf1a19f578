//! Reload: the running gateway follows its file.
//!
//! Read, compile, compare, swap. A file that does not compile changes nothing: the last good one stays
//! in force, and why is in the log, in the metrics and on the operator's page. The file is looked at by
//! content and not by event, which is the same for a rename, a write in place and a swapped link. It is
//! followed once two looks in a row found the same: half of a file that is being written can be a policy
//! too, one without the tenants of the other half. A file that changed after it had stood still is compiled at the
//! first look, as most are whole by then, and put in force at the second, so that a large one is not waited for
//! twice. What is put in force is the very text that stood still.

mod glimpse;
mod thread;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use crate::auth;
use crate::clock::Timestamp;
use crate::id::RouteName;
use crate::policy::diff::differences;
use crate::policy::load::{LoadError, load_to_serve, read_text};
use crate::policy::{Current, Policy, Route};
use glimpse::Glimpse;
use thread::Thread;

/// How often the file is looked at.
pub const EVERY: Duration = Duration::from_millis(250);

/// So many looks that found the same make its stamps old enough to be believed: another writing would leave others.
const SETTLED_AFTER: u64 = 12;
/// Of so many looks one reads the file, also if its stamps are as they were: not every file system keeps them well.
const READS_EACH: u64 = 20;

/// Keeps the policy in step with its file.
#[derive(Debug)]
pub struct Reloader {
    path: PathBuf,
    state: Mutex<State>,
    /// What the first look at another file made of it. Locked only by who holds `state`.
    made: Mutex<Option<Made>>,
    /// Where it is to be looked at: see [`Reloader::give`].
    thread: Thread,
}

/// The latest reload.
#[derive(Clone, Debug)]
pub struct State {
    /// The text of the file in force.
    text: Arc<str>,
    /// What the bytes hash to of the file that was last taken or refused; `None` if it could not be read.
    seen: Option<[u8; 32]>,
    /// The file as last looked at, which may still be being written.
    glimpsed: Option<Glimpse>,
    /// How many looks in a row found the same.
    same_looks: u64,
    /// When the file was last read.
    pub looked_at: Timestamp,
    /// Why the file as it stands is not in force, if it is not.
    pub refused: Option<String>,
    /// What the file in force changed, a line each, once there was one before it.
    pub changes: Vec<String>,
    /// How many files were put in force, the first included.
    pub loaded: u64,
    /// How many were refused.
    pub refusals: u64,
}

/// What a file was made into.
#[derive(Debug)]
struct Made {
    /// What its bytes hash to; `None` if it could not be read.
    hash: Option<[u8; 32]>,
    outcome: Result<(Policy, String), LoadError>,
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
        let unreadable = |why| LoadError::Unreadable { path: path.to_owned(), why };
        let thread = Thread::begin().map_err(unreadable)?;
        let (answer, loaded) = mpsc::channel();
        let file = path.to_owned();
        thread.give(move || {
            let loaded = read_text(&file).and_then(|text| Ok((load_to_serve(&file, &text, None)?, text)));
            let _ = answer.send(loaded);
        });
        let (policy, text) = loaded.recv().map_err(|died| unreadable(io::Error::other(died)))??;
        let state = State {
            seen: Some(auth::hash(text.as_bytes())),
            text: text.into(),
            glimpsed: None,
            same_looks: 0,
            looked_at: now,
            refused: None,
            changes: Vec::new(),
            loaded: 1,
            refusals: 0,
        };
        Ok((Self { path: path.to_owned(), state: Mutex::new(state), made: Mutex::default(), thread }, policy))
    }

    /// Adds to what the latest reload changed.
    pub fn tell(&self, changes: &[String]) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).changes.extend_from_slice(changes);
    }

    /// The latest reload.
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has something done where policies are made, which is where to look at the file.
    pub fn give(&self, work: impl FnOnce() + Send + 'static) {
        self.thread.give(work);
    }

    /// Looks at the file, and puts it in force if it changed and now stands still; if `anyway`, as it is
    /// and even if it did not change: secrets in other files may have.
    ///
    /// `follow` is called as soon as another policy is in force. Holds the lock throughout: two looks at once would be
    /// two opinions on what came last.
    pub fn look(&self, current: &Current, now: Timestamp, anyway: bool, follow: impl FnOnce(&Policy)) -> Looked {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let is_settled = state.same_looks >= SETTLED_AFTER && !state.same_looks.is_multiple_of(READS_EACH);
        current.let_go();
        let glimpsed = Glimpse::of(&self.path, state.glimpsed.as_ref().filter(|_| is_settled));
        let seen = glimpsed.as_ref().map(|glimpse| glimpse.hash);
        let stands_still = glimpsed == state.glimpsed;
        let stood_still = state.same_looks > 0;
        state.glimpsed = glimpsed;
        state.same_looks = if stands_still { state.same_looks + 1 } else { 0 };
        let old = current.snapshot();
        // Whoever asks may have changed a secret since.
        let made_before = made.take().filter(|made| !anyway && made.hash == seen);
        if !anyway && (seen == state.seen || !stands_still) {
            *made = (seen != state.seen && stood_still).then(|| self.make(&old));
            return Looked::Same;
        }
        let Made { hash: read, outcome } = made_before.unwrap_or_else(|| self.make(&old));
        if !anyway && read.is_some() && read != seen {
            return Looked::Same;
        }
        (state.seen, state.looked_at) = (read.or(seen), now);
        match outcome {
            Ok((policy, text)) => {
                let policy = Policy { retired: retired(&old, &policy), ..policy };
                current.swap(policy);
                follow(&current.snapshot());
                // Told once it is in force, so that nobody waits for what is only for the log.
                let changes = changes(&old, &current.snapshot(), &state.text, &text);
                (state.text, state.changes, state.refused) = (text.into(), changes.clone(), None);
                state.loaded += 1;
                Looked::Swapped(changes)
            }
            Err(refused) => {
                let refused = refused.render(false);
                state.refused = Some(refused.clone());
                state.refusals += 1;
                Looked::Refused(refused)
            }
        }
    }

    /// Makes a policy of the file as it stands, to take over from `old`.
    fn make(&self, old: &Policy) -> Made {
        let text = read_text(&self.path);
        let hash = text.as_ref().ok().map(|text| auth::hash(text.as_bytes()));
        let outcome = text.and_then(|text| {
            let policy = load_to_serve(&self.path, &text, Some(&old.server))?;
            Ok((policy.sharing(old), text))
        });
        Made { hash, outcome }
    }
}

/// Former accounts of one name that are remembered.
const FORMERS_MAX: usize = 16;

/// Routes that only earlier files had, or had with another account: jobs that they took are followed to their end with what
/// they were submitted with.
fn retired(old: &Policy, new: &Policy) -> BTreeMap<RouteName, Vec<Arc<Route>>> {
    let mut retired: BTreeMap<RouteName, Vec<Arc<Route>>> = BTreeMap::new();
    let names: BTreeSet<&RouteName> = old.routes.keys().chain(old.retired.keys()).collect();
    for name in names {
        let present = new.routes.get(name).map(|route| &route.account);
        let mut formers: Vec<Arc<Route>> = Vec::new();
        for route in old.all_of(name).filter(|route| Some(&route.account) != present) {
            if formers.len() < FORMERS_MAX && !formers.iter().any(|known| known.account == route.account) {
                formers.push(route.clone());
            }
        }
        if !formers.is_empty() {
            retired.insert(name.clone(), formers);
        }
    }
    retired
}

/// What a reload changed, for the log: what the file says otherwise, and what follows from it that a reader might not see.
fn changes(old: &Policy, new: &Policy, old_text: &str, new_text: &str) -> Vec<String> {
    let mut changes = if old.revision == new.revision { Vec::new() } else { differences(old_text, new_text) };
    if changes.is_empty() && secrets_differ(old, new) {
        changes.push("secrets that the file names are others now".to_owned());
    }
    let is_gone = |key: &[u8; 32]| new.keys.get(key).is_none_or(|now| old.keys.get(key).is_some_and(|before| before.name != now.name));
    let gone = old.keys.keys().filter(|key| is_gone(key)).count();
    if gone > 0 {
        changes.push(format!("{gone} key{} revoked", if gone == 1 { "" } else { "s" }));
    }
    changes.extend(renamed(old, new));
    if (old.server.listen, old.server.admin, &old.store) != (new.server.listen, new.server.admin, &new.store) {
        changes.push("addresses or [store] changed: that takes effect at the next restart".to_owned());
    }
    for (key, before, now) in [("tls", &old.server.tls, &new.server.tls), ("admin_tls", &old.server.admin_tls, &new.server.admin_tls)] {
        if before.is_some() != now.is_some() {
            changes.push(format!("server.{key} came or went: that takes effect at the next restart"));
        }
    }
    changes
}

/// Renamed keys that are told, at the most.
const RENAMED_MAX: usize = 10;

/// Capped keys that are called otherwise now: as spend is booked by a key's name, their caps know nothing of what was.
fn renamed(old: &Policy, new: &Policy) -> Vec<String> {
    let capped =
        new.tenants.values().flat_map(|tenant| tenant.keys.iter().map(move |key| (tenant, key))).filter(|(_, key)| key.budget.is_some());
    let renamed = capped.filter_map(|(tenant, key)| {
        let former = old.tenants.get(&tenant.name)?.keys.iter().find(|former| former.hash == key.hash)?;
        let (name, former) = (&key.name, &former.name);
        (name != former).then(|| {
            format!(
                "tenants.{}.keys: `{former}` is called `{name}` now: its cap counts what `{name}` spends, and not what `{former}` did",
                tenant.name
            )
        })
    });
    renamed.take(RENAMED_MAX).collect()
}

/// Whether what proves who we are, or who others are, is not what it was.
fn secrets_differ(old: &Policy, new: &Policy) -> bool {
    let of_route = |policy: &Policy, name| policy.routes.get(name).map(|route| (route.endpoint.clone(), route.webhook_secrets.clone()));
    let webhook = |policy: &Policy, name| policy.tenants.get(name).and_then(|tenant| tenant.webhook.clone());
    new.routes.keys().any(|name| of_route(old, name) != of_route(new, name))
        || new.tenants.keys().any(|name| webhook(old, name) != webhook(new, name))
        || (&old.guard.moderation, &old.alerts, &old.archive) != (&new.guard.moderation, &new.alerts, &new.archive)
}

#[cfg(test)]
mod tests;
