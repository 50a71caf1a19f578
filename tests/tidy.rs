//! Style as a test: what the eye would have to check at every review is checked here.
//!
//! Reads the tree as text and knows nothing of what the code does. Each rule is a function from
//! text to faults, so that the last test can show it faulty text and see it object; each walk
//! asserts that it found something to look at. A fault names its place, the rule and the way out.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Marks of unfinished work, in any file.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "dbg!", "FIXME", "TODO", "XXX"];

/// Words that say what kind of code a type is and not what it stands for.
const EMPTY_WORDS: &[&str] =
    &["Manager", "Helper", "Helpers", "Util", "Utils", "Handler", "Service", "Processor", "Info", "Data", "Context"];

/// Drawers: modules named after what kind of code they hold.
const DRAWERS: &[&str] = &["common", "helper", "helpers", "misc", "traits", "types", "util", "utils"];

/// Places on somebody's machine.
const MACHINE_PATHS: &[&str] = &["/work/", "/home/", "/root/", "/Users/"];

/// The words: the only modules that the simulator may use, since it plays somebody else.
const WORDS: &[&str] = &["video", "money", "id", "clock", "secret"];

/// Kinds of files that people read and write; nothing else is looked into.
const TEXT_KINDS: &[&str] = &["rs", "toml", "md", "py", "mjs", "sh", "js", "css", "html", "sql", "yml", "yaml", "json"];

/// One violation, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    path: String,
    line: usize,
    what: String,
    remedy: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.remedy)
    }
}

/// A Rust file.
struct Source {
    /// From the root of the tree.
    path: String,
    text: String,
    /// The text with comments, literals and test code blanked out; every line stays where it is.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: without_test_items(&without_prose(text)) }
    }

    /// The module right under the crate's root that the file belongs to.
    fn module(&self) -> &str {
        let inside = self.path.trim_start_matches("src/");
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    fn fault(&self, at: usize, what: String, remedy: &'static str) -> Fault {
        Fault { path: self.path.clone(), line: line_of(&self.code, at), what, remedy }
    }
}

// ── The rules ──

/// Imports only point down the page: a module uses what `order` lists below it.
fn upward_imports(source: &Source, order: &[String]) -> Vec<Fault> {
    let own = source.module();
    let place = |module: &str| order.iter().position(|listed| listed == module);
    let Some(own_place) = place(own) else {
        return vec![source.fault(0, format!("`{own}` is not declared in src/lib.rs or src/main.rs"), "declare it, or delete the file")];
    };
    let mut faults = Vec::new();
    for (at, used) in crate_paths(&source.code) {
        let Some(used_place) = place(&used) else { continue };
        if own == "simulator" && used != own && !WORDS.contains(&used.as_str()) {
            let what = format!("the simulator uses `{used}`");
            faults.push(source.fault(at, what, "it stands alone, on the words at the bottom of src/lib.rs only"));
        } else if used_place < own_place {
            let what = format!("`{own}` uses `{used}`, which src/lib.rs lists above it");
            faults.push(source.fault(at, what, "pass it in as an argument, or move what is used further down"));
        }
    }
    faults
}

/// A file is one idea.
fn long_file(source: &Source) -> Vec<Fault> {
    let lines = source.code.trim_end().lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let at = source.code.match_indices('\n').nth(FILE_LINES_MAX).map_or(0, |(at, _)| at);
    vec![source.fault(
        at,
        format!("{lines} lines without its tests, {FILE_LINES_MAX} are allowed"),
        "find the second idea and give it a file",
    )]
}

/// A function fits on a screen.
fn long_functions(source: &Source) -> Vec<Fault> {
    let code = &source.code;
    let mut faults = Vec::new();
    for (at, name) in declared(code, "fn") {
        let Some(end) = body_end(code, at) else { continue };
        let lines = line_of(code, end) - line_of(code, at) + 1;
        if lines > FUNCTION_LINES_MAX {
            let what = format!("`{name}` has {lines} lines, {FUNCTION_LINES_MAX} are allowed");
            faults.push(source.fault(at, what, "keep the branches here and move the leaves into functions of their own"));
        }
    }
    faults
}

