//! `[routes.*] breaker`: when one of a route's models is asked last.

use std::time::Duration;

use super::Pass;
use crate::policy::terms::Wrong;
use crate::policy::{BreakerPolicy, file};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// What is written, else what suits most.
pub(super) fn compile(base: &str, file: &file::Breaker, pass: &mut Pass<'_>) -> BreakerPolicy {
    let rate = file.rate.as_ref().and_then(|rate| {
        let wrong = || Wrong::new("a share of failures is a number above 0, up to 1", "write 0.5 for one in two");
        let sound = rate.value > 0.0 && rate.value <= 1.0;
        pass.keep(&rate.at, format_args!("{base}.breaker.rate"), sound.then_some(rate.value).ok_or_else(wrong))
    });
    BreakerPolicy {
        failures: pass.number(format_args!("{base}.breaker.failures"), &file.failures, 1..=1_000).unwrap_or(5),
        // Above 0 and not above 1 by now, so the product fits.
        permille: ((rate.unwrap_or(0.5) * 1_000.0).round() as u32).max(1),
        count_min: pass.number(format_args!("{base}.breaker.min"), &file.min, 1..=100_000).unwrap_or(10),
        window: pass.duration(format_args!("{base}.breaker.window"), &file.window, 60 * SECOND, SECOND..=HOUR),
        rest: pass.duration(format_args!("{base}.breaker.rest"), &file.rest, 30 * SECOND, SECOND..=HOUR),
    }
}
