//! Who is to be asked about: what is due, who has claimed it, and when it is due next.
//!
//! None of it moves a version: a claim or a later date is no news about a job. `lease_until_ms` says
//! until when a job is claimed; [`RUNG`] in it says that somebody rang for the job, so that an answer
//! to an earlier question does not put it off.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Error, params};

use super::rows::{Columns, account, job, select_jobs};
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::id::{Home, RouteName};
use crate::store::{Due, Inhabited, Job, Leased, Postponed, StoreError};

/// The end of a claim that was ended by a bell: in the past at any time.
const RUNG: i64 = 0;

/// See [`crate::store::Store::inhabited`].
pub(super) fn inhabited(conn: &Connection) -> Result<Vec<Inhabited>, Error> {
    let sql = "SELECT route, upstream_account, count(*) FROM jobs WHERE ended_at_ms IS NULL AND state NOT IN ('reserved', 'waiting')
        GROUP BY route, upstream_account ORDER BY route, upstream_account";
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map([], |row| {
        let mut columns = Columns::of(row);
        Ok(Inhabited { home: home(&mut columns)?, jobs: columns.count()? })
    })?;
    rows.collect()
}

fn home(columns: &mut Columns<'_>) -> Result<Home, Error> {
    Ok(Home { route: columns.name(RouteName::new)?, account: columns.account()? })
}

/// See [`crate::store::Store::due`]. Goes from account to account along the index, past what is not due yet.
pub(super) fn due(conn: &Connection, now: Timestamp) -> Result<Vec<Due>, Error> {
    let sql = "WITH RECURSIVE routes (name) AS (
            SELECT min(route) FROM jobs WHERE state IN ('accepted', 'running')
            UNION ALL
            SELECT (SELECT min(route) FROM jobs WHERE state IN ('accepted', 'running') AND route > name) FROM routes WHERE name IS NOT NULL
        ),
        homes (name, whose) AS (
            SELECT name, (SELECT min(upstream_account) FROM jobs WHERE state IN ('accepted', 'running') AND route = name)
            FROM routes WHERE name IS NOT NULL
            UNION ALL
            SELECT name, (SELECT min(upstream_account) FROM jobs WHERE state IN ('accepted', 'running') AND route = name AND upstream_account > whose)
            FROM homes WHERE whose IS NOT NULL
        )
        SELECT name, whose, count(*), min(due_at_ms) FROM homes CROSS JOIN jobs
        WHERE route = name AND upstream_account = whose AND state IN ('accepted', 'running') AND due_at_ms <= ?1
            AND (lease_until_ms IS NULL OR lease_until_ms <= ?1)
        GROUP BY name, whose ORDER BY name, whose";
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map([now.as_ms()], |row| {
        let mut columns = Columns::of(row);
        Ok(Due { home: home(&mut columns)?, jobs: columns.count()?, since: columns.moment()? })
    })?;
    rows.collect()
}

/// See [`crate::store::Store::lease_due`].
pub(super) fn lease_due(tx: &mut Tx<'_>, home: &Home, now: Timestamp, lease: Duration, n: u32) -> Result<Leased, StoreError> {
    let due = {
        let mut rows = tx.conn.prepare_cached(select_jobs!(
            "WHERE route = ?1 AND upstream_account = ?4 AND state IN ('accepted', 'running') AND due_at_ms <= ?2
                AND (lease_until_ms IS NULL OR lease_until_ms <= ?2)
             ORDER BY due_at_ms LIMIT ?3"
        ))?;
        let rows = rows.query_map(params![home.route.as_str(), now.as_ms(), n, account(home.account.as_ref())], job)?;
        rows.collect::<Result<Vec<Job>, Error>>()?
    };
    let until = now.after(lease);
    let mut claim = tx.conn.prepare_cached("UPDATE jobs SET lease_until_ms = ?2 WHERE id = ?1")?;
    for job in &due {
        claim.execute(params![job.id.to_string(), until.as_ms()])?;
    }
    Ok(Leased { jobs: due.into_iter().map(|job| tx.changed(job)).collect::<Vec<Arc<Job>>>(), until })
}

/// See [`crate::store::Store::of_upstream`].
pub(super) fn of_upstream(conn: &Connection, home: &Home, ids: &[String]) -> Result<Vec<Arc<Job>>, Error> {
    let mut found = conn.prepare_cached(select_jobs!(
        "WHERE id IN (SELECT job_id FROM attempts WHERE route = ?1 AND upstream_id = ?2) AND route = ?1 AND upstream_id = ?2 AND upstream_account = ?3"
    ))?;
    let mut jobs = Vec::new();
    for id in ids {
        let rows = found.query_map([home.route.as_str(), id, account(home.account.as_ref())], job)?;
        jobs.extend(rows.collect::<Result<Vec<Job>, Error>>()?.into_iter().map(Arc::new));
    }
    Ok(jobs)
}

/// See [`crate::store::Store::postpone`].
pub(super) fn postpone(tx: &Tx<'_>, jobs: &[Postponed], at: Timestamp) -> Result<(), StoreError> {
    let mut later = tx.conn.prepare_cached(
        "UPDATE jobs SET due_at_ms = ?3, lease_until_ms = NULL
         WHERE id = ?1 AND version = ?2 AND ended_at_ms IS NULL
           AND CASE WHEN ?4 IS NULL THEN lease_until_ms IS NULL OR lease_until_ms BETWEEN ?6 + 1 AND ?5 ELSE lease_until_ms = ?4 END",
    )?;
    for job in jobs {
        let claim = job.claim.map(Timestamp::as_ms);
        later.execute(params![job.id.to_string(), job.version, job.due_at.as_ms(), claim, at.as_ms(), RUNG])?;
    }
    Ok(())
}

/// See [`crate::store::Store::hasten`].
pub(super) fn hasten(tx: &Tx<'_>, route: &RouteName, upstream_id: &str, at: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE jobs SET due_at_ms = min(due_at_ms, ?3), lease_until_ms = ?4 WHERE ended_at_ms IS NULL
               AND id IN (SELECT job_id FROM attempts WHERE route = ?1 AND upstream_id = ?2)";
    let changed = tx.conn.prepare_cached(sql)?.execute(params![route.as_str(), upstream_id, at.as_ms(), RUNG])?;
    Ok(changed > 0)
}
