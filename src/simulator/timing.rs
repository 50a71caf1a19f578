//! How long a clip takes from submission to completion, by the published wall-clock times. Pure.
//!
//! The same id always takes equally long, so a journal need not be trusted to replay it and a
//! failing test can be repeated.

/// `(seconds of clip, fewest, most wall-clock seconds)`, ascending; between rows we interpolate.
type Times = [(u64, u64, u64); 4];

const SORA_2: Times = [(0, 0, 0), (4, 20, 45), (8, 40, 90), (12, 60, 120)];
const SORA_2_PRO: Times = [(0, 0, 0), (10, 60, 150), (15, 120, 240), (25, 200, 360)];

/// Wall-clock milliseconds for `seconds` of `model`, made `speed` times faster; `seed` picks the
/// place between the fewest and the most.
pub fn takes_ms(model: &str, seconds: u32, speed: u32, seed: u64) -> u64 {
    let times = if model.starts_with("sora-2-pro") { &SORA_2_PRO } else { &SORA_2 };
    let (fewest, most) = bounds_ms(times, u64::from(seconds));
    let drawn = fewest + (most - fewest) * (seed % 1_001) / 1_000;
    drawn / u64::from(speed.max(1))
}

/// The fewest and the most milliseconds for a clip of that length; past the last row, as steep as
/// between the last two.
fn bounds_ms(times: &Times, seconds: u64) -> (u64, u64) {
    let [a, b, c, d] = *times;
    let (from, to) = if seconds <= b.0 {
        (a, b)
    } else if seconds <= c.0 {
        (b, c)
    } else {
        (c, d)
    };
    let between = |low: u64, high: u64| low * 1_000 + (high - low) * 1_000 * (seconds - from.0) / (to.0 - from.0);
    (between(from.1, to.1), between(from.2, to.2))
}

#[cfg(test)]
mod tests {
    use super::takes_ms;

    #[test]
    fn the_published_lengths_take_the_published_times() {
        for (model, seconds, fewest, most) in [
            ("sora-2", 4, 20, 45),
            ("sora-2", 8, 40, 90),
            ("sora-2", 12, 60, 120),
            ("sora-2-pro", 10, 60, 150),
            ("sora-2-pro", 15, 120, 240),
            ("sora-2-pro", 25, 200, 360),
        ] {
            assert_eq!(takes_ms(model, seconds, 1, 0), fewest * 1_000, "{model} {seconds}");
            assert_eq!(takes_ms(model, seconds, 1, 1_000), most * 1_000, "{model} {seconds}");
        }
    }

    #[test]
    fn a_longer_clip_never_takes_less() {
        for seconds in 1..120 {
            assert!(takes_ms("sora-2", seconds, 1, 500) < takes_ms("sora-2", seconds + 1, 1, 500));
            assert!(takes_ms("sora-2-pro", seconds, 10, 500) <= takes_ms("sora-2-pro", seconds + 1, 10, 500));
        }
    }
}
