//! Sunsets: what stops being offered, said before and after the day. The day itself comes from the caller.

use jiff::civil::Date;

use super::{Policy, Route};

/// What an operator should know about last days that have passed or come within `within_days`.
pub fn sunset_warnings(policy: &Policy, today: Date, within_days: u32) -> Vec<String> {
    let mut warnings = Vec::new();
    for route in policy.routes.values().filter(|route| route.enabled) {
        if is_over(route, today) {
            warnings.push(format!("the route `{}` offers nothing any more: every model of it is past its last day", route.name));
            continue;
        }
        for (model, offer) in &route.models {
            let Some(last) = offer.sunset else { continue };
            let days_left = (last - today).get_days();
            if last < today {
                warnings.push(format!("`{model}` is left out on the route `{}`: its last day was {last}", route.name));
            } else if u32::try_from(days_left).is_ok_and(|days| days <= within_days) {
                warnings.push(format!("`{model}` on the route `{}` has its last day on {last}, in {days_left} days", route.name));
            }
        }
    }
    for (i, rule) in policy.rules.iter().enumerate() {
        if !rule.routes.is_empty() && rule.routes.iter().all(|(route, _)| is_over(route, today)) {
            warnings.push(format!("rules[{i}]: every route of it is past its last day, so what it matches is refused"));
        }
    }
    warnings
}

/// Whether nothing that the route offers is offered today.
fn is_over(route: &Route, today: Date) -> bool {
    route.models.values().all(|offer| offer.sunset.is_some_and(|last| last < today))
}
