//! Estimates: what a wish, or a batch of them, would cost.
//!
//! An estimate asks [`plan`] what a job would be told and never decides for itself, so the two
//! cannot disagree. It goes further in one case: a length that nobody makes is priced at the rate
//! per second and said to be out of reach, with the nearest lengths that are not. Knows no balances
//! and holds nothing; every amount is exact.

mod batch;
mod json;

use crate::id::{ModelName, RouteName};
use crate::money::MicroUsd;
use crate::plan::{self, Candidate, Moment, NoPlan, Plan};
use crate::policy::{Policy, Tenant};
use crate::price;
use crate::video::{Seconds, Size, Wish};

pub use batch::{DAYS_IN_MONTH, Estimate, Line, LineEstimate, Margin, NoEstimate, Spend, batch};

/// What one wish would cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WishEstimate {
    /// The public model, defaults applied.
    pub model: ModelName,
    /// The length that was asked for.
    pub seconds_asked: Option<Seconds>,
    /// The size that was asked for.
    pub size_asked: Option<Size>,
    /// What each route would make, in the order they would be tried; never empty.
    pub quotes: Vec<Quote>,
    /// The next shorter and the next longer length that can be had; empty if the one asked for can.
    pub nearest: Vec<Nearest>,
    /// Every length that can be had, ascending; empty if the one asked for can.
    pub offered: Vec<Seconds>,
}

/// What one route would make, and its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The route.
    pub route: RouteName,
    /// The length it would make.
    pub seconds: Seconds,
    /// The size it would make.
    pub size: Size,
    /// What that costs there.
    pub price: MicroUsd,
}

/// A length that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// The length.
    pub seconds: Seconds,
    /// What a clip of it costs at the first choice.
    pub price: MicroUsd,
}

/// Estimates a wish. Refuses what a create would refuse, but for a length that nobody makes.
pub fn wish_estimate(policy: &Policy, tenant: &Tenant, wish: &Wish, moment: Moment<'_>) -> Result<WishEstimate, NoPlan> {
    match plan::plan(policy, tenant, wish, None, moment) {
        Ok(plan) => Ok(WishEstimate {
            quotes: plan.candidates.iter().map(quote).collect(),
            model: plan.model,
            seconds_asked: wish.seconds,
            size_asked: wish.size,
            nearest: Vec::new(),
            offered: Vec::new(),
        }),
        Err(NoPlan::Seconds { asked, offered }) => out_of_reach(policy, tenant, wish, moment, asked, offered),
        Err(other) => Err(other),
    }
}

/// Prices a length that nobody makes, on the routes that make the nearest ones.
fn out_of_reach(
    policy: &Policy,
    tenant: &Tenant,
    wish: &Wish,
    moment: Moment<'_>,
    asked: Seconds,
    offered: Vec<Seconds>,
) -> Result<WishEstimate, NoPlan> {
    let shorter = offered.iter().copied().filter(|s| *s < asked).max();
    let longer = offered.iter().copied().filter(|s| *s > asked).min();
    let mut plans: Vec<Plan> = Vec::new();
    let mut refusal = None;
    for seconds in shorter.into_iter().chain(longer) {
        match plan::plan(policy, tenant, &Wish { seconds: Some(seconds), ..wish.clone() }, None, moment) {
            Ok(plan) => plans.push(plan),
            // The shorter one's, if both are refused: it is the cheaper of the two.
            Err(no_plan) => refusal = refusal.or(Some(no_plan)),
        }
    }
    let mut quotes: Vec<Quote> = Vec::new();
    for rate in plans.iter().flat_map(|plan| rates(plan, asked)) {
        if quotes.iter().all(|known| known.route != rate.route) {
            quotes.push(rate);
        }
    }
    match plans.first() {
        Some(plan) if !quotes.is_empty() => Ok(WishEstimate {
            model: plan.model.clone(),
            seconds_asked: wish.seconds,
            size_asked: wish.size,
            quotes,
            nearest: plans.iter().filter_map(|plan| plan.candidates.first()).map(nearest).collect(),
            offered,
        }),
        _ => Err(refusal.unwrap_or(NoPlan::Seconds { asked, offered })),
    }
}

fn quote(candidate: &Candidate) -> Quote {
    Quote { route: candidate.route.name.clone(), seconds: candidate.seconds, size: candidate.size, price: candidate.price }
}

fn nearest(candidate: &Candidate) -> Nearest {
    Nearest { seconds: candidate.seconds, price: candidate.price }
}

/// What each candidate of a plan would take for another length, if it made it.
fn rates(plan: &Plan, seconds: Seconds) -> impl Iterator<Item = Quote> {
    plan.candidates.iter().filter_map(move |candidate| {
        let price = price::of(candidate.route.models.get(&plan.model)?, seconds, candidate.size)?;
        Some(Quote { seconds, price, ..quote(candidate) })
    })
}

impl WishEstimate {
    /// What the first choice costs.
    pub fn price(&self) -> MicroUsd {
        self.quotes.first().map_or(MicroUsd::ZERO, |first| first.price)
    }

    /// What the dearest route costs: what would be held.
    pub fn ceiling(&self) -> MicroUsd {
        self.quotes.iter().map(|quote| quote.price).max().unwrap_or(MicroUsd::ZERO)
    }

    /// The length that the first choice would make.
    pub fn seconds(&self) -> Seconds {
        self.quotes.first().map_or(Seconds::DEFAULT, |first| first.seconds)
    }

    /// The size that the first choice would make.
    pub fn size(&self) -> Size {
        self.quotes.first().map_or(Size::DEFAULT, |first| first.size)
    }

    /// Whether a create would accept this length.
    pub fn can_be_ordered(&self) -> bool {
        self.offered.is_empty()
    }

    /// What the reader should know beside the price. Names no route, so that a tenant may read it.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let (seconds, size) = (self.seconds(), self.size());
        if !self.can_be_ordered() {
            let offered = listed(&self.offered, "or");
            let nearest: Vec<String> = self.nearest.iter().map(|n| format!("{} s at {}", n.seconds, n.price.grouped())).collect();
            let nearest = listed(&nearest, "and");
            remarks.push(format!(
                "{seconds} s of {} cannot be ordered, only {offered} s; the price is by the second. Nearest: {nearest} a clip.",
                self.model
            ));
        }
        if let Some(asked) = self.seconds_asked.filter(|asked| *asked != seconds) {
            remarks.push(format!("Asked for {asked} s, {} is made in {seconds} s.", self.model));
        }
        if let Some(asked) = self.size_asked.filter(|asked| *asked != size) {
            remarks.push(format!("Asked for {asked}, {} is made in {size}.", self.model));
        }
        if self.can_be_ordered() && self.ceiling() > self.price() {
            remarks.push(format!(
                "{} is held for a clip until it is made, in case a dearer route has to make it; what is not spent is released.",
                self.ceiling().grouped()
            ));
        }
        remarks
    }
}

/// The values as a sentence lists them: `4, 8 or 12`.
fn listed<T: ToString>(values: &[T], last: &str) -> String {
    let texts: Vec<String> = values.iter().map(T::to_string).collect();
    match texts.split_last() {
        Some((end, start)) if !start.is_empty() => format!("{} {last} {end}", start.join(", ")),
        _ => texts.concat(),
    }
}

#[cfg(test)]
mod tests;
