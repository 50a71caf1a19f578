//! Health: how each model on each route has answered lately, and what that means for whom to ask.
//!
//! [`breaker`] is advice for the order of a plan and nothing more: what seems down is asked last and never
//! left out, so that a mistake here costs a second and not a job, and the last route is never lost.
//! [`rotation`] leaves out: where a provider has said that it does not have a model, nobody is sent.
//! [`credential`] is for the operator: a key that is refused is said to be at once, and counts as a failure beside.
//!
//! Fed by submissions, polls and free questions; tells the log what it makes of them. Survives every reload
//! that leaves a route's address and the model's entry alone. Bounded by the policy: what a route does
//! not offer is not remembered.

mod breaker;
mod credential;
mod rotation;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use crate::clock::Timestamp;
use crate::id::{Home, ModelName, RouteName};
use crate::metrics::RouteState;
use crate::policy::{Policy, Route};
use crate::provider::Endpoint;
use breaker::{Breaker, State};
use credential::{Keyed, Refused};
use rotation::Gone;

pub use breaker::{Cause, Question};

/// How much longer than its time-out a submission may be under way.
const TRIAL_SLACK: Duration = Duration::from_secs(60);

/// What we know of every route.
#[derive(Debug, Default)]
pub struct Health(Mutex<BTreeMap<Home, OfRoute>>);

#[derive(Debug)]
struct OfRoute {
    /// At another address, or with another key, it is another route.
    endpoint: Endpoint,
    keyed: Keyed,
    models: BTreeMap<ModelName, OfModel>,
}

#[derive(Debug, Default)]
struct OfModel {
    breaker: Breaker,
    gone: Option<Gone>,
}

impl OfModel {
    /// Since when it is gone, if what is gone is what the file offers.
    fn gone(&self, route: &Route, model: &ModelName) -> Option<&Gone> {
        self.gone.as_ref().filter(|gone| route.models.get(model) == Some(&gone.offer))
    }
}

/// How a model stands on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is asked in its turn.
    Well,
    /// It is asked last.
    Resting {
        /// Since when.
        since: Timestamp,
        /// Until when at the least; after failures, until a free question is answered as well.
        until: Timestamp,
        /// Why.
        cause: Cause,
    },
    /// One job at a time is let through, to see.
    OnTrial {
        /// Since when.
        since: Timestamp,
    },
    /// It is not asked: the provider has said that it does not have it.
    Gone {
        /// Since when.
        since: Timestamp,
        /// With what status.
        status: u16,
    },
    /// The provider refuses the route's key. It is asked in its turn until it has failed too often, and last then.
    KeyRefused {
        /// Since when.
        since: Timestamp,
        /// With what status, where that is known.
        status: Option<u16>,
    },
}

impl Standing {
    /// In one word, as metrics and JSON write it.
    pub const fn state(&self) -> RouteState {
        match self {
            Self::Well => RouteState::Closed,
            Self::Resting { .. } => RouteState::Open,
            Self::OnTrial { .. } => RouteState::HalfOpen,
            Self::Gone { .. } => RouteState::Gone,
            Self::KeyRefused { .. } => RouteState::KeyRefused,
        }
    }

    /// Since when it is not well.
    pub const fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Well => None,
            Self::Resting { since, .. } | Self::OnTrial { since } | Self::Gone { since, .. } | Self::KeyRefused { since, .. } => {
                Some(*since)
            }
        }
    }

    /// Until when, if that is known.
    pub const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Resting { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Why it is not well, for the operator.
    pub fn why(&self, route: &Route) -> Option<String> {
        match self {
            Self::Well => None,
            Self::Resting { cause: Cause::Failures, .. } => Some("failed too often in a row, so it is asked last".to_owned()),
            Self::Resting { cause: Cause::Rate, .. } => Some("fails too large a share of the time, so it is asked last".to_owned()),
            Self::Resting { cause: Cause::Request, .. } => Some("asked to be left alone, so it is asked last".to_owned()),
            Self::OnTrial { .. } => Some("answers again, and is tried with one job at a time".to_owned()),
            Self::Gone { status, .. } => Some(format!("answered {status}: the provider does not have this model, so it is not asked")),
            Self::KeyRefused { since, status } => {
                Some(credential::remedy(Refused { since: *since, status: *status }, &route.endpoint.credential))
            }
        }
    }
}

