//! Who stands in line: places taken, given up and taken again, and what those need who stand there.
//!
//! A line's length is kept beside it, in the transaction that changes it, so that nobody counts. What a job
//! needs stays while it may come back; [`forget_places`] removes the rest, out of everybody's way.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, Error, OptionalExtension as _, params};

use super::rows::{Columns, advance, insert, job, job_by_id, select_jobs};
use super::writer::Tx;
use super::{money, wishes};
use crate::budget::Account;
use crate::clock::Timestamp;
use crate::id::{JobId, TenantName};
use crate::job::State;
use crate::store::moves;
use crate::store::{InLine, Job, Line, NewAttempt, NewJob, NewPlace, OpenError, Standing, StoreError};

/// How many are forgotten at a time.
const FORGET_MAX: u32 = 1_000;

/// See [`crate::store::Store::line_up`].
pub(super) fn line_up(tx: &mut Tx<'_>, new: &NewJob, first: &NewAttempt, place: &NewPlace) -> Result<Arc<Job>, OpenError> {
    let conn = tx.conn;
    wishes::free_key(conn, new)?;
    let job = moves::lined(new, first)?;
    for booking in &new.bookings {
        money::hold(conn, booking, new.ceiling, new.at)?;
    }
    insert(conn, &job, first.due_at)?;
    wishes::remember(conn, &job, &new.fingerprint, new.idempotency_key.as_deref())?;
    for booking in &new.bookings {
        money::book(conn, job.id, booking, job.ceiling)?;
    }
    money::enter(conn, job.id, "hold", job.ceiling, new.at, None)?;
    take(conn, &job, place)?;
    Ok(tx.changed(job))
}

