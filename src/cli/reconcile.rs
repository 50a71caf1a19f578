//! `filmgate reconcile`: what providers have beside what the books say, asked of the gateway that runs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::desk::DeskArgs;
use super::table::{Align, table};
use crate::money::MicroUsd;

/// What `reconcile` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ReconcileArgs {
    #[command(flatten)]
    desk: DeskArgs,
    /// How far to look back, such as 90m, 24h or 30d.
    #[arg(long, default_value = "24h", value_parser = span, value_name = "DURATION")]
    since: u64,
    /// Only this route.
    #[arg(long)]
    route: Option<String>,
    /// Put what no job explains into suspense.
    #[arg(long)]
    write: bool,
    /// A route's bill as CSV with the columns upstream_id and amount (US dollars); needs --route.
    #[arg(long, value_name = "FILE", requires = "route")]
    bill: Option<PathBuf>,
    /// End reconcile-only mode: the books are complete, and jobs are taken again.
    #[arg(long)]
    done: bool,
}

/// Seconds of a duration such as `24h`.
fn span(text: &str) -> Result<u64, String> {
    let wrong = || "write a whole number and a unit, such as 90m, 24h or 30d".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let each = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    number.checked_mul(each).filter(|secs| *secs <= 3_650 * 86_400).ok_or_else(wrong)
}

/// Asks and prints. Exit code 0 if everything is explained, else 1.
pub fn run(args: &ReconcileArgs) -> anyhow::Result<ExitCode> {
    let desk = args.desk.desk()?;
    let runtime = super::runtime()?;
    if args.done {
        let done = runtime.block_on(desk.post("/api/reconcile", &json!({ "done": true })))?;
        let told = if done["was_on"] == true {
            "The books are taken for complete; jobs are taken again."
        } else {
            "Nothing was being reconciled."
        };
        return super::print(&if args.desk.json { format!("{done:#}\n") } else { format!("{told}\n") });
    }
    let bill = args.bill.as_ref().map(|file| {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        lines(&text).with_context(|| format!("{} is no bill", file.display()))
    });
    let wish = json!({ "since_secs": args.since, "route": args.route, "write": args.write, "bill": bill.transpose()? });
    let report = runtime.block_on(desk.post("/api/reconcile", &wish))?;
    super::print(&if args.desk.json { format!("{report:#}\n") } else { shown(&report) })?;
    Ok(if report["explained"] == true { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The lines of a bill in CSV: a head that names the columns, then a line for each charge.
fn lines(text: &str) -> anyhow::Result<Vec<Value>> {
    let cells = |line: &str| line.split(',').map(|cell| cell.trim().trim_matches('"').to_owned()).collect::<Vec<_>>();
    let mut rows = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let head = rows.next().map(|(_, line)| cells(line.trim_start_matches('\u{feff}'))).unwrap_or_default();
    let column = |name: &str| head.iter().position(|cell| cell == name).with_context(|| format!("its first line names no column {name}"));
    let (id, amount) = (column("upstream_id")?, column("amount")?);
    let mut lines = Vec::new();
    for (number, line) in rows {
        let cells = cells(line);
        let (Some(id), Some(amount)) = (cells.get(id).filter(|id| !id.is_empty()), cells.get(amount)) else {
            bail!("line {}: a column is missing", number + 1);
        };
        let amount: MicroUsd = amount.trim_start_matches('$').parse().with_context(|| format!("line {}: {amount:?}", number + 1))?;
        lines.push(json!({ "upstream_id": id, "amount_microusd": amount.get() }));
    }
    Ok(lines)
}

/// The report for people.
fn shown(report: &Value) -> String {
    let mut rows = Vec::new();
    let text =
        |value: &Value| value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned);
    let mut notes = Vec::new();
    for route in report["routes"].as_array().into_iter().flatten() {
        let name = text(&route["route"]);
        if let Some(why) = route["incomplete"].as_str() {
            notes.push(format!("{name}: {why}"));
        }
        for (kind, word) in [("orphans", "no job of ours"), ("perhaps", "perhaps an open attempt of ours")] {
            for job in route[kind].as_array().into_iter().flatten() {
                let suspended = if job["suspended"] == true { "; in suspense" } else { "" };
                let what = format!(
                    "{word}: {} s of {}, {}; {}{suspended}",
                    text(&job["seconds"]),
                    text(&job["model"]),
                    text(&job["status"]),
                    text(&job["note"])
                );
                rows.push(vec![name.clone(), text(&job["upstream_id"]), String::new(), text(&job["amount"]), what]);
            }
        }
        for kind in ["missing", "differing", "open", "unbilled"] {
            for job in route[kind].as_array().into_iter().flatten() {
                let what = format!("{}: {}", text(&job["state"]), text(&job["why"]));
                rows.push(vec![name.clone(), text(&job["upstream_id"]), text(&job["id"]), text(&job["amount"]), what]);
            }
        }
    }
    let head =
        [("route", Align::Left), ("upstream id", Align::Left), ("job", Align::Left), ("amount", Align::Right), ("what", Align::Left)];
    let mut told = if rows.is_empty() { String::new() } else { table(&head, &rows, &[]) };
    for note in notes {
        told.push_str(&format!("{note}\n"));
    }
    let (suspense, overrun) = (text(&report["suspense_total"]), text(&report["overrun_total"]));
    told.push_str(&format!("In suspense: {suspense} (`filmgate suspense list`). Taken above what was held: {overrun}.\n"));
    if !report["reconciling_since"].is_null() {
        told.push_str("Nothing is bought meanwhile. When you have looked at this: `filmgate reconcile --done`.\n");
    }
    told.push_str(if report["explained"] == true { "Everything is explained.\n" } else { "Not everything is explained.\n" });
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{lines, span};

    #[test]
    fn spans_are_a_number_and_a_unit() {
        assert_eq!((span("90m"), span("24h"), span("2d"), span("5s")), (Ok(5_400), Ok(86_400), Ok(172_800), Ok(5)));
        for text in ["", "h", "1", "1w", "-1h", "1.5h", "99999999999d", "1é"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_bill_is_read_by_the_names_of_its_columns() {
        let read = lines("\u{feff}date,\"upstream_id\",amount\r\n2026-11-23,video_1,0.40\r\n\r\n2026-11-23,\"video_2\",$1.2\r\n").unwrap();
        let line = |id: &str, amount: i64| json!({ "upstream_id": id, "amount_microusd": amount });
        assert_eq!(read, [line("video_1", 400_000), line("video_2", 1_200_000)]);
        for (text, part) in [
            ("", "upstream_id"),
            ("upstream_id,cost\n", "amount"),
            ("upstream_id,amount\nvideo_1\n", "line 2"),
            ("upstream_id,amount\nv,1e3\n", "line 2"),
        ] {
            let told = lines(text).unwrap_err();
            assert!(told.to_string().contains(part), "{text:?}: {told}");
        }
    }
}
