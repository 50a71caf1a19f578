//! The facts that can be written. Each function is one of them, whole, in the writer's transaction:
//! if it answers an error, nothing of it stays.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Error, params};

use super::fault::is_duplicate;
use super::rows::{advance, insert, job, job_by_id, select_jobs};
use super::wishes;
use super::writer::Tx;
use super::{corrections, money, notices, queue};
use crate::budget::Account;
use crate::clock::Timestamp;
use crate::crash;
use crate::id::{AccountId, Home, JobId, TenantName};
use crate::job::{Event, Hold, State, Step, step};
use crate::money::MicroUsd;
use crate::store::moves;
use crate::store::{ApplyError, Character, Facts, Job, NewAttempt, NewJob, OpenError, Removed, StoreError};

/// Nobody is asked about later than this after the start.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// See [`crate::store::Store::open_job`].
pub(super) fn open_job(tx: &mut Tx<'_>, new: &NewJob, attempt: &NewAttempt) -> Result<Arc<Job>, OpenError> {
    let conn = tx.conn;
    wishes::free_key(conn, new)?;
    if let Err(in_flight) = money::take_place(conn, &Account::Tenant(new.tenant.clone()), new.tenant_in_flight_max)? {
        return Err(OpenError::TenantFull { in_flight });
    }
    for booking in &new.bookings {
        money::hold(conn, booking, new.ceiling, new.at)?;
    }
    admit_to_route(conn, attempt)?;

    let job = moves::opened(new, attempt)?;
    insert(conn, &job, attempt.due_at)?;
    wishes::remember(conn, &job, &new.fingerprint, new.idempotency_key.as_deref())?;
    for booking in &new.bookings {
        money::book(conn, job.id, booking, job.ceiling)?;
    }
    money::enter(conn, job.id, "hold", job.ceiling, new.at, None)?;
    write_attempt(conn, &job, attempt)?;
    Ok(tx.changed(job))
}

/// See [`crate::store::Store::open_attempt`].
pub(super) fn open_attempt(tx: &mut Tx<'_>, id: JobId, version: i64, attempt: &NewAttempt) -> Result<Arc<Job>, OpenError> {
    let conn = tx.conn;
    let mut job = job_by_id(conn, id)?.filter(|job| job.version == version).ok_or(OpenError::Moved)?;
    let waited = job.state == State::Waiting;
    moves::attempt_again(&mut job, attempt)?;
    if waited {
        leave_line(conn, &job, attempt.tenant_in_flight_max)?;
    }
    admit_to_route(conn, attempt)?;

    if !advance(conn, &job, Some(attempt.due_at))? {
        return Err(OpenError::Moved);
    }
    write_attempt(conn, &job, attempt)?;
    Ok(tx.changed(job))
}

/// Its turn has come: the job takes its tenant's place instead of the one in line.
fn leave_line(conn: &Connection, job: &Job, tenant_in_flight_max: Option<u32>) -> Result<(), OpenError> {
    if let Err(in_flight) = money::take_place(conn, &Account::Tenant(job.tenant.clone()), tenant_in_flight_max)? {
        return Err(OpenError::TenantFull { in_flight });
    }
    Ok(queue::leave(conn, job.id, true)?)
}

/// Takes a place on the attempt's route and holds its price against the route's account.
fn admit_to_route(conn: &Connection, attempt: &NewAttempt) -> Result<(), OpenError> {
    let (route, mut max) = (Account::Route(attempt.route.clone()), attempt.in_flight_max);
    if let Some(most) = max
        && money::places_taken(conn, &route)? >= most
    {
        // Those of an account that the route had before take none of this one's places.
        let home = Home { route: attempt.route.clone(), account: Some(attempt.account.clone()) };
        max = Some(most.saturating_add(money::places_taken_elsewhere(conn, &home)?));
    }
    if let Err(in_flight) = money::take_place(conn, &route, max)? {
        return Err(OpenError::RouteFull { route: attempt.route.clone(), in_flight });
    }
    money::hold(conn, &attempt.booking, attempt.price, attempt.at)
}

