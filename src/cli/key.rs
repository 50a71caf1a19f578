//! `filmgate key new`: a tenant's key, shown once; the policy file gets its hash.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::auth;

/// What `key` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum KeyCommand {
    /// Make a key. It is shown once; only its hash goes into the policy file.
    New {
        /// The tenant it is for.
        #[arg(long)]
        tenant: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Makes a key of 192 random bits.
pub fn run(args: &KeyArgs) -> anyhow::Result<ExitCode> {
    let KeyCommand::New { tenant, json } = &args.command;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if tenant.is_empty() || !tenant.bytes().all(plain) {
        anyhow::bail!("{tenant:?} cannot be a tenant's name: use lower-case letters, digits, - and _");
    }
    let mut bits = [0; 24];
    getrandom::fill(&mut bits).map_err(|error| anyhow::anyhow!("{error}")).context("no random bits are to be had")?;
    let key = format!("fg_{}", hex(&bits));
    let hash = format!("sha256:{}", hex(&auth::hash(key.as_bytes())));
    if *json {
        return super::print(&format!("{:#}\n", serde_json::json!({ "tenant": tenant, "key": key, "hash": hash })));
    }
    super::print(&format!(
        "key for {tenant}, shown this once:\n\n  {key}\n\nput its hash into gateway.toml:\n\n  [tenants.{tenant}]\n  keys = [\"{hash}\"]\n"
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
