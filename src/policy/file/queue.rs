//! `queue`: waiting in line, the same shape for a rule and for a tenant, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::forms::{Placed, Whole};

/// Waiting in line instead of being refused. Where a rule and a tenant both say so, the smaller of each number counts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// How many jobs of one tenant may wait at a time; `0` never lets any.
    #[schemars(required)]
    pub max: Option<Placed<Whole>>,
    /// For how long each may. Default `"15m"`.
    pub wait: Option<Placed<String>>,
}
