//! `[tenants.*]`: who pays, by which keys, how much, and for what.
//!
//! There may be hundreds of thousands, so everything here takes time in proportion to the file, and
//! what is worth a warning is said once for all tenants that it holds for.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::remarks::Remarks;
use super::settings::positive;
use super::webhooks::webhook;
use super::{Pass, budgets, queues};
use crate::id::{ModelName, RouteName, TenantName};
use crate::money::MicroUsd;
use crate::policy::file::forms::Placed;
use crate::policy::terms::{self, Wrong};
use crate::policy::{Budget, Charge, Key, Per, Route, Rules, Server, Tenant, file};
use crate::video::Seconds;

/// The most tenants.
const TENANTS_MAX: usize = 200_000;

/// How much of a hash names a key that has no name, bytes.
const UNNAMED_BYTES: usize = 6;

/// The most keys of one tenant.
const KEYS_MAX: usize = 100;

/// SHA-256 of `filmgate-demo-key`, the key that the shipped file comes with and everybody knows.
const DEMO_KEY_HASH: &str = "60eb4ca46c272b89621d56e8ae5383c6a4837c1a7b707081f04aa47a516e491c";

type Keys = HashMap<[u8; 32], Arc<Tenant>>;

/// Compiles every tenant, and the table from a key's hash to its tenant.
pub(super) fn compile(
    file: &BTreeMap<Placed<String>, file::Tenant>,
    routes: &BTreeMap<RouteName, Arc<Route>>,
    rules: &Rules,
    server: &Server,
    pass: &mut Pass<'_>,
) -> (BTreeMap<TenantName, Arc<Tenant>>, Keys) {
    if let Some((name, _)) = file.iter().nth(TENANTS_MAX) {
        pass.faults.add(&name.at, "tenants", format!("there are more than {TENANTS_MAX} tenants"), "serve some of them by another gateway");
    }
    if file.is_empty() {
        pass.warnings
            .push("there are no tenants: every request is refused; `filmgate key new --tenant NAME` prints one to paste".to_owned());
    }
    let mut tenants = BTreeMap::new();
    let mut keys = Keys::new();
    let mut owners = HashMap::new();
    let mut remarks = Remarks::new(routes, rules);
    for (name, written) in file.iter().take(TENANTS_MAX) {
        let its_keys = tenant_keys(name, written, &mut owners, pass);
        let Some(tenant) = tenant(name, written, its_keys, pass).map(Arc::new) else { continue };
        keys.extend(tenant.keys.iter().map(|key| (key.hash, Arc::clone(&tenant))));
        remarks.note(&name.value, written, &tenant);
        tenants.insert(tenant.name.clone(), tenant);
    }
    pass.warnings.extend(remarks.say());
    let public = !server.listen.ip().is_loopback();
    if let Some(tenant) = hash(DEMO_KEY_HASH).and_then(|hash| keys.get(&hash)).filter(|_| public) {
        let warning = format!(
            "everybody knows the demo key of the tenant `{}`, and `server.listen` is open to others: delete that tenant",
            tenant.name
        );
        pass.warnings.push(warning);
    }
    (tenants, keys)
}

fn tenant(name: &Placed<String>, file: &file::Tenant, keys: Vec<Key>, pass: &mut Pass<'_>) -> Option<Tenant> {
    let base = format_args!("tenants.{}", name.value);
    pass.keep(&name.at, base, terms::name("tenant", &name.value));
    for (i, model) in file.models.iter().enumerate() {
        pass.model(format_args!("{base}.models[{i}]"), &model.at, &model.value);
    }
    let budget = match &file.budget {
        Some(budget) => budgets::compile(&format_args!("{base}.budget"), budget, pass),
        None => Some(Budget { cap: Some(MicroUsd::ZERO), per: Per::Month, timezone: TimeZone::UTC, warn: Vec::new() }),
    };
    let user_budget = file.user_budget.as_ref().map(|budget| budgets::compile(&format_args!("{base}.user_budget"), budget, pass));
    let webhook = file.webhook.as_ref().map(|hook| webhook(&format_args!("{base}.webhook"), hook, pass));
    Some(Tenant {
        name: TenantName::new(&name.value),
        keys,
        limits: budgets::limits(&format_args!("{base}.limits"), &file.limits, pass),
        queue: file.queue.as_ref().and_then(|queue| queues::compile(&format_args!("{base}.queue"), queue, pass)),
        weight: pass.number(format_args!("{base}.weight"), &file.weight, 1..=1_000).unwrap_or(1),
        models: file.models.iter().map(|model| ModelName::new(&model.value)).collect(),
        seconds_max: pass.number(format_args!("{base}.max_seconds"), &file.max_seconds, 1..=3_600).and_then(Seconds::new),
        cost_max: positive(format_args!("{base}.max_cost"), "dearest clip", &file.max_cost, pass),
        residency: pass.word(format_args!("{base}.residency"), &file.residency),
        charge: file.charge.as_ref().and_then(|charge| self::charge(name, charge, pass)),
        show_route: file.show_route.unwrap_or(false),
        require_idempotency_key: file.require_idempotency_key.unwrap_or(false),
        claim_resends: file.claim_resends.unwrap_or(true),
        webhook: webhook.flatten(),
        user_budget: user_budget.flatten(),
        require_user: file.require_user.unwrap_or(false),
        budget: budget?,
    })
}

