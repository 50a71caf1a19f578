//! Expectations: how long a clip takes, as seen from submit to completion.
//!
//! Pure. The table is what users of the vendors' APIs measured; lengths between its rows are
//! interpolated, lengths beyond them extrapolated. It drives the poll hint to clients and the overdue
//! alarm, and is where it is guessed from which route is fastest; never a decision about money: passing the upper end is not a failure.

use std::time::Duration;

use crate::video::{Seconds, Size};

/// From the least to the most that a clip is expected to take, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The least.
    pub least_secs: u32,
    /// The most; past it a job is overdue.
    pub most_secs: u32,
}

/// (clip seconds, least, most) at 720p.
const AT_720P: [(u32, u32, u32); 3] = [(4, 20, 45), (8, 40, 90), (12, 60, 120)];
/// (clip seconds, least, most) above 720p, and for anything longer than 12 s.
const ABOVE: [(u32, u32, u32); 3] = [(10, 60, 150), (15, 120, 240), (25, 200, 360)];

/// How long a clip of that length and size takes.
pub fn expected(seconds: Seconds, size: Size) -> Expected {
    let small = size.width.min(size.height) <= 720 && seconds.get() <= 12;
    let rows = if small { &AT_720P } else { &ABOVE };
    Expected {
        least_secs: along(rows.map(|(clip, least, _)| (clip, least)), seconds.get()),
        most_secs: along(rows.map(|(clip, _, most)| (clip, most)), seconds.get()),
    }
}

/// How long an ordinary clip takes: eight seconds at 720p.
pub fn usual() -> Duration {
    let (_, least, most) = AT_720P[1];
    Duration::from_secs(u64::from(least.midpoint(most)))
}

/// How long one takes on a route that is `speed` times as fast as the table: between the least and the most.
pub fn likely(seconds: Seconds, size: Size, speed: u32) -> Duration {
    let Expected { least_secs, most_secs } = expected(seconds, size);
    Duration::from_millis(u64::from(least_secs + most_secs) * 500) / speed.max(1)
}

/// The value at `x` on the line through the rows, kept to the nearest segment's slope outside them.
fn along(rows: [(u32, u32); 3], x: u32) -> u32 {
    let ((x0, y0), (x1, y1)) = if x <= rows[1].0 { (rows[0], rows[1]) } else { (rows[1], rows[2]) };
    let (x0, y0, x1, y1, x) = (i64::from(x0), i64::from(y0), i64::from(x1), i64::from(y1), i64::from(x));
    let y = y0 + (x - x0) * (y1 - y0) / (x1 - x0);
    u32::try_from(y.max(5)).unwrap_or(u32::MAX)
}

/// How long a client should wait between its polls of a job that has been going for `elapsed` on a
/// route that is `speed` times as fast as the table: an eighth of what is left, 0.5 to 8 s.
///
/// SDKs read this once, on their first poll, and keep it.
pub fn poll_after(expected: Expected, elapsed: Duration, speed: u32) -> Duration {
    an_eighth(whole(expected, speed).saturating_sub(elapsed))
}

/// The same for a job that stands in line for `starts_in` yet.
pub fn poll_after_line(expected: Expected, starts_in: Duration, speed: u32) -> Duration {
    an_eighth(whole(expected, speed) + starts_in)
}

fn whole(expected: Expected, speed: u32) -> Duration {
    Duration::from_secs(u64::from(expected.most_secs)) / speed.max(1)
}

fn an_eighth(left: Duration) -> Duration {
    (left / 8).clamp(Duration::from_millis(500), Duration::from_secs(8))
}

#[cfg(test)]
mod tests {
    use super::{Expected, expected};
    use crate::video::{Seconds, Size};

    #[test]
    fn the_published_rows_come_out_as_published() {
        let at = |seconds, size: &str| {
            let Expected { least_secs, most_secs } = expected(Seconds::new(seconds).unwrap(), size.parse::<Size>().unwrap());
            (least_secs, most_secs)
        };
        assert_eq!(at(4, "720x1280"), (20, 45));
        assert_eq!(at(8, "720x1280"), (40, 90));
        assert_eq!(at(12, "1280x720"), (60, 120));
        assert_eq!(at(15, "1024x1792"), (120, 240));
        assert_eq!(at(25, "1792x1024"), (200, 360));
        assert_eq!(at(10, "1024x1792"), (60, 150));
    }

    #[test]
    fn longer_clips_are_never_expected_sooner() {
        for seconds in 1..60 {
            let (this, next) = (Seconds::new(seconds).unwrap(), Seconds::new(seconds + 1).unwrap());
            for size in [Size::DEFAULT, Size::new(1024, 1792)] {
                assert!(expected(this, size).most_secs <= expected(next, size).most_secs, "{seconds} {size}");
            }
        }
    }
}
