use jiff::tz::TimeZone;
use proptest::prelude::{prop_assert, prop_assert_eq, prop_assert_ne, proptest};

use super::Period;
use crate::clock::Timestamp;
use crate::policy::{Budget, Per};

/// Both ends of the map, half-hour and quarter-hour offsets, gaps and overlaps at midnight, a day that
/// never was (Apia), a year-end jump (Kiritimati), and the plain ones.
const ZONES: [&str; 20] = [
    "UTC",
    "America/New_York",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Havana",
    "America/Santiago",
    "America/Asuncion",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Europe/Berlin",
    "Europe/London",
    "Asia/Beirut",
    "Asia/Tehran",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
];

fn budget(per: Per, zone: &str) -> Budget {
    Budget { cap: None, per, timezone: TimeZone::get(zone).unwrap(), warn: Vec::new() }
}

fn at(text: &str) -> Timestamp {
    Timestamp::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn period(per: Per, zone: &str, now: &str) -> Period {
    Period::of(&budget(per, zone), at(now))
}

#[test]
fn the_last_millisecond_of_a_month_is_still_that_month() {
    let last = period(Per::Month, "Europe/Berlin", "2026-11-30T22:59:59.999Z");
    let first = period(Per::Month, "Europe/Berlin", "2026-11-30T23:00:00Z");
    assert_eq!((last.key.as_str(), last.until), ("month:2026-11", Some(at("2026-11-30T23:00:00Z"))));
    assert_eq!((first.key.as_str(), first.from), ("month:2026-12", at("2026-11-30T23:00:00Z")));
}

#[test]
fn weeks_begin_on_monday_and_cross_the_year() {
    let week = period(Per::Week, "UTC", "2027-01-03T23:59:59Z");
    assert_eq!(week.key, "week:2026-12-28");
    assert_eq!((week.from, week.until), (at("2026-12-28T00:00:00Z"), Some(at("2027-01-04T00:00:00Z"))));
}

#[test]
fn february_has_its_29th_day_in_leap_years() {
    assert_eq!(period(Per::Day, "UTC", "2028-02-29T12:00:00Z").key, "day:2028-02-29");
    assert_eq!(period(Per::Month, "UTC", "2028-02-29T23:59:59Z").until, Some(at("2028-03-01T00:00:00Z")));
}

#[test]
fn a_day_is_23_or_25_hours_when_clocks_change() {
    let hours = |now| {
        let day = period(Per::Day, "Europe/Berlin", now);
        day.until.unwrap().since(day.from).as_secs() / 3600
    };
    assert_eq!(hours("2026-03-29T12:00:00Z"), 23);
    assert_eq!(hours("2026-10-25T12:00:00Z"), 25);
    assert_eq!(hours("2026-11-23T12:00:00Z"), 24);
}

#[test]
fn a_day_whose_midnight_was_skipped_begins_after_the_gap() {
    let day = period(Per::Day, "America/Sao_Paulo", "2015-10-18T12:00:00Z");
    assert_eq!((day.key.as_str(), day.from), ("day:2015-10-18", at("2015-10-18T03:00:00Z")));
}

#[test]
fn an_hour_repeated_across_midnight_belongs_to_the_day_that_had_begun() {
    // At 00:01 on 2007-11-04 Newfoundland's clocks went back to 23:01 of the 3rd.
    let before = period(Per::Day, "America/St_Johns", "2007-11-04T02:29:59Z");
    let again = period(Per::Day, "America/St_Johns", "2007-11-04T02:45:00Z");
    assert_eq!((before.key.as_str(), again.key.as_str()), ("day:2007-11-03", "day:2007-11-04"));
    assert_eq!(before.until, Some(again.from));
}

#[test]
fn a_day_that_a_country_skipped_has_no_period() {
    let before = period(Per::Day, "Pacific/Apia", "2011-12-30T09:59:59Z");
    let after = period(Per::Day, "Pacific/Apia", "2011-12-30T10:00:00Z");
    assert_eq!((before.key.as_str(), after.key.as_str()), ("day:2011-12-29", "day:2011-12-31"));
    assert_eq!(before.until, Some(after.from));
}

#[test]
fn all_time_is_one_period_and_no_clock_is_too_wrong() {
    assert_eq!(period(Per::Total, "UTC", "2026-11-23T00:00:00Z"), Period::total());
    for ms in [i64::MIN, -1, 0, i64::MAX] {
        for per in [Per::Day, Per::Week, Per::Month] {
            assert!(Period::of(&budget(per, "Pacific/Kiritimati"), Timestamp::from_ms(ms)).until.is_some());
        }
    }
}

proptest! {
    #[test]
    fn periods_hold_their_instant_and_touch_their_neighbours(
        ms in at("1971-01-01T00:00:00Z").as_ms()..at("2100-01-01T00:00:00Z").as_ms(),
        zone in 0..ZONES.len(),
        per in proptest::sample::select(vec![Per::Day, Per::Week, Per::Month]),
    ) {
        let budget = budget(per, ZONES[zone]);
        let here = Period::of(&budget, Timestamp::from_ms(ms));
        let until = here.until.unwrap();
        prop_assert!(here.from.as_ms() <= ms && ms < until.as_ms(), "{:?}", here);
        for within in [here.from.as_ms(), i64::midpoint(here.from.as_ms(), until.as_ms()), until.as_ms() - 1] {
            prop_assert_eq!(&Period::of(&budget, Timestamp::from_ms(within)), &here);
        }

        let next = Period::of(&budget, until);
        let last = Period::of(&budget, Timestamp::from_ms(here.from.as_ms() - 1));
        prop_assert_eq!(next.from, until);
        prop_assert_eq!(last.until, Some(here.from));
        prop_assert_ne!(&next.key, &here.key);
        prop_assert_ne!(&last.key, &here.key);
    }
}
