//! A route's account at its provider, which other routes of the policy may share: what a list shows of one is
//! then the others' too.
//!
//! Routes are of one account if they have the same address and show the same credential. Two names of one
//! address, or two keys of one account, are not known to be: the policy says `shared_account` there. But what one route
//! has at one address under different keys may be one account, so nobody there takes what may be another's.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::accounts::Way;
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::id::{Home, RouteName};
use crate::job::State;
use crate::policy::{Policy, Route};
use crate::store::{Inhabited, Job, StoreError};

/// The account that one route's attempts are in, and whoever else may have some there.
#[derive(Debug)]
pub struct Account<'a> {
    policy: &'a Policy,
    /// Whose attempts.
    own: &'a RouteName,
    /// By which it is asked.
    route: &'a Route,
    others: BTreeSet<RouteName>,
}

impl<'a> Account<'a> {
    /// The account of `route`, for the attempts of `own`, with the other routes to it.
    pub fn of(policy: &'a Policy, inhabited: &[Inhabited], own: &'a RouteName, route: &'a Route) -> Self {
        let configured = policy.all_routes().filter(|other| other.account == route.account).map(|other| other.name.clone());
        let left = inhabited.iter().filter(|left| left.home.account.as_ref() == Some(&route.account)).map(|left| left.home.route.clone());
        let others = configured.chain(left).filter(|name| name != own).collect();
        Self { policy, own, route, others }
    }

    fn all(&self) -> impl Iterator<Item = &RouteName> {
        std::iter::once(self.own).chain(&self.others)
    }

    /// Whether an attempt of our own is in it for certain.
    pub fn is_in(&self, gw: &Gateway, home: &Home) -> bool {
        let way = gw.accounts.way(self.policy, home);
        home.route == *self.own && matches!(way, Some(Way::Own(route)) if route.account == self.route.account)
    }

    /// Whether an attempt may be in it: it was sent to the same address, or nobody knows where to.
    pub fn may_be_in(&self, home: &Home) -> bool {
        home.account.as_ref().is_none_or(|account| account.address() == self.route.account.address())
    }

    /// Attempts that ended on a conclusion and not on an answer.
    pub async fn gone(&self, gw: &Gateway, since: Timestamp) -> Result<Vec<Arc<Job>>, StoreError> {
        let mut gone = Vec::new();
        for route in self.all() {
            gone.extend(gw.store.let_go(route, since).await?.into_iter().filter(|job| self.may_be_in(&job.home())));
        }
        Ok(gone)
    }

    /// Attempts of others whose outcome is not known yet, and of our own that may be in this account or in another.
    pub async fn rivals(&self, gw: &Gateway) -> Result<Vec<Arc<Job>>, StoreError> {
        let mut rivals = Vec::new();
        for route in self.all() {
            for state in [State::Submitting, State::Unknown] {
                let jobs = gw.store.in_state(state, route).await?.into_iter();
                rivals.extend(jobs.filter(|job| self.may_be_in(&job.home()) && !self.is_in(gw, &job.home())));
            }
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
            let home = Home { route: route.clone(), account: Some(self.route.account.clone()) };
            taken.extend(gw.store.known_upstream_ids(&home, ids).await?);
        }
        Ok(taken)
    }
}
