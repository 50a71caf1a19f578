//! The queries about jobs, characters and balances. They change nothing.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_postgres::Row;

use super::fault::Fault;
use super::rows::{Columns, job, job_by_id, select_jobs};
use super::session::Session;
use crate::clock::Timestamp;
use crate::id::{AccountId, AttemptId, CharacterId, Home, JobId, RouteName, TenantName};
use crate::job::State;
use crate::store::{Attempt, Balance, Character, Job, Jobs, LedgerEntry, Page};

/// The longest list of jobs that is answered at once.
const JOBS_MAX: u32 = 10_000;

/// A tenant's job, unless it was deleted.
pub(super) async fn job_of(session: &Session, tenant: &TenantName, id: JobId) -> Result<Option<Arc<Job>>, Fault> {
    let found = job_by_id(session, id).await?.filter(|job| job.tenant == *tenant && job.deleted_at.is_none());
    Ok(found.map(Arc::new))
}

/// A page of a tenant's jobs. One more than asked for is looked up, to know whether there are more.
pub(super) async fn jobs(session: &Session, tenant: &TenantName, page: &Page) -> Result<Jobs, Fault> {
    let limit = page.limit.min(JOBS_MAX);
    let sql = match (page.newest_first, &page.after) {
        (true, Some(_)) => select_jobs!("WHERE tenant = $1 AND deleted_at_ms IS NULL AND id < $3 ORDER BY id DESC LIMIT $2"),
        (true, None) => select_jobs!("WHERE tenant = $1 AND deleted_at_ms IS NULL AND $3::text IS NULL ORDER BY id DESC LIMIT $2"),
        (false, Some(_)) => select_jobs!("WHERE tenant = $1 AND deleted_at_ms IS NULL AND id > $3 ORDER BY id LIMIT $2"),
        (false, None) => select_jobs!("WHERE tenant = $1 AND deleted_at_ms IS NULL AND $3::text IS NULL ORDER BY id LIMIT $2"),
    };
    // PostgreSQL has no text with a NUL in it; there is no id between that and the one below.
    let after = page.after.as_ref().map(|after| after.replace('\0', "\u{1}"));
    let rows = session.rows(sql, &[&tenant.as_str(), &i64::from(limit + 1), &after]).await?;
    let mut jobs = shared(&rows)?;
    let has_more = jobs.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if has_more {
        jobs.pop();
    }
    Ok(Jobs { jobs, has_more })
}

/// A route's jobs in a state, oldest first.
pub(super) async fn in_state(session: &Session, state: State, route: &RouteName) -> Result<Vec<Arc<Job>>, Fault> {
    let sql = if state.is_final() {
        select_jobs!("WHERE route = $1 AND state = $2 ORDER BY id LIMIT $3")
    } else {
        select_jobs!("WHERE route = $1 AND state = $2 AND ended_at_ms IS NULL ORDER BY id LIMIT $3")
    };
    shared(&session.rows(sql, &[&route.as_str(), &state.as_str(), &i64::from(JOBS_MAX)]).await?)
}

/// The newest jobs of one tenant or of all, deleted ones too.
pub(super) async fn latest_jobs(
    session: &Session,
    tenant: Option<&TenantName>,
    state: Option<State>,
    limit: u32,
) -> Result<Vec<Arc<Job>>, Fault> {
    let sql = select_jobs!("WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR state = $2) ORDER BY id DESC LIMIT $3");
    let values = (tenant.map(TenantName::as_str), state.map(State::as_str), i64::from(limit.min(JOBS_MAX)));
    shared(&session.rows(sql, &[&values.0, &values.1, &values.2]).await?)
}

fn shared(rows: &[Row]) -> Result<Vec<Arc<Job>>, Fault> {
    rows.iter().map(|row| job(row).map(Arc::new)).collect()
}

/// See [`crate::store::Store::let_go`]. An attempt that ended out of `unknown` has no word of its own.
pub(super) async fn let_go(session: &Session, route: &RouteName, since: Timestamp) -> Result<Vec<Arc<Job>>, Fault> {
    let sql = select_jobs!(
        "WHERE id IN (SELECT job_id FROM attempts WHERE route = $1 AND created_at_ms >= $2 AND outcome IN ('released', 'failed') AND upstream_id IS NULL)
         AND state IN ('released', 'failed') ORDER BY id LIMIT $3"
    );
    shared(&session.rows(sql, &[&route.as_str(), &since.as_ms(), &i64::from(JOBS_MAX)]).await?)
}

