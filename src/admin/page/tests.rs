use std::collections::BTreeSet;

use super::{CONTENT_SECURITY_POLICY, CSRF_HEADER, page_files};
use crate::metrics::catalogue;

fn text(path: &str) -> &'static str {
    let file = page_files().iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no file is served at {path}"));
    std::str::from_utf8(file.bytes).unwrap()
}

/// Every name of a series that `text` mentions.
fn series_in(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).filter(|word| word.starts_with("filmgate_")).collect()
}

#[test]
fn rules_and_dashboard_use_only_series_that_exist() {
    let mut known = BTreeSet::new();
    for series in catalogue() {
        match series.kind {
            "histogram" => known.extend(["_bucket", "_sum", "_count"].map(|part| format!("{}{part}", series.name))),
            _ => known.extend([series.name.to_owned()]),
        }
    }
    for (path, at_least) in [("/alerts.yml", 15), ("/dashboard.json", 25)] {
        let used = series_in(text(path));
        assert!(used.len() >= at_least, "{path} names only {} series", used.len());
        for name in used {
            assert!(known.contains(name), "{path} names {name}, which does not exist");
        }
    }
}

#[test]
fn the_dashboard_is_json_and_no_two_panels_overlap() {
    let dashboard: serde_json::Value = serde_json::from_str(text("/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(x < 24 && taken.insert((x, y)), "{} has no place of its own", panel["title"]);
            }
        }
    }
    assert!(taken.len() > 1_000);
}

#[test]
fn nothing_on_the_page_is_inline_and_nothing_comes_from_elsewhere() {
    assert!(CONTENT_SECURITY_POLICY.starts_with("default-src 'none'") && !CONTENT_SECURITY_POLICY.contains("unsafe"));
    let attributes: Vec<&str> = text("/").split_whitespace().filter(|word| word.contains('=')).collect();
    assert!(attributes.len() > 20);
    for attribute in attributes {
        assert!(!attribute.starts_with("on") && !attribute.starts_with("style="), "{attribute} is inline");
    }
    assert!(!text("/").contains("<style") && !text("/").contains("<script>"));
    for file in ["/", "/app.js", "/style.css"] {
        assert!(!text(file).contains("://"), "{file} names another host");
        assert!(!text(file).contains("innerHTML") && !text(file).contains("insertAdjacentHTML"), "{file} writes markup");
    }
}

#[test]
fn everything_the_page_asks_for_is_served_beside_it() {
    let page = text("/");
    let asked: Vec<&str> =
        page.split(['"', '\'']).filter(|word| ["icon.svg", "style.css", "app.js", "alerts.yml", "dashboard.json"].contains(word)).collect();
    assert!(asked.len() >= 5, "{asked:?}");
    for file in page_files() {
        assert!(!file.bytes.is_empty() && file.path.starts_with('/') && !file.content_type.is_empty());
    }
    assert!(text("/app.js").contains(&format!("\"{}\": \"{}\"", CSRF_HEADER.0, CSRF_HEADER.1)), "the page sends the header it has to");
}
