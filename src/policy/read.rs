//! Reading: from text to the tables of `file`, with every fault of form on the way.
//!
//! serde stops at the first thing that it cannot read. So each route, rule and tenant is read by
//! itself, and an entry that cannot be read is told, taken out, and the rest of its table read
//! again. Knows nothing of what the values mean.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Error, ValueDeserializer};

use super::fault::Gathering;
use super::file::forms::Placed;
use super::file::{Gateway, Route, Rule, Tenant};
use super::shroud::sounds_secret;
use super::terms::did_you_mean;

/// The most faults told of one table; a table with more is not read further.
const FAULTS_PER_TABLE_MAX: usize = 20;

type Key<'i> = Spanned<DeString<'i>>;
type Entry<'i> = (Key<'i>, Spanned<DeValue<'i>>);

/// Reads the whole file. `None` if the text is not TOML: what the parser skipped would only look
/// like things forgotten.
pub(super) fn gateway(text: &str, faults: &mut Gathering<'_>) -> Option<Gateway> {
    // A file without a fault of form is read in one go; only another one is worth reading piece by piece.
    if let Ok(gateway) = toml::from_str(text) {
        return Some(gateway);
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().unwrap_or(0..0);
        let message = error.message().trim_end_matches(", expected literal string");
        faults.add(&at, "", format!("this is not TOML: {message}"), syntax_remedy(message));
    }
    if !faults.is_empty() {
        return None;
    }
    let at = root.span();
    let mut root = root.into_inner();
    let (routes, rules, tenants) = (root.remove("routes"), root.remove("rules"), root.remove("tenants"));
    let mut gateway: Gateway = table("", at, root, faults).unwrap_or_default();
    gateway.routes = named::<Route>("routes", routes, faults);
    gateway.rules = listed("rules", rules, faults);
    gateway.tenants = named::<Tenant>("tenants", tenants, faults);
    Some(gateway)
}

/// Reads a table of tables, each by itself. One that cannot be read is there all the same, empty,
/// so that nobody is told that its name is unknown.
fn named<T: DeserializeOwned + Default>(
    path: &str,
    value: Option<Spanned<DeValue<'_>>>,
    faults: &mut Gathering<'_>,
) -> BTreeMap<Placed<String>, T> {
    let Some(value) = value else { return BTreeMap::new() };
    let at = value.span();
    let DeValue::Table(tables) = value.into_inner() else {
        let remedy = format!("write one table for each: [{path}.NAME]");
        faults.cover(at.clone());
        faults.add(&at, path, format!("`{path}` is a table of tables"), remedy);
        return BTreeMap::new();
    };
    let mut read = BTreeMap::new();
    for (key, value) in tables {
        let name = Placed { at: key.span(), value: key.into_inner().into_owned() };
        let path = format!("{path}.{}", name.value);
        let at = value.span();
        let one = match value.into_inner() {
            DeValue::Table(entries) => table(&path, name.at.clone(), entries, faults),
            _ => {
                faults.cover(at);
                faults.add(&name.at, &path, "this is not a table", format!("begin a line with [{path}] and put its keys below"));
                None
            }
        };
        if one.is_none() {
            faults.excuse(format!("{path}.provider"));
        }
        read.insert(name, one.unwrap_or_default());
    }
    read
}

/// Reads an array of tables, each by itself.
fn listed(path: &str, value: Option<Spanned<DeValue<'_>>>, faults: &mut Gathering<'_>) -> Vec<Placed<Rule>> {
    let Some(value) = value else { return Vec::new() };
    let at = value.span();
    if !value.get_ref().is_array() {
        cover_leaves(&value, faults);
    }
    let DeValue::Array(entries) = value.into_inner() else {
        faults.add(&at, path, format!("`{path}` is a list of tables"), format!("begin each with a line [[{path}]], in double brackets"));
        return Vec::new();
    };
    let mut read = Vec::new();
    for (i, entry) in entries.into_iter().enumerate() {
        let at = entry.span();
        let path = format!("{path}[{i}]");
        match entry.into_inner() {
            DeValue::Table(entries) => {
                let value = table(&path, at.clone(), entries, faults).unwrap_or_default();
                read.push(Placed { at, value });
            }
            _ => faults.add(&at, &path, "this is not a table", "begin each rule with a line [[rules]]"),
        }
    }
    read
}

/// Reads one table, telling and taking out what cannot be read. `at` is where the table is named.
fn table<T: DeserializeOwned>(path: &str, at: Range<usize>, mut entries: DeTable<'_>, faults: &mut Gathering<'_>) -> Option<T> {
    for _ in 0..FAULTS_PER_TABLE_MAX {
        let value = Spanned::new(at.clone(), DeValue::Table(entries.clone()));
        let error = match T::deserialize(ValueDeserializer::from(value)) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let place = error.span().unwrap_or_else(|| at.clone());
        let mut inner = path.to_owned();
        let Some((key, value)) = take_out(&mut entries, &place, &mut inner) else {
            faults.add(&place, path, error.message(), "correct or remove it");
            return None;
        };
        tell(&inner, &key, &value, &error, faults);
    }
    faults.add(&at, path, "there are more faults in this table", "mend those above, then check again");
    None
}

