//! `filmgate report`: who spent what, where, and what remained of it.
//!
//! Prints sums of the store's. However many groups there are, a report has a bounded number of rows, and they
//! add up to its total: what has no row of its own is one row together.

use std::path::PathBuf;

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::table::{Align, table};
use crate::clock::Timestamp;
use crate::id::TenantName;
use crate::money::MicroUsd;
use crate::store::{Figures, Overview, Report, ReportBy, ReportQuery, ReportRow};

/// How many rows a report has at the most, unless it is told.
const ROWS_MAX: u32 = 10_000;

/// Say what was spent by tenant, key, end user, route, model and day
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    /// What to sum by, in this order; a key and a user are their tenant's, which comes with them
    #[arg(long, value_enum, value_delimiter = ',', value_name = "COLUMNS", default_value = "tenant,route,model,day")]
    pub by: Vec<Column>,

    /// Only this tenant's jobs
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,

    /// Only so many rows, the dearest first, and the others as one; by default up to 10000, by their names
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: Option<u32>,

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
    /// The name of the tenant's key by which it was ordered.
    Key,
    /// The tenant's end user for whom it was made.
    User,
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

    /// What the store is asked. The error is for the person who typed it.
    pub fn query(&self, today: Date) -> Result<ReportQuery, String> {
        let (from, until) = self.range(today)?;
        Ok(ReportQuery {
            from,
            until,
            tenant: self.tenant.as_ref().map(TenantName::new),
            by: self.columns().into_iter().map(Column::by).collect(),
            limit: self.top.unwrap_or(ROWS_MAX),
        })
    }

    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    /// Each column once, in the order asked for, and the tenant before a name that is the tenant's.
    fn columns(&self) -> Vec<Column> {
        let mut columns = Vec::new();
        for column in &self.by {
            if matches!(column, Column::Key | Column::User) && !self.by.contains(&Column::Tenant) && !columns.contains(&Column::Tenant) {
                columns.push(Column::Tenant);
            }
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
            Self::Key => "key",
            Self::User => "user",
            Self::Route => "route",
            Self::Model => "model",
            Self::Day => "day",
        }
    }

    const fn by(self) -> ReportBy {
        match self {
            Self::Tenant => ReportBy::Tenant,
            Self::Key => ReportBy::Key,
            Self::User => ReportBy::User,
            Self::Route => ReportBy::Route,
            Self::Model => ReportBy::Model,
            Self::Day => ReportBy::Day,
        }
    }
}

/// A figure of a report.
#[derive(Clone, Copy, Debug)]
enum Figure {
    Count(u64),
    Money(MicroUsd),
}

/// The figures, in the order they are printed.
fn figures(of: &Figures) -> [(&'static str, Figure); 10] {
    let margin = of.charged.minus(of.spent).unwrap_or(MicroUsd::new(i64::MIN));
    [
        ("jobs", Figure::Count(of.jobs)),
        ("completed", Figure::Count(of.completed)),
        ("failed", Figure::Count(of.failed)),
        ("seconds", Figure::Count(of.seconds)),
        ("spent", Figure::Money(of.spent)),
        ("held", Figure::Money(of.held)),
        ("retries", Figure::Count(of.retries)),
        ("retry_cost", Figure::Money(of.retry_cost)),
        ("charged", Figure::Money(of.charged)),
        ("margin", Figure::Money(margin)),
    ]
}

/// What is left of a total without a part of it.
fn without(total: Figures, part: &Figures) -> Figures {
    let count = u64::saturating_sub;
    let money = |a: MicroUsd, b: MicroUsd| a.minus(b).unwrap_or(MicroUsd::MAX);
    Figures {
        jobs: count(total.jobs, part.jobs),
        completed: count(total.completed, part.completed),
        failed: count(total.failed, part.failed),
        seconds: count(total.seconds, part.seconds),
        spent: money(total.spent, part.spent),
        held: money(total.held, part.held),
        retries: count(total.retries, part.retries),
        retry_cost: money(total.retry_cost, part.retry_cost),
        charged: money(total.charged, part.charged),
    }
}

/// A report in the order in which it is printed.
struct Sheet<'a> {
    columns: Vec<Column>,
    rows: Vec<&'a ReportRow>,
    /// How many groups have no row of their own, and what they came to together.
    rest: Option<(u64, Figures)>,
    total: &'a Figures,
}

impl<'a> Sheet<'a> {
    /// By name where everything is there and nobody asked for the dearest.
    fn of(report: &'a Report, args: &ReportArgs) -> Self {
        let mut rows: Vec<&ReportRow> = report.rows.iter().collect();
        let others = report.groups.saturating_sub(rows.len() as u64);
        let rest = (others > 0).then(|| (others, rows.iter().fold(report.total, |left, row| without(left, &row.figures))));
        if args.top.is_none() && rest.is_none() {
            rows.sort_by(|a, b| a.names.cmp(&b.names));
        }
        Self { columns: args.columns(), rows, rest, total: &report.total }
    }
}

