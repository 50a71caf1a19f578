//! Reach: a rule that no request gets to, because an earlier one takes all that it is for, is a fault.
//!
//! What one earlier rule takes is found, key by key; what several take together is not looked for. A pair of rules
//! is compared only if the earlier one is for everybody or names the later one's first tenant.

use std::collections::HashMap;

use super::Pass;
use crate::id::TenantName;
use crate::policy::{When, file};

/// Tells of every rule that nobody can reach. `whens` are the conditions of the file's rules, in its order.
pub(super) fn check(whens: &[When], file: &file::Gateway, pass: &mut Pass<'_>) {
    let residency = |tenant: &TenantName| file.tenants.get(tenant.as_str())?.residency.as_ref().map(|r| r.value.as_str());
    let mut for_all: Vec<usize> = Vec::new();
    let mut by_tenant: HashMap<&TenantName, Vec<usize>> = HashMap::new();
    for (i, (when, written)) in whens.iter().zip(&file.rules).enumerate() {
        let path = format!("rules[{i}]");
        // What of it could be read may be for more than was meant.
        if pass.faults.any_under(&format!("{path}.when")) {
            continue;
        }
        if let Some(bound) = &when.residency
            && !when.tenant.is_empty()
            && !when.tenant.iter().any(|tenant| residency(tenant) == Some(bound))
        {
            let message = format!("no request reaches this rule: none of its tenants is bound to `{bound}`");
            pass.faults.add(&written.at, &path, message, "give a tenant that residency, or take `residency` or `tenant` out of `when`");
        }
        let of_tenant = when.tenant.first().and_then(|first| by_tenant.get(first)).into_iter().flatten();
        let mut candidates: Vec<usize> = for_all.iter().chain(of_tenant).copied().collect();
        candidates.sort_unstable();
        let covering = |earlier: &usize| whens.get(*earlier).is_some_and(|earlier| earlier.covers(when, residency));
        if let Some(earlier) = candidates.into_iter().find(covering) {
            let all = file.rules.get(earlier).is_some_and(|earlier| earlier.value.when.is_empty());
            let why = if all { "has no `when` and takes them all" } else { "comes first and takes all that it is for" };
            let message = format!("no request reaches this rule: rules[{earlier}] {why}");
            pass.faults.add(&written.at, &path, message, "move it above that rule, or remove it");
        }
        match when.tenant.is_empty() {
            true => for_all.push(i),
            false => when.tenant.iter().for_each(|tenant| by_tenant.entry(tenant).or_default().push(i)),
        }
    }
}
