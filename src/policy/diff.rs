//! Differences: what one text of the policy file says otherwise than another, key by key.
//!
//! Compares what is written and not what it means, so it knows every key there is or will be; comments and
//! the order of tables say nothing. A value that may be a secret is covered. Takes time in proportion to the
//! files, and tells a bounded number of lines however much has changed.

mod unchanged;

use std::fmt::Write as _;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::shroud::{is_reference, shroud, sounds_secret};

/// The most lines that are told.
const LINES_MAX: usize = 20;
/// The longest value that is shown whole, characters.
const VALUE_CHARS_MAX: usize = 80;

type Value<'t> = Spanned<DeValue<'t>>;

/// What changed from `old` to `new`, a line each: `routes.openai.limits.in_flight: 5 → 8`; the last one says
/// how many more there are. Nothing if one of them cannot be read.
pub fn differences(old: &str, new: &str) -> Vec<String> {
    let shorter = unchanged::left_out(old, new);
    let told = shorter.and_then(|(old, new)| compared(&old, &new));
    told.or_else(|| compared(old, new)).unwrap_or_default()
}

/// `None` if one of them cannot be read.
fn compared(old: &str, new: &str) -> Option<Vec<String>> {
    let (before, after) = (parsed(old).ok()?, parsed(new).ok()?);
    let mut told = Told::default();
    tables("", before.get_ref(), after.get_ref(), &mut told);
    Some(told.end())
}

fn parsed(text: &str) -> Result<Spanned<DeTable<'_>>, toml::de::Error> {
    DeTable::parse(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The lines so far, and how many there were no room for.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    untold: usize,
}

impl Told {
    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(line());
        } else {
            self.untold += 1;
        }
    }

    fn end(mut self) -> Vec<String> {
        if self.untold > 0 {
            self.lines.push(format!("and {} more", self.untold));
        }
        self.lines
    }
}

fn tables(path: &str, old: &DeTable<'_>, new: &DeTable<'_>, told: &mut Told) {
    for (key, before) in old.iter().map(named) {
        match new.get(key) {
            Some(after) => values(path, key, before, after.get_ref(), told),
            None => told.tell(|| format!("{}: {} → removed", joined(path, key), shown(key, before))),
        }
    }
    for (key, after) in new.iter().map(named).filter(|(key, _)| old.get(*key).is_none()) {
        told.tell(|| format!("{}: added {}", joined(path, key), shown(key, after)));
    }
}

fn named<'a, 't>((key, value): (&'a Spanned<DeString<'t>>, &'a Value<'t>)) -> (&'a str, &'a DeValue<'t>) {
    (key.get_ref().as_ref(), value.get_ref())
}

fn values(path: &str, key: &str, old: &DeValue<'_>, new: &DeValue<'_>, told: &mut Told) {
    if same(old, new) {
        return;
    }
    let path = joined(path, key);
    match (old, new) {
        (DeValue::Table(old), DeValue::Table(new)) => tables(&path, old, new, told),
        (DeValue::Array(old), DeValue::Array(new)) if old.iter().chain(new.iter()).all(|entry| entry.get_ref().is_table()) => {
            entries(&path, old, new, told);
        }
        (DeValue::Array(old), DeValue::Array(new)) if sounds_secret(key) => {
            let lacks = |list: &[Value<'_>], entry: &Value<'_>| !list.iter().any(|other| same(other.get_ref(), entry.get_ref()));
            let (added, removed) = (new.iter().filter(|e| lacks(old, e)).count(), old.iter().filter(|e| lacks(new, e)).count());
            told.tell(|| format!("{path}: {added} added, {removed} removed"));
        }
        _ => told.tell(|| format!("{path}: {} → {}", shown(key, old), shown(key, new))),
    }
}

/// Lists of tables, such as rules: what both begin and end with is the same, and what is between them changed.
fn entries(path: &str, old: &[Value<'_>], new: &[Value<'_>], told: &mut Told) {
    let alike = |(a, b): (&Value<'_>, &Value<'_>)| same(a.get_ref(), b.get_ref());
    let begin = old.iter().zip(new).take_while(|pair| alike(*pair)).count();
    let most = old.len().min(new.len()) - begin;
    let end = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|pair| alike(*pair)).count();
    let (old, new) = (&old[begin..old.len() - end], &new[begin..new.len() - end]);
    for i in 0..old.len().max(new.len()) {
        let key = format!("[{}]", begin + i);
        match (old.get(i), new.get(i)) {
            (Some(old), Some(new)) => values(path, &key, old.get_ref(), new.get_ref(), told),
            (Some(old), None) => told.tell(|| format!("{path}{key}: {} → removed", shown(&key, old.get_ref()))),
            (None, Some(new)) => told.tell(|| format!("{path}{key}: added {}", shown(&key, new.get_ref()))),
            (None, None) => {}
        }
    }
}