/// A type is named after what it stands for, and a module after what it is about.
fn empty_names(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for kind in ["struct", "enum", "trait", "type", "union"] {
        for (at, name) in declared(&source.code, kind) {
            // An indented `type` belongs to a trait, and the trait has named it.
            let in_a_trait = kind == "type" && source.code[..at].lines().next_back().is_some_and(|start| start.starts_with(' '));
            if in_a_trait {
                continue;
            }
            if let Some(word) = EMPTY_WORDS.iter().find(|word| name.ends_with(**word)) {
                faults.push(source.fault(at, format!("`{name}` ends in `{word}`"), "name it after what it stands for"));
            }
        }
    }
    for (at, name) in declared(&source.code, "mod") {
        if DRAWERS.contains(&name.as_str()) {
            faults.push(source.fault(at, format!("`{name}` is a drawer"), "put each thing beside its only user, or give it a name"));
        }
    }
    faults
}

/// Imports are the graph of who depends on whom, so each is written out.
fn glob_imports(source: &Source) -> Vec<Fault> {
    let at_each = source.code.match_indices("::*");
    at_each.map(|(at, _)| source.fault(at, "a glob import".to_owned(), "write out what is imported")).collect()
}

/// Each file opens by saying what it is for.
fn missing_header(source: &Source) -> Vec<Fault> {
    if source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![source.fault(0, "no header".to_owned(), "open with `//!` lines: what it is for, what it does not know, what it keeps")]
}

/// No unfinished work and no place on somebody's machine is committed.
fn banned_text(path: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut object = |what: &str, remedy| {
            faults.push(Fault { path: path.to_owned(), line: index + 1, what: format!("`{what}`"), remedy });
        };
        for mark in UNFINISHED.iter().filter(|mark| has_word(line, mark)) {
            object(mark, "finish it, or leave it out");
        }
        for place in MACHINE_PATHS.iter().filter(|place| has_path(line, place)) {
            object(place, "this is a place on one machine: make it relative, or an argument");
        }
    }
    faults
}

/// A metric that people are told of is one that the gateway has.
fn unknown_metrics(path: &str, text: &str, known: &BTreeSet<String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for name in metric_names(line) {
            let series = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            if !known.contains(&name) && !series.is_some_and(|series| known.contains(series)) {
                let what = format!("there is no metric `{name}`");
                faults.push(Fault {
                    path: path.to_owned(),
                    line: index + 1,
                    what,
                    remedy: "see src/metrics/series.rs for those there are",
                });
            }
        }
    }
    faults
}

// ── The tests ──

#[test]
fn imports_only_point_down_the_page() {
    let order = module_order();
    assert!(order.len() >= 20, "src/lib.rs lists only {order:?}");
    let sources: Vec<Source> = product_sources().into_iter().filter(|source| !["lib", "main"].contains(&source.module())).collect();
    let seen: usize = sources.iter().map(|source| crate_paths(&source.code).len()).sum();
    assert!(seen > 50, "only {seen} imports were recognised");
    complain(sources.iter().flat_map(|source| upward_imports(source, &order)));
}

#[test]
fn files_and_functions_are_short() {
    let sources = product_sources();
    let functions: usize = sources.iter().map(|source| declared(&source.code, "fn").len()).sum();
    assert!(functions > 50, "only {functions} functions were recognised");
    complain(sources.iter().flat_map(long_file).chain(sources.iter().flat_map(long_functions)));
}

#[test]
fn names_and_imports_say_what_they_mean() {
    let sources = product_sources();
    complain(sources.iter().flat_map(empty_names).chain(sources.iter().flat_map(glob_imports)));
}

#[test]
fn every_file_says_what_it_is_for() {
    complain(product_sources().iter().flat_map(missing_header));
}

#[test]
fn nothing_unfinished_and_no_machine_is_committed() {
    let files = committed_text();
    complain(files.iter().filter(|(path, _)| path != "tests/tidy.rs").flat_map(|(path, text)| banned_text(path, text)));
}

#[test]
fn what_deny_bans_is_not_in_the_lock() {
    let policy = read(".deny.toml");
    let banned: Vec<&str> = policy.lines().filter_map(|line| line.trim().strip_prefix("{ crate = \"")?.split('"').next()).collect();
    assert!(!banned.is_empty(), ".deny.toml bans nothing");
    let lock = read("Cargo.lock");
    let fault = |name: &&str| {
        let line = lock.lines().position(|line| line == format!("name = \"{name}\""))? + 1;
        let what = format!("`{name}` came in, and .deny.toml bans it for a reason given there");
        Some(Fault {
            path: "Cargo.lock".to_owned(),
            line,
            what,
            remedy: "see `cargo tree -i` for who brought it, and turn that feature off",
        })
    };
    complain(banned.iter().filter_map(fault));
}

