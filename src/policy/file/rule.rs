//! `[[rules]]`: who is served by what, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Queue;
use super::forms::{OneOrMany, Placed, RuleRoutes};

/// Who is served by what.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Whom it matches; without it, everybody.
    #[serde(default)]
    pub when: When,
    /// The routes: a list, or a table of weights `{ openai = 80, cometapi = 20 }`.
    #[schemars(required)]
    pub routes: Option<Placed<RuleRoutes>>,
    /// How to order them. Default: `"ordered"` for a list, `"weighted"` for a table of weights.
    pub choose: Option<Placed<Choose>>,
    /// Where what it serves may be processed: only routes of that region, whatever fails and for as long as the job lives.
    pub residency: Option<Placed<String>>,
    /// Whether what it matches waits while all its routes are full. Default: it is refused.
    pub queue: Option<Placed<Queue>>,
}

/// Whom a rule matches: all that is given has to match. Each is a value or a list of values.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Tenants.
    pub tenant: Option<Placed<OneOrMany<String>>>,
    /// Models, as clients name them.
    pub model: Option<Placed<OneOrMany<String>>>,
    /// Sizes, such as `"1280x720"`.
    pub size: Option<Placed<OneOrMany<String>>>,
    /// Lengths.
    pub seconds: Option<Placed<OneOrMany<u32>>>,
    /// The tenant's residency.
    pub residency: Option<Placed<String>>,
    /// End users, as the header `x-filmgate-user` or the body's `user` names them.
    pub user: Option<Placed<OneOrMany<String>>>,
    /// Whether the wish comes with a picture to start from.
    pub has_reference: Option<bool>,
    /// The times at which it is in force.
    pub time: Option<Placed<Window>>,
}

/// A part of the day, on some days of the week. One that goes past midnight belongs to the day on which it begins.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// When it begins, on the wall clock: `"22:00"`. Default `"00:00"`.
    pub from: Option<Placed<String>>,
    /// When it is over: `"06:00"`. Default `"24:00"`.
    pub until: Option<Placed<String>>,
    /// The days on which it begins: `"mon"` to `"sun"`. Default: all.
    pub days: Option<Placed<Vec<Placed<String>>>>,
    /// On whose clock: an IANA name such as `"Europe/Berlin"`. Default `"UTC"`.
    pub timezone: Option<Placed<String>>,
}

/// How a rule's routes are ordered.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Choose {
    /// As written.
    Ordered,
    /// By lot, in proportion to their weights.
    Weighted,
    /// The cheapest for the clip in question.
    Cheapest,
    /// The one on which such clips were made in the least time lately.
    Fastest,
    /// The one with the fewest jobs in flight for each that its account may have.
    LeastBusy,
}

impl When {
    /// Whether nothing is asked for, so that everybody matches.
    pub fn is_empty(&self) -> bool {
        let Self { tenant, model, size, seconds, residency, user, has_reference, time } = self;
        (tenant.is_none() && model.is_none() && size.is_none() && seconds.is_none())
            && (residency.is_none() && user.is_none() && has_reference.is_none() && time.is_none())
    }
}
