//! Wishes known again: by the client's key, or by their words and the SDK's count of sendings.

use std::sync::Arc;

use super::fault::Fault;
use super::rows::{Columns, job, job_by_id, select_jobs};
use super::session::Session;
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
    session.execute("UPDATE wishes SET idempotency_key = NULL WHERE job_id = $1", &[&job.id.to_string()]).await?;
    Ok(())
}

/// Writes down how a job's wish is known again.
pub(super) async fn remember(session: &Session, job: &Job, fingerprint: &[u8; 32], key: Option<&str>) -> Result<(), Fault> {
    let sql = "INSERT INTO wishes (job_id, tenant, fingerprint, idempotency_key, created_at_ms) VALUES ($1, $2, $3, $4, $5)";
    let values = (job.id.to_string(), job.tenant.as_str(), fingerprint.as_slice(), key, job.created_at.as_ms());
    session.execute(sql, &[&values.0, &values.1, &values.2, &values.3, &values.4]).await?;
    Ok(())
}

/// Has a job's wish be known again however the job ends: it stands in line, and its client is told so.
pub(super) async fn keep(session: &Session, id: JobId) -> Result<(), Fault> {
    session.execute("UPDATE wishes SET has_waited = TRUE WHERE job_id = $1", &[&id.to_string()]).await.map(drop)
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
    let sql = "SELECT fingerprint, job_id, has_waited FROM wishes WHERE tenant = $1 AND idempotency_key = $2";
    let Some(row) = session.row_if_any(sql, &[&tenant.as_str(), &key]).await? else { return Ok(None) };
    let mut columns = Columns::of(&row);
    let (fingerprint, id, has_waited) = (columns.fingerprint()?, columns.parse("job's id")?, columns.take()?);
    Ok(job_by_id(session, id).await?.map(|job| (fingerprint, job, has_waited)))
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
