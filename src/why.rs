//! Why: what would become of a wish, said for the operator: which rule matched, who would be asked in what
//! order, why nobody else would be, what it would cost and what would be held.
//!
//! Asks [`survey`] what a create is told and never decides for itself, so the two cannot disagree. Knows
//! the policy only: how routes are at the moment, and what is left in purses, is added by who knows.

mod purse;
mod question;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::id::RouteName;
use crate::money::MicroUsd;
use crate::plan::{Candidate, Moment, NoPlan, Plan, Seen, survey};
use crate::policy::{Choose, Key, Policy, Queue, Rule, Tenant};
use question::to_the_second;

pub use purse::PurseLine;
pub use question::{Picture, Question, moment};

/// What would become of a wish.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    object: &'static str,
    /// Which file decided: SHA-256, in hexadecimal.
    revision: String,
    /// The moment that is meant, in UTC.
    at: String,
    tenant: String,
    /// By which of its keys, if that was said.
    key: Option<String>,
    /// For which end user.
    user: Option<String>,
    /// The public model, defaults applied.
    model: String,
    /// As it was asked for; `null` is left to the route.
    seconds: Option<u32>,
    size: Option<String>,
    /// The rule that matched, as the file counts them: `rules[0]`.
    rule: Option<String>,
    /// What the file says of how to choose.
    choose: Option<&'static str>,
    /// Why the routes stand in this order.
    order: Option<String>,
    /// The only region that it may be processed in.
    residency: Option<String>,
    /// Every route of the policy: those that would be asked first, in their order.
    pub routes: Vec<RouteLine>,
    /// Whom it would be held against, routes last.
    pub purses: Vec<PurseLine>,
    /// What was not said and decides as well.
    unsaid: Vec<String>,
    #[serde(flatten)]
    held: Option<Held>,
    /// What becomes of it while all of them are full; `null` if it is refused.
    pub queue: Option<String>,
    /// Why nobody would be asked, if nobody would.
    refusal: Option<String>,
}

/// What one route would make, or why it would not be asked.
#[derive(Clone, Debug, Serialize)]
pub struct RouteLine {
    /// Which.
    pub route: String,
    /// Counted from 1, in the order of asking; `null` if it would not be asked.
    pub place: Option<usize>,
    #[serde(flatten)]
    offer: Option<Offered>,
    /// Its weight in the rule, if the rule has weights.
    weight: Option<u32>,
    /// Why it would not be asked.
    pub why_not: Option<String>,
    /// How it is at the moment, as far as somebody who knows has put it here.
    pub now: Option<String>,
}

/// What a route would make.
#[derive(Clone, Debug, Serialize)]
struct Offered {
    upstream_model: String,
    seconds: u32,
    size: String,
    price: String,
    price_microusd: i64,
}

/// What would be held: the dearest price over those that would be asked.
#[derive(Clone, Debug, Serialize)]
struct Held {
    held: String,
    held_microusd: i64,
}