impl Health {
    /// A route gave a sound answer about a model, whatever it said.
    pub fn answered(&self, route: &Route, model: &ModelName, question: Question, now: Timestamp) {
        let mut all = self.all();
        let known = entry(&mut all, route);
        if known.keyed.taken(question) {
            info!(route.name = %route.name, "takes our key again");
        }
        let Some(of) = of_model(known, route, model) else { return };
        let before = of.breaker.state(now);
        of.breaker.answered(question, now, &route.breaker);
        if before != State::Closed && of.breaker.state(now) == State::Closed {
            info!(route.name = %route.name, %model, "is well again");
        }
    }

    /// It could not be reached, or had trouble of its own.
    pub fn failed(&self, route: &Route, model: &ModelName, question: Question, now: Timestamp) {
        let mut all = self.all();
        let Some(of) = of_model(entry(&mut all, route), route, model) else { return };
        if let Some(cause) = of.breaker.failed(question, now, &route.breaker) {
            warn!(route.name = %route.name, %model, ?cause, "is asked last from now on");
        }
    }

    /// It did not take our key.
    pub fn refused_key(&self, route: &Route, question: Question, status: Option<u16>, now: Timestamp) {
        let mut all = self.all();
        let keyed = &mut entry(&mut all, route).keyed;
        if keyed.refused(question, status, now)
            && let Some(refused) = keyed.standing()
        {
            let why = credential::remedy(refused, &route.endpoint.credential);
            warn!(route.name = %route.name, "{why}");
        }
    }

    /// The routes that did not take our key when they were last asked.
    pub fn refusing_keys(&self) -> Vec<Home> {
        self.all().iter().filter(|(_, known)| known.keyed.standing().is_some()).map(|(home, _)| home.clone()).collect()
    }

    /// It asked to be left alone for a while.
    pub fn asks_for_rest(&self, route: &Route, model: &ModelName, wait: Duration, now: Timestamp) {
        if let Some(of) = of_model(entry(&mut self.all(), route), route, model) {
            of.breaker.asks_for_rest(wait, now);
        }
    }

    /// It has said that it does not have a model: nobody is sent there any more.
    pub fn gone(&self, route: &Route, model: &ModelName, status: u16, now: Timestamp) {
        let mut all = self.all();
        let known = entry(&mut all, route);
        let (Some(offer), Some(of)) = (route.models.get(model), of_model(known, route, model)) else { return };
        if of.gone(route, model).is_none() {
            warn!(route.name = %route.name, %model, upstream.model = %offer.upstream_model, status, "is gone there, and taken out of rotation");
            of.gone = Some(Gone::new(offer.clone(), status, now));
        }
    }

    /// A person says that it has it; whether that is news.
    pub fn readmit(&self, route: &Route, model: &ModelName) -> bool {
        let mut all = self.all();
        all.get_mut(&route.home()).and_then(|known| known.models.get_mut(model)).is_some_and(|of| of.gone.take().is_some())
    }

    /// Every model that is out of rotation, and where.
    pub fn all_gone(&self) -> Vec<(RouteName, ModelName)> {
        let all = self.all();
        let gone = |(home, known): (&Home, &OfRoute)| {
            let models = known.models.iter().filter(|(_, of)| of.gone.is_some());
            models.map(|(model, _)| (home.route.clone(), model.clone())).collect::<Vec<_>>()
        };
        all.iter().flat_map(gone).collect()
    }

    /// How a model stands on a route.
    pub fn standing(&self, route: &Route, model: &ModelName, now: Timestamp) -> Standing {
        let all = self.all();
        let Some(known) = all.get(&route.home()).filter(|known| known.endpoint == route.endpoint) else { return Standing::Well };
        let of = known.models.get(model);
        if let Some(gone) = of.and_then(|of| of.gone(route, model)) {
            return Standing::Gone { since: gone.since, status: gone.status };
        }
        if let Some(Refused { since, status }) = known.keyed.standing() {
            return Standing::KeyRefused { since, status };
        }
        match of.map_or(State::Closed, |of| of.breaker.state(now)) {
            State::Closed => Standing::Well,
            State::Open { since, until, cause } => Standing::Resting { since, until, cause },
            State::HalfOpen { since, .. } => Standing::OnTrial { since },
        }
    }

