//! Accounts: by which route an attempt's own account can be asked, when its route has another one by now.
//!
//! An operator may edit a route in place to another address or key. Whoever was sent before is asked with what it was sent
//! with, as long as this process has that in memory or some route of the policy has it. Where that is refused, or is known
//! no more, what its route shows now at the *same address* may be a fresh key of the same account or a key of another: it
//! is asked, but only what it knows counts. That it does not know a job proves nothing, until it has shown another job
//! that was sent under the old key: then both are one account. At another address nobody is asked.
//!
//! Remembers in memory only; forgetting makes verdicts later, never wrong. Bounded by [`KNOWN_MAX`].

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::info;

use crate::id::{AccountId, Home, RouteName};
use crate::policy::{Policy, Route};

/// A credential that was refused is tried again after this long: it may have been the provider's mistake.
const REFUSED_FOR: Duration = Duration::from_secs(5 * 60);
/// More than this many of a kind are not remembered.
const KNOWN_MAX: usize = 1_000;

/// What is to be done to bring an account back that nobody can ask.
pub const REMEDY: &str = "to have them followed, add the former address and key as a route of its own with `drain = true`";

/// That jobs are where nobody can be asked, and what is to be done about it: for the operator.
pub fn of_left_behind(policy: &Policy, route: &RouteName, jobs: u64) -> String {
    let are = if jobs == 1 { "job is" } else { "jobs are" };
    let (whereabouts, remedy) = if policy.route_of(route).is_some() {
        (format!("with a former account of route {route}, at another address,"), REMEDY)
    } else {
        (format!("on route {route}, which is not in the policy,"), "put it back, with `enabled = false` if nothing new shall go there")
    };
    format!("{jobs} {are} {whereabouts} and not asked about; {remedy}, or end them with `filmgate jobs write-off` if the provider is gone")
}

/// How an account can be asked.
#[derive(Clone, Debug)]
pub enum Way {
    /// By a route that is of this account: what it says counts.
    Own(Arc<Route>),
    /// By what its route shows now at the same address: only what it knows counts.
    Perhaps(Arc<Route>),
}

impl Way {
    /// Whom to ask.
    pub const fn route(&self) -> &Arc<Route> {
        let (Self::Own(route) | Self::Perhaps(route)) = self;
        route
    }

    /// Whom to ask where a wrong account must not hear of it.
    pub const fn own(&self) -> Option<&Arc<Route>> {
        match self {
            Self::Own(route) => Some(route),
            Self::Perhaps(_) => None,
        }
    }
}

/// What was learnt of credentials, shared by everybody who has to know.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    refused: HashMap<AccountId, Instant>,
    /// An account, and the one that turned out to be the same under a newer key.
    kin: HashSet<(AccountId, AccountId)>,
}

impl Accounts {
    /// How to ask about what is there; `None` if nobody may be asked.
    pub fn way(&self, policy: &Policy, home: &Home) -> Option<Way> {
        let Some(account) = &home.account else { return policy.route_of(&home.route).cloned().map(Way::Own) };
        let own = policy.of_account(home).cloned();
        // What its route has had since, newest first.
        let mut since = policy.all_of(&home.route).take_while(|route| route.account != *account);
        let successor = since.find(|route| route.account.address() == account.address()).cloned();
        let known = self.known();
        let is_refused = || known.refused.get(account).is_some_and(|at| at.elapsed() < REFUSED_FOR);
        match (own, successor) {
            (Some(own), Some(_)) if !is_refused() => Some(Way::Own(own)),
            (_, Some(other)) if known.kin.contains(&(account.clone(), other.account.clone())) => Some(Way::Own(other)),
            (_, Some(other)) => Some(Way::Perhaps(other)),
            (own, None) => own.map(Way::Own),
        }
    }

    /// Takes in whether a credential was refused.
    pub fn heard(&self, account: &AccountId, refused: bool) {
        let mut known = self.known();
        if !refused {
            known.refused.remove(account);
        } else if known.refused.len() < KNOWN_MAX || known.refused.contains_key(account) {
            known.refused.insert(account.clone(), Instant::now());
        }
    }

