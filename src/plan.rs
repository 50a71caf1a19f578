//! Plans: the routes a job may use, in the order they will be tried.

use std::sync::Arc;

use jiff::civil::Date;

use crate::id::{ModelName, RouteName};
use crate::money::MicroUsd;
use crate::policy::{Policy, Route, Tenant};
use crate::video::{Seconds, Size, Wish};

/// The routes a job may use, in the order they will be tried.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The public model, defaults applied.
    pub model: ModelName,
    /// Which rule decided, counted from 0; `None` if the job is pinned to where its source is.
    pub rule: Option<usize>,
    /// Never empty.
    pub candidates: Vec<Candidate>,
    /// Routes of the rule that may not serve this wish, and why.
    pub passed_over: Vec<PassedOver>,
}

impl Plan {
    /// The dearest price over the candidates: what is held.
    pub fn ceiling(&self) -> MicroUsd {
        self.candidates.iter().map(|c| c.price).max().unwrap_or(MicroUsd::ZERO)
    }
}

/// One route that may serve a wish, and what it would make at what price.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The route.
    pub route: Arc<Route>,
    /// What it calls the model.
    pub upstream_model: String,
    /// The length it would make.
    pub seconds: Seconds,
    /// The size it would make.
    pub size: Size,
    /// What that costs there.
    pub price: MicroUsd,
}

/// A route that may not serve a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Which one.
    pub route: RouteName,
    /// Why, for the operator.
    pub why: String,
}

/// Where a job's source is: what is made from it has to be made there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The source's route.
    pub route: RouteName,
    /// The source's public model.
    pub model: ModelName,
    /// The source's length.
    pub seconds: Seconds,
    /// The source's size.
    pub size: Size,
}

/// Why nobody may serve a wish. The first five are the client's to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlan {
    /// No route has such a model, or the tenant may not ask for it.
    UnknownModel {
        /// What was asked for.
        model: ModelName,
        /// What the tenant may ask for.
        known: Vec<ModelName>,
    },
    /// Nobody eligible makes that length.
    Seconds {
        /// What was asked for.
        asked: Seconds,
        /// What could be had, ascending.
        offered: Vec<Seconds>,
    },
    /// Nobody eligible makes that size.
    Size {
        /// What was asked for.
        asked: Size,
        /// What could be had.
        offered: Vec<Size>,
    },
    /// Longer than the tenant may ask for.
    TooLong {
        /// What it may ask for.
        max: Seconds,
    },
    /// Dearer than the tenant may ask for.
    TooDear {
        /// The dearest price over the plan.
        price: MicroUsd,
        /// What it may ask for.
        max: MicroUsd,
    },
    /// No rule matches, or every route of the one that does is passed over: the operator's to mend.
    NoRoute {
        /// Which rule matched, if one did.
        rule: Option<usize>,
        /// Why each of its routes is passed over.
        passed_over: Vec<PassedOver>,
    },
}

/// Plans a wish: first matching rule, eligible routes, in the order of its `choose`.
///
/// `pin` is given for a wish made from an earlier job. `today` is the UTC date, for sunsets; `seed`
/// draws the lot of a weighted rule, the same for the same job.
pub fn plan(policy: &Policy, tenant: &Tenant, wish: &Wish, pin: Option<&Pin>, today: Date, seed: u64) -> Result<Plan, NoPlan> {
    let _ = (policy, tenant, wish, pin, today, seed);
    todo!()
}
