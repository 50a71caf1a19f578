//! What need not be compared: tenants that two texts of the policy file say the same of, letter by letter.
//!
//! Of a hundred thousand tenants few change at a time, and to parse them all twice takes longer than all the rest of a
//! reload. Goes by lines and knows no more of TOML than how a table begins: where a text might mean something else
//! by such a line, nothing is left out, or what is left of it does not parse, which who called notices.

use std::collections::HashMap;

/// How the table of a tenant begins.
const BEGIN: &str = "[tenants.";

/// Both texts without the tenants that are the same. `None` if that cannot be told from the lines.
pub(super) fn left_out(old: &str, new: &str) -> Option<(String, String)> {
    let is_plain = |text: &str| !text.contains("\"\"\"") && !text.contains("'''");
    if !is_plain(old) || !is_plain(new) {
        return None;
    }
    let (before, after) = (by_tenant(old), by_tenant(new));
    let is_same = |name: &str| !name.is_empty() && before.get(name) == after.get(name);
    // The table of all tenants stays, also where it has none left.
    let kept = |text| tables(text).filter(|(name, _)| !is_same(name)).map(|(_, table)| table).chain(["\n[tenants]\n"]).collect();
    Some((kept(old), kept(new)))
}

/// What is said of each tenant, table by table.
fn by_tenant(text: &str) -> HashMap<&str, Vec<&str>> {
    let mut said: HashMap<&str, Vec<&str>> = HashMap::new();
    for (name, table) in tables(text).filter(|(name, _)| !name.is_empty()) {
        said.entry(name).or_default().push(table);
    }
    said
}

/// The text in pieces, each from a line that begins a table to the next: with the name of the tenant that it is about,
/// or an empty one.
fn tables(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.match_indices("\n[").next().map_or(rest.len(), |(at, _)| at + 1);
        let (table, others) = rest.split_at(end);
        rest = others;
        Some((tenant(table), table))
    })
}

/// The tenant that a table is about, if its name is written without quotes or blanks.
fn tenant(table: &str) -> &str {
    let name = table.strip_prefix(BEGIN).unwrap_or_default();
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c)).unwrap_or(0);
    let (name, behind) = name.split_at(end);
    if behind.starts_with([']', '.']) { name } else { "" }
}
