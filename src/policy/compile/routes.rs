//! `[routes.*]`: where each way to get video made is, how we prove who we are, and its limits.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::{Pass, breaker, budgets, offers};
use crate::id::{ModelName, RouteName};
use crate::money::MicroUsd;
use crate::policy::file::forms::Placed;
use crate::policy::terms::{self, Wrong};
use crate::policy::{Limits, Offer, PollSchedule, Price, Route, UnknownPolicy, WrittenOff, file};
use crate::provider::{self, Credential, Endpoint, Entra, Provider};
use crate::secret::Secret;

/// The most routes.
const ROUTES_MAX: usize = 1_000;

/// Questions a minute: with less, not even a few jobs could be followed.
const POLL_RATES: RangeInclusive<u32> = 6..=1_000_000;
/// How many times faster than real life the simulator works when the file does not say.
const SPEED_DEFAULT: u32 = 20;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Compiles every route, and notes which models they offer.
pub(super) fn compile(file: &BTreeMap<Placed<String>, file::Route>, pass: &mut Pass<'_>) -> BTreeMap<RouteName, Arc<Route>> {
    if file.is_empty() && !pass.routes_unread {
        let remedy = "add one; the simulator needs no account: [routes.simulator] and below it provider = \"simulator\"";
        pass.faults.add(&(0..0), "routes", "there is no route: nothing can make a clip", remedy);
    }
    if let Some((name, _)) = file.iter().nth(ROUTES_MAX) {
        pass.faults.add(&name.at, "routes", format!("there are more than {ROUTES_MAX} routes"), "remove some");
    }
    let mut routes = BTreeMap::new();
    for (name, written) in file.iter().take(ROUTES_MAX) {
        pass.offered.extend(written.models.keys().map(|model| model.value.clone()));
        let route = route(name, written, pass);
        // One that offers what its provider offers, and names none: which models those would be is not known.
        pass.routes_unread |= route.is_none() && written.models.is_empty();
        if let Some(route) = route {
            pass.offered.extend(route.models.keys().map(|model| model.as_str().to_owned()));
            routes.insert(route.name.clone(), Arc::new(route));
        }
    }
    if !routes.is_empty() && routes.values().all(|route| !route.takes_new()) {
        pass.warnings.push("every route is disabled or drained: nothing can make a clip".to_owned());
    }
    for (i, route) in routes.values().enumerate() {
        if let Some(twin) = routes.values().take(i).find(|twin| twin.account == route.account && !route.simulated && !twin.simulated) {
            pass.warnings.push(format!(
                "`routes.{}` and `routes.{}` are one account: each counts only its own against its limits and its budget, and a lost answer is found again only if no other route was asked for the same",
                twin.name, route.name
            ));
        }
    }
    routes
}

