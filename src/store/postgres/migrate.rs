//! Migrations: numbered SQL files, applied once and in order, each remembered with its checksum.
//!
//! The invariant: what a database went through is exactly the beginning of the list below. A file
//! that was changed after it had been applied, or a database from a newer gateway, is refused. Gateways
//! that start at the same time take turns.

use sha2::{Digest as _, Sha256};

use super::fault::Fault;
use super::rows::Columns;
use super::session::Session;
use crate::store::StoreError;

/// Every migration, oldest first. To add one: write its file, add its line; never change an older one.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_start", include_str!("0001_start.sql")),
    ("0003_notices", include_str!("0003_notices.sql")),
    ("0005_extras", include_str!("0005_extras.sql")),
    ("0006_halts", include_str!("0006_halts.sql")),
    ("0007_queue", include_str!("0007_queue.sql")),
    ("0008_payers", include_str!("0008_payers.sql")),
    ("0009_waited", include_str!("0009_waited.sql")),
    ("0010_accounts", include_str!("0010_accounts.sql")),
    ("0011_addresses", include_str!("0011_addresses.sql")),
];

/// The advisory lock that gateways take turns by: `Fgat`.
const TURN: &str = "SELECT pg_advisory_xact_lock(1181180276)";

/// Brings the database to the newest schema, in one transaction, and gives a new one its identity and its secret.
pub(super) async fn migrate(session: &Session) -> Result<(), StoreError> {
    // A table that is written anew takes as long as it takes.
    session.run("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0").await?;
    session.rows(TURN, &[]).await?;
    session.run("CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)").await?;
    let applied = applied(session).await?;
    for (number, (name, sql)) in (1_i64..).zip(MIGRATIONS).skip(applied) {
        session.run(sql).await?;
        let line = "INSERT INTO migrations (number, name, checksum) VALUES ($1, $2, $3)";
        session.execute(line, &[&number, name, &checksum(sql)]).await?;
    }
    for name in ["identity", "signing_key"] {
        let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| StoreError::Unavailable(format!("no randomness: {error}")))?;
        session.execute(sql, &[&name, &secret.as_slice()]).await?;
    }
    session.run("COMMIT").await?;
    Ok(())
}

/// How many of our migrations the database went through; refuses one that went through others.
pub(super) async fn applied(session: &Session) -> Result<usize, StoreError> {
    let applied = session.rows("SELECT name, checksum FROM migrations ORDER BY number", &[]).await?;
    if applied.len() > MIGRATIONS.len() {
        return Err(StoreError::Damaged("it was written by a newer gateway; run that one, or restore a backup from before".to_owned()));
    }
    for ((name, sql), row) in MIGRATIONS.iter().zip(&applied) {
        let mut columns = Columns::of(row);
        let (applied_name, applied_checksum): (String, String) = (columns.take()?, columns.take()?);
        if *name != applied_name || checksum(sql) != applied_checksum {
            return Err(StoreError::Damaged(format!("it went through a migration {applied_name} that is not our {name}")));
        }
    }
    Ok(applied.len())
}

/// Refuses a database that is not at the newest schema.
pub(super) async fn is_up_to_date(session: &Session) -> Result<(), StoreError> {
    if applied(session).await? == MIGRATIONS.len() {
        return Ok(());
    }
    Err(StoreError::Damaged("it was written by an older gateway; start this one once to bring it up to date".to_owned()))
}

/// A value that the database keeps about itself.
pub(super) async fn meta(session: &Session, name: &str) -> Result<Vec<u8>, StoreError> {
    let found = session.row_if_any("SELECT value FROM meta WHERE name = $1", &[&name]).await?;
    let found = found.map(|row| Columns::of(&row).take()).transpose()?;
    found.ok_or_else(|| Fault::BadValue { value: "nothing".to_owned(), kind: "database's own key" }.into())
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