#[test]
fn every_metric_we_tell_of_exists() {
    let known = known_metrics();
    let mut told = 0;
    let mut faults = Vec::new();
    for (path, text) in committed_text() {
        if path.ends_with(".rs") || path.starts_with("tests/") {
            continue;
        }
        told += text.lines().map(|line| metric_names(line).len()).sum::<usize>();
        faults.extend(unknown_metrics(&path, &text, &known));
    }
    assert!(told > 0, "no metric is named outside the code: README.md should");
    complain(faults);
}

#[test]
fn every_metric_is_told_of_in_the_readme() {
    let readme = read("README.md");
    let told: BTreeSet<String> = readme.lines().flat_map(metric_names).collect();
    let missing: Vec<String> = known_metrics().into_iter().filter(|name| !told.contains(name)).collect();
    assert!(missing.is_empty(), "README.md: does not name these metrics of src/metrics/series.rs: {}", missing.join(", "));
}

#[test]
fn the_rules_object_to_faulty_text() {
    let order: Vec<String> = ["store", "simulator", "price", "money"].map(str::to_owned).to_vec();
    let upward =
        Source::new("src/price.rs", "use crate::money::MicroUsd;\nuse crate::{\n    money::Rate,\n    store::{Store, open},\n};\n");
    assert_eq!(lines(&upward_imports(&upward, &order)), [4]);
    let inline =
        Source::new("src/price/tiers.rs", "fn f() {\n    crate::store::open()\n}\n// crate::store\n#[cfg(test)]\nuse crate::store;\n");
    assert_eq!(lines(&upward_imports(&inline, &order)), [2]);
    let simulator = Source::new("src/simulator/mod.rs", "use crate::money::MicroUsd;\nuse crate::price::Price;\n");
    assert_eq!(lines(&upward_imports(&simulator, &order)), [2]);
    assert_eq!(upward_imports(&Source::new("src/stray.rs", ""), &order).len(), 1);

    let body = "    step();\n".repeat(FUNCTION_LINES_MAX);
    let long = Source::new("src/a.rs", &format!("fn short() {{ '{{'; }}\nfn long<'a>(\n    a: &'a str,\n) {{\n{body}}}\n"));
    assert_eq!(lines(&long_functions(&long)), [2]);
    let fits = Source::new("src/a.rs", &format!("fn f() {{\n{}}}\n", "    step();\n".repeat(FUNCTION_LINES_MAX - 2)));
    assert!(long_functions(&fits).is_empty());

    let file = "const A: u8 = 0;\n".repeat(FILE_LINES_MAX);
    assert!(long_file(&Source::new("src/a.rs", &format!("{file}#[cfg(test)]\nmod tests {{\n{file}}}\n"))).is_empty());
    assert_eq!(long_file(&Source::new("src/a.rs", &format!("{file}const B: u8 = 1;\n"))).len(), 1);

    let names = Source::new(
        "src/a.rs",
        "struct Metadata;\npub struct JobManager;\n// struct RouteHelper;\nmod utils {}\nimpl Body for B {\n    type Data = u8;\n}\ntype RawData = u8;\n",
    );
    assert_eq!(lines(&empty_names(&names)), [2, 8, 4]);
    assert_eq!(lines(&glob_imports(&Source::new("src/a.rs", "use std::fmt;\nuse crate::job::*;\n"))), [2]);
    assert_eq!(missing_header(&Source::new("src/a.rs", "use std::fmt;\n")).len(), 1);

    assert_eq!(lines(&banned_text("a.sh", "cd $HOME\ncd /home/me\n# FIXME later\nhttps://host/work/x\n")), [2, 3]);

    let known = BTreeSet::from(["filmgate_wait_seconds".to_owned()]);
    let told = "`filmgate_wait_seconds_bucket`\n`filmgate_wait_minutes`\n`filmgate_wait_seconds_bucket_sum`\n";
    assert_eq!(lines(&unknown_metrics("README.md", told, &known)), [2, 3]);
}

// ── Reading the tree ──

