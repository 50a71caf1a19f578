//! What a route offers under one public model name: lengths, sizes, and what a second costs. Models are data, never code.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use crate::money::MicroUsd;
use crate::video::{Seconds, Size, SizeClass};

/// What a route offers under one public model name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What the route calls it.
    pub upstream_model: String,
    /// Lengths, ascending, never empty.
    pub seconds: Vec<Seconds>,
    /// Sizes, never empty, each with a price.
    pub sizes: Vec<Size>,
    /// Per second.
    pub price: Price,
    /// The last day it is offered.
    pub sunset: Option<Date>,
    /// What to do about a length or size that is not offered.
    pub fit: Fit,
    /// Fields beyond the protocol that it takes.
    pub extras: BTreeSet<String>,
}

/// The price of a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Price {
    /// Whatever the size.
    Flat(MicroUsd),
    /// By size class.
    BySize(BTreeMap<SizeClass, MicroUsd>),
}

/// What to do about a length or size that a route does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// Not eligible.
    #[default]
    Exact,
    /// The nearest one; the shorter of two equally near.
    Nearest,
    /// The next longer or larger one.
    Up,
    /// The next shorter or smaller one.
    Down,
}