/// Explains what would become of a wish, beside the plan that a create would have; an error is about the question
/// itself. Without a lot, the heaviest route of a weighted rule is expected first; `seen` is what rules choose by that
/// look at how routes did.
pub fn explain(
    policy: &Policy,
    question: &Question,
    now: Timestamp,
    seen: &dyn Seen,
) -> Result<(Explanation, Result<Plan, NoPlan>), String> {
    let Some(tenant) = policy.tenants.get(&question.tenant) else {
        let known: Vec<&str> = policy.tenants.keys().map(|name| name.as_str()).collect();
        return Err(format!("there is no tenant {}; there are {}", question.tenant, listed(&known)));
    };
    let key = question.key.as_ref().map(|name| key_of(tenant, name)).transpose()?;
    let at = question.at.unwrap_or(now);
    let moment = question.lot.map_or(Moment::of(at), |lot| Moment::of(at).drawing(lot)).seeing(seen);
    let survey = survey(policy, tenant, &question.wish(), None, moment);
    if policy.routes.values().all(|route| !route.models.contains_key(&survey.model)) {
        let known: BTreeSet<&str> = policy.routes.values().flat_map(|route| route.models.keys()).map(|name| name.as_str()).collect();
        return Err(format!("no route has a model {}; there are {}", survey.model, listed(&Vec::from_iter(known))));
    }
    let rule = survey.rule.and_then(|index| policy.rules.get(index));
    let none = Vec::new();
    let (candidates, passed_over) = match &survey.outcome {
        Ok(plan) => (&plan.candidates, &plan.passed_over),
        Err(_) => (&none, &survey.passed_over),
    };
    let mut routes: Vec<RouteLine> = candidates.iter().enumerate().map(|(i, candidate)| RouteLine::asked(i, candidate, rule)).collect();
    let of_rule = rule.iter().flat_map(|rule| &rule.routes).map(|(route, _)| &route.name);
    for name in of_rule.chain(policy.routes.keys()) {
        if routes.iter().any(|line| line.route == name.as_str()) {
            continue;
        }
        let why = passed_over.iter().find(|passed| passed.route == *name).map(|passed| passed.why.clone());
        let why = why.unwrap_or_else(|| match survey.rule {
            Some(index) => format!("is not among the routes of rules[{index}]"),
            None => "is of no rule that matches".to_owned(),
        });
        routes.push(RouteLine {
            route: name.to_string(),
            place: None,
            offer: None,
            weight: weight(rule, name),
            why_not: Some(why),
            now: None,
        });
    }
    let explanation = Explanation {
        object: "explanation",
        revision: policy.revision.clone(),
        at: to_the_second(at),
        tenant: tenant.name.to_string(),
        key: question.key.clone(),
        user: question.user.clone(),
        purses: purse::purses(policy, tenant, key, question.user.as_deref(), survey.outcome.as_ref().ok(), at),
        unsaid: purse::unsaid(tenant, key),
        model: survey.model.to_string(),
        seconds: question.seconds.map(|seconds| seconds.get()),
        size: question.size.map(|size| size.to_string()),
        rule: survey.rule.map(|index| format!("rules[{index}]")),
        choose: rule.map(|rule| rule.choose.as_str()),
        order: rule.filter(|_| candidates.len() > 1).map(|rule| order_of(rule, question.lot.is_some())),
        residency: survey.residency.clone(),
        held: survey.outcome.as_ref().ok().map(|plan| Held::of(plan.ceiling())),
        queue: survey.outcome.as_ref().ok().and_then(|_| Queue::of(rule, tenant)).map(|queue| line_of(&queue)),
        refusal: survey.outcome.as_ref().err().map(ToString::to_string),
        routes,
    };
    Ok((explanation, survey.outcome))
}

impl Explanation {
    /// Whether the end user is said.
    pub const fn names_its_user(&self) -> bool {
        self.user.is_some()
    }
}

/// The key that goes by this name.
fn key_of<'a>(tenant: &'a Tenant, name: &str) -> Result<&'a Key, String> {
    tenant.keys.iter().find(|key| key.name == name).ok_or_else(|| {
        let known: Vec<&str> = tenant.keys.iter().map(|key| key.name.as_str()).collect();
        format!("{} has no key {name}; there are {}", tenant.name, listed(&known))
    })
}

/// What a queue says.
fn line_of(queue: &Queue) -> String {
    let secs = queue.wait.as_secs();
    format!("may wait while all of them are full, for {secs} s and with {} jobs of its tenant in line at the most", queue.max)
}

/// The weight of a route in a rule that goes by weights.
fn weight(rule: Option<&Rule>, route: &RouteName) -> Option<u32> {
    let rule = rule.filter(|rule| rule.choose == Choose::Weighted)?;
    rule.routes.iter().find(|(other, _)| other.name == *route).map(|(_, weight)| *weight)
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Why a rule's routes stand in their order.
fn order_of(rule: &Rule, is_drawn: bool) -> String {
    match (rule.choose, is_drawn) {
        (Choose::Ordered, _) => "in the order of the rule".to_owned(),
        (Choose::Weighted, true) => "by this job's lot, drawn by the weights of the rule".to_owned(),
        (Choose::Weighted, false) => "by weight, the heaviest first; each job draws a lot of its own".to_owned(),
        (Choose::Cheapest, _) => "by the price of this clip, the cheapest first".to_owned(),
        (Choose::Fastest, _) => "by how long such clips took lately, and usually where none was seen".to_owned(),
        (Choose::LeastBusy, _) => "by jobs in flight for each that the account may have, the least busy first".to_owned(),
    }
}

impl RouteLine {
    fn asked(index: usize, candidate: &Candidate, rule: Option<&Rule>) -> Self {
        Self {
            route: candidate.route.name.to_string(),
            place: Some(index + 1),
            offer: Some(Offered::of(candidate)),
            weight: weight(rule, &candidate.route.name),
            why_not: None,
            now: None,
        }
    }
}

impl Offered {
    fn of(candidate: &Candidate) -> Self {
        Self {
            upstream_model: candidate.upstream_model.clone(),
            seconds: candidate.seconds.get(),
            size: candidate.size.to_string(),
            price: candidate.price.to_string(),
            price_microusd: candidate.price.get(),
        }
    }
}

impl Held {
    fn of(price: MicroUsd) -> Self {
        Self { held: price.to_string(), held_microusd: price.get() }
    }
}

#[cfg(test)]
mod tests;
