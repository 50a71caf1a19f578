//! `filmgate explain`: what would become of a wish, by the policy file alone or as the running gateway sees it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

use super::desk::Desk;
use super::table::{Align, table};
use crate::clock::{Clock, Timestamp};
use crate::id::{JobId, ModelName, TenantName};
use crate::plan::Nothing;
use crate::policy::Policy;
use crate::policy::load::Reading;
use crate::video::{Seconds, Size};
use crate::why::{Picture, Question, explain, moment};

/// What the file alone does not tell.
const NOT_KNOWN: &str = "Not in the file: how routes are at the moment, how much of each limit is in use and what is left of each \
                         budget. Ask the running gateway with --admin ADDRESS.";

const EXAMPLES: &str = "\
Examples:
  Who makes 8 s of sora-2 for acme, and why nobody else:
    filmgate explain --tenant acme --model sora-2 --seconds 8
  The same on the first of May, as one job's lot falls:
    filmgate explain --tenant acme --at 2027-05-01T09:00:00Z --job video_0192e3b4c5d6700081920a1b2c3d4e5f
  As the gateway that runs sees it now:
    filmgate explain --tenant acme --seconds 8 --admin 127.0.0.1:9090

Exit code 0 if somebody would be asked, 1 if nobody would.";

/// Say which rule matches a wish, who is asked in what order, why nobody else is, and what is held
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// Who wishes
    #[arg(long, value_name = "NAME")]
    pub tenant: String,

    /// The model, as clients name it; by default what the policy assumes
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// The length; by default each route's usual
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub seconds: Option<Seconds>,

    /// The frame size, WIDTHxHEIGHT; by default each route's usual
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub size: Option<Size>,

    /// By which of the tenant's keys, by its name in the policy
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,

    /// The end user that the wish is for
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// It starts from a picture, which comes as a file unless told otherwise
    #[arg(long, num_args = 0..=1, default_missing_value = "file", value_name = "file|url|id")]
    pub reference: Option<Picture>,

    /// Parameters beyond the protocol that it has, by name
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub extras: Vec<String>,

    /// The moment, as 2027-05-01T09:00:00Z; by default now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub at: Option<Timestamp>,

    /// Draw the lot of this job, where the rule draws lots
    #[arg(long, value_name = "ID", conflicts_with = "seed", value_parser = job)]
    pub job: Option<JobId>,

    /// Draw the lot of this number
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// The policy file
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    pub config: PathBuf,

    /// Ask the running gateway at its admin listener instead of the file
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<SocketAddr>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> Result<Seconds, String> {
    text.strip_suffix('s').unwrap_or(text).parse().map_err(|_| "write whole seconds from 1 to 3600".to_owned())
}

fn size(text: &str) -> Result<Size, String> {
    text.parse().map_err(|_| "write width x height in pixels, such as 720x1280".to_owned())
}

fn job(text: &str) -> Result<JobId, String> {
    text.parse().map_err(|_| "write the id of a video".to_owned())
}

impl ExplainArgs {
    fn question(&self) -> Question {
        Question {
            tenant: TenantName::new(&self.tenant),
            model: self.model.as_deref().map(ModelName::new),
            seconds: self.seconds,
            size: self.size,
            key: self.key.clone(),
            user: self.user.clone(),
            reference: self.reference,
            extras: self.extras.clone(),
            at: self.at,
            lot: self.job.map(|job| job.seed()).or(self.seed),
        }
    }
}