    /// Whether the provider has said that it does not have it.
    pub fn is_gone(&self, route: &Route, model: &ModelName) -> bool {
        self.of(route, model, |of| of.gone(route, model).is_some()).unwrap_or(false)
    }

    /// Whether it is better asked last.
    pub fn is_asked_last(&self, route: &Route, model: &ModelName, now: Timestamp) -> bool {
        self.of(route, model, |of| of.breaker.is_asked_last(now)).unwrap_or(false)
    }

    /// Whether a route seems down, for any of its models.
    pub fn is_failing(&self, route: &Route, now: Timestamp) -> bool {
        self.all().get(&route.home()).is_some_and(|known| known.models.values().any(|of| of.breaker.is_failing(now)))
    }

    /// A job is about to be submitted.
    pub fn asking(&self, route: &Route, model: &ModelName, now: Timestamp) {
        if let Some(of) = of_model(entry(&mut self.all(), route), route, model) {
            of.breaker.asking(now, route.submit_timeout + TRIAL_SLACK);
        }
    }

    /// Whether an answer to a free question would tell something of a route.
    pub fn wants_a_free_answer(&self, route: &Route, now: Timestamp) -> bool {
        let wants = |of: &OfModel| of.breaker.wants_a_free_answer(now) || of.gone.as_ref().is_some_and(|gone| gone.wants_a_look(now));
        self.all().get(&route.home()).is_some_and(|known| known.models.values().any(wants))
    }

    /// A route answered a free question, and named its models if it has a list of them.
    pub fn free_answer(&self, route: &Route, names: Option<&[String]>, now: Timestamp) {
        for (model, of) in &mut entry(&mut self.all(), route).models {
            of.breaker.free_answer(now);
            if of.gone.as_mut().is_some_and(|gone| gone.looked(names, now)) {
                warn!(route.name = %route.name, %model, "is named by the provider again, and back in rotation");
                of.gone = None;
            }
        }
    }

    /// It did not.
    pub fn free_failure(&self, route: &Route, now: Timestamp) {
        for of in entry(&mut self.all(), route).models.values_mut() {
            of.breaker.free_failure(now, &route.breaker);
            if let Some(gone) = &mut of.gone {
                gone.not_looked(now);
            }
        }
    }

    /// Forgets what another policy has made irrelevant; models whose entry was changed are back in rotation.
    pub fn retain(&self, policy: &Policy) {
        self.all().retain(|home, known| {
            let mut routes = policy.all_of(&home.route).filter(|route| Some(&route.account) == home.account.as_ref());
            let Some(route) = routes.find(|route| route.endpoint == known.endpoint) else { return false };
            known.models.retain(|model, of| {
                let offer = route.models.get(model);
                of.gone = of.gone.take().filter(|gone| Some(&gone.offer) == offer);
                offer.is_some()
            });
            true
        });
    }

    fn of<T>(&self, route: &Route, model: &ModelName, read: impl FnOnce(&OfModel) -> T) -> Option<T> {
        let all = self.all();
        all.get(&route.home()).filter(|known| known.endpoint == route.endpoint)?.models.get(model).map(read)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Home, OfRoute>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a route, beginning with nothing.
fn entry<'a>(all: &'a mut BTreeMap<Home, OfRoute>, route: &Route) -> &'a mut OfRoute {
    let nothing = || OfRoute { endpoint: route.endpoint.clone(), keyed: Keyed::default(), models: BTreeMap::new() };
    let known = all.entry(route.home()).or_insert_with(nothing);
    if known.endpoint != route.endpoint {
        *known = nothing();
    }
    known
}

/// What is known of a model on it; `None` if the route does not offer it, which nobody needs to remember.
fn of_model<'a>(known: &'a mut OfRoute, route: &Route, model: &ModelName) -> Option<&'a mut OfModel> {
    route.models.contains_key(model).then(|| known.models.entry(model.clone()).or_default())
}

#[cfg(test)]
mod tests;
