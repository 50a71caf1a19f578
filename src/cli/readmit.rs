//! `filmgate readmit`: a model that a provider had denied is asked for again.

use std::process::ExitCode;

use serde_json::json;

use super::desk::DeskArgs;

/// What `readmit` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ReadmitArgs {
    #[command(flatten)]
    desk: DeskArgs,
    /// The route.
    route: String,
    /// The model, as clients call it.
    model: String,
}

/// Has the running gateway do it.
pub fn run(args: &ReadmitArgs) -> anyhow::Result<ExitCode> {
    let wish = json!({ "route": args.route, "model": args.model });
    let done = super::runtime()?.block_on(args.desk.desk()?.post("/api/readmit", &wish))?;
    super::print(&if args.desk.json { format!("{done:#}\n") } else { format!("{} is back in rotation on {}.\n", args.model, args.route) })
}