    /// What `route` shows has shown a job that was sent to `home`: it is the same account.
    pub fn is_the_same(&self, home: &Home, route: &Route) {
        let Some(account) = home.account.as_ref().filter(|account| **account != route.account) else { return };
        let mut known = self.known();
        if known.kin.len() < KNOWN_MAX && known.kin.insert((account.clone(), route.account.clone())) {
            info!(route.name = %home.route, "knows jobs that were sent with its former key: it is the same account, and is asked about them");
        }
    }

    /// Forgets what no route of a policy has any more.
    pub fn retain(&self, policy: &Policy) {
        let accounts: HashSet<&AccountId> = policy.all_routes().map(|route| &route.account).collect();
        let mut known = self.known();
        known.refused.retain(|account, _| accounts.contains(account));
        known.kin.retain(|(_, newer)| accounts.contains(newer));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Accounts, Way};
    use crate::id::{AccountId, Home};
    use crate::policy::sample::{self, route};
    use crate::policy::{Choose, Policy, Route};

    fn with(account: &str) -> Route {
        Route { account: AccountId::new(account), ..route("north") }
    }

    fn in_order(routes: Vec<Route>) -> Policy {
        sample::policy(Choose::Ordered, routes.into_iter().map(|route| (route, 1)).collect())
    }

    fn policy(present: &str, formers: &[&str]) -> Policy {
        let mut policy = in_order(vec![with(present)]);
        let formers: Vec<Arc<Route>> = formers.iter().map(|account| Arc::new(with(account))).collect();
        policy.retired.insert(route("north").name, formers);
        policy
    }

    /// How a job of that account is asked about.
    fn told(accounts: &Accounts, policy: &Policy, account: &str) -> String {
        let home = Home { route: route("north").name, account: Some(AccountId::new(account)) };
        match accounts.way(policy, &home) {
            Some(Way::Own(route)) => format!("own {}", route.account),
            Some(Way::Perhaps(route)) => format!("perhaps {}", route.account),
            None => "nobody".to_owned(),
        }
    }

    #[test]
    fn what_was_sent_before_is_asked_about_with_what_it_was_sent_with() {
        let (accounts, edited) = (Accounts::default(), policy("here-2", &["here-1", "there-1"]));
        for account in ["here-2", "here-1", "there-1"] {
            assert_eq!(told(&accounts, &edited, account), format!("own {account}"));
        }
        let old = Home { route: route("north").name, account: None };
        assert!(matches!(accounts.way(&edited, &old), Some(Way::Own(route)) if route.account.as_str() == "here-2"));
    }

    #[test]
    fn what_nobody_remembers_is_asked_about_at_its_own_address_alone() {
        let (accounts, after) = (Accounts::default(), policy("here-2", &[]));
        assert_eq!(told(&accounts, &after, "here-1"), "perhaps here-2");
        assert_eq!(told(&accounts, &after, "there-1"), "nobody");
        let home = Home { route: route("north").name, account: Some(AccountId::new("here-1")) };
        accounts.is_the_same(&home, &with("here-2"));
        assert_eq!(told(&accounts, &after, "here-1"), "own here-2");

        let mut drained = route("old");
        drained.account = AccountId::new("there-1");
        let put_back = in_order(vec![with("here-2"), drained]);
        assert_eq!(told(&accounts, &put_back, "there-1"), "own there-1");
    }

    #[test]
    fn a_key_that_is_refused_gives_way_to_the_next_at_the_same_address() {
        let (accounts, edited) = (Accounts::default(), policy("here-2", &["here-1", "there-1"]));
        for account in ["here-1", "there-1", "here-2"] {
            accounts.heard(&AccountId::new(account), true);
        }
        assert_eq!(told(&accounts, &edited, "here-1"), "perhaps here-2");
        assert_eq!(told(&accounts, &edited, "there-1"), "own there-1", "there is nobody else to ask");
        assert_eq!(told(&accounts, &edited, "here-2"), "own here-2");
        accounts.heard(&AccountId::new("here-1"), false);
        assert_eq!(told(&accounts, &edited, "here-1"), "own here-1");
    }
}
