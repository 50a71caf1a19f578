//! `filmgate suspense`: what providers took and no job explains.

use std::process::ExitCode;

use serde_json::json;

use super::desk::DeskArgs;
use super::table::{Align, day_and_time, table};
use crate::boot;
use crate::policy::load::Reading;
use crate::store::Unexplained;

/// What `suspense` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct SuspenseArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    command: SuspenseCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum SuspenseCommand {
    /// What is in suspense, oldest first.
    List,
    /// Take a charge out of suspense, for a reason: a refund, a probe by hand, another user of the account.
    Explain {
        /// Whose charge.
        route: String,
        /// What the route calls the job.
        upstream_id: String,
        /// What it was.
        #[arg(long)]
        note: String,
    },
}

/// Shows or explains.
pub fn run(args: &SuspenseArgs) -> anyhow::Result<ExitCode> {
    let runtime = super::runtime()?;
    match &args.command {
        SuspenseCommand::List => {
            let store = runtime.block_on(boot::open_books(&super::policy(&args.desk.config, Reading::Store)?))?;
            let charges = runtime.block_on(store.unexplained())?;
            if args.desk.json {
                let charges: Vec<_> = charges.iter().map(as_json).collect();
                return super::print(&format!("{:#}\n", json!(charges)));
            }
            let head = [
                ("route", Align::Left),
                ("upstream id", Align::Left),
                ("amount", Align::Right),
                ("since", Align::Left),
                ("how it is known", Align::Left),
            ];
            let row = |charge: &Unexplained| {
                vec![
                    charge.route.to_string(),
                    charge.upstream_id.clone(),
                    charge.amount.to_string(),
                    day_and_time(charge.at),
                    charge.note.clone(),
                ]
            };
            let rows: Vec<_> = charges.iter().map(row).collect();
            super::print(&if rows.is_empty() { "Nothing is in suspense.\n".to_owned() } else { table(&head, &rows, &[]) })
        }
        SuspenseCommand::Explain { route, upstream_id, note } => {
            let wish = json!({ "route": route, "upstream_id": upstream_id, "note": note });
            let done = runtime.block_on(args.desk.desk()?.post("/api/suspense/explain", &wish))?;
            super::print(&if args.desk.json { format!("{done:#}\n") } else { format!("{upstream_id} of {route} is explained.\n") })
        }
    }
}

fn as_json(charge: &Unexplained) -> serde_json::Value {
    json!({
        "route": charge.route.as_str(),
        "upstream_id": charge.upstream_id,
        "amount": charge.amount.to_string(),
        "amount_microusd": charge.amount.get(),
        "at_ms": charge.at.as_ms(),
        "note": charge.note,
    })
}