fn complain(faults: impl IntoIterator<Item = Fault>) {
    let faults: Vec<String> = faults.into_iter().map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn lines(faults: &[Fault]) -> Vec<usize> {
    faults.iter().map(|fault| fault.line).collect()
}

fn read(path: &str) -> String {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&full).unwrap_or_else(|fault| panic!("{path} cannot be read: {fault}"))
}

/// The text files of the tree with their paths from its root; what is built or fetched is left out.
fn committed_text() -> Vec<(String, String)> {
    let mut files = Vec::new();
    walk("", &mut files);
    assert!(files.len() > 20, "only {} files were found", files.len());
    files
}

fn walk(folder: &str, files: &mut Vec<(String, String)>) {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let listing = fs::read_dir(&full).unwrap_or_else(|fault| panic!("{folder:?} cannot be listed: {fault}"));
    for entry in listing {
        let entry = entry.expect("an entry of a folder that was just opened");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let fetched = ["target", ".git", ".venv", "node_modules", "clips", "__pycache__"].contains(&name.as_str());
        let generated = ["Cargo.lock", "package-lock.json"].contains(&name.as_str());
        let kind = name.rsplit_once('.').map_or("", |(_, kind)| kind);
        let plain = ["Dockerfile", "run"].contains(&name.as_str()) || TEXT_KINDS.contains(&kind);
        if is_folder && !fetched {
            walk(&path, files);
        } else if !is_folder && plain && !generated {
            let text = read(&path);
            files.push((path, text));
        }
    }
}

/// The Rust files of the product itself: under `src/`, without the files that are test code.
fn product_sources() -> Vec<Source> {
    let all: Vec<(String, String)> =
        committed_text().into_iter().filter(|(path, _)| path.starts_with("src/") && path.ends_with(".rs")).collect();
    let test_modules: Vec<String> = all.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let is_test = |path: &str| test_modules.iter().any(|module| path == format!("{module}.rs") || path.starts_with(&format!("{module}/")));
    let sources: Vec<Source> = all.iter().filter(|(path, _)| !is_test(path)).map(|(path, text)| Source::new(path, text)).collect();
    assert!(sources.len() > 10, "only {} files under src/", sources.len());
    sources
}

/// Paths, without `.rs`, of the modules that a file declares for tests only.
fn test_modules(path: &str, text: &str) -> Vec<String> {
    let folder = ["/mod.rs", "/lib.rs", "/main.rs"].iter().find_map(|root| path.strip_suffix(root));
    let folder = folder.unwrap_or(path.trim_end_matches(".rs"));
    let code = without_prose(text);
    let after_each = code.match_indices("#[cfg(test)]").map(|(at, mark)| code[at + mark.len()..].trim_start());
    after_each
        .filter_map(|item| item.trim_start_matches("pub ").strip_prefix("mod ")?.split_once(';'))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(is_name))
        .map(|name| format!("{folder}/{name}"))
        .collect()
}

/// The modules in the order of the page: those of the program first, then those of the library.
fn module_order() -> Vec<String> {
    let listed = |path: &str| declared(&without_prose(&read(path)), "mod").into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    let mut order = listed("src/main.rs");
    order.extend(listed("src/lib.rs"));
    order
}

/// The metrics that the gateway has, by the list in `src/metrics/series.rs`: lines such as
/// `polls_total: Counters["route"],`, named there without their common prefix.
fn known_metrics() -> BTreeSet<String> {
    let list = without_prose(&read("src/metrics/series.rs"));
    let known: BTreeSet<String> = list.lines().filter_map(|line| listed_metric(line.trim())).collect();
    assert!(known.len() > 10, "src/metrics/series.rs lists only {known:?}");
    known
}

fn listed_metric(line: &str) -> Option<String> {
    let (name, kind) = line.split_once(": ")?;
    let (kind, _) = kind.split_once('[')?;
    let is_kind = kind.starts_with(char::is_uppercase) && kind.chars().all(is_name);
    (is_kind && name.chars().all(is_name)).then(|| format!("filmgate_{name}"))
}

// ── Reading Rust, roughly ──

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Whether `word` stands in `line` and is not part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        !line[..at].ends_with(is_name) && (word.ends_with('!') || !after.starts_with(is_name))
    })
}

/// Whether an absolute path begins with `place` in `line`; inside a URL or a longer path it does not.
fn has_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| !line[..at].ends_with(|c: char| is_name(c) || "./-}$".contains(c)))
}

