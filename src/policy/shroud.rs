//! Shrouds: what may be a secret is covered with stars before a line of the file is shown to anybody.
//!
//! Works on the text alone, so that it also holds for a file that does not parse, and rather covers
//! too much: after a key that sounds like a secret, everything up to the end of its value. What only
//! *names* a secret (`"env:NAME"`, `"file:PATH"`) stays readable. Byte offsets do not change.

use std::ops::Range;

/// A key that contains one of these holds a secret, whatever else it is called.
const SECRET_WORDS: [&str; 8] = ["key", "secret", "token", "pass", "auth", "cred", "bearer", "pwd"];

/// Values that begin so are secrets, wherever they stand.
const SECRET_PREFIXES: [&str; 4] = ["sk-", "whsec_", "fg_", "Bearer "];

/// `text` with every secret, and the `also` ranges, covered. As long in bytes as `text`.
pub fn shroud(text: &str, also: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let ranges = assignments(text).into_iter().chain(logins(text)).chain(tokens(text)).chain(also.iter().cloned());
    for range in ranges {
        let covered = text.get(range.clone()).is_some();
        for byte in bytes.get_mut(range).into_iter().flatten().filter(|b| covered && !b.is_ascii_whitespace()) {
            *byte = b'*';
        }
    }
    // Whole characters were covered, so this stays text; if it did not, nothing would be shown.
    String::from_utf8(bytes).unwrap_or_else(|_| "*".repeat(text.len()))
}

/// Whether a key of that name holds a secret.
pub fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Whether `value` only says where a secret is.
pub fn is_reference(value: &str) -> bool {
    let name = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    value.strip_prefix("env:").is_some_and(name) || value.strip_prefix("file:").is_some_and(|path| !path.is_empty())
}

/// How a value goes on in the next line.
#[derive(Clone, Copy)]
enum Open {
    /// A multi-line string: until its delimiter.
    Text(&'static str),
    /// A list: until its bracket, or until something that begins like a key or a table.
    List,
}

/// The values of keys that sound like secrets.
fn assignments(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let mut from = 0;
        if let Some(how) = open {
            let end = match how {
                Open::Text(delimiter) => line.find(delimiter),
                Open::List if begins_anew(line) => Some(0),
                Open::List => line.find(']'),
            };
            found.push(start..start + end.unwrap_or(line.len()));
            from = end.unwrap_or(line.len());
            open = if end.is_some() { None } else { open };
        }
        if let Some(value) = secret_value(line, from) {
            found.push(start + value..start + line.len());
            open = opens(line.get(value..).unwrap_or_default());
        }
        start += line.len();
    }
    found
}

/// Where in the line the value of the first secret begins, if there is one that is not a reference.
fn secret_value(line: &str, from: usize) -> Option<usize> {
    let equals = line.match_indices('=').map(|(at, _)| at).filter(|at| *at >= from);
    for at in equals {
        let before = line.get(..at)?.trim_end();
        let key = before.rsplit(|c: char| c.is_whitespace() || matches!(c, '{' | ',' | '?' | '&' | '#')).next().unwrap_or(before);
        let value = line.get(at + 1..)?;
        let quoted = value.trim_start().strip_prefix('"').and_then(|v| v.split_once('"')).map(|(v, _)| v);
        if sounds_secret(key) && !quoted.is_some_and(is_reference) {
            return Some(at + 1);
        }
    }
    None
}

/// How a value is left open at the end of its line, if it is.
fn opens(value: &str) -> Option<Open> {
    let value = value.trim_start();
    for delimiter in ["\"\"\"", "'''"] {
        if let Some(rest) = value.strip_prefix(delimiter) {
            return (!rest.contains(delimiter)).then_some(Open::Text(delimiter));
        }
    }
    (value.starts_with('[') && !value.contains(']')).then_some(Open::List)
}

/// Whether a line begins like a table or a key, as no element of a list of strings does.
fn begins_anew(line: &str) -> bool {
    let line = line.trim_start();
    let key = line.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_-.".contains(c));
    line.starts_with('[') || (key.len() < line.len() && key.trim_start().starts_with('='))
}

/// Passwords in URLs: what stands between `://user:` and `@`.
fn logins(text: &str) -> Vec<Range<usize>> {
    let login = |(at, _): (usize, &str)| {
        let start = at + "://".len();
        let rest = text.get(start..)?;
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(rest.len());
        let (user, _) = rest.get(..end)?.rsplit_once('@')?;
        let colon = user.find(':')?;
        Some(start + colon + 1..start + user.len())
    };
    text.match_indices("://").filter_map(login).collect()
}

/// Texts that look like the keys that vendors hand out.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for prefix in SECRET_PREFIXES {
        for (at, _) in text.match_indices(prefix) {
            let inside_word = text.get(..at).and_then(|t| t.chars().next_back()).is_some_and(|c| c.is_alphanumeric() || "_-".contains(c));
            let rest = text.get(at + prefix.len()..).unwrap_or_default();
            let len = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ']' | '}')).unwrap_or(rest.len());
            if !inside_word && len > 0 {
                found.push(at + prefix.len()..at + prefix.len() + len);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
