//! A lane: one route's share of the poller, and what the poller remembers of that route.
//!
//! Each route has seats of its own, so that one whose upstream hangs keeps nobody else waiting. A route
//! that asked to be left alone, or that fails, rests as a whole: its jobs stay due and cost nothing
//! until it is asked a single question again. In memory only: after a restart it is found out anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::seek::Reading;
use crate::provider::AskError;

/// Questions to one route under way at a time.
const SEATS: usize = 32;
/// When a route wants to be left alone without saying for how long.
const REST: Duration = Duration::from_secs(10);
/// Failures in a row after which a route is left alone for a while…
const FAILURES_IN_A_ROW: u32 = 5;
/// …at first for this long, then twice that, and so on…
const PAUSE: Duration = Duration::from_secs(1);
/// …up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// One route's lane.
#[derive(Debug)]
pub struct Lane {
    seats: Arc<Semaphore>,
    /// One walk down the list at a time.
    walk: Arc<Semaphore>,
    mood: Mutex<Mood>,
    reading: tokio::sync::Mutex<Option<Reading>>,
}

#[derive(Debug, Default)]
struct Mood {
    failures: u32,
    resting_until: Option<Instant>,
    list_left_alone_until: Option<Instant>,
}

impl Mood {
    fn is_resting(&self, now: Instant) -> bool {
        self.resting_until.is_some_and(|until| until > now)
    }
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            seats: Arc::new(Semaphore::new(SEATS)),
            walk: Arc::new(Semaphore::new(1)),
            mood: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }
}

impl Lane {
    /// How many questions may be asked at once: none while the route rests, and one, alone, to find
    /// out whether it is well again.
    pub fn room(&self) -> u32 {
        let mood = self.mood();
        let free = self.seats.available_permits();
        if mood.is_resting(Instant::now()) {
            0
        } else if mood.failures >= FAILURES_IN_A_ROW {
            u32::from(free == SEATS)
        } else {
            u32::try_from(free).unwrap_or(0)
        }
    }

    /// Whether the route neither rests nor has yet to show that it is well again.
    pub fn is_well(&self) -> bool {
        let mood = self.mood();
        !mood.is_resting(Instant::now()) && mood.failures < FAILURES_IN_A_ROW
    }

    /// The right to walk down the route's list, if that is worth trying now and nobody does.
    pub fn begin_walk(&self) -> Option<OwnedSemaphorePermit> {
        let is_left_alone = self.mood().list_left_alone_until.is_some_and(|until| until > Instant::now());
        if is_left_alone || !self.is_well() { None } else { self.walk.clone().try_acquire_owned().ok() }
    }

    /// Whether somebody walks down the list: what is due is found there, without being asked about.
    pub fn is_walked(&self) -> bool {
        self.walk.available_permits() == 0
    }

    /// Leaves the route's list alone for a while.
    pub fn leave_list_alone(&self, span: Duration) {
        self.mood().list_left_alone_until = Some(Instant::now() + span);
    }

    /// What the route's list showed when it was last read for those that the route denies.
    pub async fn reading(&self) -> tokio::sync::MutexGuard<'_, Option<Reading>> {
        self.reading.lock().await
    }

    /// Takes a seat, if one is free.
    pub fn sit(&self) -> Option<OwnedSemaphorePermit> {
        self.seats.clone().try_acquire_owned().ok()
    }

    /// Lets the route rest.
    fn rest(&self, span: Duration) {
        let mut mood = self.mood();
        mood.resting_until = mood.resting_until.max(Some(Instant::now() + span));
    }

    /// Takes in how the route answered.
    pub fn hear<T>(&self, answer: &Result<T, AskError>) {
        match answer {
            Ok(_) | Err(AskError::NotFound | AskError::Refused(_)) => self.mood().failures = 0,
            Err(AskError::RateLimited { retry_after_secs }) => {
                self.rest(retry_after_secs.map_or(REST, Duration::from_secs));
            }
            Err(AskError::Credential | AskError::Transient(_)) => self.failed(),
        }
    }

    fn failed(&self) {
        let (mut mood, now) = (self.mood(), Instant::now());
        // Those that were under way when it was left alone tell nothing new.
        if mood.is_resting(now) {
            return;
        }
        mood.failures = mood.failures.saturating_add(1);
        if let Some(more) = mood.failures.checked_sub(FAILURES_IN_A_ROW) {
            mood.resting_until = Some(now + (PAUSE * 2_u32.saturating_pow(more.min(8))).min(PAUSE_MAX));
        }
    }

    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{FAILURES_IN_A_ROW, Lane};
    use crate::provider::AskError;

    fn broken() -> Result<(), AskError> {
        Err(AskError::Transient("the line is dead".to_owned()))
    }

    #[test]
    fn a_route_that_fails_is_left_alone_and_then_asked_once() {
        let lane = Lane::default();
        let all = lane.room();
        for _ in 1..FAILURES_IN_A_ROW {
            lane.hear(&broken());
            assert_eq!(lane.room(), all);
        }
        lane.hear(&broken());
        lane.hear(&broken());
        assert_eq!(lane.room(), 0);
        std::thread::sleep(Duration::from_millis(1_050));
        assert_eq!(lane.room(), 1, "as long as after one failure: those under way do not count");
        let seat = lane.sit();
        assert_eq!(lane.room(), 0, "one, alone");
        drop(seat);
        lane.hear(&Ok(()));
        assert_eq!(lane.room(), all);
    }

    #[test]
    fn a_route_that_wants_to_be_left_alone_is() {
        let lane = Lane::default();
        lane.hear::<()>(&Err(AskError::RateLimited { retry_after_secs: Some(3_600) }));
        lane.hear(&Ok(()));
        assert_eq!(lane.room(), 0, "a late answer does not take it back");
    }
}
