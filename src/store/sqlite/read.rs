//! The queries about jobs, characters and balances. They change nothing.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{Connection, Error, OptionalExtension as _, Row, params};

use super::rows::{Columns, job, job_by_id, select_jobs};
use crate::clock::Timestamp;
use crate::id::{AccountId, AttemptId, CharacterId, Home, JobId, RouteName, TenantName};
use crate::job::State;
use crate::store::{Attempt, Balance, Character, Job, Jobs, LedgerEntry, Page};

/// The longest list of jobs that is answered at once.
const JOBS_MAX: u32 = 10_000;

/// A tenant's job, unless it was deleted.
pub(super) fn job_of(conn: &Connection, tenant: &TenantName, id: JobId) -> Result<Option<Arc<Job>>, Error> {
    let found = job_by_id(conn, id)?.filter(|job| job.tenant == *tenant && job.deleted_at.is_none());
    Ok(found.map(Arc::new))
}

/// A page of a tenant's jobs. One more than asked for is looked up, to know whether there are more.
pub(super) fn jobs(conn: &Connection, tenant: &TenantName, page: &Page) -> Result<Jobs, Error> {
    let limit = page.limit.min(JOBS_MAX);
    let sql = match (page.newest_first, &page.after) {
        (true, Some(_)) => select_jobs!("WHERE tenant = ?1 AND deleted_at_ms IS NULL AND id < ?3 ORDER BY id DESC LIMIT ?2"),
        (true, None) => select_jobs!("WHERE tenant = ?1 AND deleted_at_ms IS NULL AND ?3 IS NULL ORDER BY id DESC LIMIT ?2"),
        (false, Some(_)) => select_jobs!("WHERE tenant = ?1 AND deleted_at_ms IS NULL AND id > ?3 ORDER BY id LIMIT ?2"),
        (false, None) => select_jobs!("WHERE tenant = ?1 AND deleted_at_ms IS NULL AND ?3 IS NULL ORDER BY id LIMIT ?2"),
    };
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map(params![tenant.as_str(), limit + 1, page.after], job)?;
    let mut jobs = shared(rows)?;
    let has_more = jobs.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if has_more {
        jobs.pop();
    }
    Ok(Jobs { jobs, has_more })
}

/// A route's jobs in a state, oldest first.
pub(super) fn in_state(conn: &Connection, state: State, route: &RouteName) -> Result<Vec<Arc<Job>>, Error> {
    let sql = if state.is_final() {
        select_jobs!("WHERE route = ?1 AND state = ?2 ORDER BY id LIMIT ?3")
    } else {
        select_jobs!("WHERE route = ?1 AND state = ?2 AND ended_at_ms IS NULL ORDER BY id LIMIT ?3")
    };
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map(params![route.as_str(), state.as_str(), JOBS_MAX], job)?;
    shared(rows)
}

/// See [`crate::store::Store::let_go`]. An attempt that ended out of `unknown` has no word of its own.
pub(super) fn let_go(conn: &Connection, route: &RouteName, since: Timestamp) -> Result<Vec<Arc<Job>>, Error> {
    let sql = select_jobs!(
        "WHERE id IN (SELECT job_id FROM attempts WHERE route = ?1 AND created_at_ms >= ?2 AND outcome IN ('released', 'failed') AND upstream_id IS NULL)
         AND state IN ('released', 'failed') ORDER BY id LIMIT ?3"
    );
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map(params![route.as_str(), since.as_ms(), JOBS_MAX], job)?;
    shared(rows)
}

/// The newest jobs of one tenant or of all, deleted ones too.
pub(super) fn latest_jobs(
    conn: &Connection,
    tenant: Option<&TenantName>,
    state: Option<State>,
    limit: u32,
) -> Result<Vec<Arc<Job>>, Error> {
    let sql = select_jobs!("WHERE (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR state = ?2) ORDER BY id DESC LIMIT ?3");
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map(params![tenant.map(TenantName::as_str), state.map(State::as_str), limit.min(JOBS_MAX)], job)?;
    shared(rows)
}

/// The newest jobs that have not ended, to begin the cache of recent jobs with.
pub(super) fn open_jobs(conn: &Connection) -> Result<Vec<Arc<Job>>, Error> {
    // The plus keeps SQLite from walking all jobs in the order of their ids.
    let mut rows = conn.prepare(select_jobs!("WHERE ended_at_ms IS NULL ORDER BY +id DESC LIMIT ?1"))?;
    let rows = rows.query_map([JOBS_MAX], job)?;
    shared(rows)
}

