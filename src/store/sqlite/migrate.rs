//! Migrations: numbered SQL files, applied once and in order, each remembered with its checksum.
//!
//! The invariant: what a database went through is exactly the beginning of the list below. A file
//! that was changed after it had been applied, or a database from a newer gateway, is refused.

use rusqlite::{Connection, TransactionBehavior};
use sha2::{Digest as _, Sha256};

use crate::store::StoreError;

/// Every migration, oldest first. To add one: write its file, add its line; never change an older one.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_start", include_str!("0001_start.sql")),
    ("0002_lost_and_corrections", include_str!("0002_lost_and_corrections.sql")),
    ("0003_notices", include_str!("0003_notices.sql")),
    ("0004_polls", include_str!("0004_polls.sql")),
    ("0005_extras", include_str!("0005_extras.sql")),
    ("0006_halts", include_str!("0006_halts.sql")),
    ("0007_queue", include_str!("0007_queue.sql")),
    ("0008_payers", include_str!("0008_payers.sql")),
    ("0009_waited", include_str!("0009_waited.sql")),
    ("0010_accounts", include_str!("0010_accounts.sql")),
    ("0011_addresses", include_str!("0011_addresses.sql")),
];

/// Brings the database to the newest schema, in one transaction.
///
/// A table that is written anew is dropped in between, so foreign keys are checked once, at the end.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), StoreError> {
    conn.pragma_update(None, "foreign_keys", false)?;
    let migrated = migrate_all(conn);
    conn.pragma_update(None, "foreign_keys", true)?;
    migrated
}

fn migrate_all(conn: &mut Connection) -> Result<(), StoreError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (
            number   INTEGER PRIMARY KEY,
            name     TEXT NOT NULL,
            checksum TEXT NOT NULL
        ) STRICT",
    )?;

    let applied = {
        let mut rows = tx.prepare("SELECT name, checksum FROM migrations ORDER BY number")?;
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<Vec<(String, String)>, _>>()?
    };
    if applied.len() > MIGRATIONS.len() {
        return Err(StoreError::Damaged("it was written by a newer gateway; run that one, or restore a backup from before".to_owned()));
    }
    for ((name, sql), (applied_name, applied_checksum)) in MIGRATIONS.iter().zip(&applied) {
        if name != applied_name || checksum(sql) != *applied_checksum {
            return Err(StoreError::Damaged(format!("it went through a migration {applied_name} that is not our {name}")));
        }
    }

    let news = MIGRATIONS.iter().skip(applied.len());
    for (name, sql) in news.clone() {
        tx.execute_batch(sql)?;
        tx.execute("INSERT INTO migrations (name, checksum) VALUES (?1, ?2)", (name, checksum(sql)))?;
    }
    if news.len() > 0 && tx.prepare("PRAGMA foreign_key_check")?.exists([])? {
        return Err(StoreError::Damaged("a row refers to one that is not there; restore a backup".to_owned()));
    }
    tx.commit()?;
    Ok(())
}

pub(super) fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