/// Names that begin as this gateway's metrics do. One that ends in `_` is the prefix being explained.
fn metric_names(line: &str) -> Vec<String> {
    let at_each = line.match_indices("filmgate_").filter(|(at, _)| !line[..*at].ends_with(|c: char| is_name(c) || "/-.".contains(c)));
    let names = at_each.map(|(at, _)| line[at..].split(|c| !is_name(c)).next().unwrap_or_default().to_owned());
    names.filter(|name| !name.ends_with('_')).collect()
}

/// Where `keyword NAME` stands in code, and the name.
fn declared(code: &str, keyword: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(keyword) {
        let after = &code[at + keyword.len()..];
        if code[..at].ends_with(is_name) || !after.starts_with(char::is_whitespace) {
            continue;
        }
        let name: String = after.trim_start().chars().take_while(|c| is_name(*c)).collect();
        if !name.is_empty() {
            found.push((at, name));
        }
    }
    found
}

/// The first segment of every path that begins with `crate::`, one for each branch of `crate::{…}`.
fn crate_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, root) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| is_name(c) || c == '$') {
            continue;
        }
        let start = at + root.len();
        let grouped = code[start..].starts_with('{');
        let mut depth = 0_usize;
        let mut expecting = !grouped;
        for (offset, c) in code[start..].char_indices() {
            if expecting && is_name(c) {
                let name = code[start + offset..].chars().take_while(|c| is_name(*c)).collect();
                found.push((start + offset, name));
                expecting = false;
                if !grouped {
                    break;
                }
            }
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            expecting = expecting || (grouped && depth == 1 && (c == '{' || c == ','));
            if grouped && depth == 0 {
                break;
            }
        }
    }
    found
}

/// Where the body of the item that begins at `at` ends; `None` if a `;` comes first.
fn body_end(code: &str, at: usize) -> Option<usize> {
    let mut round = 0_i32;
    let mut braces = 0_i32;
    for (offset, c) in code[at..].char_indices() {
        match c {
            '(' | '[' => round += 1,
            ')' | ']' => round -= 1,
            ';' if round == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(at + offset);
                }
            }
            _ => {}
        }
    }
    None
}

/// The text with comments and literals replaced by blanks.
fn without_prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let length = prose_length(rest, text[..at].ends_with(is_name));
        if length > 0 {
            out.extend(rest[..length].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
            at += length;
        } else {
            let c = rest.chars().next().unwrap_or(' ');
            // Blanks are one byte each, so that places in the two texts agree.
            if c.is_ascii() {
                out.push(c)
            } else {
                out.extend(std::iter::repeat_n('_', c.len_utf8()))
            }
            at += c.len_utf8();
        }
    }
    out
}

/// How many bytes of comment or literal `rest` begins with; 0 if it begins with code.
fn prose_length(rest: &str, in_a_name: bool) -> usize {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until("*/", 2);
    }
    let marks = rest.strip_prefix('r').or_else(|| rest.strip_prefix("br")).map(|raw| raw.chars().take_while(|c| *c == '#').count());
    if let Some(marks) = marks.filter(|_| !in_a_name) {
        let open = rest.find('r').map_or(0, |r| r + 1 + marks);
        if rest[open..].starts_with('"') {
            return until(&format!("\"{}", "#".repeat(marks)), open + 1);
        }
    }
    if rest.starts_with('"') {
        return literal_length(rest, '"');
    }
    // `'a'` is a literal and `'a` a lifetime: only a literal closes after one character or an escape.
    let mut inside = rest.strip_prefix('\'').unwrap_or_default().chars();
    if let Some(first) = inside.next()
        && (first == '\\' || inside.next() == Some('\''))
    {
        return literal_length(rest, '\'');
    }
    0
}

/// The length of a literal that opens and closes with `quote`.
fn literal_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// Code with each item under `#[cfg(test)]` replaced by blanks.
fn without_test_items(code: &str) -> String {
    let mut out = code.to_owned();
    for (at, _) in code.match_indices("#[cfg(test)]") {
        let start = at + "#[cfg(test)]".len();
        let statement = code[start..].find(';').map_or(code.len(), |end| start + end + 1);
        let end = body_end(code, start).map_or(statement, |end| end + 1);
        let blank: String = code[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(at..end, &blank);
    }
    out
}
