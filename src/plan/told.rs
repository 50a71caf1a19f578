//! A plan as a line of a log tells it: names in order, and why others are not among them.

use std::fmt;

use super::Plan;

/// The candidates by name, in order: `azure, openai`.
#[derive(Debug)]
pub struct InOrder<'a>(pub &'a Plan);

/// Who was passed over, and why: `openai is disabled; own makes clips of 4 s only`.
#[derive(Debug)]
pub struct Reasons<'a>(pub &'a Plan);

impl fmt::Display for InOrder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        separated(f, ", ", self.0.candidates.iter().map(|candidate| &candidate.route.name))
    }
}

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        separated(f, "; ", &self.0.passed_over)
    }
}

fn separated<T: fmt::Display>(f: &mut fmt::Formatter<'_>, separator: &str, items: impl IntoIterator<Item = T>) -> fmt::Result {
    for (i, item) in items.into_iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { separator })?;
    }
    Ok(())
}
