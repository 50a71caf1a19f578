//! A route's account at its provider, which other routes of the policy may share: what a list shows of one is
//! then the others' too.
//!
//! Routes are of one account if they have the same address and show the same credential. Two names of one
//! address, or two keys of one account, are not known to be: the policy says `shared_account` there.

use std::collections::HashSet;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::id::{Home, RouteName};
use crate::job::State;
use crate::policy::Route;
use crate::store::{Job, StoreError};

/// The routes of one account.
#[derive(Debug)]
pub struct Account {
    own: RouteName,
    others: Vec<RouteName>,
}

impl Account {
    /// The account of a route, with the other routes to it.
    pub fn of(gw: &Gateway, route: &Route) -> Self {
        let policy = gw.policy.snapshot();
        let others = policy.routes.values().chain(policy.retired.values());
        let others =
            others.filter(|other| other.name != route.name && other.endpoint == route.endpoint && other.simulated == route.simulated);
        Self { own: route.name.clone(), others: others.map(|other| other.name.clone()).collect() }
    }

    fn all(&self) -> impl Iterator<Item = &RouteName> {
        std::iter::once(&self.own).chain(&self.others)
    }

    /// Attempts that ended on a conclusion and not on an answer.
    pub async fn gone(&self, gw: &Gateway, since: Timestamp) -> Result<Vec<Arc<Job>>, StoreError> {
        let mut gone = Vec::new();
        for route in self.all() {
            gone.extend(gw.store.let_go(route, since).await?);
        }
        Ok(gone)
    }

    /// Attempts through the other routes whose outcome is not known yet.
    pub async fn rivals(&self, gw: &Gateway) -> Result<Vec<Arc<Job>>, StoreError> {
        let mut rivals = Vec::new();
        for route in &self.others {
            rivals.extend(gw.store.in_state(State::Submitting, route).await?);
            rivals.extend(gw.store.in_state(State::Unknown, route).await?);
        }
        Ok(rivals)
    }

    /// Which of these upstream ids are in suspense, or were.
    pub async fn charged(&self, gw: &Gateway, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let mut charged = HashSet::new();
        for route in self.all() {
            charged.extend(gw.store.charged(route, ids).await?);
        }
        Ok(charged)
    }

    /// Which of these upstream ids an attempt has, through whichever route.
    pub async fn taken(&self, gw: &Gateway, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let mut taken = HashSet::new();
        for route in self.all() {
            let home = Home { route: route.clone(), account: None };
            taken.extend(gw.store.known_upstream_ids(&home, ids).await?);
        }
        Ok(taken)
    }
}
