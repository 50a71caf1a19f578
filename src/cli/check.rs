//! `filmgate check`: what is wrong with policy files, for people, for hooks and for pipelines.
//!
//! The exit code is an interface: 0 every file is sound, 1 one has faults (or warnings, with `--deny-warnings`),
//! 2 one cannot be read at all, or the command line is wrong. Opens no store and asks nobody.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::print;
use crate::certificates;
use crate::clock::Clock;
use crate::policy::Policy;
use crate::policy::load::{LoadError, Reading, load, load_to_serve, read_text};
use crate::policy::sunset::sunset_warnings;

/// A file has faults.
const FAULTS: u8 = 1;
/// A file cannot be read.
const UNREADABLE: u8 = 2;

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The policy files.
    #[arg(value_name = "FILE", default_value = "gateway.toml")]
    files: Vec<PathBuf>,
    /// One line of JSON for each file: its faults with path, line, column, message and remedy, and its warnings.
    #[arg(long)]
    json: bool,
    /// Read no secrets and no certificates: what "env:NAME" and "file:PATH" name need not be there. For pipelines.
    #[arg(long)]
    no_secrets: bool,
    /// Exit with 1 for warnings, too.
    #[arg(long)]
    deny_warnings: bool,
}

/// Checks each file; the worst of them decides the exit code.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut worst = 0;
    for file in &args.files {
        let loaded = match args.no_secrets {
            true => load(file, Reading::Nothing).map(|policy| (warnings(&policy), policy)),
            false => read_text(file).and_then(|text| load_to_serve(file, &text, None)).map(|policy| {
                let certificates = certificates::warnings(&policy, Clock::default().now());
                (warnings(&policy).into_iter().chain(certificates).collect(), policy)
            }),
        };
        worst = worst.max(code(&loaded, args.deny_warnings));
        if args.json {
            print(&format!("{}\n", report(file, &loaded)))?;
        } else {
            tell(file, &loaded)?;
        }
    }
    Ok(ExitCode::from(worst))
}

type Checked = Result<(Vec<String>, Policy), LoadError>;

fn warnings(policy: &Policy) -> Vec<String> {
    let sunsets = sunset_warnings(policy, Clock::default().now().utc_date(), policy.alerts.sunset_days);
    policy.warnings.iter().cloned().chain(sunsets).collect()
}

fn code(checked: &Checked, deny_warnings: bool) -> u8 {
    match checked {
        Ok((warnings, _)) => u8::from(deny_warnings && !warnings.is_empty()) * FAULTS,
        Err(LoadError::Unreadable { .. } | LoadError::TooLarge { .. }) => UNREADABLE,
        Err(LoadError::Faults(_) | LoadError::NotText { .. }) => FAULTS,
    }
}

fn tell(file: &Path, checked: &Checked) -> anyhow::Result<()> {
    match checked {
        Ok((warnings, policy)) => {
            for warning in warnings {
                eprintln!("warning: {warning}");
            }
            let (routes, rules, tenants) = (policy.routes.len(), policy.rules.len(), policy.tenants.len());
            let counted = [(routes, "route"), (rules, "rule"), (tenants, "tenant")];
            let counted = counted.map(|(n, what)| format!("{n} {what}{}", if n == 1 { "" } else { "s" }));
            print(&format!("{}: sound ({})\n", file.display(), counted.join(", ")))?;
        }
        Err(why) => eprintln!("{}", why.render(std::io::stderr().is_terminal())),
    }
    Ok(())
}

fn report(file: &Path, checked: &Checked) -> Value {
    let file = file.display().to_string();
    match checked {
        Ok((warnings, _)) => json!({ "file": file, "faults": [], "untold": 0, "warnings": warnings }),
        Err(LoadError::Faults(faults)) => json!({ "file": file, "faults": faults.faults, "untold": faults.untold, "warnings": [] }),
        Err(LoadError::NotText { line, .. }) => {
            let fault =
                json!({ "path": "", "line": line, "column": 1, "message": "this is not UTF-8 text", "remedy": "save the file as UTF-8" });
            json!({ "file": file, "faults": [fault], "untold": 0, "warnings": [] })
        }
        Err(why @ (LoadError::Unreadable { .. } | LoadError::TooLarge { .. })) => json!({ "file": file, "error": why.to_string() }),
    }
}
