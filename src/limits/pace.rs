//! A pace that is kept over every minute: a tenth of its rate may come at once, the rest comes evenly.
//!
//! A bucket that held a whole minute's worth would let two through in the first minute. Here no sixty
//! seconds see more than the rate, whenever they begin, because what may be saved up is taken off what
//! flows in. Whole numbers only; knows no clock but the moments it is handed.

use std::time::{Duration, Instant};

/// One question, in the parts that flow in each millisecond.
const ONE: u64 = 60_000;

/// What may be asked, and since when that is known.
#[derive(Debug)]
pub struct Pace {
    rate: u32,
    /// What has been saved up, in parts of a question.
    saved: u64,
    at: Instant,
}

impl Pace {
    /// A pace of that many a minute, with all saved up that can be.
    pub fn new(rate: u32, at: Instant) -> Self {
        let mut pace = Self { rate, saved: 0, at };
        pace.saved = pace.most();
        pace
    }

    /// Per minute.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes up to `wanted`; answers how many.
    pub fn take(&mut self, wanted: u32, now: Instant) -> u32 {
        self.flow(now);
        let taken = wanted.min(u32::try_from(self.saved / ONE).unwrap_or(u32::MAX));
        self.saved -= u64::from(taken) * ONE;
        taken
    }

    /// Gives back what was taken and not used.
    pub fn give_back(&mut self, n: u32) {
        self.saved = (self.saved + u64::from(n) * ONE).min(self.most());
    }

    /// How long until one can be taken.
    pub fn wait(&mut self, now: Instant) -> Duration {
        self.flow(now);
        Duration::from_millis(ONE.saturating_sub(self.saved).div_ceil(self.inflow()))
    }

    fn flow(&mut self, now: Instant) {
        let ms = u64::try_from(now.saturating_duration_since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.at += Duration::from_millis(ms);
        self.saved = self.saved.saturating_add(ms.saturating_mul(self.inflow())).min(self.most());
    }

    fn most(&self) -> u64 {
        u64::from(self.at_once()) * ONE
    }

    /// A tenth, and at least one.
    fn at_once(&self) -> u32 {
        (self.rate / 10).max(1)
    }

    fn inflow(&self) -> u64 {
        u64::from(self.rate.saturating_sub(self.at_once()).max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Pace;

    #[test]
    fn no_minute_sees_more_than_the_rate_and_none_that_is_used_sees_much_less() {
        for rate in [6, 10, 60, 599, 600, 60_000] {
            let start = Instant::now();
            let mut pace = Pace::new(rate, start);
            // Whoever takes all there is, each tenth of a second for five minutes.
            let taken: Vec<u32> = (0..3_000).map(|tick| pace.take(u32::MAX, start + Duration::from_millis(tick * 100))).collect();
            let minutes = || taken.windows(600).map(|minute| minute.iter().sum::<u32>());
            assert!(minutes().max().unwrap() <= rate, "{rate}: {:?}", minutes().max());
            assert!(minutes().min().unwrap() >= rate * 4 / 5, "{rate}: {:?}", minutes().min());
        }
    }

    #[test]
    fn the_wait_is_as_long_as_it_takes_and_what_was_not_used_can_be_given_back() {
        let start = Instant::now();
        let mut pace = Pace::new(600, start);
        assert_eq!((pace.take(100, start), pace.take(1, start)), (60, 0));
        let wait = pace.wait(start);
        assert_eq!((wait, pace.take(1, start + wait / 2), pace.take(1, start + wait)), (Duration::from_millis(112), 0, 1));
        pace.give_back(500);
        assert_eq!(pace.take(100, start + wait), 60, "no more than can be saved up");
    }
}