fn route(name: &Placed<String>, file: &file::Route, pass: &mut Pass<'_>) -> Option<Route> {
    let base = format!("routes.{}", name.value);
    pass.keep(&name.at, format_args!("{base}"), terms::name("route", &name.value));
    // Without a provider the rest is looked at all the same, as far as it does not depend on it.
    let provider = dialect(&base, name, file, pass);
    let simulated = provider.is_some_and(|p| p.name() == "simulator");

    let endpoint = provider.and_then(|provider| endpoint(&base, name, file, provider, pass));
    let limits = limits(&base, file, provider, pass);
    let budget = file.budget.as_ref().map(|b| budgets::compile(&format_args!("{base}.budget"), b, pass));
    let models = models(&base, name, file, provider, pass);
    let webhook_secrets = webhook_secrets(&base, file, pass);
    if let Some(provider) =
        provider.filter(|p| file.idempotency_key == Some(true) && !matches!(p.name(), "openai_compatible" | "simulator"))
    {
        let name = provider.name();
        pass.warnings.push(format!(
            "`{base}.idempotency_key`: `{name}` is not known to honour keys; if it does not, what is sent again is paid twice"
        ));
    }
    for (i, host) in file.content_hosts.iter().enumerate() {
        pass.keep(&host.at, format_args!("{base}.content_hosts[{i}]"), terms::host_pattern(&host.value));
    }
    if let Some(speed) = file.speed.as_ref().filter(|_| provider.is_some() && !simulated) {
        pass.faults.add(&speed.at, format_args!("{base}.speed"), "only the simulator can be hurried", "remove `speed`");
    }
    let speed = pass.number(format_args!("{base}.speed"), &file.speed, 1..=100_000);
    let speed = if simulated { speed.unwrap_or(SPEED_DEFAULT) } else { 1 };
    let submit_timeout = pass.duration(format_args!("{base}.submit_timeout"), &file.submit_timeout, 120 * SECOND, SECOND..=600 * SECOND);
    let (early, late, rate) = if simulated { (SECOND, SECOND, 60_000) } else { (10 * SECOND, 30 * SECOND, 600) };
    let poll_bounds = Duration::from_millis(100)..=HOUR;
    let poll = PollSchedule {
        early: pass.duration(format_args!("{base}.poll.early"), &file.poll.early, early, poll_bounds.clone()),
        late: pass.duration(format_args!("{base}.poll.late"), &file.poll.late, late, poll_bounds),
        rate: pass.number(format_args!("{base}.poll.rate"), &file.poll.rate, POLL_RATES).unwrap_or(rate),
    };

    let (provider, endpoint) = (provider?, endpoint?);
    // With an address it is a simulator that somebody else runs.
    let simulated = simulated && file.base_url.is_none();
    Some(Route {
        name: RouteName::new(&name.value),
        provider,
        simulated,
        account: endpoint.account(provider),
        endpoint,
        enabled: file.enabled.unwrap_or(true),
        drain: file.drain.unwrap_or(false),
        region: pass.word(format_args!("{base}.region"), &file.region),
        limits,
        budget: match budget {
            Some(faulty_or_not) => Some(faulty_or_not?),
            None => None,
        },
        models,
        poll,
        submit_timeout,
        idempotency_key: file.idempotency_key.unwrap_or(false),
        bills_failed: file.bills_failed.unwrap_or(false),
        unknown: unknown(&base, file, submit_timeout, pass),
        lost: lost(&base, file, pass),
        breaker: breaker::compile(&base, &file.breaker, pass),
        content_hosts: file.content_hosts.iter().map(|host| host.value.clone()).collect(),
        callback_url: pass.url(format_args!("{base}.callback_url"), &file.callback_url),
        webhook_secrets,
        speed,
    })
}

