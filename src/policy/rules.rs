//! Rules, and finding the first one that is for a wish.
//!
//! Each rule stands in one index: by tenant if it names tenants, or else by end user, or else by model; what names
//! none of them is looked at for everybody. So the time it takes does not depend on how many tenants there are, nor
//! on the rules that are for others. The indexes answer what looking at one rule after the other would answer.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::ops::Deref;

use super::{Rule, Tenant, Window};
use crate::clock::Timestamp;
use crate::id::{ModelName, TenantName};
use crate::video::{Seconds, Size};

/// What a rule matches; an empty list or `None` matches everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct When {
    /// Tenants.
    pub tenant: Vec<TenantName>,
    /// Public model names.
    pub model: Vec<ModelName>,
    /// Sizes.
    pub size: Vec<Size>,
    /// Lengths.
    pub seconds: Vec<Seconds>,
    /// The tenant's residency.
    pub residency: Option<String>,
    /// End users, as a request names them.
    pub user: Vec<String>,
    /// Whether the wish comes with a picture to start from.
    pub has_reference: Option<bool>,
    /// The times at which it is in force.
    pub time: Option<Window>,
}

/// What rules look at in a wish, defaults applied.
#[derive(Clone, Copy, Debug)]
pub struct Traits<'a> {
    /// Who wishes.
    pub tenant: &'a Tenant,
    /// The public model.
    pub model: &'a ModelName,
    /// The size that was asked for.
    pub size: Size,
    /// The length that was asked for.
    pub seconds: Seconds,
    /// The end user, if one is named.
    pub user: Option<&'a str>,
    /// Whether a picture comes with it.
    pub has_reference: bool,
    /// When.
    pub at: Timestamp,
}

/// The rules in the file's order.
#[derive(Clone)]
pub struct Rules {
    all: Vec<Rule>,
    by_tenant: HashMap<TenantName, Vec<usize>>,
    by_user: HashMap<String, Vec<usize>>,
    by_model: HashMap<ModelName, Vec<usize>>,
    others: Vec<usize>,
}

impl Rules {
    /// Indexes rules.
    pub fn new(mut all: Vec<Rule>) -> Self {
        let (mut by_tenant, mut by_user, mut by_model, mut others) = (HashMap::new(), HashMap::new(), HashMap::new(), Vec::new());
        for (i, rule) in all.iter_mut().enumerate() {
            let when = &mut rule.when;
            when.sort();
            if !when.tenant.is_empty() {
                enter(&mut by_tenant, &when.tenant, i);
            } else if !when.user.is_empty() {
                enter(&mut by_user, &when.user, i);
            } else if !when.model.is_empty() {
                enter(&mut by_model, &when.model, i);
            } else {
                others.push(i);
            }
        }
        Self { all, by_tenant, by_user, by_model, others }
    }

    /// The first rule that is for a wish, and its place, counted from 0.
    pub fn first(&self, wish: &Traits<'_>) -> Option<(usize, &Rule)> {
        let lists = [
            self.by_tenant.get(&wish.tenant.name),
            wish.user.and_then(|user| self.by_user.get(user)),
            self.by_model.get(wish.model),
            Some(&self.others),
        ];
        let mut first = None;
        for list in lists.into_iter().flatten() {
            let earlier = list.iter().copied().take_while(|i| first.is_none_or(|first| *i < first));
            first = earlier.into_iter().find(|i| self.all.get(*i).is_some_and(|rule| rule.when.is_for(wish))).or(first);
        }
        first.and_then(|i| Some((i, self.all.get(i)?)))
    }
}

fn enter<K: Hash + Eq + Clone>(index: &mut HashMap<K, Vec<usize>>, keys: &[K], i: usize) {
    for key in keys {
        index.entry(key.clone()).or_default().push(i);
    }
}

impl Deref for Rules {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        &self.all
    }
}

/// The rules alone: the indexes say nothing else.
impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all.fmt(f)
    }
}

impl When {
    /// Puts what is listed in order, each once, as it is looked up.
    pub fn sort(&mut self) {
        fn sorted<T: Ord>(list: &mut Vec<T>) {
            list.sort_unstable();
            list.dedup();
        }
        sorted(&mut self.tenant);
        sorted(&mut self.model);
        sorted(&mut self.size);
        sorted(&mut self.seconds);
        sorted(&mut self.user);
    }

    /// Whether all that is given matches. The lists are in order.
    pub fn is_for(&self, wish: &Traits<'_>) -> bool {
        fn admits<T: Ord>(list: &[T], value: &T) -> bool {
            list.is_empty() || list.binary_search(value).is_ok()
        }
        let names = |user: &str| self.user.binary_search_by(|listed| listed.as_str().cmp(user)).is_ok();
        admits(&self.size, &wish.size)
            && admits(&self.seconds, &wish.seconds)
            && admits(&self.model, wish.model)
            && admits(&self.tenant, &wish.tenant.name)
            && (self.residency.is_none() || self.residency == wish.tenant.residency)
            && (self.user.is_empty() || wish.user.is_some_and(names))
            && self.has_reference.is_none_or(|has| has == wish.has_reference)
            && self.time.as_ref().is_none_or(|window| window.contains(wish.at))
    }

    /// Whether every wish that `other` is for is one that this is for, key by key. The lists are in order;
    /// `residency` is where a tenant is bound to.
    pub fn covers<'r>(&self, other: &Self, residency: impl Fn(&TenantName) -> Option<&'r str>) -> bool {
        fn holds<T: Ord>(list: &[T], other: &[T]) -> bool {
            let within = || other.len() <= list.len() && other.iter().all(|value| list.binary_search(value).is_ok());
            list.is_empty() || (!other.is_empty() && within())
        }
        let bound = |to: &str| {
            let all = || other.tenant.iter().all(|tenant| residency(tenant) == Some(to));
            other.residency.as_deref() == Some(to) || (!other.tenant.is_empty() && all())
        };
        (self.has_reference.is_none() || self.has_reference == other.has_reference)
            && holds(&self.seconds, &other.seconds)
            && holds(&self.size, &other.size)
            && holds(&self.model, &other.model)
            && holds(&self.user, &other.user)
            && holds(&self.tenant, &other.tenant)
            && self.residency.as_deref().is_none_or(bound)
            && self.time.as_ref().is_none_or(|window| other.time.as_ref().map_or(window.never_closes(), |other| window.covers(other)))
    }
}

#[cfg(test)]
mod tests;
