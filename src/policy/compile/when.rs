//! `[[rules]] when`: whom a rule matches. What could match nobody is a fault.

use std::fmt;

use jiff::civil::Weekday;

use super::budgets::zone;
use super::{Pass, offers};
use crate::id::{ModelName, TenantName};
use crate::policy::file::forms::Placed;
use crate::policy::terms::{self, Wrong};
use crate::policy::window::{DAY, WEEK};
use crate::policy::{When, Window, file};
use crate::video::{END_USER_CHARS_MAX, Seconds};

/// What the file calls the days of a week.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Compiles the condition of the rule `i`.
pub(super) fn when(i: usize, file: &file::When, gateway: &file::Gateway, pass: &mut Pass<'_>) -> When {
    let mut when = When { has_reference: file.has_reference, ..When::default() };
    for (name, at) in file.tenant.iter().flat_map(Placed::each) {
        if !gateway.tenants.contains_key(name.as_str()) && !pass.faults.any_at("tenants") {
            let remedy = terms::name_remedy(name, "tenants", gateway.tenants.keys().map(|t| t.value.as_str()));
            pass.faults.add(at, format_args!("rules[{i}].when.tenant"), format!("there is no tenant {}", terms::shorten(name)), remedy);
        }
        when.tenant.push(TenantName::new(name));
    }
    for (name, at) in file.model.iter().flat_map(Placed::each) {
        pass.model(format_args!("rules[{i}].when.model"), at, name);
        when.model.push(ModelName::new(name));
    }
    for (text, at) in file.size.iter().flat_map(Placed::each) {
        when.size.extend(pass.keep(at, format_args!("rules[{i}].when.size"), offers::size(text)));
    }
    for (number, at) in file.seconds.iter().flat_map(Placed::each) {
        let wrong = || Wrong::new(format!("{number} is not a length"), "write whole seconds from 1 to 3600");
        when.seconds.extend(pass.keep(at, format_args!("rules[{i}].when.seconds"), Seconds::new(*number).ok_or_else(wrong)));
    }
    for (user, at) in file.user.iter().flat_map(Placed::each) {
        let ok = (1..=END_USER_CHARS_MAX).contains(&user.chars().count()) && !user.chars().any(char::is_control);
        let remedy = "write 1 to 256 characters without line breaks, as requests have them in `x-filmgate-user` or `user`";
        let wrong = || Wrong::new(format!("{} is not an end user", terms::shorten(user)), remedy);
        when.user.extend(pass.keep(at, format_args!("rules[{i}].when.user"), ok.then(|| user.clone()).ok_or_else(wrong)));
    }
    let empty = [
        file.tenant.as_ref().filter(|v| v.each().is_empty()).map(|v| (&v.at, "tenant")),
        file.model.as_ref().filter(|v| v.each().is_empty()).map(|v| (&v.at, "model")),
        file.size.as_ref().filter(|v| v.each().is_empty()).map(|v| (&v.at, "size")),
        file.seconds.as_ref().filter(|v| v.each().is_empty()).map(|v| (&v.at, "seconds")),
        file.user.as_ref().filter(|v| v.each().is_empty()).map(|v| (&v.at, "user")),
    ];
    for (at, key) in empty.into_iter().flatten() {
        pass.faults.add(
            at,
            format_args!("rules[{i}].when.{key}"),
            "an empty list matches nobody",
            format!("write at least one, or leave `{key}` out to match all"),
        );
    }
    when.sort();
    when.residency = pass.word(format_args!("rules[{i}].when.residency"), &file.residency);
    when.time = file.time.as_ref().and_then(|written| window(format_args!("rules[{i}].when.time"), written, pass));
    when
}

/// A window of time. `None` if it has a fault, which was told.
fn window(path: fmt::Arguments<'_>, written: &Placed<file::Window>, pass: &mut Pass<'_>) -> Option<Window> {
    let file::Window { from, until, days, timezone } = &written.value;
    let from = match from {
        Some(text) => pass.keep(&text.at, format_args!("{path}.from"), minute(&text.value, DAY - 1)),
        None => Some(0),
    };
    let until = match until {
        Some(text) => pass.keep(&text.at, format_args!("{path}.until"), minute(&text.value, DAY)),
        None => Some(DAY),
    };
    let days = match days {
        Some(names) => weekdays(format_args!("{path}.days"), names, pass),
        None => WEEK.to_vec(),
    };
    let timezone = zone(format_args!("{path}.timezone"), timezone, pass);
    let (from, until) = (from?, until?);
    if from == until {
        let remedy = "write a later `until`, an earlier one for a window past midnight, or leave both out for the whole day";
        pass.faults.add(&written.at, path, "this window is over when it begins", remedy);
    }
    Some(Window { from, until, days, timezone: timezone? })
}

/// `"09:30"` as minutes since midnight.
fn minute(text: &str, most: u16) -> Result<u16, Wrong> {
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    let read = text.split_once(':').filter(|(hour, minute)| digits(hour) && digits(minute)).and_then(|(hour, minute)| {
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        Some(hour * 60 + minute).filter(|at| minute < 60 && *at <= most)
    });
    let wrong = || {
        let last = if most < DAY { "23:59" } else { "24:00" };
        Wrong::new(format!("{} is not a time of day", terms::shorten(text)), format!("write \"HH:MM\", from \"00:00\" to \"{last}\""))
    };
    read.ok_or_else(wrong)
}

fn weekdays(path: fmt::Arguments<'_>, names: &Placed<Vec<Placed<String>>>, pass: &mut Pass<'_>) -> Vec<Weekday> {
    if names.value.is_empty() {
        pass.faults.add(&names.at, path, "an empty list matches nobody", "write at least one day, or leave `days` out for all");
    }
    let mut days = Vec::new();
    for name in &names.value {
        let known = DAYS.iter().zip(WEEK).find(|(written, _)| **written == name.value).map(|(_, day)| day);
        let wrong = || Wrong::new(format!("{} is not a day", terms::shorten(&name.value)), format!("the days are {}", terms::list(DAYS)));
        let day = pass.keep(&name.at, path, known.ok_or_else(wrong));
        days.extend(day.filter(|day| !days.contains(day)));
    }
    days
}
