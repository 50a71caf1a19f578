//! Wishes known again: by the client's key, or by their words and the SDK's count of sendings.

use std::sync::Arc;

use super::fault::Fault;
use super::rows::{Columns, job, select_jobs};
use super::session::{Session, values};
use crate::clock::Timestamp;
use crate::id::{JobId, TenantName};
use crate::job::State;
use crate::store::{Job, Keyed, NewJob, OpenError, StoreError};

/// Jobs that are alike and worth looking at.
const ALIKE_MAX: i64 = 32;

/// Refuses a key that has a job; frees one whose job does not hold it any more. Called under the lock of
/// the tenant's account, which keeps two jobs of one key apart.
pub(super) async fn free_key(session: &Session, new: &NewJob) -> Result<(), OpenError> {
    let Some(key) = &new.idempotency_key else { return Ok(()) };
    let Some((_, job, has_waited)) = find(session, &new.tenant, key).await? else { return Ok(()) };
    if holds_its_key(&job, has_waited) {
        return Err(OpenError::KeyTaken);
    }
    session.write("UPDATE wishes SET idempotency_key = NULL WHERE job_id = $1", values![job.id.to_string()]);
    Ok(())
}

/// Writes down how a job's wish is known again.
pub(super) fn remember(session: &Session, job: &Job, fingerprint: &[u8; 32], key: Option<&str>) {
    let sql = "INSERT INTO wishes (job_id, tenant, fingerprint, idempotency_key, created_at_ms) VALUES ($1, $2, $3, $4, $5)";
    let (fingerprint, key) = (fingerprint.to_vec(), key.map(str::to_owned));
    session.write(sql, values![job.id.to_string(), job.tenant.to_string(), fingerprint, key, job.created_at.as_ms()]);
}

/// Has a job's wish be known again however the job ends: it stands in line, and its client is told so.
pub(super) fn keep(session: &Session, id: JobId) {
    session.write("UPDATE wishes SET has_waited = TRUE WHERE job_id = $1", values![id.to_string()]);
}

/// See [`crate::store::Store::keyed_job`].
pub(super) async fn keyed_job(session: &Session, tenant: &TenantName, key: &str) -> Result<Option<Keyed>, Fault> {
    let found = find(session, tenant, key).await?.filter(|(_, job, has_waited)| holds_its_key(job, *has_waited));
    Ok(found.map(|(fingerprint, job, _)| (fingerprint, Arc::new(job))))
}

/// A job that was refused to its client leaves its key free. One that waited was answered, and one that its tenant
/// deleted may have been paid for.
fn holds_its_key(job: &Job, has_waited: bool) -> bool {
    has_waited || job.state != State::Released
}

async fn find(session: &Session, tenant: &TenantName, key: &str) -> Result<Option<([u8; 32], Job, bool)>, Fault> {
    let sql = select_jobs!(
        "",
        "",
        ", fingerprint, has_waited FROM wishes JOIN jobs ON id = job_id WHERE wishes.tenant = $1 AND idempotency_key = $2"
    );
    let Some(row) = session.row_if_any(sql, &[&tenant.as_str(), &key]).await? else { return Ok(None) };
    let mut rest = Columns::last(&row, 2);
    Ok(Some((rest.fingerprint()?, job(&row)?, rest.take()?)))
}

/// See [`crate::store::Store::alike`].
pub(super) async fn alike(
    session: &Session,
    tenant: &TenantName,
    fingerprint: &[u8; 32],
    resend: u32,
    since: Timestamp,
) -> Result<Vec<Arc<Job>>, Fault> {
    let sql = select_jobs!(
        "JOIN wishes ON job_id = id AND wishes.tenant = $1 AND fingerprint = $2 AND wishes.created_at_ms >= $3 AND resend < $4
            AND idempotency_key IS NULL
         WHERE (state <> 'released' AND deleted_at_ms IS NULL) OR (state = 'released' AND has_waited) ORDER BY resend DESC, id LIMIT $5"
    );
    let values = (tenant.as_str(), fingerprint.as_slice(), since.as_ms(), i64::from(resend));
    let rows = session.rows(sql, &[&values.0, &values.1, &values.2, &values.3, &ALIKE_MAX]).await?;
    rows.iter().map(|row| job(row).map(Arc::new)).collect()
}

/// See [`crate::store::Store::claim`].
pub(super) async fn claim(session: &Session, id: JobId, resend: u32) -> Result<bool, StoreError> {
    let sql = "UPDATE wishes SET resend = $2 WHERE job_id = $1 AND resend < $2";
    Ok(session.execute(sql, &[&id.to_string(), &i64::from(resend)]).await? > 0)
}