fn dialect(base: &str, name: &Placed<String>, file: &file::Route, pass: &mut Pass<'_>) -> Option<&'static dyn Provider> {
    let known = || provider::PROVIDERS.iter().map(|p| p.name());
    let Some(written) = &file.provider else {
        let remedy = format!("add provider = \"…\": one of {}", terms::list(known()));
        pass.faults.add_missing(&name.at, format_args!("{base}.provider"), format!("the route `{}` names no provider", name.value), remedy);
        return None;
    };
    let wrong = || {
        Wrong::new(
            format!("there is no provider {}", terms::shorten(&written.value)),
            terms::name_remedy(&written.value, "providers", known()),
        )
    };
    pass.keep(&written.at, format_args!("{base}.provider"), provider::by_name(&written.value).ok_or_else(wrong))
}

fn endpoint(base: &str, name: &Placed<String>, file: &file::Route, provider: &dyn Provider, pass: &mut Pass<'_>) -> Option<Endpoint> {
    let simulated = provider.name() == "simulator";
    let base_url = match (&file.base_url, provider.default_base_url()) {
        (Some(_), _) => pass.url(format_args!("{base}.base_url"), &file.base_url),
        (None, Some(default)) => Some(default.to_owned()),
        // Where the simulator in this process listens is known once it runs.
        (None, None) if simulated => Some(String::new()),
        (None, None) => {
            let message = format!("the route `{}` does not say where it is", name.value);
            pass.faults.add_missing(&name.at, format_args!("{base}.base_url"), message, "add base_url = \"https://…/v1\"");
            None
        }
    };
    let credential = credential(base, name, file, provider, pass);
    if let Some(url) = base_url.as_deref().filter(|url| terms::is_cleartext(url) && !matches!(credential, Some(Credential::None))) {
        pass.warnings.push(format!("`{base}.base_url` is {url}: the credential travels unencrypted"));
    }
    // The simulator inside this process takes any key for the same.
    let credential = if simulated && file.base_url.is_none() { Credential::None } else { credential? };
    Some(Endpoint { base_url: base_url?, credential })
}

fn credential(base: &str, name: &Placed<String>, file: &file::Route, provider: &dyn Provider, pass: &mut Pass<'_>) -> Option<Credential> {
    match (&file.api_key, &file.entra) {
        (Some(_), Some(entra)) => {
            pass.faults.add(
                &entra.at,
                format_args!("{base}.entra"),
                "there are two credentials for this route",
                "remove `api_key` or `entra`",
            );
            None
        }
        (Some(key), None) => pass.secret(format_args!("{base}.api_key"), key).map(Credential::Key),
        (None, Some(entra)) if provider.name() == "azure" => entra_credential(base, entra, pass).map(Credential::Entra),
        (None, Some(entra)) => {
            pass.faults.add(
                &entra.at,
                format_args!("{base}.entra"),
                "Microsoft Entra is for `azure` only",
                "write api_key = \"env:NAME\" instead",
            );
            None
        }
        (None, None) if matches!(provider.name(), "simulator" | "openai_compatible") => Some(Credential::None),
        (None, None) => {
            let message = format!("the route `{}` has no credential", name.value);
            pass.faults.add_missing(&name.at, format_args!("{base}.api_key"), message, "add api_key = \"env:NAME\"");
            None
        }
    }
}

fn entra_credential(base: &str, entra: &Placed<file::Entra>, pass: &mut Pass<'_>) -> Option<Entra> {
    let mut required = |key: &str, value: &Option<Placed<String>>| {
        if value.as_ref().is_none_or(|v| v.value.is_empty()) {
            let at = value.as_ref().map_or(&entra.at, |v| &v.at);
            pass.faults.add_missing(at, format_args!("{base}.entra.{key}"), format!("`{key}` is missing"), format!("add {key} = \"…\""));
        }
        value.as_ref().map(|v| v.value.clone())
    };
    let (tenant, client_id) = (required("tenant", &entra.value.tenant), required("client_id", &entra.value.client_id));
    required("client_secret", &entra.value.client_secret);
    let secret = entra.value.client_secret.as_ref().filter(|s| !s.value.is_empty());
    let client_secret = secret.and_then(|secret| pass.secret(format_args!("{base}.entra.client_secret"), secret));
    let authority = pass.url(format_args!("{base}.entra.authority"), &entra.value.authority);
    let scope = entra.value.scope.as_ref().map(|scope| scope.value.clone());
    Some(Entra {
        authority: authority.unwrap_or_else(|| "https://login.microsoftonline.com".to_owned()),
        tenant: tenant?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope: scope.unwrap_or_else(|| "https://cognitiveservices.azure.com/.default".to_owned()),
    })
}

/// The account's limits: what is written, else what OpenAI publishes for its tier.
fn limits(base: &str, file: &file::Route, provider: Option<&dyn Provider>, pass: &mut Pass<'_>) -> Limits {
    let mut limits = budgets::limits(&format_args!("{base}.limits"), &file.limits, pass);
    if let (Some(tier), Some(other)) = (&file.tier, provider.map(Provider::name).filter(|name| *name != "openai")) {
        let remedy = "tiers are OpenAI's: write limits = { rpm = …, in_flight = … } instead";
        pass.faults.add(&tier.at, format_args!("{base}.tier"), format!("`{other}` has no usage tiers"), remedy);
        return limits;
    }
    let published = match pass.number(format_args!("{base}.tier"), &file.tier, 1..=5) {
        Some(1) => {
            pass.warnings.push(format!("`{base}.tier` is 1: tier 1 has no access to video; tier 2 is the lowest that has"));
            None
        }
        Some(2) => Some(50),
        Some(3) => Some(125),
        Some(4) => Some(200),
        Some(5) => Some(375),
        _ => None,
    };
    limits.rpm = limits.rpm.or(published);
    limits
}

fn models(
    base: &str,
    name: &Placed<String>,
    file: &file::Route,
    provider: Option<&dyn Provider>,
    pass: &mut Pass<'_>,
) -> BTreeMap<ModelName, Offer> {
    match provider.map(Provider::name).filter(|_| file.models.is_empty()) {
        Some("simulator") => return offers::published(),
        Some(_) => {
            let remedy = format!("add [{base}.models.sora-2] with `seconds` and `price`");
            pass.faults.add_missing(&name.at, format_args!("{base}.models"), format!("the route `{}` offers no model", name.value), remedy);
        }
        None => {}
    }
    let mut models = BTreeMap::new();
    for (model, written) in &file.models {
        let path = format!("{base}.models.{}", model.value);
        let Some(offer) = offers::compile(&path, model, written, pass) else { continue };
        let free = match &offer.price {
            Price::Flat(price) => *price == MicroUsd::ZERO,
            Price::BySize(prices) => prices.values().any(|price| *price == MicroUsd::ZERO),
        };
        if free {
            pass.warnings.push(format!("`{path}` has a price of 0: no budget bounds it"));
        }
        models.insert(ModelName::new(&model.value), offer);
    }
    models
}

fn webhook_secrets(base: &str, file: &file::Route, pass: &mut Pass<'_>) -> Vec<Secret> {
    let Some(written) = &file.webhook_secret else { return Vec::new() };
    let path = format_args!("{base}.webhook_secret");
    let mut secrets = Vec::new();
    for (value, at) in written.each() {
        secrets.extend(pass.secret(path, &Placed { at: at.clone(), value: value.clone() }));
    }
    secrets
}

fn unknown(base: &str, file: &file::Route, submit_timeout: Duration, pass: &mut Pass<'_>) -> UnknownPolicy {
    let written = file.unknown.as_ref().map(|u| u.value.clone()).unwrap_or_default();
    let bounds = SECOND..=30 * 24 * HOUR;
    let grace = pass.duration(format_args!("{base}.unknown.grace"), &written.grace, 900 * SECOND, bounds.clone());
    let give_up = pass.duration(format_args!("{base}.unknown.give_up"), &written.give_up, 24 * HOUR, bounds.clone());
    let tell_after = pass.duration(format_args!("{base}.unknown.tell_after"), &written.tell_after, 600 * SECOND, bounds);
    if let Some(unknown) = file.unknown.as_ref().filter(|_| submit_timeout + grace > give_up) {
        let remedy = "make `give_up` at least as long as `submit_timeout` and `grace` together";
        pass.faults.add(&unknown.at, format_args!("{base}.unknown"), "this gives up before its grace is over", remedy);
    }
    UnknownPolicy {
        grace,
        give_up,
        counts_as_spent: !matches!(written.counts_as, Some(file::CountsAs::Free)),
        tell_after,
        shared_account: written.shared_account.unwrap_or(false),
    }
}

fn lost(base: &str, file: &file::Route, pass: &mut Pass<'_>) -> WrittenOff {
    let written = file.lost.as_ref().map(|lost| lost.value.clone()).unwrap_or_default();
    let give_up = pass.duration(format_args!("{base}.lost.give_up"), &written.give_up, 24 * HOUR, 600 * SECOND..=30 * 24 * HOUR);
    WrittenOff { give_up, counts_as_spent: !matches!(written.counts_as, Some(file::CountsAs::Free)) }
}