/// See [`crate::store::Store::known_upstream_ids`].
pub(super) async fn known_upstream_ids(session: &Session, home: &Home, ids: &[String]) -> Result<HashSet<String>, Fault> {
    let ids: Vec<&String> = ids.iter().filter(|id| !id.contains('\0')).collect();
    let sql = "SELECT upstream_id FROM attempts WHERE route = $1 AND upstream_id = ANY ($2)
        AND (account IS NULL OR $3::text IS NULL OR substr(account, 1, 16) = $3)";
    let rows = session.rows(sql, &[&home.route.as_str(), &ids, &home.account.as_ref().map(AccountId::address)]).await?;
    rows.iter().map(|row| Columns::of(row).take()).collect()
}

/// Which of `ids` are of deleted jobs.
pub(super) async fn deleted_among(session: &Session, ids: &[JobId]) -> Result<HashSet<JobId>, Fault> {
    let ids: Vec<String> = ids.iter().map(JobId::to_string).collect();
    let rows = session.rows("SELECT id FROM jobs WHERE id = ANY ($1) AND deleted_at_ms IS NOT NULL", &[&ids]).await?;
    rows.iter().map(|row| Columns::of(row).parse("job's id")).collect()
}

/// A job with its attempts and ledger lines. Called in a transaction that sees one moment.
pub(super) async fn job_file(session: &Session, id: JobId) -> Result<Option<(Arc<Job>, Vec<Attempt>, Vec<LedgerEntry>)>, Fault> {
    let Some(job) = job_by_id(session, id).await? else { return Ok(None) };
    let id = id.to_string();

    let sql =
        "SELECT id, route, price_microusd, outcome, upstream_id, created_at_ms, account FROM attempts WHERE job_id = $1 ORDER BY number";
    let attempts = session.rows(sql, &[&id]).await?;
    let attempts = attempts.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok(Attempt {
            id: columns.take()?,
            route: columns.take()?,
            price: columns.money()?,
            outcome: columns.take()?,
            upstream_id: columns.take()?,
            at: columns.moment()?,
            account: columns.account()?,
        })
    });
    let attempts = attempts.collect::<Result<_, Fault>>()?;

    let sql = "SELECT kind, amount_microusd, at_ms, note FROM ledger WHERE job_id = $1 ORDER BY number";
    let lines = session.rows(sql, &[&id]).await?;
    let lines = lines.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok(LedgerEntry { kind: columns.take()?, amount: columns.money()?, at: columns.moment()?, note: columns.take()? })
    });
    let lines = lines.collect::<Result<_, Fault>>()?;
    Ok(Some((Arc::new(job), attempts, lines)))
}

/// Which job an attempt is of.
pub(super) async fn job_of_attempt(session: &Session, attempt: AttemptId) -> Result<Option<JobId>, Fault> {
    let found = session.row_if_any("SELECT job_id FROM attempts WHERE id = $1", &[&attempt.to_string()]).await?;
    found.map(|row| Columns::of(&row).parse("job's id")).transpose()
}

/// A tenant's character.
pub(super) async fn character(session: &Session, tenant: &TenantName, id: CharacterId) -> Result<Option<Character>, Fault> {
    let sql = "SELECT id, tenant, name, route, upstream_id, created_at_ms, account FROM characters WHERE id = $1 AND tenant = $2";
    let Some(row) = session.row_if_any(sql, &[&id.to_string(), &tenant.as_str()]).await? else { return Ok(None) };
    let mut columns = Columns::of(&row);
    Ok(Some(Character {
        id: columns.parse("character's id")?,
        tenant: columns.name(TenantName::new)?,
        name: columns.take()?,
        route: columns.name(RouteName::new)?,
        upstream_id: columns.take()?,
        created_at: Timestamp::from_ms(columns.take()?),
        account: columns.account()?,
    }))
}

/// What an account has in a period.
pub(super) async fn account_balance(session: &Session, account: &str, period: &str) -> Result<Option<Balance>, Fault> {
    let sql = "SELECT account, period, held_microusd, spent_microusd, cap_microusd FROM balances WHERE account = $1 AND period = $2";
    session.row_if_any(sql, &[&account, &period]).await?.as_ref().map(balance).transpose()
}

/// A balance from its five columns.
pub(super) fn balance(row: &Row) -> Result<Balance, Fault> {
    let mut columns = Columns::of(row);
    Ok(Balance {
        account: columns.take()?,
        period: columns.take()?,
        held: columns.money()?,
        spent: columns.money()?,
        cap: columns.money_if_any()?,
    })
}
