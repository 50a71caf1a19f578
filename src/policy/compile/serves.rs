//! What rules are for, against what their routes offer: a rule that decides and then can serve nothing of it is a fault.
//!
//! Looks at models, lengths and sizes one by one. A length or size that a request gets by saying none is left alone:
//! each route then makes its usual one.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::Pass;
use crate::policy::file::forms::Placed;
use crate::policy::{Fit, Offer, Rule, file, fit};
use crate::video::{Seconds, Size};

/// Tells of what the rule `i` matches and none of its routes makes.
pub(super) fn check(i: usize, written: &Placed<file::Rule>, rule: &Rule, pass: &mut Pass<'_>) {
    if !rule.routes.is_empty() && rule.routes.iter().all(|(route, _)| !route.takes_new()) {
        pass.warnings.push(format!("rules[{i}]: every route of it is disabled or drained, so what it matches is refused"));
    }
    let when = &written.value.when;
    for (name, at) in when.model.iter().flat_map(Placed::each) {
        let served = rule.routes.iter().any(|(route, _)| route.models.contains_key(name.as_str()));
        if !served && pass.offered.contains(name) {
            let remedy = "add a route that does, or take the model out of `when`";
            pass.faults.add(at, format_args!("rules[{i}].when.model"), format!("no route of this rule offers `{name}`"), remedy);
        }
    }
    let is_meant = |model| rule.when.model.is_empty() || rule.when.model.contains(model);
    let offers: Vec<&Offer> =
        rule.routes.iter().flat_map(|(route, _)| &route.models).filter(|(model, _)| is_meant(model)).map(|(_, offer)| offer).collect();
    if offers.is_empty() {
        return;
    }
    for (number, at) in when.seconds.iter().flat_map(Placed::each) {
        let Some(seconds) = Seconds::new(*number).filter(|seconds| *seconds != Seconds::DEFAULT) else { continue };
        if !offers.iter().any(|offer| fit::seconds(offer.fit, &offer.seconds, seconds).is_some()) {
            let message = format!("no route of this rule makes clips of {seconds} s");
            let remedy = remedy(offers.iter().flat_map(|offer| offer.seconds.iter().copied()), true);
            pass.faults.add(at, format_args!("rules[{i}].when.seconds"), message, remedy);
        }
    }
    for (text, at) in when.size.iter().flat_map(Placed::each) {
        let Some(size) = text.parse().ok().filter(|size| *size != Size::DEFAULT) else { continue };
        if !offers.iter().any(|offer| fit::size(offer.fit, &offer.sizes, size).is_some()) {
            let message = format!("no route of this rule makes clips of {size}");
            // A picture is not turned on its side to fit.
            let could_fit = offers.iter().any(|offer| fit::size(Fit::Nearest, &offer.sizes, size).is_some());
            let remedy = remedy(offers.iter().flat_map(|offer| offer.sizes.iter().copied()), could_fit);
            pass.faults.add(at, format_args!("rules[{i}].when.size"), message, remedy);
        }
    }
}

/// What to do about a value that is on no list: those that are, and the ways to have others.
fn remedy<T: Ord + Display>(made: impl Iterator<Item = T>, could_fit: bool) -> String {
    let made: BTreeSet<T> = made.collect();
    let made: Vec<String> = made.iter().map(T::to_string).collect();
    let made = made.join(", ");
    match could_fit {
        true => format!("write one that they make ({made}), add a route that makes it, or give a model of theirs fit = \"nearest\""),
        false => format!("write one that they make ({made}), or add a route that makes it"),
    }
}