fn shared(rows: impl Iterator<Item = Result<Job, Error>>) -> Result<Vec<Arc<Job>>, Error> {
    rows.map(|job| job.map(Arc::new)).collect()
}

/// See [`crate::store::Store::known_upstream_ids`].
pub(super) fn known_upstream_ids(conn: &Connection, home: &Home, ids: Vec<String>) -> Result<HashSet<String>, Error> {
    let sql =
        "SELECT 1 FROM attempts WHERE route = ?1 AND upstream_id = ?2 AND (account IS NULL OR ?3 IS NULL OR substr(account, 1, 16) = ?3)";
    let mut attempt = conn.prepare_cached(sql)?;
    let mut known = HashSet::new();
    for id in ids {
        if attempt.exists(params![home.route.as_str(), id, home.account.as_ref().map(AccountId::address)])? {
            known.insert(id);
        }
    }
    Ok(known)
}

/// Which job an attempt is of.
pub(super) fn job_of_attempt(conn: &Connection, attempt: AttemptId) -> Result<Option<JobId>, Error> {
    let sql = "SELECT job_id FROM attempts WHERE id = ?1";
    conn.prepare_cached(sql)?.query_row([attempt.to_string()], |row| Columns::of(row).parse("job's id")).optional()
}

/// Which of `ids` are of deleted jobs.
pub(super) fn deleted_among(conn: &Connection, ids: Vec<JobId>) -> Result<HashSet<JobId>, Error> {
    let mut job = conn.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1 AND deleted_at_ms IS NOT NULL")?;
    let mut deleted = HashSet::new();
    for id in ids {
        if job.exists([id.to_string()])? {
            deleted.insert(id);
        }
    }
    Ok(deleted)
}

/// A job with its attempts and ledger lines, all of one moment.
#[expect(clippy::type_complexity, reason = "the shape is the trait's")]
pub(super) fn job_file(conn: &Connection, id: JobId) -> Result<Option<(Arc<Job>, Vec<Attempt>, Vec<LedgerEntry>)>, Error> {
    let moment = conn.unchecked_transaction()?;
    let Some(job) = job_by_id(&moment, id)? else { return Ok(None) };

    let sql =
        "SELECT id, route, price_microusd, outcome, upstream_id, created_at_ms, account FROM attempts WHERE job_id = ?1 ORDER BY number";
    let mut rows = moment.prepare_cached(sql)?;
    let attempts = rows.query_map([id.to_string()], |row| {
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
    })?;
    let attempts = attempts.collect::<Result<_, _>>()?;

    let mut rows = moment.prepare_cached("SELECT kind, amount_microusd, at_ms, note FROM ledger WHERE job_id = ?1 ORDER BY number")?;
    let lines = rows.query_map([id.to_string()], |row| {
        let mut columns = Columns::of(row);
        Ok(LedgerEntry { kind: columns.take()?, amount: columns.money()?, at: columns.moment()?, note: columns.take()? })
    })?;
    let lines = lines.collect::<Result<_, _>>()?;
    Ok(Some((Arc::new(job), attempts, lines)))
}

/// A tenant's character.
pub(super) fn character(conn: &Connection, tenant: &TenantName, id: CharacterId) -> Result<Option<Character>, Error> {
    let sql = "SELECT id, tenant, name, route, upstream_id, created_at_ms, account FROM characters WHERE id = ?1 AND tenant = ?2";
    let character = |row: &Row<'_>| {
        let mut columns = Columns::of(row);
        Ok(Character {
            id: columns.parse("character's id")?,
            tenant: columns.name(TenantName::new)?,
            name: columns.take()?,
            route: columns.name(RouteName::new)?,
            upstream_id: columns.take()?,
            created_at: Timestamp::from_ms(columns.take()?),
            account: columns.account()?,
        })
    };
    conn.prepare_cached(sql)?.query_row([&id.to_string(), tenant.as_str()], character).optional()
}

/// What an account has in a period.
pub(super) fn account_balance(conn: &Connection, account: &str, period: &str) -> Result<Option<Balance>, Error> {
    let sql = "SELECT account, period, held_microusd, spent_microusd, cap_microusd FROM balances WHERE account = ?1 AND period = ?2";
    conn.prepare_cached(sql)?.query_row([account, period], balance).optional()
}

/// A balance from its five columns.
pub(super) fn balance(row: &Row<'_>) -> Result<Balance, Error> {
    let mut columns = Columns::of(row);
    Ok(Balance {
        account: columns.take()?,
        period: columns.take()?,
        held: columns.money()?,
        spent: columns.money()?,
        cap: columns.money_if_any()?,
    })
}
