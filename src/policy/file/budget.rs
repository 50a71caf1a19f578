//! `budget` and `limits`: the same shape wherever something is capped, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::forms::{Amount, Placed, Whole, Written};

/// A cap and the period it is for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The most that may be spent in a period, in US dollars: `"500.00"`, or `"unlimited"`.
    #[schemars(with = "Amount")]
    pub cap: Option<Placed<Written>>,
    /// The period. Default `"month"`.
    pub per: Option<Per>,
    /// Whose midnight begins a period: an IANA name such as `"Europe/Berlin"`. Default `"UTC"`.
    pub timezone: Option<Placed<String>>,
    /// Percentages of the cap that are worth a warning, ascending. Default `[50, 80, 95]`.
    #[schemars(with = "Option<Vec<u8>>")]
    pub warn: Option<Placed<Vec<i64>>>,
}

/// A budget's period.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
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

/// Requests per minute and jobs at a time.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Creates per minute. Default: no limit.
    pub rpm: Option<Placed<Whole>>,
    /// Jobs in flight. Default: no limit.
    pub in_flight: Option<Placed<Whole>>,
}