fn write_attempt(conn: &Connection, job: &Job, attempt: &NewAttempt) -> Result<(), Error> {
    money::book(conn, job.id, &attempt.booking, attempt.price)?;
    let sql = "INSERT INTO attempts (id, job_id, number, route, upstream_model, seconds, size, price_microusd, created_at_ms, account)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    conn.prepare_cached(sql)?.execute(params![
        attempt.id.to_string(),
        job.id.to_string(),
        job.attempts,
        attempt.route.as_str(),
        attempt.upstream_model,
        attempt.seconds.get(),
        attempt.size.to_string(),
        attempt.price.get(),
        attempt.at.as_ms(),
        attempt.account.as_str(),
    ])?;
    Ok(())
}

/// See [`crate::store::Store::apply`].
pub(super) fn apply(tx: &mut Tx<'_>, id: JobId, version: i64, step: Step, facts: Facts, at: Timestamp) -> Result<Arc<Job>, ApplyError> {
    let conn = tx.conn;
    let mut job = job_by_id(conn, id)?.filter(|job| job.version == version && job.state == step.from).ok_or(ApplyError::Moved)?;
    if job.state.is_final() || step.to == State::Waiting || step.to.is_final() == (step.hold == Hold::Keep) {
        return Err(ApplyError::Store(StoreError::Damaged(format!("{id} cannot go from {} to {}", step.from, step.to))));
    }
    tell_attempt(conn, &job, step, &facts)?;
    if let Some(upstream_id) = facts.upstream_id.as_deref().filter(|found| job.upstream_id.as_deref() != Some(*found)) {
        corrections::explained_by(conn, &job, upstream_id, "found again", at)?;
    }
    let due_at = facts.due_at;
    let (reported_cost, note) = (facts.reported_cost, facts.note.clone());
    for notice in &facts.notices {
        notices::owe(conn, notice)?;
    }
    moves::learn(&mut job, step, facts);

    if step.from.is_in_flight() && !step.to.is_in_flight() {
        money::leave_place(conn, &Account::Route(job.route.clone()))?;
    }
    if step.from.has_tenants_place() && !step.to.has_tenants_place() {
        money::leave_place(conn, &Account::Tenant(job.tenant.clone()))?;
    }
    if step.from == State::Waiting {
        queue::leave(conn, id, false)?;
    }
    match step.hold {
        Hold::Keep if step.to == State::Reserved => money::take_back(conn, id, &Account::Route(job.route.clone()))?,
        Hold::Keep => {}
        Hold::Settle => settle(conn, &mut job, reported_cost, at, note.as_deref())?,
        Hold::Release => release(conn, &mut job, at, note.as_deref())?,
    }
    if let Some(note) = note.as_deref().filter(|_| step.hold == Hold::Keep) {
        money::enter(conn, id, "adjust", MicroUsd::ZERO, at, Some(note))?;
    }
    if !advance(conn, &job, due_at)? {
        return Err(ApplyError::Moved);
    }
    Ok(tx.changed(job))
}

/// Writes down how the job's latest attempt went and what its route calls it, as far as is known.
fn tell_attempt(conn: &Connection, job: &Job, step: Step, facts: &Facts) -> Result<(), ApplyError> {
    let outcome = moves::outcome(step, facts);
    if outcome.is_none() && facts.upstream_id.is_none() {
        return Ok(());
    }
    let sql = "UPDATE attempts SET outcome = coalesce(?2, outcome), upstream_id = coalesce(?3, upstream_id) WHERE id = ?1";
    let told = conn.prepare_cached(sql)?.execute(params![job.attempt.to_string(), outcome, facts.upstream_id]);
    match (told, &facts.upstream_id) {
        (Ok(_), _) => Ok(()),
        (Err(error), Some(upstream_id)) if is_duplicate(&error) => Err(ApplyError::Duplicate(upstream_id.clone())),
        (Err(error), _) => Err(error.into()),
    }
}

