//! Windows: the times of the week that a rule is for, by the clock on somebody's wall.
//!
//! Pure: a moment comes in. What counts is what the wall clock shows in the window's zone, so an hour that is
//! skipped in spring is in no window, and one that comes twice in autumn is in its window twice. A window that
//! goes past midnight belongs to the day on which it begins.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::clock::Timestamp;

/// Minutes in a day.
pub const DAY: u16 = 24 * 60;

/// Every day of the week, from Monday.
pub const WEEK: [Weekday; 7] =
    [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday, Weekday::Saturday, Weekday::Sunday];

/// From when until when, on which days, on whose clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The first minute of the day that is in it, 0 to 1439.
    pub from: u16,
    /// The first minute that is not in it any more, 0 to 1440; before `from` means: of the next day. Never `from`.
    pub until: u16,
    /// The days on which it begins, never empty.
    pub days: Vec<Weekday>,
    /// Whose clock.
    pub timezone: TimeZone,
}

impl Window {
    /// Whether it is open at that moment.
    pub fn contains(&self, at: Timestamp) -> bool {
        let wall = at.in_zone(&self.timezone);
        let minute = u16::from(wall.hour().unsigned_abs()) * 60 + u16::from(wall.minute().unsigned_abs());
        self.shows(wall.weekday(), minute)
    }

    /// Whether it is open when the clock shows that minute of that day.
    fn shows(&self, day: Weekday, minute: u16) -> bool {
        let begins = |day: Weekday| self.days.contains(&day);
        if self.from < self.until {
            begins(day) && (self.from..self.until).contains(&minute)
        } else {
            begins(day) && minute >= self.from || begins(day.previous()) && minute < self.until
        }
    }

    /// Whether it is open at every moment.
    pub fn never_closes(&self) -> bool {
        WEEK.iter().all(|day| [0, self.from, self.until % DAY].iter().all(|minute| self.shows(*day, *minute)))
    }

    /// Whether it is open whenever `other` is, as far as that can be told: of two zones only if it never closes.
    pub fn covers(&self, other: &Self) -> bool {
        if self.timezone != other.timezone {
            return self.never_closes();
        }
        // Between these minutes neither opens or closes.
        let changes = [0, self.from, self.until % DAY, other.from, other.until % DAY];
        let is_open = |day: Weekday, minute: u16| self.shows(day, minute) || !other.shows(day, minute);
        WEEK.iter().all(|day| changes.iter().all(|minute| is_open(*day, *minute)))
    }
}

#[cfg(test)]
mod tests;
