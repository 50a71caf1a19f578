//! `filmgate notices`: events that webhooks were not told of, and telling them again.

use std::process::ExitCode;

use serde_json::json;

use super::desk::DeskArgs;
use super::table::{Align, day_and_time, table};
use crate::boot;
use crate::id::NoticeId;
use crate::notice::Addressee;
use crate::policy::load::Reading;
use crate::store::{Notice, NoticesIn};

/// What `notices` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct NoticesArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    command: NoticesCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum NoticesCommand {
    /// Events that were given up, unless told otherwise.
    List {
        /// Which.
        #[arg(long, value_enum, default_value_t = Standing::Dead)]
        standing: Standing,
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Send again: one event by its id, or all that were given up of `tenant:NAME` or of the `operator`.
    Resend {
        /// `evt_…`, `tenant:NAME` or `operator`.
        which: String,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Standing {
    /// Owed, and not sent in vain yet.
    Pending,
    /// Sent in vain, and sent again.
    Failing,
    /// Given up.
    Dead,
    /// Taken.
    Sent,
}

impl From<Standing> for NoticesIn {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Pending => Self::Pending,
            Standing::Failing => Self::Failing,
            Standing::Dead => Self::Dead,
            Standing::Sent => Self::Sent,
        }
    }
}

/// Shows or sends again.
pub fn run(args: &NoticesArgs) -> anyhow::Result<ExitCode> {
    let runtime = super::runtime()?;
    match &args.command {
        NoticesCommand::List { standing, limit } => {
            let store = runtime.block_on(boot::open_books(&super::policy(&args.desk.config, Reading::Store)?))?;
            let notices = runtime.block_on(store.notices((*standing).into(), *limit))?;
            if args.desk.json {
                let notices: Vec<_> = notices.iter().map(as_json).collect();
                return super::print(&format!("{:#}\n", json!(notices)));
            }
            super::print(&as_text(&notices))
        }
        NoticesCommand::Resend { which } => {
            if which.parse::<NoticeId>().is_err() && which.parse::<Addressee>().is_err() {
                anyhow::bail!("{which} is neither an event's id nor tenant:NAME nor operator");
            }
            let path = format!("/api/notices/{which}/resend");
            let done = runtime.block_on(args.desk.desk()?.post(&path, &json!({})))?;
            super::print(&if args.desk.json { format!("{done:#}\n") } else { format!("{} sent again.\n", done["resent"]) })
        }
    }
}

fn as_text(notices: &[Notice]) -> String {
    if notices.is_empty() {
        return "There are no such events now.\n".to_owned();
    }
    let head = [
        ("event", Align::Left),
        ("to", Align::Left),
        ("type", Align::Left),
        ("about", Align::Left),
        ("tries", Align::Right),
        ("since", Align::Left),
        ("why not", Align::Left),
    ];
    let row = |notice: &Notice| {
        vec![
            notice.id.to_string(),
            notice.to.to_string(),
            notice.kind.as_str().to_owned(),
            notice.subject.clone(),
            notice.tries.to_string(),
            day_and_time(notice.created_at),
            notice.last_error.clone().unwrap_or_default(),
        ]
    };
    table(&head, &notices.iter().map(row).collect::<Vec<_>>(), &[])
}

fn as_json(notice: &Notice) -> serde_json::Value {
    json!({
        "id": notice.id.to_string(),
        "to": notice.to.to_string(),
        "type": notice.kind.as_str(),
        "subject": notice.subject,
        "tries": notice.tries,
        "created_at_ms": notice.created_at.as_ms(),
        "due_at_ms": notice.due_at.as_ms(),
        "sent_at_ms": notice.sent_at.map(|at| at.as_ms()),
        "dead_at_ms": notice.dead_at.map(|at| at.as_ms()),
        "last_error": notice.last_error,
    })
}
