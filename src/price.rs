//! Prices: what a clip costs on a route.

use crate::money::MicroUsd;
use crate::policy::Offer;
use crate::video::{Seconds, Size};

/// The price of `seconds` of `size` under `offer`, or `None` if that size has no price there.
pub fn of(offer: &Offer, seconds: Seconds, size: Size) -> Option<MicroUsd> {
    let _ = (offer, seconds, size);
    todo!()
}
