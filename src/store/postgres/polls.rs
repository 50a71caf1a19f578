//! Who is to be asked about: what is due, who has claimed it, and when it is due next.
//!
//! None of it moves a version: a claim or a later date is no news about a job. `lease_until_ms` says
//! until when a job is claimed; [`RUNG`] in it says that somebody rang for the job, so that an answer
//! to an earlier question does not put it off. A job that another replica is just claiming is passed over.

use std::sync::Arc;
use std::time::Duration;

use super::fault::Fault;
use super::rows::{Columns, account, job, select_jobs};
use super::session::Session;
use crate::clock::Timestamp;
use crate::id::{Home, RouteName};
use crate::store::{Due, Inhabited, Job, Leased, Postponed, StoreError};

/// The end of a claim that was ended by a bell: in the past at any time.
const RUNG: i64 = 0;

/// See [`crate::store::Store::inhabited`].
pub(super) async fn inhabited(session: &Session) -> Result<Vec<Inhabited>, Fault> {
    let sql = "SELECT route, upstream_account, count(*) FROM jobs WHERE ended_at_ms IS NULL AND state NOT IN ('reserved', 'waiting')
        GROUP BY route, upstream_account ORDER BY route, upstream_account";
    let rows = session.rows(sql, &[]).await?;
    let inhabited = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok(Inhabited { home: home(&mut columns)?, jobs: columns.count()? })
    });
    inhabited.collect()
}

fn home(columns: &mut Columns<'_>) -> Result<Home, Fault> {
    Ok(Home { route: columns.name(RouteName::new)?, account: columns.account()? })
}

/// See [`crate::store::Store::due`]. Goes from account to account along the index, past what is not due yet.
pub(super) async fn due(session: &Session, now: Timestamp) -> Result<Vec<Due>, Fault> {
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
        SELECT name, whose, waiting.jobs, waiting.since FROM homes CROSS JOIN LATERAL (
            SELECT count(*) AS jobs, min(due_at_ms) AS since FROM jobs
            WHERE route = name AND upstream_account = whose AND state IN ('accepted', 'running') AND due_at_ms <= $1
                AND (lease_until_ms IS NULL OR lease_until_ms <= $1)
        ) AS waiting
        WHERE waiting.jobs > 0 ORDER BY name, whose";
    let rows = session.rows(sql, &[&now.as_ms()]).await?;
    let due = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok(Due { home: home(&mut columns)?, jobs: columns.count()?, since: columns.moment()? })
    });
    due.collect()
}

/// See [`crate::store::Store::of_upstream`].
pub(super) async fn of_upstream(session: &Session, home: &Home, ids: &[String]) -> Result<Vec<Arc<Job>>, Fault> {
    let ids: Vec<&String> = ids.iter().filter(|id| !id.contains('\0')).collect();
    let sql = select_jobs!(
        "WHERE id IN (SELECT job_id FROM attempts WHERE route = $1 AND upstream_id = ANY ($2)) AND route = $1 AND upstream_id = ANY ($2) AND upstream_account = $3"
    );
    let rows = session.rows(sql, &[&home.route.as_str(), &ids, &account(home.account.as_ref())]).await?;
    rows.iter().map(|row| job(row).map(Arc::new)).collect()
}

/// See [`crate::store::Store::lease_due`].
pub(super) async fn lease_due(session: &Session, home: &Home, now: Timestamp, lease: Duration, n: u32) -> Result<Leased, StoreError> {
    let sql = select_jobs!(
        "WITH due AS (
            SELECT id FROM jobs WHERE route = $1 AND upstream_account = $5 AND state IN ('accepted', 'running') AND due_at_ms <= $2
                AND (lease_until_ms IS NULL OR lease_until_ms <= $2)
            ORDER BY due_at_ms LIMIT $3 FOR UPDATE SKIP LOCKED
        ),
        leased AS (UPDATE jobs SET lease_until_ms = $4 FROM due WHERE jobs.id = due.id RETURNING jobs.*) ",
        "FROM leased AS jobs ",
        "ORDER BY due_at_ms, id"
    );
    let until = now.after(lease);
    let whose = account(home.account.as_ref());
    let rows = session.rows(sql, &[&home.route.as_str(), &now.as_ms(), &i64::from(n), &until.as_ms(), &whose]).await?;
    let jobs = rows.iter().map(|row| job(row).map(Arc::new)).collect::<Result<Vec<Arc<Job>>, _>>()?;
    Ok(Leased { jobs, until })
}

/// See [`crate::store::Store::postpone`].
pub(super) async fn postpone(session: &Session, jobs: &[Postponed], at: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET due_at_ms = later.due_at_ms, lease_until_ms = NULL
         FROM (SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
               AS later (id, version, due_at_ms, claim_until_ms) ORDER BY 1) AS later
         WHERE jobs.id = later.id AND jobs.version = later.version AND ended_at_ms IS NULL
           AND CASE WHEN claim_until_ms IS NULL THEN lease_until_ms IS NULL OR lease_until_ms BETWEEN $6::bigint + 1 AND $5
               ELSE lease_until_ms = claim_until_ms END";
    let ids: Vec<String> = jobs.iter().map(|job| job.id.to_string()).collect();
    let versions: Vec<i64> = jobs.iter().map(|job| job.version).collect();
    let moments: Vec<i64> = jobs.iter().map(|job| job.due_at.as_ms()).collect();
    let claims: Vec<Option<i64>> = jobs.iter().map(|job| job.claim.map(Timestamp::as_ms)).collect();
    session.execute(sql, &[&ids, &versions, &moments, &claims, &at.as_ms(), &RUNG]).await?;
    Ok(())
}

/// See [`crate::store::Store::hasten`].
pub(super) async fn hasten(session: &Session, route: &RouteName, upstream_id: &str, at: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE jobs SET due_at_ms = least(due_at_ms, $3), lease_until_ms = $4 WHERE ended_at_ms IS NULL
               AND id IN (SELECT job_id FROM attempts WHERE route = $1 AND upstream_id = $2)";
    Ok(session.execute(sql, &[&route.as_str(), &upstream_id, &at.as_ms(), &RUNG]).await? > 0)
}
