//! Faults: what is wrong with a policy file, where, and what to write instead.
//!
//! A file is told all its faults at once. A [`Fault`] carries the line that it is about, with
//! secrets already covered, so that showing it needs neither the file nor care.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use super::shroud::shroud;

/// The most faults that are told at once; the rest is counted.
pub const FAULTS_MAX: usize = 500;

/// The most bytes of a line that are shown.
const EXCERPT_BYTES_MAX: usize = 240;

/// One thing that is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The key that it is about: `routes.openai.models.sora-2.price`. Empty for the file as a whole.
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// The line, or the part of it around the place, with secrets covered.
    pub excerpt: String,
    /// The place within the excerpt, bytes.
    #[serde(skip)]
    caret: Range<usize>,
}

/// Everything that is wrong with the file, in the file's order; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// What the file is called when a place is shown.
    pub origin: String,
    /// At most [`FAULTS_MAX`].
    pub faults: Vec<Fault>,
    /// How many more there are.
    pub untold: usize,
}

impl Faults {
    /// The faults as a person reads them: message, line with a caret, remedy.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for fault in &self.faults {
            let place = AnnotationKind::Primary.span(fault.caret.clone()).label(fault.path.as_str());
            let snippet = Snippet::source(fault.excerpt.as_str()).line_start(fault.line).path(self.origin.as_str()).annotation(place);
            let group =
                Level::ERROR.primary_title(fault.message.as_str()).element(snippet).element(Level::HELP.message(fault.remedy.as_str()));
            text.push_str(&renderer.render(&[group]));
            text.push_str("\n\n");
        }
        let total = self.faults.len() + self.untold;
        let untold = if self.untold > 0 { format!(", of which the first {} are shown", self.faults.len()) } else { String::new() };
        text.push_str(&format!("{}: {total} fault{}{untold}\n", self.origin, if total == 1 { "" } else { "s" }));
        text
    }
}

/// One line for each fault, without the file's text.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{}:{}: {}: {}", self.origin, fault.line, fault.column, fault.message, fault.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A fault before it is told: its place is still a range of the text.
struct Finding {
    at: Range<usize>,
    path: String,
    message: String,
    remedy: String,
}

/// Faults as they are found while a text is compiled.
pub(super) struct Gathering<'a> {
    text: &'a str,
    found: Vec<Finding>,
    untold: usize,
    paths: HashSet<String>,
    covered: Vec<Range<usize>>,
}

impl<'a> Gathering<'a> {
    /// None yet.
    pub fn new(text: &'a str) -> Self {
        Self { text, found: Vec::new(), untold: 0, paths: HashSet::new(), covered: Vec::new() }
    }

    /// Adds one. `at` is its place in the text, bytes.
    pub fn add(&mut self, at: &Range<usize>, path: impl fmt::Display, message: impl Into<String>, remedy: impl Into<String>) {
        if self.found.len() >= FAULTS_MAX {
            self.untold += 1;
            return;
        }
        let path = path.to_string();
        self.paths.insert(path.clone());
        self.found.push(Finding { at: at.clone(), path, message: message.into(), remedy: remedy.into() });
    }

    /// Adds a fault about something that is not there, unless what *is* there was found faulty already.
    pub fn add_missing(&mut self, at: &Range<usize>, path: impl fmt::Display, message: impl Into<String>, remedy: impl Into<String>) {
        if !self.paths.contains(&path.to_string()) {
            self.add(at, path, message, remedy);
        }
    }

    /// Takes note that what is not at that path is not missing: what stood there was told already.
    pub fn excuse(&mut self, path: impl fmt::Display) {
        self.paths.insert(path.to_string());
    }

    /// Whether something was found about exactly that key.
    pub fn any_at(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// Never shows that part of the text.
    pub fn cover(&mut self, at: Range<usize>) {
        self.covered.push(at);
    }

    /// Whether none was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether something was found about that key or one below it.
    pub fn any_under(&self, path: &str) -> bool {
        self.found.iter().any(|f| f.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
    }

    /// What was found, in the file's order.
    pub fn tell(mut self) -> Faults {
        self.found.sort_by_key(|f| f.at.start);
        let shown = shroud(self.text, &self.covered);
        let line_starts: Vec<usize> = std::iter::once(0).chain(shown.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let faults = self.found.into_iter().map(|finding| finding.tell(&shown, self.text, &line_starts)).collect();
        Faults { origin: "gateway.toml".to_owned(), faults, untold: self.untold }
    }
}

impl Finding {
    /// Puts the finding's line beside it.
    fn tell(self, shown: &str, text: &str, line_starts: &[usize]) -> Fault {
        let start = floor(shown, self.at.start);
        let line = line_starts.partition_point(|s| *s <= start).max(1);
        let line_start = line_starts.get(line - 1).copied().unwrap_or(0);
        let rest = shown.get(line_start..).unwrap_or_default();
        let line_end = line_start + rest.lines().next().unwrap_or_default().len();
        let column = text.get(line_start..floor(text, start)).unwrap_or_default().chars().count() + 1;

        let from = floor(shown, line_start.max(start.saturating_sub(EXCERPT_BYTES_MAX / 2)));
        let to = floor(shown, line_end.min(from + EXCERPT_BYTES_MAX));
        let excerpt = shown.get(from..to).unwrap_or_default().to_owned();
        let caret_start = start.saturating_sub(from).min(excerpt.len());
        let caret_end = floor(shown, self.at.end).saturating_sub(from).clamp(caret_start, excerpt.len());
        Fault { path: self.path, line, column, message: self.message, remedy: self.remedy, excerpt, caret: caret_start..caret_end }
    }
}

/// The last place at or before `at` where a character begins.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}
