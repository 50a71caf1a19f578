//! Tables for terminals: aligned columns, two blanks apart, no borders.
//!
//! Knows text and moments only. A control character in a cell is shown as a replacement character, so that a
//! name cannot move the cursor.

use crate::clock::Timestamp;

/// To which side a column's cells are pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Lays out rows under a head, and sums below a line under them.
pub fn table(head: &[(&str, Align)], rows: &[Vec<String>], sums: &[Vec<String>]) -> String {
    let titles: Vec<String> = head.iter().map(|(title, _)| title.to_uppercase()).collect();
    let mut widths: Vec<usize> = vec![0; head.len()];
    for row in std::iter::once(&titles).chain(rows).chain(sums) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let columns: Vec<(usize, Align)> = widths.iter().copied().zip(head.iter().map(|(_, align)| *align)).collect();
    let mut text = laid_out(&columns, &titles);
    text.extend(rows.iter().map(|row| laid_out(&columns, row)));
    if !sums.is_empty() {
        let line: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        text.push_str(&laid_out(&columns, &line));
        text.extend(sums.iter().map(|row| laid_out(&columns, row)));
    }
    text
}

/// One row, without the blanks that would end it.
fn laid_out(columns: &[(usize, Align)], row: &[String]) -> String {
    let cells = columns.iter().zip(row).map(|((width, align), cell)| {
        let cell = cell.replace(char::is_control, "\u{fffd}");
        match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        }
    });
    let line = cells.collect::<Vec<_>>().join("  ");
    format!("{}\n", line.trim_end())
}

/// A moment for people: `2026-11-23 08:00:00Z`.
pub fn day_and_time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_ms()).map(|at| at.strftime("%F %TZ").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Align, table};

    #[test]
    fn words_stand_left_and_numbers_right() {
        let head = [("who", Align::Left), ("spent", Align::Right)];
        let row = |who: &str, spent: &str| vec![who.to_owned(), spent.to_owned()];
        let rows = [row("acme", "1.00"), row("Ärger\u{1b}[2J", "1,000.00")];
        insta::assert_snapshot!(table(&head, &rows, &[row("total", "1,001.00")]), @r"
        WHO           SPENT
        acme           1.00
        Ärger�[2J  1,000.00
        ---------  --------
        total      1,001.00
        ");
    }
}
