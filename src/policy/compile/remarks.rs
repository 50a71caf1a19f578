//! Remarks on tenants: what is no fault and yet leaves one of them with nothing. Said once for all that it holds for.
//!
//! Each tenant is looked at by itself, in the same time however many rules and routes there are.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::id::{RouteName, TenantName};
use crate::money::MicroUsd;
use crate::policy::{Offer, Price, Route, Rules, Tenant, file, terms};
use crate::video::Seconds;

/// What is sold at all, and who has what wrong.
pub(super) struct Remarks<'p> {
    routes: &'p BTreeMap<RouteName, Arc<Route>>,
    /// Whom some rule is for; `None` is everybody.
    served: Option<HashSet<&'p TenantName>>,
    cheapest: Option<MicroUsd>,
    shortest: Option<Seconds>,
    without_budget: Vec<&'p str>,
    without_keys: Vec<&'p str>,
    without_rule: Vec<&'p str>,
    too_poor: Vec<&'p str>,
    too_short: Vec<&'p str>,
    by_residency: BTreeMap<&'p str, Vec<&'p str>>,
}

impl<'p> Remarks<'p> {
    /// Without any yet.
    pub fn new(routes: &'p BTreeMap<RouteName, Arc<Route>>, rules: &'p Rules) -> Self {
        let offers = || routes.values().flat_map(|route| route.models.values());
        let has_rule_for_all = rules.iter().any(|rule| rule.when.tenant.is_empty());
        Self {
            routes,
            served: (!has_rule_for_all).then(|| rules.iter().flat_map(|rule| &rule.when.tenant).collect()),
            cheapest: offers().filter_map(cheapest).min(),
            shortest: offers().filter_map(|offer| offer.seconds.first().copied()).min(),
            without_budget: Vec::new(),
            without_keys: Vec::new(),
            without_rule: Vec::new(),
            too_poor: Vec::new(),
            too_short: Vec::new(),
            by_residency: BTreeMap::new(),
        }
    }

    /// Takes in a tenant, as written and as read.
    pub fn note(&mut self, name: &'p str, written: &'p file::Tenant, tenant: &Tenant) {
        let note = |holds: bool, names: &mut Vec<&'p str>| names.extend(holds.then_some(name));
        note(written.budget.is_none(), &mut self.without_budget);
        note(written.keys.is_empty(), &mut self.without_keys);
        note(self.served.as_ref().is_some_and(|served| !served.contains(&tenant.name)), &mut self.without_rule);
        note(tenant.cost_max.zip(self.cheapest).is_some_and(|(max, cheapest)| max < cheapest), &mut self.too_poor);
        note(tenant.seconds_max.zip(self.shortest).is_some_and(|(max, shortest)| max < shortest), &mut self.too_short);
        if let Some(residency) = &written.residency {
            self.by_residency.entry(&residency.value).or_default().push(name);
        }
    }

    /// All of them, in words.
    pub fn say(self) -> Vec<String> {
        let mut said = Vec::new();
        let mut say = |what: String, names: &[&str], remedy: &str| {
            if !names.is_empty() {
                let tenants = if names.len() == 1 { "the tenant" } else { "the tenants" };
                said.push(format!("{what}: {tenants} {}{remedy}", terms::list(names.iter().copied())));
            }
        };
        say("no budget, so nothing may be spent".to_owned(), &self.without_budget, "; add budget = { cap = \"…\" }");
        say("no keys, so nobody can ask".to_owned(), &self.without_keys, "");
        say("every rule is for other tenants, so nothing is served".to_owned(), &self.without_rule, "; add a rule, or one for all");
        let cheapest = self.cheapest.unwrap_or(MicroUsd::ZERO);
        say(format!("`max_cost` is below {cheapest}, which the cheapest clip costs, so all are refused"), &self.too_poor, "");
        let shortest = self.shortest.map_or(0, Seconds::get);
        say(format!("`max_seconds` is below {shortest}, as long as the shortest clip is, so all are refused"), &self.too_short, "");
        for (residency, names) in self.by_residency {
            if !self.routes.values().any(|route| route.region.as_deref() == Some(residency)) {
                say(format!("no route is in the region `{residency}`, so what is bound to it is refused"), &names, "");
            }
        }
        said
    }
}

/// What the shortest clip of an offer costs at its lowest price.
fn cheapest(offer: &Offer) -> Option<MicroUsd> {
    let per_second = match &offer.price {
        Price::Flat(price) => Some(price),
        Price::BySize(prices) => prices.values().min(),
    };
    per_second?.times(i64::from(offer.seconds.first()?.get()))
}
