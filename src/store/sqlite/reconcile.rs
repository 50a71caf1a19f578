//! What reconciling needs of the books: the mode itself, and what they say of a route's attempts.

use rusqlite::{Connection, Error, OptionalExtension as _, params};

use super::money::latest_line;
use super::rows::Columns;
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::id::RouteName;
use crate::store::{Booked, StoreError};

/// The most attempts that are answered at once.
const BOOKED_MAX: u32 = 100_000;

/// Whether the ledger may lack what was bought, and since when.
pub(super) fn since(conn: &Connection) -> Result<Option<Timestamp>, Error> {
    let sql = "SELECT value FROM meta WHERE name = 'reconciling'";
    conn.prepare_cached(sql)?.query_row([], |row| row.get(0).map(Timestamp::from_ms)).optional()
}

/// Marks the database as one that may lack what was bought after its last line; one that is marked stays as it is.
pub(super) fn mark(conn: &Connection) -> Result<Timestamp, Error> {
    let last = latest_line(conn)?.unwrap_or(Timestamp::from_ms(0));
    conn.execute("INSERT INTO meta VALUES ('reconciling', ?1) ON CONFLICT (name) DO NOTHING", [last.as_ms()])?;
    Ok(since(conn)?.unwrap_or(last))
}

/// See [`crate::store::Store::reconcile_only`].
pub(super) fn reconcile_only(tx: &mut Tx<'_>) -> Result<Timestamp, StoreError> {
    Ok(mark(tx.conn)?)
}

/// See [`crate::store::Store::reconciled`].
pub(super) fn reconciled(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    Ok(tx.conn.execute("DELETE FROM meta WHERE name = 'reconciling'", [])? > 0)
}

/// See [`crate::store::Store::booked`].
pub(super) fn booked(conn: &Connection, route: &RouteName, since: Timestamp) -> Result<Vec<Booked>, Error> {
    let sql = "SELECT job_id, state, attempts.upstream_id, attempts.price_microusd, attempts.created_at_ms,
            CASE WHEN ended_at_ms IS NULL THEN NULL WHEN attempt <> attempts.id THEN 0 ELSE
                (SELECT coalesce(sum(amount_microusd), 0) FROM ledger
                 WHERE ledger.job_id = jobs.id AND kind IN ('settle', 'adjust', 'overrun')) END,
            deleted_at_ms IS NOT NULL, attempts.account
        FROM jobs JOIN attempts ON attempts.job_id = jobs.id
        WHERE jobs.created_at_ms >= ?2 AND attempts.route = ?1 AND (attempt = attempts.id OR attempts.upstream_id IS NOT NULL)
        ORDER BY jobs.created_at_ms DESC LIMIT ?3";
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map(params![route.as_str(), since.as_ms(), BOOKED_MAX], |row| {
        let mut columns = Columns::of(row);
        Ok(Booked {
            job: columns.parse("job's id")?,
            state: columns.parse("state")?,
            upstream_id: columns.take()?,
            price: columns.money()?,
            at: columns.moment()?,
            cost: columns.money_if_any()?,
            deleted: columns.take()?,
            account: columns.account()?,
        })
    })?;
    rows.collect()
}
