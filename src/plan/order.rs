//! Order: in which order a rule's eligible routes are tried.
//!
//! Knows weights, prices, a seed and what was seen lately; whether a route may be tried at all was decided before. Every
//! candidate that comes in goes out exactly once.

use std::cmp::Reverse;

use super::{Candidate, Moment, Seen};
use crate::id::ModelName;
use crate::policy::Choose;

/// Orders candidates that come in the file's order, each with its weight.
///
/// Without a seed no lot is drawn: the heaviest comes first, which is whom an estimate expects. Whoever is equal, or of
/// whom nothing is known, stays as the file has it.
pub fn order(choose: Choose, mut candidates: Vec<(Candidate, u32)>, model: &ModelName, moment: Moment<'_>) -> Vec<Candidate> {
    match (choose, moment.seed) {
        (Choose::Ordered, _) => {}
        (Choose::Weighted, Some(seed)) => candidates = by_lot(candidates, Lot(seed)),
        (Choose::Weighted, None) => candidates.sort_by_key(|(_, weight)| Reverse(*weight)),
        (Choose::Cheapest, _) => candidates.sort_by_key(|(candidate, _)| candidate.price),
        (Choose::Fastest, _) => candidates.sort_by_cached_key(|(candidate, _)| moment.seen.takes(candidate, model, moment.at)),
        (Choose::LeastBusy, _) => by_load(&mut candidates, moment.seen),
    }
    candidates.into_iter().map(|(candidate, _)| candidate).collect()
}

/// Orders by jobs in flight for each place. An account without a limit has as many places as the largest that has one.
fn by_load(candidates: &mut [(Candidate, u32)], seen: &dyn Seen) {
    let places = candidates.iter().filter_map(|(candidate, _)| candidate.route.limits.in_flight).max().unwrap_or(1);
    candidates.sort_by_cached_key(|(candidate, _)| {
        let route = &candidate.route;
        let places = route.limits.in_flight.unwrap_or(places).max(1);
        u64::from(seen.in_flight(route)) * 1_000_000 / u64::from(places)
    });
}

/// Draws all of them, one after the other, each time in proportion to the weights of those left.
///
/// A weight of 0 is a last resort: such routes are not drawn but stand at the end, in the file's
/// order, and serve when everybody else has refused. To take a route out, disable it.
fn by_lot(candidates: Vec<(Candidate, u32)>, mut lot: Lot) -> Vec<(Candidate, u32)> {
    let (mut urn, last_resort): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|(_, weight)| *weight > 0);
    let mut drawn = Vec::with_capacity(urn.len() + last_resort.len());
    while !urn.is_empty() {
        let total: u64 = urn.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut ticket = lot.below(total);
        let winner = urn.iter().position(|(_, weight)| {
            let weight = u64::from(*weight);
            let wins = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            wins
        });
        // A ticket is less than the total, so somebody holds it.
        drawn.push(urn.remove(winner.unwrap_or(0)));
    }
    drawn.extend(last_resort);
    drawn
}

/// A stream of lots that depends on its seed alone (SplitMix64).
struct Lot(u64);

impl Lot {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, every one as likely as the next to within 2⁻³².
    fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Lot;

    #[test]
    fn the_stream_is_the_published_one() {
        let mut lot = Lot(1_234_567);
        let drawn = [lot.next(), lot.next(), lot.next()];
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}
