//! What a route's job owes that no job of ours explains, as far as its list and the policy tell. Pure.

use crate::money::MicroUsd;
use crate::policy::{Offer, Route};
use crate::price;
use crate::provider::{ListedJob, Phase};

/// The amount, and how it is known.
pub fn owed(route: &Route, listed: &ListedJob) -> (MicroUsd, &'static str) {
    if matches!(listed.progress.phase, Phase::Failed { .. }) && !route.bills_failed {
        return (MicroUsd::ZERO, "it failed, which is not billed there");
    }
    if let Some(cost) = listed.progress.reported_cost {
        return (cost, "in its list, at the cost that it reports");
    }
    let of = |offer: &Offer| price::of(offer, listed.seconds?, listed.size?);
    let same_name = |offer: &&Offer| offer.upstream_model == listed.model;
    if let Some(amount) = route.models.values().filter(same_name).filter_map(of).max() {
        return (amount, "in its list, at the policy's price");
    }
    if let Some(amount) = route.models.values().filter_map(of).max() {
        return (amount, "in its list, under a model that the policy does not have: at its dearest price for that length and size");
    }
    let dearest = |offer: &Offer| {
        let lengths = offer.seconds.iter();
        lengths.flat_map(|seconds| offer.sizes.iter().filter_map(|size| price::of(offer, *seconds, *size))).max()
    };
    let amount = route.models.values().filter_map(dearest).max().unwrap_or_default();
    (amount, "in its list, which does not show what it is: at the dearest clip of the route")
}