/// Explains, and says by its exit code whether anybody would be asked, and the gateway that runs would have it so.
pub fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let question = args.question();
    let explanation = match args.admin {
        Some(address) => {
            super::runtime()?.block_on(Desk::at(address, &args.config)?.get(&format!("/api/explain?{}", question.to_query())))?
        }
        None => {
            let policy = super::policy(&args.config, Reading::Nothing)?;
            by_file(&policy, &question, Clock::default().now()).map_err(|why| why.context(args.config.display().to_string()))?
        }
    };
    let text = if args.json { format!("{explanation:#}\n") } else { rendered(&explanation) };
    super::print(&text)?;
    let is_refused = !explanation["refusal"].is_null() || explanation["live"]["refuses"] == true;
    Ok(if is_refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the file alone says.
fn by_file(policy: &Policy, question: &Question, now: Timestamp) -> anyhow::Result<Value> {
    let (explanation, _) = explain(policy, question, now, &Nothing).map_err(anyhow::Error::msg)?;
    Ok(serde_json::to_value(explanation)?)
}

/// An explanation for people.
fn rendered(explanation: &Value) -> String {
    let word = |name: &str| shown(&explanation[name]);
    let asked = [Some(word("model")), word("seconds").some().map(|s| format!("{s} s")), word("size").some()];
    let asked: Vec<String> = asked.into_iter().flatten().collect();
    let by = word("key").some().map_or_else(String::new, |key| format!(" by its key {key}"));
    let whom = word("user").some().map_or_else(String::new, |user| format!(" for its end user {user}"));
    let mut text = format!("{}{by}{whom} wishes for {}, at {}\n", word("tenant"), asked.join(", "), word("at"));
    text.push_str(&match (word("rule").some(), word("order").some()) {
        (Some(rule), Some(order)) => format!("{rule} matches; its routes are asked {order}\n"),
        (Some(rule), None) => format!("{rule} matches\n"),
        (None, _) => "no rule matches\n".to_owned(),
    });
    if let Some(region) = word("residency").some() {
        text.push_str(&format!("it may be processed in {region} only\n"));
    }
    text.push('\n');
    text.push_str(&routes(explanation));
    if let Some(held) = word("held").some() {
        text.push_str(&format!("\n{held} USD would be held until it is made\n\n{}", purses(explanation)));
    }
    let unsaid = explanation["unsaid"].as_array().map(Vec::as_slice).unwrap_or_default();
    text.extend(unsaid.iter().map(|unsaid| format!("({})\n", shown(unsaid))));
    text.extend(word("queue").some().map(|queue| format!("It {queue}\n")));
    if let Some(refusal) = word("refusal").some() {
        text.push_str(&format!("\nNobody would be asked: {refusal}\n"));
    }
    match explanation["live"]["notes"].as_array() {
        None => text.push_str(&format!("\n{NOT_KNOWN}\n")),
        Some(notes) => {
            text.push('\n');
            text.extend(notes.iter().map(|note| format!("- {}\n", shown(note))));
        }
    }
    text
}

fn routes(explanation: &Value) -> String {
    use Align::{Left, Right};
    let lines = explanation["routes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let weighs = lines.iter().any(|route| !route["weight"].is_null());
    let mut columns = vec![
        ("place", ("", Right)),
        ("route", ("route", Left)),
        ("upstream_model", ("as", Left)),
        ("seconds", ("seconds", Right)),
        ("size", ("size", Left)),
        ("price", ("price", Right)),
    ];
    columns.extend(weighs.then_some(("weight", ("weight", Right))));
    let rows = lines.iter().map(|route| {
        let cells = columns.iter().map(|(name, _)| shown(&route[*name]));
        let why = shown(&route["why_not"]).some().or_else(|| shown(&route["now"]).some()).unwrap_or_default();
        cells.chain([why]).collect()
    });
    let head: Vec<(&str, Align)> = columns.iter().map(|(_, head)| *head).chain([("why not, or how it is", Left)]).collect();
    table(&head, &rows.collect::<Vec<_>>(), &[])
}

/// Whom it would be held against; what is in the purses only if somebody has looked.
fn purses(explanation: &Value) -> String {
    use Align::{Left, Right};
    let lines = explanation["purses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_known = lines.iter().any(|purse| !purse["fits"].is_null());
    let inside: &[(&str, Align)] = if is_known { &[("spent", Right), ("held", Right), ("left", Right)] } else { &[] };
    let columns: Vec<(&str, Align)> = [&[("cap", Right)], inside, &[("needs", Right)]].concat();
    let head = [("held against", Left), ("period", Left)].into_iter().chain(columns.iter().copied());
    let head: Vec<(&str, Align)> = head.chain(is_known.then_some(("", Left))).collect();
    let rows = lines.iter().map(|purse| {
        let amount = |name: &str| shown(&purse[name]).some().unwrap_or_else(|| "no cap".to_owned());
        let names = [shown(&purse["whose"]), shown(&purse["period"])].into_iter();
        let verdict = if purse["fits"] == false { "does not fit" } else { "" };
        names.chain(columns.iter().map(|(name, _)| amount(name))).chain(is_known.then(|| verdict.to_owned())).collect()
    });
    table(&head, &rows.collect::<Vec<_>>(), &[])
}

/// A value as people write it; nothing for `null`.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

trait OrNone {
    fn some(self) -> Option<String>;
}

impl OrNone for String {
    fn some(self) -> Option<String> {
        Some(self).filter(|text| !text.is_empty())
    }
}
