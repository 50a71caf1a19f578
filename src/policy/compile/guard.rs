//! `[guard]`: what is refused ahead of any provider, and who is asked about the rest.
//!
//! Patterns are compiled together, into one automaton that reads a prompt once, so that it is their size
//! together that is bounded, and with it the time that the longest prompt can take.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use regex::{RegexBuilder, RegexSet, RegexSetBuilder};

use super::Pass;
use crate::id::TenantName;
use crate::policy::file::forms::Placed;
use crate::policy::terms::{self, Wrong};
use crate::policy::{Guard, Moderation, OnError, Tenant, file};
use crate::provider::{Credential, Endpoint};
use crate::video::PROMPT_CHARS_MAX;

/// The most patterns in `guard.deny`.
const DENY_MAX: usize = 1_000;
/// The longest pattern, bytes.
const PATTERN_BYTES_MAX: usize = 4 << 10;
/// The most memory that one compiled pattern may take, bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// The most that all of them may take together, bytes.
const SET_BYTES_MAX: usize = 8 << 20;

/// The longest name of a moderation model, bytes.
const MODEL_BYTES_MAX: usize = 128;
const MODEL_DEFAULT: &str = "omni-moderation-latest";

pub(super) fn compile(file: &file::Gateway, tenants: &BTreeMap<TenantName, Arc<Tenant>>, pass: &mut Pass<'_>) -> Guard {
    let (file, rules) = (&file.guard, &file.rules);
    let most = u32::try_from(PROMPT_CHARS_MAX).unwrap_or(u32::MAX);
    let prompt_chars_max = pass.number(format_args!("guard.prompt_max_chars"), &file.prompt_max_chars, 1..=most).unwrap_or(most);
    let moderation = file.moderation.as_ref().and_then(|moderation| self::moderation(moderation, pass));
    if let Some(moderation) = &moderation {
        warn_of_residencies(moderation, tenants, rules, pass);
    }
    Guard {
        prompt_chars_max: usize::try_from(prompt_chars_max).unwrap_or(PROMPT_CHARS_MAX),
        deny: deny(&file.deny, pass).unwrap_or_default(),
        moderation,
    }
}

fn deny(written: &[Placed<String>], pass: &mut Pass<'_>) -> Option<RegexSet> {
    if let Some(first) = written.get(DENY_MAX) {
        pass.faults.add(&first.at, "guard.deny", format!("there are more than {DENY_MAX} patterns"), "join some with `|`");
    }
    let written = written.get(..DENY_MAX).unwrap_or(written);
    let fits = |pattern: &Placed<String>| pattern.value.len() <= PATTERN_BYTES_MAX;
    let set = if written.iter().all(fits) {
        let patterns = written.iter().map(|pattern| &pattern.value);
        RegexSetBuilder::new(patterns).size_limit(SET_BYTES_MAX).build().ok()
    } else {
        None
    };
    if let Some(set) = set {
        for (i, pattern) in set.matches("").iter().filter_map(|i| Some((i, written.get(i)?))) {
            let path = format_args!("guard.deny[{i}]");
            pass.faults.add(&pattern.at, path, "this pattern matches every prompt", "write what a prompt must not contain");
        }
        return Some(set);
    }
    // Only now is it worth finding out which of them is to blame.
    let mut any_is_wrong = false;
    for (i, pattern) in written.iter().enumerate() {
        any_is_wrong |= pass.keep(&pattern.at, format_args!("guard.deny[{i}]"), alone(&pattern.value)).is_none();
    }
    if let (false, Some(first), Some(last)) = (any_is_wrong, written.first(), written.last()) {
        let message = format!("these {} patterns are too large together: they compile to more than {SET_BYTES_MAX} bytes", written.len());
        let remedy = "remove some, or make the widest smaller: those with `\\w`, `.` or a class repeated up to a large number";
        pass.faults.add(&(first.at.start..last.at.end), "guard.deny", message, remedy);
    }
    None
}

