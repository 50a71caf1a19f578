//! `filmgate estimate`: what clips would cost, before anybody makes them.

use std::path::PathBuf;
use std::str::FromStr;

use super::table::{Align, table};
use crate::estimate::{DAYS_IN_MONTH, Estimate, Line, LineEstimate, NoEstimate, Spend, batch};
use crate::id::ModelName;
use crate::money::MicroUsd;
use crate::plan::{Moment, NoPlan};
use crate::policy::Policy;
use crate::video::{Seconds, Size};

const EXAMPLES: &str = "\
Examples:
  Eight takes and one final of 5 s, although 5 s cannot be ordered:
    filmgate estimate 8:sora-2:5s 1:sora-2-pro:5s:1024x1792
  Fifty clips, three in ten of them made again:
    filmgate estimate 50:sora-2:8s --retakes 30%
  A thousand clips a day, each charged half a dollar:
    filmgate estimate sora-2:6s --per-day 1000 --charge 0.50

It goes by the policy file alone. What the running gateway would make of a wish, as its routes are at the moment, say
POST /v1/videos/estimate and `filmgate explain --admin ADDRESS`.";

/// Say what clips would cost, by the prices and rules of a policy
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct EstimateArgs {
    /// Clips of one kind.
    #[arg(help = "Clips of one kind, as [COUNT:]MODEL:SECONDS[s][:WIDTHxHEIGHT]", value_name = "CLIPS", required = true)]
    pub clips: Vec<Clips>,

    /// How many clips of a hundred are made again, at most 1000; rounded up to whole clips
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    pub retakes: u32,

    /// Make all of them this many times a day, and say what a month of 30 days comes to
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub per_day: Option<u64>,

    /// What is charged for a clip, in dollars; by default what the policy charges the tenant
    #[arg(long, value_name = "USD", value_parser = charge)]
    pub charge: Option<MicroUsd>,

    /// Estimate as this tenant: its rule, its residency, its limits
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,

    /// The policy whose prices and rules apply
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    pub config: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Clips of one kind, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clips {
    /// How many.
    pub count: u64,
    /// The public model name, which may have colons in it.
    pub model: ModelName,
    /// Their length.
    pub seconds: Seconds,
    /// Their size, if typed.
    pub size: Option<Size>,
}

impl FromStr for Clips {
    type Err = String;

    /// Reads from both ends, so that whatever is left in the middle is the model.
    fn from_str(text: &str) -> Result<Self, String> {
        let shape = || "write [COUNT:]MODEL:SECONDS[:SIZE], such as 8:sora-2:5s or sora-2-pro:10s:1024x1792".to_owned();
        let (count, rest) = match text.split_once(':') {
            Some((count, rest)) if !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit()) => (count, rest),
            _ => ("1", text),
        };
        let count: u64 = count.parse().ok().filter(|n| *n > 0).ok_or("COUNT is a whole number from 1")?;
        let (rest, last) = rest.rsplit_once(':').ok_or_else(shape)?;
        let (model, seconds, size) = match (last.parse::<Size>(), rest.rsplit_once(':')) {
            (Ok(size), Some((model, seconds))) => (model, seconds, Some(size)),
            _ => (rest, last, None),
        };
        let seconds = seconds.strip_suffix('s').unwrap_or(seconds).parse().map_err(|_| shape())?;
        if model.is_empty() {
            return Err(shape());
        }
        Ok(Self { count, model: ModelName::new(model), seconds, size })
    }
}

fn percent(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number.filter(|n| *n <= 1_000).ok_or_else(|| "write a whole percentage from 0 to 1000, such as 30%".into())
}

fn charge(text: &str) -> Result<MicroUsd, String> {
    let amount: MicroUsd = text.parse().map_err(|e| format!("{e}"))?;
    if amount.is_negative() { Err("a charge is not less than nothing".into()) } else { Ok(amount) }
}

