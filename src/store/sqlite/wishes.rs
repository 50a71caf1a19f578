//! Wishes known again: by the client's key, or by their words and the SDK's count of sendings.

use std::sync::Arc;

use rusqlite::{Connection, Error, OptionalExtension as _, params};

use super::rows::{job, job_by_id, select_jobs};
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::id::{JobId, TenantName};
use crate::job::State;
use crate::store::{Job, Keyed, NewJob, OpenError, StoreError};

/// Jobs that are alike and worth looking at.
const ALIKE_MAX: u32 = 32;

/// Refuses a key that has a job; frees one whose job does not hold it any more.
pub(super) fn free_key(conn: &Connection, new: &NewJob) -> Result<(), OpenError> {
    let Some(key) = &new.idempotency_key else { return Ok(()) };
    let Some((_, job, has_waited)) = find(conn, &new.tenant, key)? else { return Ok(()) };
    if holds_its_key(&job, has_waited) {
        return Err(OpenError::KeyTaken);
    }
    let sql = "UPDATE wishes SET idempotency_key = NULL WHERE job_id = ?1";
    conn.prepare_cached(sql)?.execute([job.id.to_string()])?;
    Ok(())
}

/// Writes down how a job's wish is known again.
pub(super) fn remember(conn: &Connection, job: &Job, fingerprint: &[u8; 32], key: Option<&str>) -> Result<(), Error> {
    let sql = "INSERT INTO wishes (job_id, tenant, fingerprint, idempotency_key, created_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)";
    let (id, tenant, at) = (job.id.to_string(), job.tenant.as_str(), job.created_at.as_ms());
    conn.prepare_cached(sql)?.execute(params![id, tenant, fingerprint, key, at])?;
    Ok(())
}

/// Has a job's wish be known again however the job ends: it stands in line, and its client is told so.
pub(super) fn keep(conn: &Connection, id: JobId) -> Result<(), Error> {
    conn.prepare_cached("UPDATE wishes SET has_waited = 1 WHERE job_id = ?1")?.execute([id.to_string()]).map(drop)
}

/// See [`crate::store::Store::keyed_job`].
pub(super) fn keyed_job(conn: &Connection, tenant: &TenantName, key: &str) -> Result<Option<Keyed>, Error> {
    let found = find(conn, tenant, key)?.filter(|(_, job, has_waited)| holds_its_key(job, *has_waited));
    Ok(found.map(|(fingerprint, job, _)| (fingerprint, Arc::new(job))))
}

/// A job that was refused to its client leaves its key free. One that waited was answered, and one that its tenant
/// deleted may have been paid for.
fn holds_its_key(job: &Job, has_waited: bool) -> bool {
    has_waited || job.state != State::Released
}

fn find(conn: &Connection, tenant: &TenantName, key: &str) -> Result<Option<([u8; 32], Job, bool)>, Error> {
    let sql = "SELECT fingerprint, job_id, has_waited FROM wishes WHERE tenant = ?1 AND idempotency_key = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let found =
        statement.query_row(params![tenant.as_str(), key], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?))).optional()?;
    let Some((fingerprint, id, has_waited)) = found else { return Ok(None) };
    let Ok(id) = id.parse() else { return Ok(None) };
    Ok(job_by_id(conn, id)?.map(|job| (fingerprint, job, has_waited)))
}

/// See [`crate::store::Store::alike`].
pub(super) fn alike(
    conn: &Connection,
    tenant: &TenantName,
    fingerprint: &[u8; 32],
    resend: u32,
    since: Timestamp,
) -> Result<Vec<Arc<Job>>, Error> {
    let sql = select_jobs!(
        "JOIN (SELECT job_id, resend, has_waited FROM wishes
               WHERE tenant = ?1 AND fingerprint = ?2 AND created_at_ms >= ?3 AND resend < ?4 AND idempotency_key IS NULL) ON job_id = id
         WHERE (state <> 'released' AND deleted_at_ms IS NULL) OR (state = 'released' AND has_waited = 1) ORDER BY resend DESC, id LIMIT ?5"
    );
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![tenant.as_str(), fingerprint, since.as_ms(), resend, ALIKE_MAX], job)?;
    rows.map(|job| job.map(Arc::new)).collect()
}

/// See [`crate::store::Store::claim`].
pub(super) fn claim(tx: &mut Tx<'_>, id: JobId, resend: u32) -> Result<bool, StoreError> {
    let sql = "UPDATE wishes SET resend = ?2 WHERE job_id = ?1 AND resend < ?2";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![id.to_string(), resend])? > 0)
}
