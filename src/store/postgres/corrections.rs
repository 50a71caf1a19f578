//! Suspense and corrections: lines that are added to the ledger after the fact.

use std::collections::HashSet;

use super::fault::Fault;
use super::money::{self, in_order};
use super::rows::{Columns, job_to_move};
use super::session::{Session, values};
use crate::budget::Account;
use crate::clock::Timestamp;
use crate::id::{JobId, RouteName};
use crate::money::MicroUsd;
use crate::store::{Correction, CorrectionError, Job, StoreError, Unexplained};

/// The most charges that are listed at once.
const UNEXPLAINED_MAX: i64 = 10_000;

/// See [`crate::store::Store::suspend`].
pub(super) async fn suspend(session: &Session, charge: &Unexplained) -> Result<bool, StoreError> {
    let Unexplained { route, upstream_id, amount, note, at } = charge;
    let sql = concat!(
        "INSERT INTO ledger (kind, amount_microusd, at_ms, route, upstream_id, note) SELECT 'suspense', $1, ",
        in_order!("$2"),
        ", $3, $4, $5 WHERE NOT EXISTS (SELECT FROM attempts WHERE route = $3 AND upstream_id = $4) ON CONFLICT DO NOTHING"
    );
    let rows = session.execute(sql, &[&amount.get(), &at.as_ms(), &route.as_str(), upstream_id, note]).await?;
    Ok(rows == 1)
}

/// Two who explain the same charge take turns by its line.
const TAKE_TURN: &str = "SELECT number FROM ledger WHERE kind = 'suspense' AND route = $1 AND upstream_id = $2 FOR UPDATE";
/// Adds the line that brings a charge's suspense to nothing, if there is any.
const EXPLAIN: &str = concat!(
    "INSERT INTO ledger (kind, amount_microusd, at_ms, route, upstream_id, note) SELECT 'adjust', -sum(amount_microusd)::bigint, ",
    in_order!("$3"),
    ", $1, $2, $4 FROM ledger
    WHERE job_id IS NULL AND route = $1 AND upstream_id = $2 AND kind IN ('suspense', 'adjust') HAVING sum(amount_microusd) <> 0"
);

/// See [`crate::store::Store::explain`].
pub(super) async fn explain(session: &Session, route: &str, upstream_id: &str, note: &str, at: Timestamp) -> Result<bool, Fault> {
    session.rows(TAKE_TURN, &[&route, &upstream_id]).await?;
    Ok(session.execute(EXPLAIN, &[&route, &upstream_id, &at.as_ms(), &note]).await? > 0)
}

/// A job turns out to be what a route charged for: if the charge is in suspense, it is taken out.
pub(super) fn explained_by(session: &Session, job: &Job, upstream_id: &str, why: &str, at: Timestamp) {
    session.write(TAKE_TURN, values![job.route.to_string(), upstream_id.to_owned()]);
    let note = format!("explained by {}: {why}", job.id);
    session.write(EXPLAIN, values![job.route.to_string(), upstream_id.to_owned(), at.as_ms(), note]);
}

/// See [`crate::store::Store::unexplained`].
pub(super) async fn unexplained(session: &Session) -> Result<Vec<Unexplained>, Fault> {
    let sql = "SELECT route, upstream_id, sum(amount_microusd)::bigint, min(note) FILTER (WHERE kind = 'suspense'), min(at_ms) FROM ledger
        WHERE job_id IS NULL AND kind IN ('suspense', 'adjust') GROUP BY route, upstream_id HAVING sum(amount_microusd) <> 0
        ORDER BY min(number) LIMIT $1";
    let rows = session.rows(sql, &[&UNEXPLAINED_MAX]).await?;
    let charges = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok(Unexplained {
            route: columns.name(RouteName::new)?,
            upstream_id: columns.take()?,
            amount: columns.money()?,
            note: columns.take::<Option<String>>()?.unwrap_or_default(),
            at: columns.moment()?,
        })
    });
    charges.collect()
}

/// See [`crate::store::Store::charged`].
pub(super) async fn charged(session: &Session, route: &RouteName, ids: &[String]) -> Result<HashSet<String>, Fault> {
    let ids: Vec<&String> = ids.iter().filter(|id| !id.contains('\0')).collect();
    let sql = "SELECT upstream_id FROM ledger WHERE kind = 'suspense' AND route = $1 AND upstream_id = ANY ($2)";
    let rows = session.rows(sql, &[&route.as_str(), &ids]).await?;
    rows.iter().map(|row| Columns::of(row).take()).collect()
}

/// See [`crate::store::Store::correct`].
pub(super) async fn correct(session: &Session, correction: &Correction) -> Result<MicroUsd, CorrectionError> {
    let id = correction.job;
    let job = job_to_move(session, id).await?.ok_or(CorrectionError::NoSuchJob(id))?;
    if job.cost.is_none() {
        return Err(CorrectionError::NotEnded(id));
    }
    money::lock(session, &[Account::Gateway, Account::Tenant(job.tenant.clone()), Account::Route(job.route.clone())]).await?;
    let cost = cost(session, id).await?;
    let amount = correction.change.of(cost).ok_or(CorrectionError::BelowZero { job: id, cost })?;
    if let Some(upstream_id) = &correction.upstream_id {
        bind(session, &job.attempt.to_string(), upstream_id).await?;
        explained_by(session, &job, upstream_id, &correction.note, correction.at);
    }
    let sql = "UPDATE balances SET spent_microusd = spent_microusd + $2
        FROM bookings WHERE bookings.job_id = $1 AND balances.account = bookings.account AND balances.period = bookings.period";
    session.execute(sql, &[&id.to_string(), &amount.get()]).await?;
    let sql =
        "INSERT INTO ledger (job_id, kind, amount_microusd, at_ms, route, upstream_id, note) VALUES ($1, 'adjust', $2, $3, $4, $5, $6)";
    let values = (id.to_string(), amount.get(), correction.at.as_ms(), job.route.as_str());
    session.execute(sql, &[&values.0, &values.1, &values.2, &values.3, &correction.upstream_id, &correction.note]).await?;
    Ok(amount)
}

/// What an ended job cost, corrections included.
async fn cost(session: &Session, id: JobId) -> Result<MicroUsd, Fault> {
    let sql = "SELECT coalesce(sum(amount_microusd), 0)::bigint FROM ledger WHERE job_id = $1 AND kind IN ('settle', 'adjust')";
    let found = session.row_if_any(sql, &[&id.to_string()]).await?;
    found.map_or(Ok(MicroUsd::ZERO), |row| Columns::of(&row).money())
}

/// Gives an attempt the upstream id that was found out late; one that it has already stays.
async fn bind(session: &Session, attempt: &str, upstream_id: &str) -> Result<(), CorrectionError> {
    let sql = "UPDATE attempts SET upstream_id = $2 WHERE id = $1 AND coalesce(upstream_id, $2) = $2";
    match session.execute(sql, &[&attempt, &upstream_id]).await {
        Ok(1) => Ok(()),
        Ok(_) => Err(CorrectionError::Duplicate(upstream_id.to_owned())),
        Err(fault) if fault.is_duplicate() => Err(CorrectionError::Duplicate(upstream_id.to_owned())),
        Err(fault) => Err(fault.into()),
    }
}
