//! The cheapest: what a route would make for the least money, whoever asks.

use std::sync::Arc;

use jiff::civil::Date;

use super::{Candidate, eligible};
use crate::id::ModelName;
use crate::policy::Route;
use crate::price;

/// The cheapest clip that a route sells today, of that model if one is named, and under which public name; the
/// shortest, and then the first in the file, of several that cost the same. `None` if it sells none.
pub fn cheapest(route: &Arc<Route>, model: Option<&ModelName>, today: Date) -> Option<(ModelName, Candidate)> {
    let offers =
        route.models.iter().filter(|(name, offer)| model.is_none_or(|only| only == *name) && !eligible::is_past_sunset(offer, today));
    let clips = offers.flat_map(|(name, offer)| {
        let kinds = offer.seconds.iter().flat_map(|seconds| offer.sizes.iter().map(|size| (*seconds, *size)));
        kinds.filter_map(move |(seconds, size)| {
            let price = price::of(offer, seconds, size)?;
            let candidate = Candidate { route: Arc::clone(route), upstream_model: offer.upstream_model.clone(), seconds, size, price };
            Some((name.clone(), candidate))
        })
    });
    clips.min_by_key(|(_, candidate)| (candidate.price, candidate.seconds))
}