/// See [`crate::store::Store::stand`].
pub(super) fn stand(tx: &mut Tx<'_>, id: JobId, version: i64, place: Option<&NewPlace>) -> Result<Arc<Job>, OpenError> {
    let conn = tx.conn;
    let mut job = job_by_id(conn, id)?.filter(|job| job.version == version && job.state == State::Reserved).ok_or(OpenError::Moved)?;
    moves::line_up(&mut job)?;
    let sql = "UPDATE queue SET stands = 1 WHERE job_id = ?1 AND stands = 0 RETURNING tenant, lane";
    let back: Option<(String, String)> =
        conn.prepare_cached(sql)?.query_row([id.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match (back, place) {
        (Some((tenant, lane)), _) => lengthen(conn, &tenant, &lane)?,
        (None, Some(place)) => take(conn, &job, place)?,
        (None, None) => return Err(OpenError::Moved),
    }
    money::leave_place(conn, &Account::Tenant(job.tenant.clone()))?;
    if !advance(conn, &job, None)? {
        return Err(OpenError::Moved);
    }
    Ok(tx.changed(job))
}

fn take(conn: &Connection, job: &Job, place: &NewPlace) -> Result<(), OpenError> {
    let tenant = job.tenant.as_str();
    let sql = "SELECT coalesce(sum(jobs), 0) FROM lines WHERE tenant = ?1";
    let waiting: u32 = conn.prepare_cached(sql)?.query_row([tenant], |row| row.get(0))?;
    if waiting >= place.max {
        return Err(OpenError::LineFull { waiting });
    }
    let sql = "INSERT INTO queue (job_id, tenant, lane, until_at_ms, stands, wish, upload) VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6)";
    let (id, upload) = (job.id.to_string(), place.upload.as_deref());
    conn.prepare_cached(sql)?.execute(params![id, tenant, place.lane, place.until.as_ms(), place.wish, upload])?;
    wishes::keep(conn, job.id)?;
    Ok(lengthen(conn, tenant, &place.lane)?)
}

fn lengthen(conn: &Connection, tenant: &str, lane: &str) -> Result<(), Error> {
    let sql = "INSERT INTO lines (tenant, lane, jobs) VALUES (?1, ?2, 1) ON CONFLICT (tenant, lane) DO UPDATE SET jobs = jobs + 1";
    conn.prepare_cached(sql)?.execute([tenant, lane]).map(drop)
}

/// Takes a job out of its line. What it needs stays if it `may_return`.
pub(super) fn leave(conn: &Connection, id: JobId, may_return: bool) -> Result<(), StoreError> {
    let sql = "UPDATE queue SET stands = 0 WHERE job_id = ?1 AND stands = 1 RETURNING tenant, lane";
    let found = conn.prepare_cached(sql)?.query_row([id.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (tenant, lane): (String, String) = found.ok_or_else(|| StoreError::Damaged(format!("{id} waits and stands in no line")))?;
    if !may_return {
        conn.prepare_cached("DELETE FROM queue WHERE job_id = ?1")?.execute([id.to_string()])?;
    }
    let last = "DELETE FROM lines WHERE tenant = ?1 AND lane = ?2 AND jobs = 1";
    if conn.prepare_cached(last)?.execute([&tenant, &lane])? == 0 {
        conn.prepare_cached("UPDATE lines SET jobs = jobs - 1 WHERE tenant = ?1 AND lane = ?2")?.execute([&tenant, &lane])?;
    }
    Ok(())
}

/// See [`crate::store::Store::lines`].
pub(super) fn lines(conn: &Connection) -> Result<Vec<Line>, Error> {
    let mut rows = conn.prepare_cached("SELECT tenant, lane, jobs FROM lines ORDER BY tenant, lane")?;
    let rows = rows.query_map([], |row| {
        let mut columns = Columns::of(row);
        Ok(Line { tenant: columns.name(TenantName::new)?, lane: columns.take()?, jobs: columns.take()? })
    })?;
    rows.collect()
}

/// See [`crate::store::Store::heads`].
pub(super) fn heads(conn: &Connection, tenant: &TenantName, lane: &str, after: Option<JobId>, n: u32) -> Result<Vec<InLine>, Error> {
    let sql = "SELECT job_id, until_at_ms, wish, upload IS NOT NULL FROM queue
        WHERE tenant = ?1 AND lane = ?2 AND stands = 1 AND job_id > ?3 ORDER BY job_id LIMIT ?4";
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map(params![tenant.as_str(), lane, after, n], |row| {
        let mut columns = Columns::of(row);
        Ok((columns.parse::<JobId>("job's id")?, columns.moment()?, columns.take()?, columns.take()?))
    })?;
    let mut heads = Vec::new();
    for row in rows {
        let (id, until, wish, has_upload) = row?;
        heads.extend(job_by_id(conn, id)?.map(|job| InLine { job: Arc::new(job), until, wish, has_upload }));
    }
    Ok(heads)
}

/// See [`crate::store::Store::upload`].
pub(super) fn upload(conn: &Connection, id: JobId) -> Result<Option<Bytes>, Error> {
    let found =
        conn.prepare_cached("SELECT upload FROM queue WHERE job_id = ?1")?.query_row([id.to_string()], |row| row.get(0)).optional()?;
    Ok(found.flatten().map(|bytes: Vec<u8>| Bytes::from(bytes)))
}

/// See [`crate::store::Store::out_of_time`].
pub(super) fn out_of_time(conn: &Connection, now: Timestamp, n: u32) -> Result<Vec<Arc<Job>>, Error> {
    let sql = select_jobs!(
        "WHERE id IN (SELECT job_id FROM queue WHERE stands = 1 AND until_at_ms <= ?1 ORDER BY until_at_ms LIMIT ?2) ORDER BY id"
    );
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map(params![now.as_ms(), n], job)?;
    rows.map(|job| job.map(Arc::new)).collect()
}

/// See [`crate::store::Store::standing`].
pub(super) fn standing(conn: &Connection, n: u32) -> Result<Vec<Standing>, Error> {
    let sql = "SELECT job_id, queue.tenant, queue.lane, jobs.seconds, jobs.size
        FROM queue JOIN jobs ON jobs.id = job_id WHERE stands = 1 ORDER BY job_id LIMIT ?1";
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map([n], |row| {
        let mut columns = Columns::of(row);
        Ok(Standing {
            id: columns.parse("job's id")?,
            tenant: columns.name(TenantName::new)?,
            lane: columns.take()?,
            seconds: columns.seconds()?,
            size: columns.parse("size")?,
        })
    })?;
    rows.collect()
}

/// See [`crate::store::Store::forget_places`].
pub(super) fn forget_places(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    let sql = "DELETE FROM queue WHERE job_id IN (SELECT job_id FROM queue JOIN jobs ON id = job_id
        WHERE stands = 0 AND state NOT IN ('reserved', 'waiting', 'submitting') LIMIT ?1)";
    let rows = tx.conn.prepare_cached(sql)?.execute([FORGET_MAX])?;
    Ok(u64::try_from(rows).unwrap_or(u64::MAX))
}
