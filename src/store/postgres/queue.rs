//! Who stands in line: places taken, given up and taken again, and what those need who stand there.
//!
//! A line's length is kept beside it, in the transaction that changes it, so that nobody counts. Its row is
//! locked last of all, and one in a transaction. What a job needs stays while it may come back;
//! [`forget_places`] removes the rest, out of everybody's way.

use std::sync::Arc;

use bytes::Bytes;

use super::fault::Fault;
use super::rows::{Columns, advance, insert, job, job_to_move, select_jobs};
use super::session::{Session, values};
use super::write::accounts;
use super::{money, wishes};
use crate::budget::Account;
use crate::clock::Timestamp;
use crate::id::{JobId, TenantName};
use crate::job::State;
use crate::store::moves;
use crate::store::{InLine, Job, Line, NewAttempt, NewJob, NewPlace, OpenError, Standing, StoreError};

/// How many are forgotten at a time.
const FORGET_MAX: i64 = 1_000;

/// See [`crate::store::Store::line_up`].
pub(super) async fn line_up(session: &Session, new: &NewJob, first: &NewAttempt, place: &NewPlace) -> Result<Arc<Job>, OpenError> {
    let mut funds = money::enter(session, &new.bookings.iter().collect::<Vec<_>>()).await?;
    wishes::free_key(session, new).await?;
    let job = moves::lined(new, first)?;
    for booking in &new.bookings {
        funds.hold(session, booking, new.ceiling, new.at)?;
    }
    insert(session, &job, first.due_at);
    wishes::remember(session, &job, &new.fingerprint, new.idempotency_key.as_deref());
    for booking in &new.bookings {
        money::book(session, job.id, booking, job.ceiling);
    }
    money::write_line(session, job.id, "hold", job.ceiling, new.at, None);
    take(session, &job, place).await?;
    Ok(Arc::new(job))
}

/// See [`crate::store::Store::stand`].
pub(super) async fn stand(session: &Session, id: JobId, version: i64, place: Option<&NewPlace>) -> Result<Arc<Job>, OpenError> {
    let found = job_to_move(session, id).await?.filter(|job| job.version == version && job.state == State::Reserved);
    let mut job = found.ok_or(OpenError::Moved)?;
    moves::line_up(&mut job)?;
    money::lock(session, &accounts(&job)).await?;
    money::leave_place(session, &Account::Tenant(job.tenant.clone()));
    advance(session, &job, None);
    let sql = "UPDATE queue SET stands = TRUE WHERE job_id = $1 AND NOT stands RETURNING tenant, lane";
    match (session.row_if_any(sql, &[&id.to_string()]).await?, place) {
        (Some(row), _) => {
            let mut columns = Columns::of(&row);
            lengthen(session, columns.take()?, columns.take()?);
        }
        (None, Some(place)) => take(session, &job, place).await?,
        (None, None) => return Err(OpenError::Moved),
    }
    Ok(Arc::new(job))
}

/// Called under the lock of the tenant's account, which makes the bound exact.
async fn take(session: &Session, job: &Job, place: &NewPlace) -> Result<(), OpenError> {
    let tenant = job.tenant.to_string();
    let sum = session.row_if_any("SELECT coalesce(sum(jobs), 0)::bigint FROM lines WHERE tenant = $1", &[&tenant]).await?;
    let waiting: u32 = sum.map_or(Ok(0), |row| Columns::of(&row).number("count"))?;
    if waiting >= place.max {
        return Err(OpenError::LineFull { waiting });
    }
    let sql = "INSERT INTO queue (job_id, tenant, lane, until_at_ms, stands, wish, upload) VALUES ($1, $2, $3, $4, TRUE, $5, $6)";
    let (lane, upload) = (place.lane.clone(), place.upload.as_ref().map(|upload| upload.to_vec()));
    let values = values![job.id.to_string(), tenant.clone(), lane.clone(), place.until.as_ms(), place.wish.clone(), upload];
    session.write(sql, values);
    wishes::keep(session, job.id);
    lengthen(session, tenant, lane);
    Ok(())
}

fn lengthen(session: &Session, tenant: String, lane: String) {
    let sql = "INSERT INTO lines (tenant, lane, jobs) VALUES ($1, $2, 1) ON CONFLICT (tenant, lane) DO UPDATE SET jobs = lines.jobs + 1";
    session.write(sql, values![tenant, lane]);
}