/// Takes the innermost entry out that the place is in, and appends its name to the path.
fn take_out<'i>(entries: &mut DeTable<'i>, place: &Range<usize>, path: &mut String) -> Option<Entry<'i>> {
    let holds = |span: Range<usize>| span.start <= place.start && place.end <= span.end;
    let outer = path.clone();
    let name = |path: &mut String, key: &str| *path = if outer.is_empty() { key.to_owned() } else { format!("{outer}.{key}") };
    let mut hit = None;
    for (key, value) in entries.iter_mut() {
        if key.span() == *place {
            hit = Some(key.get_ref().to_string());
            break;
        }
        name(path, key.get_ref());
        if let DeValue::Table(inner) = value.get_mut()
            && let Some(taken) = take_out(inner, place, path)
        {
            return Some(taken);
        }
        if holds(value.span()) {
            hit = Some(key.get_ref().to_string());
            break;
        }
    }
    match hit {
        Some(key) => {
            name(path, &key);
            entries.remove_entry(key.as_str())
        }
        None => {
            *path = outer;
            None
        }
    }
}

/// Tells why an entry cannot be read, in our words: serde's would repeat the value.
fn tell(path: &str, key: &Key<'_>, value: &Spanned<DeValue<'_>>, error: &Error, faults: &mut Gathering<'_>) {
    let message = error.message();
    let place = error.span().unwrap_or_else(|| key.span());
    let (problem, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let quoted = problem.split('`').nth(1).unwrap_or_default();
    if problem.starts_with("unknown field") {
        cover_leaves(value, faults);
        let remedy = match pointed_model(path, quoted, value) {
            Some((route, model)) => {
                faults.excuse(format!("{route}.models.{model}.seconds"));
                faults.excuse(format!("{route}.models.{model}.price"));
                format!("a name with a point in it is written in quotes: [{route}.models.\"{model}.{quoted}\"]")
            }
            None => choices("the keys here are", quoted, &known),
        };
        faults.add(&key.span(), path, format!("unknown key `{quoted}`"), remedy);
    } else if problem.starts_with("unknown variant") {
        faults.add(&place, path, format!("`{quoted}` is not a choice here"), choices("write one of", quoted, &known));
    } else if problem.starts_with("invalid type") || problem.starts_with("invalid value") {
        let (wanted, remedy) = wanted(expected);
        if sounds_secret(key.get_ref()) || wanted == "a table" {
            cover_leaves(value, faults);
        }
        match problem.starts_with("invalid value: integer") {
            true => faults.add(&place, path, "this number is out of range", "write a whole number that is not negative, such as 8"),
            false => faults.add(&place, path, format!("expected {wanted}, found {}", kind(problem)), remedy),
        }
    } else {
        faults.add(&place, path, message, "correct or remove it");
    }
}

/// What serde calls a type, as a person would, and how it is written.
fn wanted(expected: &str) -> (&'static str, &'static str) {
    match expected {
        "a string" | "string" => ("text", "write it in quotes"),
        "a string or a table" => ("a price", "write a decimal in quotes: \"0.10\", or a table by size class: { \"720p\" = \"0.10\" }"),
        "a list or a table" => ("routes", "write a list, routes = [\"a\", \"b\"], or weights, routes = { a = 80, b = 20 }"),
        "a value or a list" => ("a value or a list", "write one value, or several in brackets"),
        "u8" | "u32" | "i64" => ("a whole number", "write digits only, without quotes, sign or point"),
        "f64" => ("a number", "write a number without quotes, such as 0.10"),
        "a boolean" => ("true or false", "write true or false, without quotes"),
        "a sequence" => ("a list", "put it in brackets: [ … ]"),
        "a TOML datetime" => ("a date", "write the date without quotes: 2026-09-24"),
        _ => ("a table", "write { key = value, … }"),
    }
}

/// The kind of value that serde complains about, without the value.
fn kind(problem: &str) -> &'static str {
    let found = problem.split_once(": ").map_or("", |(_, found)| found);
    match found.split([' ', '`']).next().unwrap_or_default() {
        "string" => "text",
        "integer" => "a whole number",
        "floating" => "a number with a point",
        "boolean" => "true or false",
        "sequence" => "a list",
        "map" => "a table",
        _ => "something else",
    }
}

/// Covers what might be a secret in a value that we do not understand.
fn cover_leaves(value: &Spanned<DeValue<'_>>, faults: &mut Gathering<'_>) {
    match value.get_ref() {
        DeValue::Table(entries) => entries.values().for_each(|value| cover_leaves(value, faults)),
        _ => faults.cover(value.span()),
    }
}

/// The route and the beginning of the model's name, if an unknown key is a table that an unquoted
/// point in a model's name has made.
fn pointed_model<'p>(path: &'p str, key: &str, value: &Spanned<DeValue<'_>>) -> Option<(&'p str, &'p str)> {
    let (route, model) = path.strip_suffix(key)?.strip_suffix('.')?.split_once(".models.")?;
    matches!(value.get_ref(), DeValue::Table(_)).then_some((route, model))
}

/// The closest of what is known, or all of it.
fn choices(lead: impl Display, wrong: &str, known: &[&str]) -> String {
    match did_you_mean(wrong, known.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("{lead} {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    }
}

fn syntax_remedy(message: &str) -> &'static str {
    if message.contains("unquoted key") {
        "write `key = value`, and a remark behind `#`; a key with other characters than these stands in double quotes"
    } else if message.contains("duplicate key") {
        "a key or table may stand in one place only: remove or merge one of the two"
    } else if message.contains("quot") || message.contains("string") {
        "text stands between two double quotes, on one line"
    } else {
        "write `key = value` lines below a [table] line; text stands in double quotes"
    }
}
