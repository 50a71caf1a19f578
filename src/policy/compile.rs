//! Compiling: from what the operator wrote to what we run, or to everything that is wrong with it.
//!
//! A pure function of the text and of what its secrets resolve to; the files beside this one each
//! compile one table. A value that is wrong is told and replaced by its default, so that the rest
//! of the file is still looked at; with a single fault there is no policy. Nothing past this module
//! checks a name, a price or a duration again.

mod archive;
mod breaker;
mod budgets;
mod guard;
mod offers;
mod queues;
mod routes;
mod reach;
mod remarks;
mod residencies;
mod serves;
mod rules;
mod settings;
mod tenants;
mod tls;
mod webhooks;
mod when;

use std::collections::BTreeMap;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::Policy;
use super::fault::{Faults, Gathering};
use super::file::forms::{Placed, Whole};
use super::read;
use super::terms::{self, Wrong};
use crate::secret::Secret;

/// Where the value of a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// `env:NAME`: an environment variable.
    Env(String),
    /// `file:PATH`: a file, relative to the folder of `gateway.toml`.
    File(PathBuf),
    /// The file itself.
    Literal(Secret),
}

/// Turns what a key of the file says of where its secret comes from into the secret, or says why it cannot be had.
pub type Secrets<'a> = &'a dyn Fn(fmt::Arguments<'_>, &SecretSource) -> Result<Secret, String>;

/// Compiles the text of a `gateway.toml`.
pub fn compile(text: &str, secrets: Secrets<'_>) -> Result<Policy, Faults> {
    let revision = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut pass = Pass::new(text, secrets);
    let Some(file) = read::gateway(text, &mut pass.faults) else { return Err(pass.faults.tell()) };
    pass.routes_unread = pass.faults.any_under("routes");

    let server = settings::server(&file.server, &mut pass);
    let store = settings::store(&file.store, &mut pass);
    let emergency_journal = settings::emergency_journal(&file.store, &store, &mut pass);
    let archive = archive::archive(&file.archive, &mut pass);
    let budget = file.budget.as_ref().and_then(|b| budgets::compile(&"budget", b, &mut pass));
    let routes = routes::compile(&file.routes, &mut pass);
    let extras = routes.values().flat_map(|route| route.models.values()).flat_map(|offer| offer.extras.iter().cloned()).collect();
    let defaults = settings::defaults(&file.defaults, &mut pass);
    let rules = rules::compile(&file, &routes, &mut pass);
    let (tenants, keys) = tenants::compile(&file.tenants, &routes, &rules, &server, &mut pass);
    let guard = guard::compile(&file, &tenants, &mut pass);
    let alerts = settings::alerts(&file.alerts, &mut pass);
    let telemetry = settings::telemetry(&file.telemetry, &mut pass);

    if !pass.faults.is_empty() {
        return Err(pass.faults.tell());
    }
    pass.warn_of_literals();
    let warnings = pass.warnings;
    Ok(Policy {
        revision,
        server,
        store,
        emergency_journal,
        archive,
        defaults,
        budget,
        routes,
        extras,
        retired: BTreeMap::new(),
        rules,
        tenants,
        keys,
        guard,
        alerts,
        telemetry,
        warnings,
    })
}

/// One pass over a file: what was found, and what later tables need of earlier ones.
struct Pass<'a> {
    faults: Gathering<'a>,
    warnings: Vec<String>,
    secrets: Secrets<'a>,
    /// Keys whose secret stands in the file itself.
    literals: Vec<String>,
    /// Public model names that some route offers.
    offered: BTreeSet<String>,
    /// Whether something about routes could not be read, so that `offered` may lack names.
    routes_unread: bool,
    zones: HashMap<String, Option<TimeZone>>,
}

impl<'a> Pass<'a> {
    fn new(text: &'a str, secrets: Secrets<'a>) -> Self {
        Self {
            faults: Gathering::new(text),
            warnings: Vec::new(),
            secrets,
            literals: Vec::new(),
            offered: BTreeSet::new(),
            routes_unread: false,
            zones: HashMap::new(),
        }
    }

