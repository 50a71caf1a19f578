//! Halts: who stopped all buying and why, and who let it go on.

use rusqlite::{Connection, Error, OptionalExtension as _, params};

use super::rows::Columns;
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::store::{Halt, StoreError};

/// See [`crate::store::Store::halted`].
pub(super) fn halted(conn: &Connection) -> Result<Option<Halt>, Error> {
    let sql = "SELECT began_at_ms, began_by, reason, ended_at_ms, ended_by FROM halts WHERE ended_at_ms IS NULL";
    conn.prepare_cached(sql)?.query_row([], |row| halt(&mut Columns::of(row))).optional()
}

/// See [`crate::store::Store::halts`].
pub(super) fn halts(conn: &Connection, limit: u32) -> Result<Vec<Halt>, Error> {
    let sql = "SELECT began_at_ms, began_by, reason, ended_at_ms, ended_by FROM halts ORDER BY number DESC LIMIT ?1";
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map([limit], |row| halt(&mut Columns::of(row)))?;
    rows.collect()
}

/// See [`crate::store::Store::halt`].
pub(super) fn begin(tx: &mut Tx<'_>, by: &str, reason: &str, at: Timestamp) -> Result<bool, StoreError> {
    let sql = "INSERT INTO halts (began_at_ms, began_by, reason) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![at.as_ms(), by, reason])? > 0)
}

/// See [`crate::store::Store::resume`].
pub(super) fn end(tx: &mut Tx<'_>, by: &str, at: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE halts SET ended_at_ms = ?1, ended_by = ?2 WHERE ended_at_ms IS NULL";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![at.as_ms(), by])? > 0)
}

fn halt(columns: &mut Columns<'_>) -> Result<Halt, Error> {
    Ok(Halt {
        at: columns.moment()?,
        by: columns.take()?,
        reason: columns.take()?,
        ended_at: columns.moment_if_any()?,
        ended_by: columns.take()?,
    })
}
