//! Budgets and limits: the same shape for the gateway, a route and a tenant.

use std::fmt;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::Pass;
use crate::policy::file::forms::{Placed, Written};
use crate::policy::terms::{self, Wrong};
use crate::policy::{Budget, Limits, Per, file};

/// What is warned of when the file does not say, percent.
const WARN_DEFAULT: [u8; 3] = [50, 80, 95];

/// A budget. `base` is the path of the table. `None` if it has a fault, which was told.
pub(super) fn compile(base: &dyn fmt::Display, budget: &Placed<file::Budget>, pass: &mut Pass<'_>) -> Option<Budget> {
    let file = &budget.value;
    let cap = match &file.cap {
        None => {
            let remedy = "add cap = \"500.00\", or cap = \"unlimited\"";
            pass.faults.add_missing(&budget.at, format_args!("{base}.cap"), "this budget has no cap", remedy);
            None
        }
        Some(Placed { value: Written::Text(text), .. }) if text == "unlimited" => Some(None),
        Some(cap) => {
            let read = terms::amount("cap", &cap.value).map_err(|wrong| match &cap.value {
                Written::Text(text) if text.chars().any(char::is_alphabetic) => {
                    Wrong::new(wrong.message, "write dollars as a quoted decimal, \"500.00\", or \"unlimited\"")
                }
                _ => wrong,
            });
            pass.keep(&cap.at, format_args!("{base}.cap"), read).map(Some)
        }
    };
    let per = match file.per {
        Some(file::Per::Day) => Per::Day,
        Some(file::Per::Week) => Per::Week,
        Some(file::Per::Total) => Per::Total,
        Some(file::Per::Month) | None => Per::Month,
    };
    let timezone = zone(format_args!("{base}.timezone"), &file.timezone, pass);
    let warn = file.warn.as_ref().and_then(|warn| {
        let ascending = warn.value.iter().zip(warn.value.iter().skip(1)).all(|(a, b)| a < b);
        let percentages = || warn.value.iter().map(|percent| u8::try_from(*percent).ok().filter(|percent| (1..=100).contains(percent)));
        let wrong = || {
            Wrong::new(
                "these are not percentages in ascending order",
                "write whole numbers from 1 to 100, each greater than the one before: [50, 80, 95]",
            )
        };
        pass.keep(&warn.at, format_args!("{base}.warn"), percentages().collect::<Option<Vec<u8>>>().filter(|_| ascending).ok_or_else(wrong))
    });
    Some(Budget { cap: cap?, per, timezone: timezone?, warn: warn.unwrap_or_else(|| WARN_DEFAULT.to_vec()) })
}

/// A time zone, from the table inside this program, so that the same file means the same everywhere.
pub(super) fn zone(path: fmt::Arguments<'_>, name: &Option<Placed<String>>, pass: &mut Pass<'_>) -> Option<TimeZone> {
    let Some(name) = name else { return Some(TimeZone::UTC) };
    let known = match pass.zones.get(&name.value) {
        Some(known) => known.clone(),
        None => {
            let found = TimeZoneDatabase::bundled().get(&name.value).ok();
            pass.zones.insert(name.value.clone(), found.clone());
            found
        }
    };
    let wrong = || {
        Wrong::new(
            format!("{} is not a time zone", terms::shorten(&name.value)),
            "write an IANA name such as \"Europe/Berlin\", or \"UTC\"",
        )
    };
    pass.keep(&name.at, path, known.ok_or_else(wrong))
}

/// Limits. A limit of zero is told: what is meant by it is `enabled = false`, or no key.
pub(super) fn limits(base: &dyn fmt::Display, file: &file::Limits, pass: &mut Pass<'_>) -> Limits {
    Limits {
        rpm: pass.number(format_args!("{base}.rpm"), &file.rpm, 1..=1_000_000),
        in_flight: pass.number(format_args!("{base}.in_flight"), &file.in_flight, 1..=1_000_000),
    }
}
