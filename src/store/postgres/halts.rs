//! Halts: who stopped all buying and why, and who let it go on.

use super::fault::Fault;
use super::rows::Columns;
use super::session::Session;
use crate::clock::Timestamp;
use crate::store::{Halt, StoreError};

/// See [`crate::store::Store::halted`].
pub(super) async fn halted(session: &Session) -> Result<Option<Halt>, Fault> {
    let sql = "SELECT began_at_ms, began_by, reason, ended_at_ms, ended_by FROM halts WHERE ended_at_ms IS NULL";
    session.row_if_any(sql, &[]).await?.map(|row| halt(&mut Columns::of(&row))).transpose()
}

/// See [`crate::store::Store::halts`].
pub(super) async fn halts(session: &Session, limit: u32) -> Result<Vec<Halt>, Fault> {
    let sql = "SELECT began_at_ms, began_by, reason, ended_at_ms, ended_by FROM halts ORDER BY number DESC LIMIT $1";
    session.rows(sql, &[&i64::from(limit)]).await?.iter().map(|row| halt(&mut Columns::of(row))).collect()
}

/// See [`crate::store::Store::halt`].
pub(super) async fn begin(session: &Session, by: &str, reason: &str, at: Timestamp) -> Result<bool, StoreError> {
    let sql = "INSERT INTO halts (began_at_ms, began_by, reason) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    Ok(session.execute(sql, &[&at.as_ms(), &by, &reason]).await? > 0)
}

/// See [`crate::store::Store::resume`].
pub(super) async fn end(session: &Session, by: &str, at: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE halts SET ended_at_ms = $1, ended_by = $2 WHERE ended_at_ms IS NULL";
    Ok(session.execute(sql, &[&at.as_ms(), &by]).await? > 0)
}

fn halt(columns: &mut Columns<'_>) -> Result<Halt, Fault> {
    Ok(Halt {
        at: columns.moment()?,
        by: columns.take()?,
        reason: columns.take()?,
        ended_at: columns.moment_if_any()?,
        ended_by: columns.take()?,
    })
}