fn charge(name: &Placed<String>, file: &Placed<file::Charge>, pass: &mut Pass<'_>) -> Option<Charge> {
    let base = format_args!("tenants.{}.charge", name.value);
    match (&file.value.per_clip, &file.value.per_second) {
        (Some(amount), None) => {
            pass.keep(&amount.at, format_args!("{base}.per_clip"), terms::amount("charge", &amount.value)).map(Charge::PerClip)
        }
        (None, Some(amount)) => {
            pass.keep(&amount.at, format_args!("{base}.per_second"), terms::amount("charge", &amount.value)).map(Charge::PerSecond)
        }
        (clip, _) => {
            let message = if clip.is_some() { "a charge is for a clip or for a second, not for both" } else { "this charge has no amount" };
            pass.faults.add_missing(&file.at, base, message, "write { per_clip = \"0.50\" } or { per_second = \"0.10\" }");
            None
        }
    }
}

/// A tenant's keys. A hash that somebody has already is a fault: it would decide who pays. So is a name that is there
/// twice: it decides what is whose spend.
fn tenant_keys<'f>(
    name: &'f Placed<String>,
    file: &file::Tenant,
    owners: &mut HashMap<[u8; 32], &'f str>,
    pass: &mut Pass<'_>,
) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::with_capacity(file.keys.len());
    if let Some(first) = file.keys.get(KEYS_MAX) {
        pass.faults.add(
            &first.at,
            format_args!("tenants.{}.keys", name.value),
            format!("there are more than {KEYS_MAX} keys"),
            "remove those out of use",
        );
    }
    for (i, written) in file.keys.iter().take(KEYS_MAX).enumerate() {
        let path = format_args!("tenants.{}.keys[{i}]", name.value);
        let Some((at, key)) = key(name, &path, written, pass) else { continue };
        if let Some(other) = owners.insert(key.hash, &name.value) {
            let message = if other == name.value {
                "this key is here twice".to_owned()
            } else {
                format!("this key is the tenant `{other}`'s already")
            };
            pass.faults.add(at, path, message, format!("run `filmgate key new --tenant {}` and paste its line", name.value));
        } else if keys.iter().any(|other| other.name == key.name) {
            pass.faults.add(
                &written.at,
                path,
                format!("another key is called `{}`", key.name),
                "give each of a tenant's keys a name of its own",
            );
        }
        keys.push(key);
    }
    keys
}

/// One key, and where its hash stands.
fn key<'f>(
    name: &Placed<String>,
    path: &fmt::Arguments<'_>,
    written: &'f Placed<file::forms::Key>,
    pass: &mut Pass<'_>,
) -> Option<(&'f Range<usize>, Key)> {
    let unnamed = |hash: &[u8; 32]| hash.iter().take(UNNAMED_BYTES).map(|byte| format!("{byte:02x}")).collect::<String>();
    let named = match &written.value {
        file::forms::Key::Hash(line) => {
            let hash = pass.keep(&written.at, *path, key_hash(name, line))?;
            return Some((&written.at, Key { hash, name: unnamed(&hash), budget: None }));
        }
        file::forms::Key::Named(named) => named,
    };
    let budget = named.budget.as_ref().map(|budget| budgets::compile(&format_args!("{path}.budget"), budget, pass));
    if let Some(called) = &named.name {
        pass.keep(&called.at, format_args!("{path}.name"), terms::name("key", &called.value));
    }
    let Some(line) = &named.hash else {
        let remedy = format!("run `filmgate key new --tenant {}` and paste its line as hash = \"sha256:…\"", name.value);
        pass.faults.add_missing(&written.at, format_args!("{path}.hash"), "this key has no hash", remedy);
        return None;
    };
    let hash = pass.keep(&line.at, format_args!("{path}.hash"), key_hash(name, &line.value))?;
    let called = named.name.as_ref().map_or_else(|| unnamed(&hash), |name| name.value.clone());
    Some((&line.at, Key { hash, name: called, budget: budget.flatten() }))
}

fn key_hash(name: &Placed<String>, text: &str) -> Result<[u8; 32], Wrong> {
    let remedy = format!("run `filmgate key new --tenant {}` and paste its \"sha256:…\" line", name.value);
    let Some(hex) = text.strip_prefix("sha256:") else {
        return Err(Wrong::new("this is not the hash of a key, and a key itself does not belong here", remedy));
    };
    let placeholder = hex.is_empty() || hex.chars().all(|c| matches!(c, '…' | '.' | 'x' | 'X'));
    let message = if placeholder {
        "this is a placeholder, not the hash of a key"
    } else {
        "the hash of a key is `sha256:` and 64 hexadecimal digits"
    };
    hash(hex).ok_or_else(|| Wrong::new(message, remedy))
}

/// 64 hexadecimal digits as 32 bytes.
fn hash(hex: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut hash = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? * 16 + digit(*low)?;
    }
    Some(hash)
}
