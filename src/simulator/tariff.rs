//! The published prices: micro-dollars per second of finished clip. Pure.
//!
//! Written out here a second time on purpose: the bill must not be computed by the code it checks.

use crate::money::MicroUsd;
use crate::video::Size;

/// What `seconds` of `model` at `size` cost, if they succeed.
pub fn price(model: &str, seconds: u32, size: Size) -> MicroUsd {
    let per_second = match (model.starts_with("sora-2-pro"), size.width.min(size.height)) {
        (true, 1080..) => 700_000,
        (true, 1024..) => 500_000,
        (true, _) => 300_000,
        (false, _) => 100_000,
    };
    MicroUsd::new(per_second * i64::from(seconds))
}
