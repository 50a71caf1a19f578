//! The single tables: `[server]`, `[store]`, `[defaults]`, `[alerts]`, `[telemetry]`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::webhooks::webhook;
use super::{Pass, tls};
use crate::id::ModelName;
use crate::policy::file::forms::{Placed, Written};
use crate::policy::terms::{self, Wrong};
use crate::policy::{Alerts, Defaults, Server, StoreUrl, Telemetry, file};
use crate::secret::Secret;

const SECOND: Duration = Duration::from_secs(1);

/// The largest request body when the file does not say: room for a reference picture and a short clip.
const BODY_BYTES_DEFAULT: u64 = 16 << 20;

pub(super) fn server(file: &file::Server, pass: &mut Pass<'_>) -> Server {
    let listen = address(format_args!("server.listen"), &file.listen, SocketAddr::from(([127, 0, 0, 1], 8080)), pass);
    let admin = address(format_args!("server.admin"), &file.admin, SocketAddr::from(([127, 0, 0, 1], 9090)), pass);
    if listen == admin && listen.port() != 0 {
        let at = file.admin.as_ref().or(file.listen.as_ref()).map_or(0..0, |a| a.at.clone());
        pass.faults.add(
            &at,
            "server.admin",
            "clients and operators cannot share one address",
            "give `admin` another port, such as \"127.0.0.1:9090\"",
        );
    }
    if !admin.ip().is_loopback() {
        pass.warnings.push(format!("`server.admin` is {admin}: anybody who reaches it sees every tenant's spend"));
    }
    for (i, host) in file.admin_hosts.iter().enumerate() {
        pass.keep(&host.at, format_args!("server.admin_hosts[{i}]"), terms::host(&host.value));
    }
    let body_bytes = file.body_limit.as_ref().and_then(|written| {
        let within = |bytes: u64| {
            let wrong = || Wrong::new("a request body may not be limited to that", "write a size from \"64KiB\" to \"1GiB\"");
            (65_536..=1 << 30).contains(&bytes).then_some(bytes).ok_or_else(wrong)
        };
        pass.keep(&written.at, format_args!("server.body_limit"), terms::bytes(&written.value).and_then(within))
    });
    Server {
        listen,
        admin,
        tls: tls::compile("server.tls", &file.tls, pass),
        admin_tls: tls::compile("server.admin_tls", &file.admin_tls, pass),
        admin_hosts: file.admin_hosts.iter().map(|host| host.value.clone()).collect(),
        public_url: pass.url(format_args!("server.public_url"), &file.public_url),
        body_bytes_max: usize::try_from(body_bytes.unwrap_or(BODY_BYTES_DEFAULT)).unwrap_or(usize::MAX),
        drain: pass.duration(
            format_args!("server.drain"),
            &file.drain,
            Duration::from_secs(120),
            Duration::ZERO..=Duration::from_secs(3_600),
        ),
        halt: halt(file, pass),
    }
}

/// Whether the file has pulled the kill switch; that is worth a warning for as long as it is so.
fn halt(file: &file::Server, pass: &mut Pass<'_>) -> bool {
    let halt = file.halt.unwrap_or(false);
    if halt {
        pass.warnings.push("`server.halt` is true: nothing is bought, and every order is refused; remove it to go on".to_owned());
    }
    halt
}

fn address(path: fmt::Arguments<'_>, text: &Option<Placed<String>>, default: SocketAddr, pass: &mut Pass<'_>) -> SocketAddr {
    let Some(text) = text else { return default };
    let wrong = |_| {
        let message = format!("{} is not an address and a port", terms::shorten(&text.value));
        Wrong::new(
            message,
            format!("write numbers, such as {:?}, or \"0.0.0.0:{}\" for every interface", default.to_string(), default.port()),
        )
    };
    pass.keep(&text.at, path, text.value.parse().map_err(wrong)).unwrap_or(default)
}