    /// Keeps what was read, or tells what is wrong with it.
    fn keep<T>(&mut self, at: &Range<usize>, path: fmt::Arguments<'_>, read: Result<T, Wrong>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(Wrong { message, remedy }) => {
                self.faults.add(at, path, message, remedy);
                None
            }
        }
    }

    /// A duration within bounds, or its default.
    fn duration(
        &mut self,
        path: fmt::Arguments<'_>,
        text: &Option<Placed<String>>,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(text) = text else { return default };
        let within = |duration: Duration| {
            let (least, most) = (terms::show_duration(*bounds.start()), terms::show_duration(*bounds.end()));
            let wrong = || {
                Wrong::new(
                    format!("{} is out of range", terms::shorten(&text.value)),
                    format!("write a duration from {least:?} to {most:?}"),
                )
            };
            bounds.contains(&duration).then_some(duration).ok_or_else(wrong)
        };
        self.keep(&text.at, path, terms::duration(&text.value).and_then(within)).unwrap_or(default)
    }

    /// A whole number within bounds.
    fn number(&mut self, path: fmt::Arguments<'_>, number: &Option<Placed<Whole>>, bounds: RangeInclusive<u32>) -> Option<u32> {
        let number = number.as_ref()?;
        let (least, most) = (bounds.start(), bounds.end());
        let remedy = match *most {
            u32::MAX => format!("write a whole number of at least {least}, or leave the key out"),
            most => format!("write a whole number from {least} to {most}, or leave the key out"),
        };
        let Whole(written) = number.value;
        let wrong = || Wrong::new(format!("{written} is out of range"), remedy);
        let within = u32::try_from(written).ok().filter(|number| bounds.contains(number));
        self.keep(&number.at, path, within.ok_or_else(wrong))
    }

    /// A free word that is compared as it stands: a region, a residency.
    fn word(&mut self, path: fmt::Arguments<'_>, word: &Option<Placed<String>>) -> Option<String> {
        let word = word.as_ref()?;
        let ok = (1..=64).contains(&word.value.len())
            && word.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
        let wrong = || {
            Wrong::new(format!("{} is not a region", terms::shorten(&word.value)), "use 1 to 64 of a-z, 0-9, `-` and `_`, such as \"eu\"")
        };
        self.keep(&word.at, path, ok.then(|| word.value.clone()).ok_or_else(wrong))
    }

    /// An address with its trailing slashes gone.
    fn url(&mut self, path: fmt::Arguments<'_>, url: &Option<Placed<String>>) -> Option<String> {
        let url = url.as_ref()?;
        self.keep(&url.at, path, terms::base_url(&url.value))
    }

    /// The value of a secret; its text is never part of a message.
    fn secret(&mut self, path: fmt::Arguments<'_>, written: &Placed<String>) -> Option<Secret> {
        let source = self.keep(&written.at, path, source(&written.value))?;
        if matches!(source, SecretSource::Literal(_)) {
            self.literals.push(path.to_string());
        }
        let remedy = match &source {
            SecretSource::Env(name) => format!("set {name} in the gateway's environment, or write \"file:PATH\""),
            SecretSource::File(_) => {
                "put the secret into that file (a relative path starts at the folder of this file), or write \"env:NAME\"".to_owned()
            }
            SecretSource::Literal(_) => "write \"env:NAME\" or \"file:PATH\"".to_owned(),
        };
        let usable = (self.secrets)(path, &source).and_then(|secret| match secret.reveal() {
            "" => Err("the secret is empty".to_owned()),
            value if value.chars().any(char::is_control) => {
                Err("the secret has a line break or another control character in it".to_owned())
            }
            _ => Ok(secret),
        });
        self.keep(&written.at, path, usable.map_err(|message| Wrong { message, remedy }))
    }

    /// A public model name that some route offers.
    fn model(&mut self, path: fmt::Arguments<'_>, at: &Range<usize>, name: &str) {
        if self.routes_unread || self.offered.contains(name) {
            return;
        }
        let remedy = terms::name_remedy(name, "models", self.offered.iter().map(String::as_str));
        self.faults.add(at, path, format!("no route offers the model {}", terms::shorten(name)), remedy);
    }

    /// Says that a key has no effect yet.
    fn warn_not_in_force(&mut self, path: impl fmt::Display) {
        self.warnings.push(format!("`{path}` is read but not in force in this version"));
    }

    fn warn_of_literals(&mut self) {
        if self.literals.is_empty() {
            return;
        }
        let paths = terms::list(self.literals.iter().map(String::as_str));
        self.warnings.push(format!("secrets stand in the file itself, at {paths}: prefer \"env:NAME\" or \"file:PATH\""));
    }
}

/// Where a secret comes from, as written.
fn source(written: &str) -> Result<SecretSource, Wrong> {
    if let Some(name) = written.strip_prefix("env:") {
        let ok = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let wrong = || Wrong::new("this does not name an environment variable", "write \"env:NAME\", the name in letters, digits and `_`");
        return ok.then(|| SecretSource::Env(name.to_owned())).ok_or_else(wrong);
    }
    match written.strip_prefix("file:") {
        Some("") => Err(Wrong::new("this does not name a file", "write \"file:PATH\"")),
        Some(path) => Ok(SecretSource::File(PathBuf::from(path))),
        None => Ok(SecretSource::Literal(Secret::new(written))),
    }
}

#[cfg(test)]
mod tests;
