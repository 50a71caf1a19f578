//! Suspense and corrections: lines that are added to the ledger after the fact.

use std::collections::HashSet;

use rusqlite::{Connection, Error, params};

use super::fault::is_duplicate;
use super::money::in_order;
use super::rows::{Columns, job_by_id};
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::id::{JobId, RouteName};
use crate::money::MicroUsd;
use crate::store::{Correction, CorrectionError, Job, StoreError, Unexplained};

/// The most charges that are listed at once.
const UNEXPLAINED_MAX: u32 = 10_000;

/// See [`crate::store::Store::suspend`].
pub(super) fn suspend(tx: &mut Tx<'_>, charge: &Unexplained) -> Result<bool, StoreError> {
    let known = "SELECT 1 FROM attempts WHERE route = ?1 AND upstream_id = ?2";
    if tx.conn.prepare_cached(known)?.exists([charge.route.as_str(), &charge.upstream_id])? {
        return Ok(false);
    }
    let sql = "INSERT INTO ledger (kind, amount_microusd, at_ms, route, upstream_id, note) VALUES ('suspense', ?1, ?2, ?3, ?4, ?5)
        ON CONFLICT DO NOTHING";
    let Unexplained { route, upstream_id, amount, note, at } = charge;
    let at = in_order(tx.conn, *at)?;
    let rows = tx.conn.prepare_cached(sql)?.execute(params![amount.get(), at.as_ms(), route.as_str(), upstream_id, note])?;
    Ok(rows == 1)
}

/// See [`crate::store::Store::charged`].
pub(super) fn charged(conn: &Connection, route: &RouteName, ids: Vec<String>) -> Result<HashSet<String>, Error> {
    let mut charge = conn.prepare_cached("SELECT 1 FROM ledger WHERE kind = 'suspense' AND route = ?1 AND upstream_id = ?2")?;
    let mut charged = HashSet::new();
    for id in ids {
        if charge.exists([route.as_str(), &id])? {
            charged.insert(id);
        }
    }
    Ok(charged)
}

/// See [`crate::store::Store::explain`].
pub(super) fn explain(tx: &mut Tx<'_>, route: &RouteName, upstream_id: &str, note: &str, at: Timestamp) -> Result<bool, StoreError> {
    Ok(take_back(tx.conn, route.as_str(), upstream_id, note, at)?)
}

/// A job turns out to be what a route charged for: if the charge is in suspense, it is taken out.
pub(super) fn explained_by(conn: &Connection, job: &Job, upstream_id: &str, why: &str, at: Timestamp) -> Result<(), Error> {
    let route = job.route.as_str();
    let sql = "SELECT 1 FROM ledger WHERE kind = 'suspense' AND route = ?1 AND upstream_id = ?2";
    if conn.prepare_cached(sql)?.exists([route, upstream_id])? {
        take_back(conn, route, upstream_id, &format!("explained by {}: {why}", job.id), at)?;
    }
    Ok(())
}

/// Adds the line that brings a charge's suspense to nothing; whether there was any.
fn take_back(conn: &Connection, route: &str, upstream_id: &str, note: &str, at: Timestamp) -> Result<bool, Error> {
    let sql = "SELECT coalesce(sum(amount_microusd), 0) FROM ledger WHERE job_id IS NULL AND route = ?1 AND upstream_id = ?2
        AND kind IN ('suspense', 'adjust')";
    let open: i64 = conn.prepare_cached(sql)?.query_row([route, upstream_id], |row| row.get(0))?;
    if open == 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO ledger (kind, amount_microusd, at_ms, route, upstream_id, note) VALUES ('adjust', ?1, ?2, ?3, ?4, ?5)";
    let at = in_order(conn, at)?;
    conn.prepare_cached(sql)?.execute(params![-open, at.as_ms(), route, upstream_id, note])?;
    Ok(true)
}

/// See [`crate::store::Store::unexplained`].
pub(super) fn unexplained(conn: &Connection) -> Result<Vec<Unexplained>, Error> {
    let sql =
        "SELECT route, upstream_id, sum(amount_microusd) AS amount, min(note) FILTER (WHERE kind = 'suspense'), min(at_ms) FROM ledger
        WHERE job_id IS NULL AND kind IN ('suspense', 'adjust') GROUP BY route, upstream_id HAVING amount <> 0
        ORDER BY min(number) LIMIT ?1";
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map([UNEXPLAINED_MAX], |row| {
        let mut columns = Columns::of(row);
        Ok(Unexplained {
            route: columns.name(RouteName::new)?,
            upstream_id: columns.take()?,
            amount: columns.money()?,
            note: columns.take::<Option<String>>()?.unwrap_or_default(),
            at: columns.moment()?,
        })
    })?;
    rows.collect()
}

/// See [`crate::store::Store::correct`].
pub(super) fn correct(tx: &mut Tx<'_>, correction: &Correction) -> Result<MicroUsd, CorrectionError> {
    let (conn, id) = (tx.conn, correction.job);
    let job = job_by_id(conn, id)?.ok_or(CorrectionError::NoSuchJob(id))?;
    if job.cost.is_none() {
        return Err(CorrectionError::NotEnded(id));
    }
    let cost = cost(conn, id)?;
    let amount = correction.change.of(cost).ok_or(CorrectionError::BelowZero { job: id, cost })?;
    if let Some(upstream_id) = &correction.upstream_id {
        bind(conn, &job.attempt.to_string(), upstream_id)?;
        explained_by(conn, &job, upstream_id, &correction.note, correction.at)?;
    }
    let sql = "UPDATE balances SET spent_microusd = spent_microusd + ?2
        FROM bookings WHERE bookings.job_id = ?1 AND balances.account = bookings.account AND balances.period = bookings.period";
    conn.prepare_cached(sql)?.execute(params![id.to_string(), amount.get()])?;
    let sql =
        "INSERT INTO ledger (job_id, kind, amount_microusd, at_ms, route, upstream_id, note) VALUES (?1, 'adjust', ?2, ?3, ?4, ?5, ?6)";
    conn.prepare_cached(sql)?.execute(params![
        id.to_string(),
        amount.get(),
        in_order(conn, correction.at)?.as_ms(),
        job.route.as_str(),
        correction.upstream_id,
        correction.note,
    ])?;
    Ok(amount)
}

/// What an ended job cost, corrections included.
fn cost(conn: &Connection, id: JobId) -> Result<MicroUsd, Error> {
    let sql = "SELECT coalesce(sum(amount_microusd), 0) FROM ledger WHERE job_id = ?1 AND kind IN ('settle', 'adjust')";
    conn.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0).map(MicroUsd::new))
}

/// Gives an attempt the upstream id that was found out late; one that it has already stays.
fn bind(conn: &Connection, attempt: &str, upstream_id: &str) -> Result<(), CorrectionError> {
    let sql = "UPDATE attempts SET upstream_id = ?2 WHERE id = ?1 AND coalesce(upstream_id, ?2) = ?2";
    match conn.prepare_cached(sql)?.execute([attempt, upstream_id]) {
        Ok(1) => Ok(()),
        Ok(_) => Err(CorrectionError::Duplicate(upstream_id.to_owned())),
        Err(error) if is_duplicate(&error) => Err(CorrectionError::Duplicate(upstream_id.to_owned())),
        Err(error) => Err(error.into()),
    }
}
