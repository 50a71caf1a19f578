//! Batches: many clips of several kinds, once or every day, re-takes and what is charged included.
//!
//! Counts are whole clips and re-takes are rounded up to whole ones. Every product and sum is
//! checked: a batch too large to be written is an error, never a smaller number.

use jiff::tz::TimeZone;

use super::{WishEstimate, wish_estimate};
use crate::id::{ModelName, TenantName};
use crate::money::MicroUsd;
use crate::plan::{Moment, NoPlan};
use crate::policy::{Budget, Limits, Per, Policy, Tenant};
use crate::price;
use crate::video::{Extras, Origin, Seconds, Size, Wish};

/// Days in the month of an estimate.
pub const DAYS_IN_MONTH: u64 = 30;

/// What a suggested charge adds to the cost for all that is not the provider's bill, in percent.
const OVERHEAD_PERCENT: u64 = 5;

/// Suggested charges are multiples of this: five cents.
const CHARGE_STEP_MICROUSD: u64 = 50_000;

/// Clips of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The public model name.
    pub model: ModelName,
    /// Their length.
    pub seconds: Seconds,
    /// Their size; the routes' usual one if not said.
    pub size: Option<Size>,
    /// How many of them.
    pub count: u64,
    /// How many are made again, of a hundred: 0 to 1,000.
    pub retakes_percent: u32,
    /// How often a day all of them are made; once and never again if not said.
    pub per_day: Option<u64>,
    /// What is charged for one; the tenant's own charge if not said.
    pub charge: Option<MicroUsd>,
}

/// What a batch would cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// In the order they were given.
    pub lines: Vec<LineEstimate>,
    /// All lines that are made once.
    pub once: Option<Spend>,
    /// All lines that are made every day, for a day.
    pub day: Option<Spend>,
    /// The same for a month of [`DAYS_IN_MONTH`] days.
    pub month: Option<Spend>,
}

/// What a number of clips cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spend {
    /// The clips themselves, each at its first choice.
    pub clips: MicroUsd,
    /// Their re-takes, likewise.
    pub retakes: MicroUsd,
    /// Both, each clip at its dearest route: what would be held if all were made at once.
    pub ceiling: MicroUsd,
}

/// What a line would cost: once, or on each day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineEstimate {
    /// What was asked.
    pub line: Line,
    /// One of the clips.
    pub each: WishEstimate,
    /// How many are wanted, once or on each day.
    pub clips: u64,
    /// How many are made again.
    pub retakes: u64,
    /// What they cost, once or on each day.
    pub spend: Spend,
    /// What remains of what is charged, if something is.
    pub margin: Option<Margin>,
}

/// What remains of what is charged for a clip once it and its share of the re-takes are paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    /// What is charged for a clip.
    pub charge: MicroUsd,
    /// The least that covers its cost, before overhead; rounded up to a micro-dollar.
    pub break_even: MicroUsd,
    /// The least that leaves something for overhead, rounded up to five cents.
    pub suggested: MicroUsd,
    /// What remains of a clip; negative is a loss.
    pub per_clip: MicroUsd,
    /// What remains of all of them, once or on each day; negative is a loss.
    pub total: MicroUsd,
}

/// Why there is no estimate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoEstimate {
    /// Nobody may serve one of the lines.
    Line {
        /// Which one, counted from 0.
        index: usize,
        /// Why.
        why: NoPlan,
    },
    /// The sum is more than can be written.
    TooLarge,
}

/// Estimates a batch, as `tenant` or as somebody to whom only the rules for everybody apply.
pub fn batch(policy: &Policy, tenant: Option<&Tenant>, lines: &[Line], moment: Moment<'_>) -> Result<Estimate, NoEstimate> {
    let anybody = anybody();
    let tenant = tenant.unwrap_or(&anybody);
    let mut estimate = Estimate { lines: Vec::with_capacity(lines.len()), once: None, day: None, month: None };
    for (index, line) in lines.iter().enumerate() {
        let wish = wish(line);
        let each = wish_estimate(policy, tenant, &wish, moment).map_err(|why| NoEstimate::Line { index, why })?;
        let line = LineEstimate::of(line.clone(), each, tenant).ok_or(NoEstimate::TooLarge)?;
        let sum = if line.line.per_day.is_some() { &mut estimate.day } else { &mut estimate.once };
        *sum = Some(sum.unwrap_or_default().plus(line.spend).ok_or(NoEstimate::TooLarge)?);
        estimate.lines.push(line);
    }
    if let Some(day) = estimate.day {
        estimate.month = Some(day.times(DAYS_IN_MONTH).ok_or(NoEstimate::TooLarge)?);
    }
    Ok(estimate)
}