/// What is printed for `args` under `policy`, or what is wrong with them.
pub fn run(args: &EstimateArgs, policy: &Policy, moment: Moment<'_>) -> Result<String, String> {
    let tenant = match args.tenant.as_deref() {
        None => None,
        Some(name) => Some(policy.tenants.get(name).ok_or_else(|| {
            let known: Vec<&str> = policy.tenants.keys().map(|t| t.as_str()).collect();
            format!("--tenant {name}: {} has no such tenant; it has {}", args.config.display(), or_none(&known))
        })?),
    };
    let lines: Vec<Line> = args.clips.iter().map(|clips| line(args, clips)).collect();
    let estimate = batch(policy, tenant.map(AsRef::as_ref), &lines, moment).map_err(|error| match error {
        NoEstimate::TooLarge => "the sum is more than can be written: ask for fewer clips".to_owned(),
        NoEstimate::Line { index, why } => {
            let what = lines.get(index).map(|line| format!("{} s of {}", line.seconds, line.model)).unwrap_or_default();
            format!("{what}: {}", explained(&why, args.tenant.as_deref()))
        }
    })?;
    Ok(if args.json { format!("{:#}\n", estimate.to_json()) } else { rendered(&estimate) })
}

fn line(args: &EstimateArgs, clips: &Clips) -> Line {
    Line {
        model: clips.model.clone(),
        seconds: clips.seconds,
        size: clips.size,
        count: clips.count,
        retakes_percent: args.retakes,
        per_day: args.per_day,
        charge: args.charge,
    }
}

/// Why there is no price, in the operator's words.
fn explained(why: &NoPlan, tenant: Option<&str>) -> String {
    match why {
        NoPlan::NoRoute { rule: None, passed_over, .. } if passed_over.is_empty() && tenant.is_none() => {
            "no rule is for this; name a tenant with --tenant, or end the rules with one that has no `when`".into()
        }
        other => other.to_string(),
    }
}

fn or_none<T: ToString>(values: &[T]) -> String {
    if values.is_empty() { "none".into() } else { values.iter().map(T::to_string).collect::<Vec<_>>().join(", ") }
}

/// An estimate for people: the sums, the routes if there is a choice, and the remarks.
fn rendered(estimate: &Estimate) -> String {
    use Align::{Left, Right};
    let head = [
        ("clips", Right),
        ("model", Left),
        ("seconds", Right),
        ("size", Left),
        ("each", Right),
        ("cost", Right),
        ("re-takes", Right),
        ("re-take cost", Right),
        ("total", Right),
        ("at most", Right),
    ];
    let rows: Vec<Vec<String>> = estimate.lines.iter().map(row).collect();
    let month = format!("{DAYS_IN_MONTH} days");
    let sums = [("total", estimate.once), ("each day", estimate.day), (month.as_str(), estimate.month)];
    let sums: Vec<Vec<String>> = sums.into_iter().filter_map(|(label, spend)| Some(sum(label, spend?))).collect();
    let mut text = table(&head, &rows, &sums);

    if estimate.lines.iter().any(|line| line.each.quotes.len() > 1) {
        let head = [("model", Left), ("route", Left), ("seconds", Right), ("size", Left), ("each", Right)];
        let quotes = estimate.lines.iter().flat_map(|line| line.each.quotes.iter().map(|quote| (&line.each.model, quote)));
        let rows: Vec<Vec<String>> = quotes
            .map(|(model, q)| vec![model.to_string(), q.route.to_string(), q.seconds.to_string(), q.size.to_string(), q.price.grouped()])
            .collect();
        text.push_str("\nRoutes, in the order they would be tried:\n");
        text.push_str(&table(&head, &rows, &[]));
    }
    let remarks: Vec<String> = estimate.lines.iter().flat_map(LineEstimate::remarks).collect();
    if !remarks.is_empty() {
        text.push('\n');
        text.extend(remarks.iter().map(|remark| format!("- {remark}\n")));
    }
    text
}

fn row(line: &LineEstimate) -> Vec<String> {
    let each = &line.each;
    let kind = [line.clips.to_string(), each.model.to_string(), each.seconds().to_string(), each.size().to_string()];
    kind.into_iter().chain([each.price().grouped()]).chain(amounts(line.spend, line.retakes.to_string())).collect()
}

fn sum(label: &str, spend: Spend) -> Vec<String> {
    let kind = [String::new(), label.to_owned(), String::new(), String::new(), String::new()];
    kind.into_iter().chain(amounts(spend, String::new())).collect()
}

fn amounts(spend: Spend, retakes: String) -> [String; 5] {
    let total = spend.total().unwrap_or(MicroUsd::MAX);
    [spend.clips.grouped(), retakes, spend.retakes.grouped(), total.grouped(), spend.ceiling.grouped()]
}

#[cfg(test)]
mod tests;
