//! `filmgate halt` and `filmgate resume`: the switch that stops all buying.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::desk::DeskArgs;

/// What `halt` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct HaltArgs {
    #[command(flatten)]
    desk: DeskArgs,
    /// Why, for whoever finds it halted.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who says so. Default: who is logged in.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// What `resume` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    desk: DeskArgs,
    /// Who says so. Default: who is logged in.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Stops all buying. Exit code 0 once nothing more is bought.
pub fn halt(args: &HaltArgs) -> anyhow::Result<ExitCode> {
    let reason = args.reason.as_deref().unwrap_or("no reason was given");
    let wish = json!({ "reason": reason, "by": who(args.by.as_deref()) });
    let done = super::runtime()?.block_on(args.desk.desk()?.post("/api/halt", &wish))?;
    said(args.desk.json, &done, |done| {
        let now = &done["halted"];
        match done["new"].as_bool() {
            Some(true) => {
                "Nothing is bought any more, on any gateway with these books; reading goes on. `filmgate resume` ends it.".to_owned()
            }
            _ => format!("It was halted already, by {}: {}", text(&now["by"]), text(&now["reason"])),
        }
    })
}

/// Lets buying go on. Exit code 0 if it does, 1 if something else still stops it.
pub fn resume(args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    let wish = json!({ "by": who(args.by.as_deref()) });
    let done = super::runtime()?.block_on(args.desk.desk()?.post("/api/resume", &wish))?;
    let still = !done["halted"].is_null();
    said(args.desk.json, &done, |done| {
        let was = if done["was_halted"] == true { "The halt has ended" } else { "Nobody had halted it" };
        if still {
            format!("{was}, but nothing is bought yet: {}", text(&done["halted"]["reason"]))
        } else {
            format!("{was}: videos are bought.")
        }
    })?;
    Ok(if still { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn said(as_json: bool, done: &Value, sentence: impl FnOnce(&Value) -> String) -> anyhow::Result<ExitCode> {
    super::print(&if as_json { format!("{done:#}\n") } else { format!("{}\n", sentence(done)) })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "who sits at the terminal is no part of the policy")]
fn who(by: Option<&str>) -> String {
    let logged_in = || ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|who| !who.is_empty()));
    by.map(str::to_owned).or_else(logged_in).unwrap_or_else(|| "somebody at a terminal".to_owned())
}
