//! Residencies of rules: where a rule binds what it serves to, and whether anybody there could serve it.

use super::Pass;
use crate::policy::file::forms::Placed;
use crate::policy::terms;
use crate::policy::{Rule, file};

/// Tells of a rule that is for, or binds to, a region in which nothing of it could be processed.
pub(super) fn check(i: usize, written: &Placed<file::Rule>, rule: &Rule, file: &file::Gateway, pass: &mut Pass<'_>) {
    let (path, when) = (format!("rules[{i}]"), &written.value.when);
    for (key, residency, bound) in
        [("residency", &written.value.residency, &rule.residency), ("when.residency", &when.residency, &rule.when.residency)]
    {
        let (Some(residency), Some(bound)) = (residency, bound) else { continue };
        if !rule.routes.is_empty() && !rule.routes.iter().any(|(route, _)| route.region.as_ref() == Some(bound)) {
            let message = format!("no route of this rule is in the region `{bound}`, so nothing may serve what it matches");
            pass.faults.add(&residency.at, format_args!("{path}.{key}"), message, "add a route of that region, or give one its `region`");
        }
    }
    let (Some(residency), Some(bound)) = (&written.value.residency, &rule.residency) else { return };
    if let Some(other) = rule.when.residency.as_ref().filter(|other| *other != bound) {
        let message = format!("this rule is for tenants that are bound to `{other}`, so nothing may serve them in `{bound}`");
        pass.faults.add(
            &residency.at,
            format_args!("{path}.residency"),
            message,
            "leave it out: what tenants are bound to holds by itself",
        );
    }
    for (name, at) in when.tenant.iter().flat_map(Placed::each) {
        let other = file.tenants.get(name.as_str()).and_then(|tenant| tenant.residency.as_ref()).filter(|other| other.value != *bound);
        if let Some(other) = other {
            let message =
                format!("`{name}` is bound to {}, and this rule to `{bound}`: nothing may serve it", terms::shorten(&other.value));
            pass.faults.add(at, format_args!("{path}.when.tenant"), message, "take the tenant out of this rule, or make the two equal");
        }
    }
    let outside: Vec<&str> =
        rule.routes.iter().filter(|(route, _)| route.region.as_ref() != Some(bound)).map(|(route, _)| route.name.as_str()).collect();
    if !outside.is_empty() && outside.len() < rule.routes.len() {
        pass.warnings
            .push(format!("{path}: it binds to the region `{bound}`, so these routes of it serve nothing: {}", terms::list(outside)));
    }
}