/// Takes a job out of its line. What it needs stays if it `may_return`. Called under the lock of the tenant's account.
pub(super) async fn leave(session: &Session, id: JobId, may_return: bool) -> Result<(), StoreError> {
    let sql = "UPDATE queue SET stands = FALSE WHERE job_id = $1 AND stands RETURNING tenant, lane";
    let found = session.row_if_any(sql, &[&id.to_string()]).await?;
    let found = found.ok_or_else(|| StoreError::Damaged(format!("{id} waits and stands in no line")))?;
    let mut columns = Columns::of(&found);
    let (tenant, lane): (String, String) = (columns.take()?, columns.take()?);
    if !may_return {
        session.write("DELETE FROM queue WHERE job_id = $1", values![id.to_string()]);
    }
    // The last one takes the line away; after that there is nothing to shorten.
    session.write("DELETE FROM lines WHERE tenant = $1 AND lane = $2 AND jobs = 1", values![tenant.clone(), lane.clone()]);
    session.write("UPDATE lines SET jobs = jobs - 1 WHERE tenant = $1 AND lane = $2", values![tenant, lane]);
    Ok(())
}

/// See [`crate::store::Store::lines`].
pub(super) async fn lines(session: &Session) -> Result<Vec<Line>, Fault> {
    let rows = session.rows("SELECT tenant, lane, jobs FROM lines ORDER BY tenant, lane", &[]).await?;
    let rows = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok(Line { tenant: columns.name(TenantName::new)?, lane: columns.take()?, jobs: columns.number("count")? })
    });
    rows.collect()
}

/// See [`crate::store::Store::heads`].
pub(super) async fn heads(session: &Session, tenant: &TenantName, lane: &str, after: Option<JobId>, n: u32) -> Result<Vec<InLine>, Fault> {
    let sql = select_jobs!(
        "",
        "",
        ", until_at_ms, wish, upload IS NOT NULL FROM queue JOIN jobs ON id = job_id
         WHERE queue.tenant = $1 AND lane = $2 AND stands AND job_id > $3 ORDER BY job_id LIMIT $4"
    );
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let rows = session.rows(sql, &[&tenant.as_str(), &lane, &after, &i64::from(n)]).await?;
    let rows = rows.iter().map(|row| {
        let mut rest = Columns::last(row, 3);
        Ok(InLine { job: Arc::new(job(row)?), until: rest.moment()?, wish: rest.take()?, has_upload: rest.take()? })
    });
    rows.collect()
}

/// See [`crate::store::Store::upload`].
pub(super) async fn upload(session: &Session, id: JobId) -> Result<Option<Bytes>, Fault> {
    let found = session.row_if_any("SELECT upload FROM queue WHERE job_id = $1", &[&id.to_string()]).await?;
    let bytes: Option<Vec<u8>> = found.map_or(Ok(None), |row| Columns::of(&row).take())?;
    Ok(bytes.map(Bytes::from))
}

/// See [`crate::store::Store::out_of_time`].
pub(super) async fn out_of_time(session: &Session, now: Timestamp, n: u32) -> Result<Vec<Arc<Job>>, Fault> {
    let sql =
        select_jobs!("WHERE id IN (SELECT job_id FROM queue WHERE stands AND until_at_ms <= $1 ORDER BY until_at_ms LIMIT $2) ORDER BY id");
    let rows = session.rows(sql, &[&now.as_ms(), &i64::from(n)]).await?;
    rows.iter().map(|row| job(row).map(Arc::new)).collect()
}

/// See [`crate::store::Store::standing`].
pub(super) async fn standing(session: &Session, n: u32) -> Result<Vec<Standing>, Fault> {
    let sql = "SELECT job_id, queue.tenant, queue.lane, jobs.seconds, jobs.size
        FROM queue JOIN jobs ON jobs.id = job_id WHERE stands ORDER BY job_id LIMIT $1";
    let rows = session.rows(sql, &[&i64::from(n)]).await?;
    let rows = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok(Standing {
            id: columns.parse("job's id")?,
            tenant: columns.name(TenantName::new)?,
            lane: columns.take()?,
            seconds: columns.seconds()?,
            size: columns.parse("size")?,
        })
    });
    rows.collect()
}

/// See [`crate::store::Store::forget_places`].
pub(super) async fn forget_places(session: &Session) -> Result<u64, StoreError> {
    let sql = "DELETE FROM queue WHERE job_id IN (SELECT job_id FROM queue JOIN jobs ON id = job_id
        WHERE NOT stands AND state NOT IN ('reserved', 'waiting', 'submitting') LIMIT $1)";
    Ok(session.execute(sql, &[&FORGET_MAX]).await?)
}
