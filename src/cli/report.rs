//! `filmgate report`: who spent what, where, and what remained of it.
//!
//! Turns rows of the store into sums by the columns that were asked for. A sum too large to be
//! written stays at the largest that can be; nothing wraps.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::table::{Align, table};
use crate::clock::Timestamp;
use crate::money::MicroUsd;
use crate::store::{Overview, ReportRow};

/// Say what was spent by tenant, route, model and day
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    /// What to sum by, in this order
    #[arg(long, value_enum, value_delimiter = ',', value_name = "COLUMNS", default_value = "tenant,route,model,day")]
    pub by: Vec<Column>,

    /// The first day (UTC), such as 2026-11-01; by default the first of this month
    #[arg(long, value_name = "DATE")]
    pub from: Option<Date>,

    /// The last day (UTC), itself included; by default today
    #[arg(long, value_name = "DATE")]
    pub until: Option<Date>,

    /// A whole month (UTC), such as 2026-11
    #[arg(long, value_name = "MONTH", conflicts_with_all = ["from", "until"], value_parser = month)]
    pub month: Option<Date>,

    /// How to print it
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// The policy, which says where the books are
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    pub config: PathBuf,
}

/// What sums are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Column {
    /// Who paid.
    Tenant,
    /// Which route made it.
    Route,
    /// The public model.
    Model,
    /// The day (UTC) on which the job was created.
    Day,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people, with a row of totals.
    Table,
    /// For spreadsheets.
    Csv,
    /// For programs.
    Json,
}

/// The first day of a month written `2026-11`.
fn month(text: &str) -> Result<Date, String> {
    let first = if text.len() == 7 { format!("{text}-01").parse().ok() } else { None };
    first.ok_or_else(|| "write a year and a month, such as 2026-11".into())
}

impl ReportArgs {
    /// The moments from which, and until before which, jobs are counted.
    pub fn range(&self, today: Date) -> Result<(Timestamp, Timestamp), String> {
        let (first, last) = match self.month {
            Some(month) => (month, month.last_of_month()),
            None => {
                let last = self.until.unwrap_or(today);
                (self.from.unwrap_or_else(|| last.first_of_month()), last)
            }
        };
        if first > last {
            return Err(format!("the report would end on {last}, before it begins on {first}: look at --from and --until"));
        }
        let end = last.checked_add(1.day()).map_err(|_| format!("there is no day after {last}"))?;
        Ok((midnight(first)?, midnight(end)?))
    }

    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    /// Each column once, in the order asked for.
    fn columns(&self) -> Vec<Column> {
        let mut columns = Vec::new();
        for column in &self.by {
            if !columns.contains(column) {
                columns.push(*column);
            }
        }
        columns
    }
}

fn midnight(day: Date) -> Result<Timestamp, String> {
    let moment = day.to_zoned(TimeZone::UTC).map_err(|_| format!("{day} is out of range"))?;
    Ok(Timestamp::from_ms(moment.timestamp().as_millisecond()))
}

impl Column {
    const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Route => "route",
            Self::Model => "model",
            Self::Day => "day",
        }
    }

    fn of(self, row: &ReportRow) -> &str {
        match self {
            Self::Tenant => &row.tenant,
            Self::Route => &row.route,
            Self::Model => &row.model,
            Self::Day => &row.day,
        }
    }
}

/// What rows of one group come to.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    jobs: u64,
    completed: u64,
    failed: u64,
    seconds: u64,
    spent: MicroUsd,
    held: MicroUsd,
    retries: u64,
    retry_cost: MicroUsd,
    charged: MicroUsd,
}

/// A figure of a report.
#[derive(Clone, Copy, Debug)]
enum Figure {
    Count(u64),
    Money(MicroUsd),
}

impl Sum {
    fn add(&mut self, row: &ReportRow) {
        self.jobs = self.jobs.saturating_add(row.jobs);
        self.completed = self.completed.saturating_add(row.completed);
        self.failed = self.failed.saturating_add(row.failed);
        self.seconds = self.seconds.saturating_add(row.seconds);
        self.spent = plus(self.spent, row.spent);
        self.held = plus(self.held, row.held);
        self.retries = self.retries.saturating_add(row.retries);
        self.retry_cost = plus(self.retry_cost, row.retry_cost);
        self.charged = plus(self.charged, row.charged);
    }

