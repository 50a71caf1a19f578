//! `[[rules]]`: who is served by what. A rule that could never decide or never serve is a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::when::when;
use super::{Pass, queues, reach, residencies, serves};
use crate::id::RouteName;
use crate::policy::file::forms::{Placed, RuleRoutes};
use crate::policy::terms::{self, Wrong};
use crate::policy::{Choose, Route, Rule, Rules, When, file};

/// The most rules.
const RULES_MAX: usize = 1_000;

type Routes = BTreeMap<RouteName, Arc<Route>>;

/// Compiles the rules. A file without any means: everybody, by all routes, in the file's order.
pub(super) fn compile(file: &file::Gateway, routes: &Routes, pass: &mut Pass<'_>) -> Rules {
    if file.rules.is_empty() {
        let mut names: Vec<&Placed<String>> = file.routes.keys().collect();
        names.sort_by_key(|name| name.at.start);
        let routes = names.into_iter().filter_map(|name| Some((Arc::clone(routes.get(name.value.as_str())?), 1))).collect();
        return Rules::new(vec![Rule { when: When::default(), routes, choose: Choose::Ordered, residency: None, queue: None }]);
    }
    if let Some(first) = file.rules.get(RULES_MAX) {
        pass.faults.add(&first.at, "rules", format!("there are more than {RULES_MAX} rules"), "join some: `when` takes lists");
    }
    let written = || file.rules.iter().take(RULES_MAX).enumerate();
    let whens: Vec<When> = written().map(|(i, written)| when(i, &written.value.when, file, pass)).collect();
    reach::check(&whens, file, pass);
    Rules::new(written().zip(whens).filter_map(|((i, written), when)| rule(i, written, when, file, routes, pass)).collect())
}

fn rule(i: usize, written: &Placed<file::Rule>, when: When, file: &file::Gateway, routes: &Routes, pass: &mut Pass<'_>) -> Option<Rule> {
    let path = format_args!("rules[{i}].routes");
    let Some(chosen) = &written.value.routes else {
        let remedy = "add routes = [\"NAME\"], or weights: routes = { a = 80, b = 20 }";
        pass.faults.add_missing(&written.at, path, "this rule names no routes", remedy);
        return None;
    };
    let mut named: Vec<(&Placed<String>, u32)> = match &chosen.value {
        RuleRoutes::List(names) => names.iter().map(|name| (name, 1)).collect(),
        RuleRoutes::Weights(weights) => weights.iter().map(|(name, weight)| (name, weighed(i, weight, pass))).collect(),
    };
    named.sort_by_key(|(name, _)| name.at.start);
    if named.is_empty() && pass.faults.any_under(&format!("rules[{i}].routes")) {
        return None;
    } else if named.is_empty() {
        pass.faults.add(&chosen.at, path, "this rule names no routes", "write at least one");
    } else if named.iter().all(|(_, weight)| *weight == 0) {
        pass.faults.add_missing(&chosen.at, path, "the weights of this rule add up to 0", "give at least one route a weight above 0");
    }
    let mut seen = BTreeSet::new();
    for (name, _) in &named {
        if !file.routes.contains_key(name.value.as_str()) {
            if pass.faults.any_at("routes") {
                continue;
            }
            let remedy = terms::name_remedy(&name.value, "routes", file.routes.keys().map(|r| r.value.as_str()));
            pass.faults.add(&name.at, path, format!("there is no route {}", terms::shorten(&name.value)), remedy);
        } else if !seen.insert(name.value.as_str()) {
            pass.faults.add(&name.at, path, format!("the route `{}` is named twice", name.value), "name it once");
        }
    }
    let choose = choose(i, &written.value, &chosen.value, pass);
    let queue = written.value.queue.as_ref().and_then(|queue| queues::compile(&format_args!("rules[{i}].queue"), queue, pass));
    let resolved = named.iter().filter_map(|(name, weight)| Some((Arc::clone(routes.get(name.value.as_str())?), *weight)));
    let residency = pass.word(format_args!("rules[{i}].residency"), &written.value.residency);
    let rule = Rule { when, routes: resolved.collect(), choose: choose?, residency, queue };
    if rule.routes.len() == named.len() {
        serves::check(i, written, &rule, pass);
        residencies::check(i, written, &rule, file, pass);
    }
    Some(rule)
}

/// A weight, of which a million is enough. Told in words of its own because a negative one is a common slip.
fn weighed(i: usize, weight: &Placed<i64>, pass: &mut Pass<'_>) -> u32 {
    let read = u32::try_from(weight.value).ok().filter(|w| *w <= 1_000_000);
    let wrong = || Wrong::new(format!("{} is not a weight", weight.value), "write a whole number from 0 to 1000000");
    pass.keep(&weight.at, format_args!("rules[{i}].routes"), read.ok_or_else(wrong)).unwrap_or(0)
}

fn choose(i: usize, rule: &file::Rule, routes: &RuleRoutes, pass: &mut Pass<'_>) -> Option<Choose> {
    let weights = matches!(routes, RuleRoutes::Weights(_));
    let Some(written) = &rule.choose else {
        return Some(if weights { Choose::Weighted } else { Choose::Ordered });
    };
    let choose = match written.value {
        file::Choose::Ordered => Choose::Ordered,
        file::Choose::Weighted => return Some(Choose::Weighted),
        file::Choose::Cheapest => Choose::Cheapest,
        file::Choose::Fastest => Choose::Fastest,
        file::Choose::LeastBusy => Choose::LeastBusy,
    };
    if weights {
        let remedy = "write routes = [\"a\", \"b\"], or choose = \"weighted\"";
        pass.faults.add(&written.at, format_args!("rules[{i}].choose"), "only `weighted` makes use of weights", remedy);
    }
    Some(choose)
}