/// Somebody with no name, no limits and no ties: served by the rules that are for everybody.
fn anybody() -> Tenant {
    Tenant {
        name: TenantName::new(""),
        keys: Vec::new(),
        user_budget: None,
        require_user: false,
        budget: Budget { cap: None, per: Per::Total, timezone: TimeZone::UTC, warn: Vec::new() },
        limits: Limits::default(),
        models: Vec::new(),
        seconds_max: None,
        cost_max: None,
        residency: None,
        charge: None,
        queue: None,
        weight: 1,
        show_route: false,
        require_idempotency_key: false,
        claim_resends: true,
        webhook: None,
    }
}

/// One of a line's clips.
fn wish(line: &Line) -> Wish {
    Wish {
        origin: Origin::Create,
        prompt: String::new(),
        model: Some(line.model.clone()),
        seconds: Some(line.seconds),
        size: line.size,
        reference: None,
        characters: Vec::new(),
        end_user: None,
        extras: Extras::new(),
    }
}

impl LineEstimate {
    /// `None` if an amount cannot be written.
    fn of(line: Line, each: WishEstimate, tenant: &Tenant) -> Option<Self> {
        let clips = line.count.checked_mul(line.per_day.unwrap_or(1))?;
        let retakes = clips.checked_mul(u64::from(line.retakes_percent))?.div_ceil(100);
        let spend = Spend {
            clips: times(each.price(), clips)?,
            retakes: times(each.price(), retakes)?,
            ceiling: times(each.ceiling(), clips.checked_add(retakes)?)?,
        };
        let charge = match (line.charge, tenant.charge) {
            (Some(charge), _) => Some(charge),
            (None, Some(charge)) => Some(price::charge(charge, each.seconds())?),
            (None, None) => None,
        };
        let margin = match charge {
            Some(charge) if clips > 0 => Some(Margin::of(charge, clips, spend.total()?)?),
            _ => None,
        };
        Some(Self { line, each, clips, retakes, spend, margin })
    }

    /// What the reader should know beside the sums.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = self.each.remarks();
        remarks.extend(self.margin.and_then(|margin| margin.remark(self.line.per_day.is_some())));
        remarks
    }
}

impl Margin {
    /// `None` if an amount cannot be written.
    fn of(charge: MicroUsd, clips: u64, cost: MicroUsd) -> Option<Self> {
        let break_even = u64::try_from(cost.get()).ok()?.div_ceil(clips);
        let with_overhead = break_even.checked_mul(100 + OVERHEAD_PERCENT)?.div_ceil(100);
        let suggested = with_overhead.checked_next_multiple_of(CHARGE_STEP_MICROUSD)?;
        let break_even = MicroUsd::new(i64::try_from(break_even).ok()?);
        Some(Self {
            charge,
            break_even,
            suggested: MicroUsd::new(i64::try_from(suggested).ok()?),
            per_clip: charge.minus(break_even)?,
            total: times(charge, clips)?.minus(cost)?,
        })
    }

    /// `None` if an amount cannot be written.
    fn remark(self, daily: bool) -> Option<String> {
        let month = if daily { times(self.total, DAYS_IN_MONTH)? } else { self.total };
        let period = if daily { format!("a month of {DAYS_IN_MONTH} days") } else { "altogether".into() };
        let size = |amount: MicroUsd| MicroUsd::ZERO.minus(amount).filter(|_| amount.is_negative()).unwrap_or(amount).grouped();
        let (charge, break_even) = (self.charge.grouped(), self.break_even.grouped());
        let (per_clip, month) = (size(self.per_clip), size(month));
        Some(if self.total.is_negative() {
            let suggested = self.suggested.grouped();
            format!(
                "Charged {charge} a clip, it loses {per_clip} on each: {month} {period}. \
                 It breaks even at {break_even}, before overhead; charge at least {suggested}."
            )
        } else {
            format!(
                "Charged {charge} a clip, {per_clip} of each remains: {month} {period}. It breaks even at {break_even}, before overhead."
            )
        })
    }
}

impl Spend {
    /// The clips and their re-takes, or `None` past the end of the range.
    pub fn total(self) -> Option<MicroUsd> {
        self.clips.plus(self.retakes)
    }

    fn plus(self, other: Self) -> Option<Self> {
        let sum = Self {
            clips: self.clips.plus(other.clips)?,
            retakes: self.retakes.plus(other.retakes)?,
            ceiling: self.ceiling.plus(other.ceiling)?,
        };
        sum.total().map(|_| sum)
    }

    fn times(self, n: u64) -> Option<Self> {
        let product = Self { clips: times(self.clips, n)?, retakes: times(self.retakes, n)?, ceiling: times(self.ceiling, n)? };
        product.total().map(|_| product)
    }
}

fn times(amount: MicroUsd, n: u64) -> Option<MicroUsd> {
    amount.times(i64::try_from(n).ok()?)
}