    /// The figures, in the order they are printed.
    fn figures(&self) -> [(&'static str, Figure); 10] {
        let margin = self.charged.minus(self.spent).unwrap_or(MicroUsd::new(i64::MIN));
        [
            ("jobs", Figure::Count(self.jobs)),
            ("completed", Figure::Count(self.completed)),
            ("failed", Figure::Count(self.failed)),
            ("seconds", Figure::Count(self.seconds)),
            ("spent", Figure::Money(self.spent)),
            ("held", Figure::Money(self.held)),
            ("retries", Figure::Count(self.retries)),
            ("retry_cost", Figure::Money(self.retry_cost)),
            ("charged", Figure::Money(self.charged)),
            ("margin", Figure::Money(margin)),
        ]
    }
}

fn plus(a: MicroUsd, b: MicroUsd) -> MicroUsd {
    a.plus(b).unwrap_or(MicroUsd::MAX)
}

/// The report as it is printed. What is no job's and no tenant's stands below the rows, and as members of its own in
/// JSON; a spreadsheet would sum it up with them, so a CSV is without it.
pub fn render(rows: &[ReportRow], overview: &Overview, args: &ReportArgs) -> String {
    let columns = args.columns();
    let mut groups: BTreeMap<Vec<&str>, Sum> = BTreeMap::new();
    let mut total = Sum::default();
    for row in rows {
        groups.entry(columns.iter().map(|column| column.of(row)).collect()).or_default().add(row);
        total.add(row);
    }
    match args.format() {
        Format::Table if rows.is_empty() => format!("No jobs in this period.\n{}", nobodys(overview)),
        Format::Table => as_table(&columns, &groups, &total) + &nobodys(overview),
        Format::Csv => as_csv(&columns, &groups),
        Format::Json => as_json(&columns, &groups, &total, overview),
    }
}

/// What is told beside a report that has no place for it.
pub fn aside(overview: &Overview, args: &ReportArgs) -> String {
    if args.format() == Format::Csv { nobodys(overview) } else { String::new() }
}

/// What providers took and no row has, of all time; nothing where it is nothing.
fn nobodys(overview: &Overview) -> String {
    let mut told = String::new();
    if overview.suspense != MicroUsd::ZERO {
        let amount = overview.suspense.grouped();
        told.push_str(&format!("In suspense: {amount}, taken by providers and explained by no job (`filmgate suspense list`).\n"));
    }
    if overview.overrun != MicroUsd::ZERO {
        told.push_str(&format!("Overrun: {}, taken by providers above what was held.\n", overview.overrun.grouped()));
    }
    told
}

fn as_table(columns: &[Column], groups: &BTreeMap<Vec<&str>, Sum>, total: &Sum) -> String {
    let names = columns.iter().map(|column| (column.name(), Align::Left));
    let head: Vec<(&str, Align)> = names.chain(total.figures().map(|(name, _)| (name, Align::Right))).collect();
    let row = |key: &[&str], sum: &Sum| {
        let figures = sum.figures().map(|(_, figure)| match figure {
            Figure::Count(count) => count.to_string(),
            Figure::Money(amount) => amount.grouped(),
        });
        key.iter().map(ToString::to_string).chain(figures).collect::<Vec<String>>()
    };
    let rows: Vec<Vec<String>> = groups.iter().map(|(key, sum)| row(key, sum)).collect();
    let label: Vec<&str> = (0..columns.len()).map(|i| if i == 0 { "total" } else { "" }).collect();
    table(&head, &rows, &[row(&label, total)])
}

/// RFC 4180, with a head and without a row of totals, which a spreadsheet would count twice.
fn as_csv(columns: &[Column], groups: &BTreeMap<Vec<&str>, Sum>) -> String {
    let names = columns.iter().map(|column| column.name());
    let head: Vec<&str> = names.chain(Sum::default().figures().map(|(name, _)| name)).collect();
    let mut text = format!("{}\r\n", head.join(","));
    for (key, sum) in groups {
        let figures = sum.figures().map(|(_, figure)| match figure {
            Figure::Count(count) => count.to_string(),
            Figure::Money(amount) => amount.to_string(),
        });
        let cells: Vec<String> = key.iter().map(|name| csv_text(name)).chain(figures).collect();
        text.push_str(&format!("{}\r\n", cells.join(",")));
    }
    text
}

/// A name as a spreadsheet may open it: quoted where needed, and never taken for a formula.
fn csv_text(name: &str) -> String {
    let is_formula = name.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let name = if is_formula { format!("'{name}") } else { name.to_owned() };
    if name.contains([',', '"', '\r', '\n']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name }
}

fn as_json(columns: &[Column], groups: &BTreeMap<Vec<&str>, Sum>, total: &Sum, overview: &Overview) -> String {
    let put = |into: &mut Map<String, Value>, sum: &Sum| {
        for (name, figure) in sum.figures() {
            match figure {
                Figure::Count(count) => drop(into.insert(name.into(), json!(count))),
                Figure::Money(amount) => {
                    into.insert(name.into(), json!(amount.to_string()));
                    into.insert(format!("{name}_microusd"), json!(amount.get()));
                }
            }
        }
    };
    let row = |(key, sum): (&Vec<&str>, &Sum)| {
        let mut row: Map<String, Value> = columns.iter().zip(key).map(|(column, name)| (column.name().into(), json!(name))).collect();
        put(&mut row, sum);
        Value::Object(row)
    };
    let mut sum = Map::new();
    put(&mut sum, total);
    let rows: Vec<Value> = groups.iter().map(row).collect();
    let Overview { suspense, overrun, .. } = overview;
    let report = json!({
        "object": "report", "currency": "usd", "rows": rows, "total": sum,
        "suspense": suspense.to_string(), "suspense_microusd": suspense.get(),
        "overrun": overrun.to_string(), "overrun_microusd": overrun.get(),
    });
    format!("{report:#}\n")
}

#[cfg(test)]
mod tests;
