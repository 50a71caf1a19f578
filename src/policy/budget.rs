//! `budget` and `limits`: the most that may be spent in a period, and asked for at a time. Whose they are says who holds them.

use jiff::tz::TimeZone;

use crate::money::MicroUsd;

/// Requests per minute and jobs at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Creates per minute.
    pub rpm: Option<u32>,
    /// Jobs in flight.
    pub in_flight: Option<u32>,
}

/// A cap and the period it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// `None` is `"unlimited"`, which has to be written out.
    pub cap: Option<MicroUsd>,
    /// The period.
    pub per: Per,
    /// Whose midnight it is.
    pub timezone: TimeZone,
    /// Percentages of the cap that are worth a warning, ascending.
    pub warn: Vec<u8>,
}

/// A budget's period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// From midnight.
    Day,
    /// From Monday's midnight.
    Week,
    /// From the first's midnight.
    Month,
    /// For ever.
    Total,
}