/// Turns the hold into spend, at what the route says it cost, else at its price. What a route took
/// above the hold is nobody's to pay: it is written down as overrun, for the operator.
fn settle(conn: &Connection, job: &mut Job, reported: Option<MicroUsd>, at: Timestamp, note: Option<&str>) -> Result<(), StoreError> {
    let (cost, over) = moves::settled(job, reported);
    money::end_hold(conn, job.id, cost)?;
    crash::point("mid_settle");
    money::enter(conn, job.id, "settle", cost, at, note)?;
    if let Some(over) = over {
        money::enter(conn, job.id, "overrun", over, at, None)?;
    }
    moves::end(job, cost, at);
    Ok(())
}

/// Gives the hold back whole.
fn release(conn: &Connection, job: &mut Job, at: Timestamp, note: Option<&str>) -> Result<(), StoreError> {
    money::end_hold(conn, job.id, MicroUsd::ZERO)?;
    money::enter(conn, job.id, "release", job.ceiling, at, note)?;
    moves::end(job, MicroUsd::ZERO, at);
    Ok(())
}

/// See [`crate::store::Store::remove`].
pub(super) fn remove(tx: &mut Tx<'_>, tenant: &TenantName, id: JobId, at: Timestamp) -> Result<Removed, StoreError> {
    let found = job_by_id(tx.conn, id)?.filter(|job| job.tenant == *tenant && job.deleted_at.is_none());
    let Some(mut job) = found else { return Ok(Removed::Unknown) };
    if job.state.is_awaited() {
        return Ok(Removed::StillRunning);
    }
    job.version += 1;
    job.deleted_at = Some(at);
    let sql = "UPDATE jobs SET deleted_at_ms = ?2, version = ?3 WHERE id = ?1";
    tx.conn.prepare_cached(sql)?.execute(params![id.to_string(), at.as_ms(), job.version])?;
    Ok(Removed::Gone(tx.changed(job)))
}

/// See [`crate::store::Store::takes_writes`].
pub(super) fn wrote(tx: &mut Tx<'_>, at: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta VALUES ('wrote_at_ms', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1";
    tx.conn.prepare_cached(sql)?.execute([at.as_ms()])?;
    Ok(())
}

/// See [`crate::store::Store::recover`].
///
/// The file is ours alone, so whoever claimed a job is dead, and its claims with it. A time to ask again that
/// is further ahead than any wait was written down by a clock that was wrong.
pub(super) fn recover(tx: &mut Tx<'_>, at: Timestamp) -> Result<u64, StoreError> {
    tx.conn.execute("UPDATE jobs SET lease_until_ms = NULL WHERE lease_until_ms IS NOT NULL AND ended_at_ms IS NULL", [])?;
    tx.conn.execute("UPDATE notices SET lease_until_ms = NULL WHERE lease_until_ms IS NOT NULL", [])?;
    let sql = "UPDATE jobs SET due_at_ms = ?1 WHERE due_at_ms > ?1 AND state IN ('accepted', 'running')";
    tx.conn.execute(sql, [at.after(WAIT_MAX).as_ms()])?;
    let died = {
        let mut rows = tx.conn.prepare_cached(select_jobs!("WHERE state = 'submitting' AND ended_at_ms IS NULL"))?;
        let rows = rows.query_map([], job)?;
        rows.collect::<Result<Vec<Job>, Error>>()?
    };
    let mut count = 0;
    for mut job in died {
        job.state = step(job.state, Event::Unclear).map_err(|illegal| StoreError::Damaged(illegal.to_string()))?.to;
        job.version += 1;
        if advance(tx.conn, &job, Some(at))? {
            tx.changed(job);
            count += 1;
        }
    }
    Ok(count)
}

/// See [`crate::store::Store::add_character`].
pub(super) fn add_character(tx: &mut Tx<'_>, character: &Character) -> Result<(), StoreError> {
    let sql = "INSERT INTO characters (id, tenant, name, route, upstream_id, created_at_ms, account) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    tx.conn.prepare_cached(sql)?.execute(params![
        character.id.to_string(),
        character.tenant.as_str(),
        character.name,
        character.route.as_str(),
        character.upstream_id,
        character.created_at.as_ms(),
        character.account.as_ref().map(AccountId::as_str),
    ])?;
    Ok(())
}
