//! Names: which tenants, routes and models have labels of their own.
//!
//! A name gets one when a policy that is put in force mentions it, and keeps it as long as the
//! process lives. Past a bound there are no more, whatever the policy says: every further name is
//! `(other)`, which nobody can be called. So neither a client nor a thousand reloads can grow the exposition without end.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;

use crate::id::{ModelName, RouteName, TenantName};
use crate::policy::Policy;

/// How many tenants have a label of their own.
pub const TENANTS_MAX: usize = 1_000;
/// How many routes have.
pub const ROUTES_MAX: usize = 100;
/// How many models have.
pub const MODELS_MAX: usize = 100;
/// The label of everyone else.
pub const OTHER: &str = "(other)";

/// The names that have labels of their own.
#[derive(Clone, Debug, Default)]
pub struct Names {
    tenants: HashSet<TenantName>,
    routes: HashSet<RouteName>,
    models: HashSet<ModelName>,
}

impl Names {
    /// These names and those of `policy`, as far as the bounds allow.
    pub fn with(&self, policy: &Policy) -> Self {
        let mut names = self.clone();
        admit(&mut names.tenants, policy.tenants.keys(), TENANTS_MAX);
        admit(&mut names.routes, policy.routes.keys(), ROUTES_MAX);
        admit(&mut names.models, policy.routes.values().flat_map(|r| r.models.keys()), MODELS_MAX);
        names
    }

    /// The label of a tenant.
    pub fn tenant<'a>(&self, name: &'a str) -> &'a str {
        label(&self.tenants, name)
    }

    /// The label of a route.
    pub fn route<'a>(&self, name: &'a str) -> &'a str {
        label(&self.routes, name)
    }

    /// The label of a model.
    pub fn model<'a>(&self, name: &'a str) -> &'a str {
        label(&self.models, name)
    }
}

fn admit<'a, T: Clone + Eq + Hash + 'a>(known: &mut HashSet<T>, names: impl Iterator<Item = &'a T>, max: usize) {
    for name in names {
        if known.len() < max {
            known.insert(name.clone());
        }
    }
}

fn label<'a, T: Borrow<str> + Eq + Hash>(known: &HashSet<T>, name: &'a str) -> &'a str {
    if known.contains(name) { name } else { OTHER }
}