/// The report as it is printed. What is no job's and no tenant's stands below the rows, and as members of its own in
/// JSON; a spreadsheet would sum it up with them, so a CSV is without it.
pub fn render(report: &Report, overview: &Overview, args: &ReportArgs) -> String {
    let sheet = Sheet::of(report, args);
    match args.format() {
        Format::Table if report.groups == 0 => format!("No jobs in this period.\n{}", nobodys(overview)),
        Format::Table => as_table(&sheet) + &nobodys(overview),
        Format::Csv => as_csv(&sheet),
        Format::Json => as_json(&sheet, overview),
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

/// What stands for the groups that have no row of their own, and is no name.
fn others(count: u64) -> String {
    if count == 1 { "(1 other)".to_owned() } else { format!("({count} others)") }
}

fn as_table(sheet: &Sheet<'_>) -> String {
    let names = sheet.columns.iter().map(|column| (column.name(), Align::Left));
    let head: Vec<(&str, Align)> = names.chain(figures(sheet.total).map(|(name, _)| (name, Align::Right))).collect();
    let row = |names: Vec<String>, of: &Figures| {
        let figures = figures(of).map(|(_, figure)| match figure {
            Figure::Count(count) => count.to_string(),
            Figure::Money(amount) => amount.grouped(),
        });
        names.into_iter().chain(figures).collect::<Vec<String>>()
    };
    let named = |row: &ReportRow| row.names.iter().map(|name| name.clone().unwrap_or_else(|| "(none)".to_owned())).collect();
    let label = |text: String| std::iter::once(text).chain(sheet.columns.iter().skip(1).map(|_| String::new())).collect();
    let mut rows: Vec<Vec<String>> = sheet.rows.iter().map(|line| row(named(line), &line.figures)).collect();
    rows.extend(sheet.rest.iter().map(|(count, rest)| row(label(others(*count)), rest)));
    table(&head, &rows, &[row(label("total".to_owned()), sheet.total)])
}

/// RFC 4180, with a head and without a row of totals, which a spreadsheet would count twice. Who has no name is an
/// empty cell.
fn as_csv(sheet: &Sheet<'_>) -> String {
    let names = sheet.columns.iter().map(|column| column.name());
    let head: Vec<&str> = names.chain(figures(sheet.total).map(|(name, _)| name)).collect();
    let mut text = format!("{}\r\n", head.join(","));
    let mut line = |names: Vec<String>, of: &Figures| {
        let figures = figures(of).map(|(_, figure)| match figure {
            Figure::Count(count) => count.to_string(),
            Figure::Money(amount) => amount.to_string(),
        });
        text.push_str(&format!("{}\r\n", names.into_iter().chain(figures).collect::<Vec<String>>().join(",")));
    };
    for row in &sheet.rows {
        line(row.names.iter().map(|name| csv_text(name.as_deref().unwrap_or_default())).collect(), &row.figures);
    }
    if let Some((count, rest)) = &sheet.rest {
        line(std::iter::once(others(*count)).chain(sheet.columns.iter().skip(1).map(|_| String::new())).collect(), rest);
    }
    text
}

/// A name as a spreadsheet may open it: quoted where needed, and never taken for a formula.
fn csv_text(name: &str) -> String {
    let is_formula = name.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let name = if is_formula { format!("'{name}") } else { name.to_owned() };
    if name.contains([',', '"', '\r', '\n']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name }
}

fn as_json(sheet: &Sheet<'_>, overview: &Overview) -> String {
    let put = |into: &mut Map<String, Value>, of: &Figures| {
        for (name, figure) in figures(of) {
            match figure {
                Figure::Count(count) => drop(into.insert(name.into(), json!(count))),
                Figure::Money(amount) => {
                    into.insert(name.into(), json!(amount.to_string()));
                    into.insert(format!("{name}_microusd"), json!(amount.get()));
                }
            }
        }
    };
    let row = |row: &&ReportRow| {
        let names = sheet.columns.iter().zip(&row.names);
        let mut object: Map<String, Value> = names.map(|(column, name)| (column.name().into(), json!(name))).collect();
        put(&mut object, &row.figures);
        Value::Object(object)
    };
    let rest = sheet.rest.as_ref().map(|(count, rest)| {
        let mut object = Map::from_iter([("groups".to_owned(), json!(count))]);
        put(&mut object, rest);
        object
    });
    let mut total = Map::new();
    put(&mut total, sheet.total);
    let rows: Vec<Value> = sheet.rows.iter().map(row).collect();
    let Overview { suspense, overrun, .. } = overview;
    let report = json!({
        "object": "report", "currency": "usd", "rows": rows, "rest": rest, "total": total,
        "suspense": suspense.to_string(), "suspense_microusd": suspense.get(),
        "overrun": overrun.to_string(), "overrun_microusd": overrun.get(),
    });
    format!("{report:#}\n")
}

#[cfg(test)]
mod tests;
