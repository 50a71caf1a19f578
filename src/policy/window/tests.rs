use jiff::civil::{DateTime, Weekday, date};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, proptest};

use super::{DAY, WEEK, Window};
use crate::clock::Timestamp;

fn berlin() -> TimeZone {
    TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap()
}

fn window(from: &str, until: &str, days: &[Weekday], timezone: TimeZone) -> Window {
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':').unwrap();
        hour.parse::<u16>().unwrap() * 60 + minute.parse::<u16>().unwrap()
    };
    let days = if days.is_empty() { WEEK.to_vec() } else { days.to_vec() };
    Window { from: minute(from), until: minute(until), days, timezone }
}

/// When the clock in Berlin shows that.
fn shown(wall: DateTime) -> Timestamp {
    Timestamp::from_ms(berlin().to_timestamp(wall).unwrap().as_millisecond())
}

/// So many minutes after midnight in UTC.
fn utc(day: jiff::civil::Date, minutes: i64) -> Timestamp {
    Timestamp::from_ms(TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).unwrap().as_millisecond() + minutes * 60_000)
}

#[test]
fn a_window_is_open_from_its_first_minute_until_before_its_last() {
    let office = window("09:00", "17:30", &[], berlin());
    let open = |hour, minute, second| office.contains(shown(date(2026, 11, 23).at(hour, minute, second, 0)));
    assert_eq!([open(8, 59, 59), open(9, 0, 0), open(17, 29, 59), open(17, 30, 0)], [false, true, true, false]);
    let to_the_end = window("18:00", "24:00", &[], berlin());
    assert!(to_the_end.contains(shown(date(2026, 11, 23).at(23, 59, 59, 0))));
    assert!(!to_the_end.contains(shown(date(2026, 11, 24).at(0, 0, 0, 0))));
}

#[test]
fn a_night_belongs_to_the_day_on_which_it_begins() {
    let friday_night = window("22:00", "06:00", &[Weekday::Friday], berlin());
    let open = |day, hour| friday_night.contains(shown(date(2026, 11, day).at(hour, 0, 0, 0)));
    assert_eq!([open(27, 21), open(27, 22), open(28, 5), open(28, 6), open(28, 22), open(27, 5)], [false, true, true, false, false, false]);
}

#[test]
fn days_begin_at_the_windows_own_midnight() {
    let monday = window("00:00", "24:00", &[Weekday::Monday], berlin());
    assert!(monday.contains(utc(date(2026, 11, 22), 23 * 60)), "in Berlin it is Monday already");
    assert!(!monday.contains(utc(date(2026, 11, 23), 23 * 60)), "and there it is Tuesday");
}

#[test]
fn the_clock_on_the_wall_decides_when_it_is_put_forward_or_back() {
    let small_hours = window("02:00", "03:00", &[], berlin());
    let minutes = |day| (-180..360).filter(|minute| small_hours.contains(utc(day, *minute))).count();
    assert_eq!(minutes(date(2026, 3, 28)), 60, "an ordinary night");
    assert_eq!(minutes(date(2026, 3, 29)), 0, "from 2 to 3 is skipped");
    assert_eq!(minutes(date(2026, 10, 25)), 120, "from 2 to 3 comes twice");
    let morning = window("09:00", "10:00", &[], berlin());
    assert!(morning.contains(utc(date(2026, 7, 1), 7 * 60)) && morning.contains(utc(date(2026, 12, 1), 8 * 60)));
}

/// Any window, in one of two zones.
fn any_window() -> impl Strategy<Value = Window> {
    let days = prop::sample::subsequence(WEEK.to_vec(), 1..=7);
    let zone = prop::sample::select(vec![TimeZone::UTC, berlin()]);
    // A few round times, so that windows touch, meet and lie within one another.
    let (from, until) = (prop::sample::select(vec![0, 360, 719, 720, 1_439]), prop::sample::select(vec![0, 1, 360, 720, 721, 1_439, DAY]));
    let window = (from, until, days, zone).prop_map(|(from, until, days, timezone)| Window { from, until, days, timezone });
    window.prop_filter("it is over when it begins", |window| window.from != window.until)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_window_is_open_as_long_as_its_days_say(window in any_window()) {
        let length = if window.from < window.until { window.until - window.from } else { window.until + DAY - window.from };
        let week_in_june = (0..7 * i64::from(DAY)).filter(|minute| window.contains(utc(date(2026, 6, 1), *minute))).count();
        prop_assert_eq!(week_in_june, usize::from(length) * window.days.len());
    }

    #[test]
    fn a_window_that_covers_another_is_open_whenever_that_is(one in any_window(), other in any_window()) {
        let within = (0..7 * i64::from(DAY)).all(|minute| {
            let at = utc(date(2026, 6, 1), minute);
            one.contains(at) || !other.contains(at)
        });
        if one.covers(&other) {
            prop_assert!(within, "and so it is");
        } else if one.timezone == other.timezone {
            prop_assert!(!within, "or it would cover it");
        }
        prop_assert!(one.covers(&one));
    }
}
