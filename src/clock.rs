//! Time: the one place that reads the wall clock.
//!
//! Rules never ask for the time; they are handed a [`Timestamp`]. The clock can be turned forward,
//! so that a test crosses the end of a month without waiting for it.
//!
//! What is written down with a moment is a deadline later: when to ask again, when an attempt counts as
//! absent, whom a claim keeps away. So this clock is never *set*. It starts with the machine's, goes on
//! as time passes, and follows the machine's clock, should somebody set that, by a tenth of the time
//! that passes: no grace ends early and no poll waits for a day because of it. It never goes backwards.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::warn;

/// A moment: milliseconds since the Unix epoch. Columns that hold one end in `_at_ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `ms` milliseconds after the Unix epoch.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// The moment `secs` seconds after the Unix epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch: the unit of the public protocol.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment `span` later.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The moment `span` earlier.
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The date in UTC, for sunsets.
    pub fn utc_date(self) -> jiff::civil::Date {
        self.in_zone(&jiff::tz::TimeZone::UTC).date()
    }

    /// What calendar and clock show in a time zone.
    pub fn in_zone(self, zone: &jiff::tz::TimeZone) -> jiff::civil::DateTime {
        zone.to_datetime(jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// How much of the time that passes is spent on following the machine's clock: one part in so many.
const FOLLOWS_BY: i64 = 10;
/// The machine's clock was set if it differs by so much more than it did a moment ago, milliseconds.
const SET_MS: i64 = 2_000;
/// Corrections are made at this interval at the least, so that they are whole milliseconds.
const STEP_MS: i64 = FOLLOWS_BY;

/// The gateway's clock; copies are the same clock.
#[derive(Clone)]
pub struct Clock {
    started: Instant,
    hands: Arc<Mutex<Hands>>,
}

/// Where a clock stands.
#[derive(Clone, Copy, Debug)]
struct Hands {
    /// By how much tests have turned it.
    lead_ms: i64,
    /// By how much tests have set the machine's clock.
    set_ms: i64,
    follower: Follower,
}

/// The time told, as a function of two clocks that are read: one that only passes, and the machine's.
#[derive(Clone, Copy, Debug)]
struct Follower {
    /// The reading of the first when the time was last corrected.
    passed_ms: i64,
    /// What the time was then.
    corrected_ms: i64,
    /// The latest time that was told.
    told_ms: i64,
    /// How far the machine's clock was ahead then; less than nothing if it was behind.
    gap_ms: i64,
}

impl Follower {
    const fn new(machine_ms: i64) -> Self {
        Self { passed_ms: 0, corrected_ms: machine_ms, told_ms: machine_ms, gap_ms: 0 }
    }

    /// What time it is.
    fn tell(&mut self, passed_ms: i64, machine_ms: i64) -> i64 {
        let passed = passed_ms.saturating_sub(self.passed_ms).max(0);
        let now = self.corrected_ms.saturating_add(passed);
        if passed >= STEP_MS {
            let most = passed / FOLLOWS_BY;
            let correction = machine_ms.saturating_sub(now).clamp(-most, most);
            self.passed_ms = passed_ms;
            self.corrected_ms = now.saturating_add(correction);
            self.gap_ms = machine_ms.saturating_sub(self.corrected_ms);
            self.told_ms = self.told_ms.max(self.corrected_ms);
        } else {
            self.told_ms = self.told_ms.max(now);
        }
        self.told_ms
    }

    /// Puts it forward to a moment that has been already.
    fn not_before(&mut self, ms: i64) {
        let missing = ms.saturating_sub(self.told_ms).max(0);
        self.corrected_ms = self.corrected_ms.saturating_add(missing);
        self.told_ms = self.told_ms.saturating_add(missing);
        self.gap_ms = self.gap_ms.saturating_sub(missing);
    }
}

impl Default for Clock {
    fn default() -> Self {
        let follower = Follower::new(machine_ms());
        Self { started: Instant::now(), hands: Arc::new(Mutex::new(Hands { lead_ms: 0, set_ms: 0, follower })) }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// The moment it is now.
    pub fn now(&self) -> Timestamp {
        let mut hands = self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        let (passed, machine) = (ms(self.started.elapsed()), machine_ms().saturating_add(hands.set_ms));
        let before = hands.follower.gap_ms;
        let told = hands.follower.tell(passed, machine);
        let gap = hands.follower.gap_ms;
        let now = Timestamp(told.saturating_add(hands.lead_ms));
        drop(hands);
        if gap.saturating_sub(before).saturating_abs() > SET_MS {
            warn!(
                gap_ms = gap,
                "the machine's clock was set; the gateway's follows by six seconds a minute, or at once if it is restarted"
            );
        }
        now
    }

    /// What the machine's clock says: for what other people's clocks have stamped just now.
    pub fn machine(&self) -> Timestamp {
        let hands = self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        Timestamp(machine_ms().saturating_add(hands.set_ms).saturating_add(hands.lead_ms))
    }

    /// How far the machine's clock is ahead of this one, milliseconds; less than nothing if it is behind.
    pub fn gap_ms(&self) -> i64 {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner).follower.gap_ms
    }

    /// Puts this clock forward to a moment that has been already, if the machine's is behind that.
    pub fn not_before(&self, moment: Timestamp) {
        let mut hands = self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        let lead_ms = hands.lead_ms;
        hands.follower.not_before(moment.0.saturating_sub(lead_ms));
    }

    /// Turns this clock, and every copy of it, forward: as if time passed.
    pub fn turn(&self, span: Duration) {
        let mut hands = self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        hands.lead_ms = hands.lead_ms.saturating_add(ms(span));
    }

    /// Sets the machine's clock, as far as this one can see: nobody's time passes.
    pub fn set_machine(&self, by_ms: i64) {
        let mut hands = self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        hands.set_ms = hands.set_ms.saturating_add(by_ms);
    }
}

fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// What the machine's clock says.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
fn machine_ms() -> i64 {
    ms(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, proptest};

    use super::{Clock, Follower, Timestamp};

    const DAY_MS: i64 = 86_400_000;

    /// Tells the time at these readings, one second apart, from when a clock that was right was set by so much.
    fn after(set_ms: i64, seconds: i64) -> i64 {
        let mut follower = Follower::new(0);
        (1..=seconds).map(|second| follower.tell(second * 1_000, second * 1_000 + set_ms)).last().unwrap()
    }

    #[test]
    fn a_machine_that_is_set_is_followed_by_a_tenth() {
        assert_eq!(after(0, 60), 60_000);
        assert_eq!(after(3_000, 60), 63_000, "it has caught up");
        assert_eq!(after(-3_000, 60), 57_000);
        assert_eq!(after(DAY_MS, 60), 66_000);
        assert_eq!(after(-365 * DAY_MS, 60), 54_000);
    }

    #[test]
    fn a_thousand_steps_back_are_no_step_back() {
        let mut follower = Follower::new(0);
        let told: Vec<i64> = (1..=1_000).map(|n| follower.tell(n * 1_000, n * 1_000 - n * 1_000)).collect();
        assert!(told.windows(2).all(|pair| pair[1] - pair[0] == 900), "{told:?}");
    }

    #[test]
    fn it_starts_where_the_books_end() {
        let clock = Clock::default();
        let later = Timestamp(clock.now().0 + 60_000);
        clock.not_before(later);
        assert!(clock.now() >= later && clock.gap_ms() <= -59_000);
        clock.not_before(Timestamp(0));
        assert!(clock.now() >= later);
    }

    proptest! {
        #[test]
        fn it_never_goes_back_and_never_much_faster_or_slower(readings in vec((0..5_000_i64, -2 * DAY_MS..2 * DAY_MS), 1..200)) {
            let mut follower = Follower::new(0);
            let (mut passed, mut told) = (0, 0);
            for (more, set) in readings {
                passed += more;
                let now = follower.tell(passed, passed + set);
                prop_assert!(now >= told, "{now} after {told}");
                told = now;
                prop_assert!((now - passed).abs() <= passed / 10 + 10, "{now} when {passed} have passed");
            }
        }
    }
}