/// What is wrong with one pattern, if anything is.
fn alone(pattern: &str) -> Result<(), Wrong> {
    if pattern.len() > PATTERN_BYTES_MAX {
        let message = format!("this pattern is longer than {PATTERN_BYTES_MAX} bytes");
        return Err(Wrong::new(message, "make several of it"));
    }
    let compiled = RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).build().map_err(|error| {
        if matches!(error, regex::Error::CompiledTooBig(_)) {
            let message = format!("this pattern is too large: it compiles to more than {COMPILED_BYTES_MAX} bytes");
            return Wrong::new(message, "repeat less of it, or fewer times");
        }
        let last = error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Wrong::new(
            format!("this pattern does not compile: {last}"),
            "write a regular expression without look-around or back-references; in TOML a backslash is doubled",
        )
    })?;
    let wrong = || Wrong::new("this pattern matches every prompt", "write what a prompt must not contain");
    (!compiled.is_match("")).then_some(()).ok_or_else(wrong)
}

fn moderation(written: &Placed<file::Moderation>, pass: &mut Pass<'_>) -> Option<Moderation> {
    let file = &written.value;
    let base_url = pass.url(format_args!("guard.moderation.base_url"), &file.base_url);
    if file.base_url.is_none() {
        let remedy = "add base_url = \"https://api.openai.com/v1\", or where else prompts may be shown";
        pass.faults.add_missing(&written.at, "guard.moderation.base_url", "this moderation does not say where it is", remedy);
    }
    let credential = match &file.api_key {
        Some(key) => pass.secret(format_args!("guard.moderation.api_key"), key).map(Credential::Key),
        None => Some(Credential::None),
    };
    let on_error = match file.on_error {
        Some(file::OnError::Refuse) => Some(OnError::Refuse),
        Some(file::OnError::Allow) => Some(OnError::Allow),
        None => {
            let message = "this moderation does not say what becomes of a wish when it does not answer";
            let remedy = "add on_error = \"refuse\" (nothing passes unseen) or \"allow\" (clips are made all the same)";
            pass.faults.add_missing(&written.at, "guard.moderation.on_error", message, remedy);
            None
        }
    };
    let bounds = Duration::from_millis(100)..=Duration::from_secs(20);
    let timeout = pass.duration(format_args!("guard.moderation.timeout"), &file.timeout, Duration::from_secs(3), bounds);
    let model = match &file.model {
        Some(model) => {
            let is_one = (1..=MODEL_BYTES_MAX).contains(&model.value.len()) && model.value.bytes().all(|b| b.is_ascii_graphic());
            let wrong = || Wrong::new("this is not the name of a model", format!("write it like {MODEL_DEFAULT:?}, or leave the key out"));
            pass.keep(&model.at, format_args!("guard.moderation.model"), is_one.then(|| model.value.clone()).ok_or_else(wrong))
        }
        None => Some(MODEL_DEFAULT.to_owned()),
    };
    let region = pass.word(format_args!("guard.moderation.region"), &file.region);
    if let Some(url) = base_url.as_deref().filter(|url| terms::is_cleartext(url)) {
        pass.warnings.push(format!("`guard.moderation.base_url` is {url}: prompts travel unencrypted"));
    }
    let endpoint = Endpoint { base_url: base_url?, credential: credential? };
    Some(Moderation { endpoint, model: model?, on_error: on_error?, timeout, region, pictures: file.pictures.unwrap_or(true) })
}

/// A prompt does not leave the region that its tenant is bound to, also not to be judged.
fn warn_of_residencies(
    moderation: &Moderation,
    tenants: &BTreeMap<TenantName, Arc<Tenant>>,
    rules: &[Placed<file::Rule>],
    pass: &mut Pass<'_>,
) {
    let is_elsewhere = |residency: Option<&str>| residency.is_some() && residency != moderation.region.as_deref();
    let bound = tenants.values().filter(|tenant| is_elsewhere(tenant.residency.as_deref())).map(|tenant| tenant.name.as_str().to_owned());
    let binding =
        rules.iter().enumerate().filter(|(_, rule)| is_elsewhere(rule.value.residency.as_ref().map(|region| region.value.as_str())));
    let elsewhere: Vec<String> = bound.chain(binding.map(|(i, _)| format!("rules[{i}]"))).collect();
    let names = terms::list(elsewhere.iter().map(String::as_str));
    if names.is_empty() {
        return;
    }
    let place = moderation.region.as_ref().map_or("has no `region`".to_owned(), |region| format!("is in the region `{region}`"));
    let consequence = match moderation.on_error {
        OnError::Refuse => "what they wish for is refused",
        OnError::Allow => "their wishes pass without moderation",
    };
    pass.warnings.push(format!("`guard.moderation` {place}, and these are bound to another: {names}; {consequence}"));
}