fn same(old: &DeValue<'_>, new: &DeValue<'_>) -> bool {
    match (old, new) {
        (DeValue::Table(old), DeValue::Table(new)) => {
            let has = |(key, value): (&str, &DeValue<'_>)| new.get(key).is_some_and(|other| same(value, other.get_ref()));
            old.len() == new.len() && old.iter().map(named).all(has)
        }
        (DeValue::Array(old), DeValue::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new.iter()).all(|(old, new)| same(old.get_ref(), new.get_ref()))
        }
        (DeValue::String(old), DeValue::String(new)) => old == new,
        (DeValue::Boolean(old), DeValue::Boolean(new)) => old == new,
        (DeValue::Datetime(old), DeValue::Datetime(new)) => old == new,
        (DeValue::Integer(old), DeValue::Integer(new)) => (old.as_str(), old.radix()) == (new.as_str(), new.radix()),
        (DeValue::Float(old), DeValue::Float(new)) => old.as_str() == new.as_str(),
        _ => false,
    }
}

/// A name within a table, `[3]` within a list.
fn joined(path: &str, key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let key = shroud(key, &[]);
    match (path, key.starts_with('[')) {
        (_, true) => format!("{path}{key}"),
        ("", _) => key,
        _ if is_bare => format!("{path}.{key}"),
        _ => format!("{path}.{key:?}"),
    }
}

/// A value as the file writes it, or as much of it as is of use; on one line.
fn shown(key: &str, value: &DeValue<'_>) -> String {
    let mut text = String::new();
    write_value(sounds_secret(key), value, &mut text);
    if text.chars().count() > VALUE_CHARS_MAX { text.chars().take(VALUE_CHARS_MAX).chain(['…']).collect() } else { text }
}

/// Writes no more than is shown of it: a table with a thousand keys takes no more time than one with ten. Each text
/// is covered by itself, so that what stands behind a secret stays readable.
fn write_value(secret: bool, value: &DeValue<'_>, text: &mut String) {
    // Writing to a text cannot fail.
    let _ = match value {
        DeValue::String(value) if secret && !is_reference(value) => write!(text, "***"),
        // Also covers what looks like a secret under a name that does not.
        DeValue::String(plain) => write!(text, "{:?}", shroud(plain, &[])),
        DeValue::Integer(number) => write!(text, "{number}"),
        DeValue::Float(number) => write!(text, "{number}"),
        DeValue::Boolean(flag) => write!(text, "{flag}"),
        DeValue::Datetime(date) => write!(text, "{date}"),
        DeValue::Array(entries) => {
            text.push('[');
            for (i, entry) in entries.iter().enumerate().take_while(|(i, _)| *i <= VALUE_CHARS_MAX) {
                text.push_str(if i == 0 { "" } else { ", " });
                write_value(secret, entry.get_ref(), text);
            }
            text.push(']');
            Ok(())
        }
        DeValue::Table(entries) => {
            text.push_str("{ ");
            for (i, (name, entry)) in entries.iter().enumerate().take_while(|(i, _)| *i <= VALUE_CHARS_MAX) {
                text.push_str(if i == 0 { "" } else { ", " });
                let _ = write!(text, "{} = ", joined("", name.get_ref()));
                write_value(secret || sounds_secret(name.get_ref()), entry.get_ref(), text);
            }
            text.push_str(" }");
            Ok(())
        }
    };
}

#[cfg(test)]
mod tests;
