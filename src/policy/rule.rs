//! One rule: whom it is for, and which routes serve them in what order. Finding the first that matches is `rules`.

use std::sync::Arc;

use super::{Queue, Route, When};

/// A policy entry: who is served by what.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Whom it matches.
    pub when: When,
    /// The routes, in the file's order, each with its weight.
    pub routes: Vec<(Arc<Route>, u32)>,
    /// How to order them.
    pub choose: Choose,
    /// Where what it serves may be processed.
    pub residency: Option<String>,
    /// Whether what it matches may wait while they are full.
    pub queue: Option<Queue>,
}

/// How the routes of a rule are ordered for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choose {
    /// As written.
    Ordered,
    /// By lot, in proportion to their weights; the same job always draws the same lot.
    Weighted,
    /// By the price of this wish.
    Cheapest,
    /// By how long such clips took lately.
    Fastest,
    /// By jobs in flight for each place of the account.
    LeastBusy,
}

impl Choose {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Weighted => "weighted",
            Self::Cheapest => "cheapest",
            Self::Fastest => "fastest",
            Self::LeastBusy => "least_busy",
        }
    }
}