pub(super) fn store(file: &file::Store, pass: &mut Pass<'_>) -> StoreUrl {
    let default = StoreUrl::Sqlite(PathBuf::from("filmgate.db"));
    let Some(written) = &file.url else { return default };
    let path = format_args!("store.url");
    let is_reference = written.value.starts_with("env:") || written.value.starts_with("file:");
    let url = if is_reference { pass.secret(path, written) } else { Some(Secret::new(written.value.as_str())) };
    let Some(url) = url else { return default };
    if let Some(file) = url.reveal().strip_prefix("sqlite:").filter(|file| !file.is_empty()) {
        return StoreUrl::Sqlite(PathBuf::from(file));
    }
    if !url.reveal().starts_with("postgres://") && !url.reveal().starts_with("postgresql://") {
        let remedy = "write \"sqlite:PATH\" or \"postgres://user@host/db\"";
        pass.faults.add(&written.at, path, "this is not a store", remedy);
        return default;
    }
    let login = url.reveal().split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).map_or("", |(login, _)| login);
    if !is_reference && (login.contains(':') || url.reveal().contains("password=")) {
        pass.literals.push(path.to_string());
    }
    StoreUrl::Postgres(url)
}

/// A file of this machine, also where the store is another one.
pub(super) fn emergency_journal(file: &file::Store, store: &StoreUrl, pass: &mut Pass<'_>) -> PathBuf {
    let default = match store {
        StoreUrl::Sqlite(path) => path.with_extension("emergency.jsonl"),
        StoreUrl::Postgres(_) => PathBuf::from("filmgate.emergency.jsonl"),
    };
    let Some(written) = &file.journal else { return default };
    let is_file = !written.value.is_empty() && !written.value.ends_with('/') && !written.value.contains("://");
    let wrong = || Wrong::new("this is not a file", "write the path of a file on this machine, such as \"filmgate.emergency.jsonl\"");
    let path = is_file.then(|| PathBuf::from(&written.value)).ok_or_else(wrong);
    pass.keep(&written.at, format_args!("store.journal"), path).unwrap_or(default)
}

/// Needs the routes compiled: the default model has to be one that they offer.
pub(super) fn defaults(file: &file::Defaults, pass: &mut Pass<'_>) -> Defaults {
    let model = match &file.model {
        Some(model) => {
            pass.model(format_args!("defaults.model"), &model.at, &model.value);
            model.value.as_str()
        }
        None => {
            if !pass.routes_unread && !pass.offered.is_empty() && !pass.offered.contains("sora-2") {
                let offered = terms::list(pass.offered.iter().map(String::as_str));
                let warning = format!(
                    "no route offers `sora-2`, so a request that names no model is refused: set `defaults.model` to one of {offered}"
                );
                pass.warnings.push(warning);
            }
            "sora-2"
        }
    };
    Defaults {
        model: ModelName::new(model),
        answer_after: pass.duration(format_args!("defaults.answer_after"), &file.answer_after, 5 * SECOND, Duration::ZERO..=55 * SECOND),
    }
}

pub(super) fn alerts(file: &file::Alerts, pass: &mut Pass<'_>) -> Alerts {
    let hook = file.webhook.as_ref().and_then(|hook| webhook(&"alerts.webhook", hook, pass));
    let retry_rate = file.retry_rate.as_ref().and_then(|rate| {
        let wrong = || Wrong::new("a share is a number from 0 to 1", "write 0.10 for one in ten");
        pass.keep(&rate.at, format_args!("alerts.retry_rate"), (0.0..=1.0).contains(&rate.value).then_some(rate.value).ok_or_else(wrong))
    });
    let days = pass.number(format_args!("alerts.sunset_days"), &file.sunset_days, 0..=3_650);
    // Between 0 and 1 by now, so the product fits.
    let retry_permille = (retry_rate.unwrap_or(0.1) * 1_000.0).round() as u32;
    Alerts { webhook: hook, retry_permille, sunset_days: days.unwrap_or(30) }
}

pub(super) fn telemetry(file: &file::Telemetry, pass: &mut Pass<'_>) -> Telemetry {
    if pass.url(format_args!("telemetry.otlp"), &file.otlp).is_some() {
        pass.warn_not_in_force("telemetry.otlp");
    }
    Telemetry { log_json: matches!(file.log, Some(file::Log::Json)) }
}

/// An amount of money that is more than nothing.
pub(super) fn positive(
    path: fmt::Arguments<'_>,
    noun: &str,
    written: &Option<Placed<Written>>,
    pass: &mut Pass<'_>,
) -> Option<crate::money::MicroUsd> {
    let written = written.as_ref()?;
    let more = |amount: crate::money::MicroUsd| {
        let wrong = || Wrong::new(format!("a {noun} of nothing allows nothing"), "write more than \"0\", or leave the key out");
        (amount.get() > 0).then_some(amount).ok_or_else(wrong)
    };
    pass.keep(&written.at, path, terms::amount(noun, &written.value).and_then(more))
}
