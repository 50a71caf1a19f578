//! `filmgate probe`: one cheapest paid clip through a route of the gateway that runs, to learn how the route behaves.
//!
//! The price is said first, and nothing is ordered unless somebody agreed to it. What is told meanwhile, and the
//! price, goes to standard error; what was found to standard output.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::desk::{Desk, DeskArgs, read};
use super::table::{Align, table};

/// Between two questions after it.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longer than the gateway looks at a probe.
const WAIT_MAX: Duration = Duration::from_secs(2_400);
/// Questions in a row that may go unanswered.
const UNANSWERED_MAX: u32 = 20;
/// The command line is wrong.
const USAGE: u8 = 2;

/// What `probe` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ProbeArgs {
    /// The route.
    route: String,
    /// Which of its models; by default whichever is cheapest.
    #[arg(long)]
    model: Option<String>,
    /// Order it without asking.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    desk: DeskArgs,
}

/// Orders, waits and prints. Exit code 0 if a clip was made and could be fetched, else 1.
pub fn run(args: &ProbeArgs) -> anyhow::Result<ExitCode> {
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !args.yes && !can_ask {
        eprintln!("filmgate: a probe costs money, and nobody can be asked here: agree to it with --yes");
        return Ok(ExitCode::from(USAGE));
    }
    let (desk, path) = (args.desk.desk()?, format!("/api/probe/{}", args.route));
    if args.route.is_empty() || !args.route.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        bail!("{:?} is not a name for a route", args.route);
    }
    super::runtime()?.block_on(async {
        let quote = desk.post(&path, &json!({ "model": args.model, "dry": true })).await?;
        let (text, price) = (|key: &str| told(&quote[key]), told(&quote["price"]));
        eprintln!("A probe of {}: {} s of {}, {}, for ${price}.", args.route, text("seconds"), text("model"), text("size"));
        if !args.yes && !agreed()? {
            eprintln!("Nothing was ordered.");
            return Ok(ExitCode::FAILURE);
        }
        let order = json!({ "model": quote["model"], "price_microusd": quote["price_microusd"] });
        let ordered = desk.post(&path, &order).await?;
        let found = wait(&desk, ordered).await?;
        super::print(&if args.desk.json { format!("{found:#}\n") } else { shown(&found) })?;
        let has_clip = found["state"] == "completed" && found["content"]["fault"].is_null() && found["content"]["is_mp4"] == true;
        Ok(if has_clip { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Asks on the terminal.
fn agreed() -> anyhow::Result<bool> {
    eprint!("Order it? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Waits until the gateway has looked long enough; tells a terminal how it goes.
async fn wait(desk: &Desk, mut found: Value) -> anyhow::Result<Value> {
    let (id, began, mut unanswered, mut line) = (told(&found["id"]), Instant::now(), 0, String::new());
    let is_watched = std::io::stderr().is_terminal();
    while found["done"] != true {
        let now = format!("{id} is {}, {} %", told(&found["state"]), told(&found["progress"]));
        if is_watched && now != line {
            eprintln!("{now}");
            line = now;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let answer = match desk.ask(Method::GET, &format!("/api/probe/{id}"), Bytes::new()).await {
            Ok(answer) => read(answer).await,
            Err(why) => Err(why),
        };
        match answer {
            Ok(answer) => (found, unanswered) = (answer, 0),
            Err(_) if unanswered < UNANSWERED_MAX => unanswered += 1,
            Err(why) => return Err(why.context(format!("{id} was ordered, and is in the books (`filmgate jobs show {id}`)"))),
        }
        if began.elapsed() > WAIT_MAX {
            bail!("{id} was ordered and has not ended yet; look at it with `filmgate jobs show {id}`");
        }
    }
    Ok(found)
}

fn told(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { "-".to_owned() } else { value.to_string() }, str::to_owned)
}

/// The findings for people, and the lines for the policy.
fn shown(found: &Value) -> String {
    let (list, content) = (&found["list"], &found["content"]);
    let span = |value: &Value| value.as_i64().map_or("-".to_owned(), |ms| format!("{ms} ms"));
    let exists = match (list["exists"].as_bool(), list["fault"].as_str()) {
        (Some(true), _) => "yes".to_owned(),
        (Some(false), _) => "no".to_owned(),
        (None, why) => why.unwrap_or("-").to_owned(),
    };
    let shows: Vec<&str> = ["prompt", "seconds", "size"].into_iter().filter(|what| list[format!("shows_{what}")] == true).collect();
    let clip = match (content.is_null(), content["fault"].as_str()) {
        (true, _) => "-".to_owned(),
        (false, Some(why)) => why.to_owned(),
        (false, None) => {
            let kind = if content["is_mp4"] == true { "MP4" } else { "no MP4 file" };
            format!("{} bytes, {kind}, in {}", told(&content["bytes"]), span(&content["ms"]))
        }
    };
    let rows = [
        ("job", told(&found["id"])),
        ("at the route", told(&found["upstream_id"])),
        ("clip ordered", format!("{} s of {}, {}", told(&found["seconds"]), told(&found["model"]), told(&found["size"]))),
        ("state", told(&found["state"])),
        ("error", told(&found["error"])),
        ("accepted after", span(&found["accept_ms"])),
        ("has a list", exists),
        ("listed after", span(&list["lag_ms"])),
        ("list shows", if shows.is_empty() { "-".to_owned() } else { shows.join(", ") }),
        ("created_at there less ours", span(&list["created_at_skew_ms"])),
        ("can be adopted by list", list["adoptable"].as_bool().map_or("-", |yes| if yes { "yes" } else { "no" }).to_owned()),
        ("made after", span(&found["made_ms"])),
        ("price by the policy", told(&found["price"])),
        ("cost in the books", told(&found["cost"])),
        ("cost by the route's word", told(&found["reported_cost"])),
        ("clip fetched", clip),
    ];
    let rows = rows.map(|(what, found)| vec![what.to_owned(), found]);
    let mut text = table(&[("what", Align::Left), ("found", Align::Left)], &rows, &[]);
    text.push('\n');
    text.extend(found["policy"].as_array().into_iter().flatten().map(|line| format!("{}\n", told(line))));
    text
}
