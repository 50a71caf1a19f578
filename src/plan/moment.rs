//! The moment a wish is planned in. Everything here is handed in: a plan reads no clock.

use jiff::civil::Date;

use super::{Nothing, Seen};
use crate::clock::Timestamp;

/// When a wish is planned, by which lot, and what was seen by then: what a plan depends on beside policy and wish.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Now.
    pub(super) at: Timestamp,
    /// Draws the lot, if one is drawn.
    pub(super) seed: Option<u64>,
    /// What was seen of routes lately.
    pub(super) seen: &'a dyn Seen,
}

impl<'a> Moment<'a> {
    /// Now, with no lot drawn: the heaviest route of a weighted rule comes first, which is whom an estimate expects.
    pub const fn of(at: Timestamp) -> Self {
        Self { at, seed: None, seen: &Nothing }
    }

    /// Likewise with a lot drawn, the same for the same job.
    pub const fn drawing(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Likewise with what was seen of routes lately, for rules that choose by it.
    pub const fn seeing(self, seen: &'a dyn Seen) -> Self {
        Self { seen, ..self }
    }

    /// The UTC date, for sunsets.
    pub(super) fn today(&self) -> Date {
        self.at.utc_date()
    }
}
