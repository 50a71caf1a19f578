//! The facts that can be written. Each function is one of them, whole, in a transaction of its own:
//! if it answers an error, nothing of it stays.
//!
//! Locks are taken in one order everywhere: the job's row, then its accounts' in the order of their names.

use std::sync::Arc;
use std::time::Duration;

use super::corrections;
use super::money::{self, Funds};
use super::rows::{advance, insert, job, job_by_id, job_to_move, select_jobs};
use super::session::{Session, values};
use super::wishes;
use super::{notices, queue};
use crate::budget::Account;
use crate::clock::Timestamp;
use crate::crash;
use crate::id::{AccountId, Home, JobId, TenantName};
use crate::job::{Event, Hold, State, Step, step};
use crate::money::MicroUsd;
use crate::store::moves;
use crate::store::{ApplyError, Character, Facts, Job, NewAttempt, NewJob, OpenError, Removed, StoreError};

/// Nobody is asked about later than this after a start.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// See [`crate::store::Store::open_job`].
pub(super) async fn open_job(session: &Session, replica: i32, new: &NewJob, attempt: &NewAttempt) -> Result<Arc<Job>, OpenError> {
    let bookings: Vec<_> = new.bookings.iter().chain([&attempt.booking]).collect();
    let mut funds = money::enter(session, &bookings).await?;
    wishes::free_key(session, new).await?;
    let tenant = Account::Tenant(new.tenant.clone());
    funds.take_place(session, &tenant, new.tenant_in_flight_max).map_err(|in_flight| OpenError::TenantFull { in_flight })?;
    for booking in &new.bookings {
        funds.hold(session, booking, new.ceiling, new.at)?;
    }
    admit_to_route(session, &mut funds, attempt).await?;

    let job = moves::opened(new, attempt)?;
    insert(session, &job, attempt.due_at);
    wishes::remember(session, &job, &new.fingerprint, new.idempotency_key.as_deref());
    for booking in &new.bookings {
        money::book(session, job.id, booking, job.ceiling);
    }
    money::write_line(session, job.id, "hold", job.ceiling, new.at, None);
    write_attempt(session, replica, &job, attempt);
    Ok(Arc::new(job))
}

/// What became of [`open_job`] whose commit nobody answered. Whoever may still be at it has the lock of its accounts.
pub(super) async fn find_opened(session: &Session, job: &Job) -> Result<Arc<Job>, OpenError> {
    money::lock(session, &accounts(job)).await?;
    match job_by_id(session, job.id).await? {
        Some(job) => Ok(Arc::new(job)),
        None => Err(not_written().into()),
    }
}

/// See [`crate::store::Store::open_attempt`].
pub(super) async fn open_attempt(
    session: &Session,
    replica: i32,
    id: JobId,
    version: i64,
    attempt: &NewAttempt,
) -> Result<Arc<Job>, OpenError> {
    let found = job_to_move(session, id).await?.filter(|job| job.version == version);
    let mut job = found.ok_or(OpenError::Moved)?;
    let waited = job.state == State::Waiting;
    moves::attempt_again(&mut job, attempt)?;
    let mut funds = money::enter(session, &[&attempt.booking]).await?;
    if waited {
        leave_line(session, &job, attempt.tenant_in_flight_max).await?;
    }
    admit_to_route(session, &mut funds, attempt).await?;
    advance(session, &job, Some(attempt.due_at));
    write_attempt(session, replica, &job, attempt);
    Ok(Arc::new(job))
}

/// Its turn has come: the job takes its tenant's place instead of the one in line. A tenant's name comes behind its route's.
async fn leave_line(session: &Session, job: &Job, tenant_in_flight_max: Option<u32>) -> Result<(), OpenError> {
    let tenant = Account::Tenant(job.tenant.clone());
    let mut funds = money::lock(session, std::slice::from_ref(&tenant)).await?;
    funds.take_place(session, &tenant, tenant_in_flight_max).map_err(|in_flight| OpenError::TenantFull { in_flight })?;
    Ok(queue::leave(session, job.id, true).await?)
}

/// Takes a place on the attempt's route and holds its price against the route's account.
async fn admit_to_route(session: &Session, funds: &mut Funds, attempt: &NewAttempt) -> Result<(), OpenError> {
    let (route, mut max) = (Account::Route(attempt.route.clone()), attempt.in_flight_max);
    if let Some(most) = max
        && funds.places_taken(&route) >= most
    {
        // Those of an account that the route had before take none of this one's places.
        let home = Home { route: attempt.route.clone(), account: Some(attempt.account.clone()) };
        max = Some(most.saturating_add(money::places_taken_elsewhere(session, &home).await?));
    }
    let full = |in_flight| OpenError::RouteFull { route: attempt.route.clone(), in_flight };
    funds.take_place(session, &route, max).map_err(full)?;
    funds.hold(session, &attempt.booking, attempt.price, attempt.at)
}

fn write_attempt(session: &Session, replica: i32, job: &Job, attempt: &NewAttempt) {
    money::book(session, job.id, &attempt.booking, attempt.price);
    let sql = "INSERT INTO attempts (id, job_id, number, route, upstream_model, seconds, size, price_microusd, replica, created_at_ms,
            account)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let values = values![
        attempt.id.to_string(),
        job.id.to_string(),
        i64::from(job.attempts),
        attempt.route.to_string(),
        attempt.upstream_model.clone(),
        i64::from(attempt.seconds.get()),
        attempt.size.to_string(),
        attempt.price.get(),
        replica,
        attempt.at.as_ms(),
        attempt.account.to_string(),
    ];
    session.write(sql, values);
}

/// Everybody that a job's money is booked to.
pub(super) fn accounts(job: &Job) -> [Account; 3] {
    // Keys and end users are moved only by who has their tenant's.
    [Account::Gateway, Account::Tenant(job.tenant.clone()), Account::Route(job.route.clone())]
}

/// See [`crate::store::Store::apply`].
pub(super) async fn apply(
    session: &Session,
    id: JobId,
    version: i64,
    step: Step,
    facts: Facts,
    at: Timestamp,
) -> Result<Arc<Job>, ApplyError> {
    let found = job_to_move(session, id).await?.filter(|job| job.version == version && job.state == step.from);
    let mut job = found.ok_or(ApplyError::Moved)?;
    if job.state.is_final() || step.to == State::Waiting || step.to.is_final() == (step.hold == Hold::Keep) {
        return Err(ApplyError::Store(StoreError::Damaged(format!("{id} cannot go from {} to {}", step.from, step.to))));
    }
    let facts = storable(facts);
    tell_attempt(session, &job, step, &facts).await?;
    if let Some(upstream_id) = facts.upstream_id.as_deref().filter(|found| job.upstream_id.as_deref() != Some(*found)) {
        corrections::explained_by(session, &job, upstream_id, "found again", at);
    }
    let (due_at, reported_cost, note) = (facts.due_at, facts.reported_cost, facts.note.clone());
    for notice in &facts.notices {
        notices::owe(session, notice);
    }
    moves::learn(&mut job, step, facts);

    let leaves_route = step.from.is_in_flight() && !step.to.is_in_flight();
    let leaves_tenant = step.from.has_tenants_place() && !step.to.has_tenants_place();
    if leaves_route || leaves_tenant || step.hold != Hold::Keep {
        let route = Account::Route(job.route.clone());
        let booked = money::lock_booked(session, id, &accounts(&job)).await?;
        if booked.is_empty() || step.to == State::Reserved && !booked.contains(&route.to_string()) {
            return Err(StoreError::Damaged(format!("{id} holds nothing against {route}, or against nobody")).into());
        }
    }
    if leaves_route {
        money::leave_place(session, &Account::Route(job.route.clone()));
    }
    if leaves_tenant {
        money::leave_place(session, &Account::Tenant(job.tenant.clone()));
    }
    match step.hold {
        Hold::Keep if step.to == State::Reserved => money::take_back(session, id, &Account::Route(job.route.clone())),
        Hold::Keep => {}
        Hold::Settle => settle(session, &mut job, reported_cost, at, note.as_deref()),
        Hold::Release => release(session, &mut job, at, note.as_deref()),
    }
    if step.from == State::Waiting {
        queue::leave(session, id, false).await?;
    }
    if let Some(note) = note.as_deref().filter(|_| step.hold == Hold::Keep) {
        money::write_line(session, id, "adjust", MicroUsd::ZERO, at, Some(note));
    }
    advance(session, &job, due_at);
    Ok(Arc::new(job))
}

/// What became of a job that was being moved from the version before `job`'s when nobody answered the commit.
pub(super) async fn find_moved(session: &Session, job: &Job) -> Result<Result<Arc<Job>, Moved>, StoreError> {
    // Whoever may still be at it has the lock of its row.
    match job_to_move(session, job.id).await? {
        Some(found) if found == *job => Ok(Ok(Arc::new(found))),
        Some(found) if found.version < job.version => Err(not_written()),
        _ => Ok(Err(Moved)),
    }
}

/// Somebody moved the job, and it may have been us.
pub(super) struct Moved;

fn not_written() -> StoreError {
    StoreError::Unavailable("the connection ended while it was being written, and it was not".to_owned())
}

/// PostgreSQL has no text with a NUL in it, and what an upstream says may have any.
fn storable(mut facts: Facts) -> Facts {
    let clean = |text: String| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    facts.upstream_id = facts.upstream_id.map(clean);
    facts.result_url = facts.result_url.map(clean);
    facts.note = facts.note.map(clean);
    if let Some(error) = &mut facts.error {
        error.code = clean(std::mem::take(&mut error.code));
        error.message = clean(std::mem::take(&mut error.message));
    }
    facts
}

/// Writes down how the job's latest attempt went and what its route calls it, as far as is known.
async fn tell_attempt(session: &Session, job: &Job, step: Step, facts: &Facts) -> Result<(), ApplyError> {
    let outcome = moves::outcome(step, facts);
    if outcome.is_none() && facts.upstream_id.is_none() {
        return Ok(());
    }
    let sql = "UPDATE attempts SET outcome = coalesce($2, outcome), upstream_id = coalesce($3, upstream_id) WHERE id = $1";
    let Some(upstream_id) = &facts.upstream_id else {
        session.write(sql, values![job.attempt.to_string(), outcome, None::<String>]);
        return Ok(());
    };
    match session.execute(sql, &[&job.attempt.to_string(), &outcome, &upstream_id]).await {
        Err(fault) if fault.is_duplicate() => Err(ApplyError::Duplicate(upstream_id.clone())),
        told => Ok(told.map(drop)?),
    }
}

/// Turns the hold into spend. What a route took above it is written down as overrun, for the operator.
fn settle(session: &Session, job: &mut Job, reported: Option<MicroUsd>, at: Timestamp, note: Option<&str>) {
    let (cost, over) = moves::settled(job, reported);
    money::end_hold(session, job.id, cost);
    crash::point("mid_settle");
    money::write_line(session, job.id, "settle", cost, at, note);
    if let Some(over) = over {
        money::write_line(session, job.id, "overrun", over, at, None);
    }
    moves::end(job, cost, at);
}

/// Gives the hold back whole.
fn release(session: &Session, job: &mut Job, at: Timestamp, note: Option<&str>) {
    money::end_hold(session, job.id, MicroUsd::ZERO);
    money::write_line(session, job.id, "release", job.ceiling, at, note);
    moves::end(job, MicroUsd::ZERO, at);
}

/// See [`crate::store::Store::remove`].
pub(super) async fn remove(session: &Session, tenant: &TenantName, id: JobId, at: Timestamp) -> Result<Removed, StoreError> {
    let found = job_to_move(session, id).await?.filter(|job| job.tenant == *tenant && job.deleted_at.is_none());
    let Some(mut job) = found else { return Ok(Removed::Unknown) };
    if job.state.is_awaited() {
        return Ok(Removed::StillRunning);
    }
    job.version += 1;
    job.deleted_at = Some(at);
    let sql = "UPDATE jobs SET deleted_at_ms = $2, version = $3 WHERE id = $1";
    session.execute(sql, &[&id.to_string(), &at.as_ms(), &job.version]).await?;
    Ok(Removed::Gone(Arc::new(job)))
}

/// See [`crate::store::Store::takes_writes`].
pub(super) async fn wrote(session: &Session, at: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta (name, value) VALUES ('wrote_at_ms', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    session.execute(sql, &[&at.as_ms().to_string().as_bytes()]).await?;
    Ok(())
}

/// The numbers of the gateways that live, but for our own, as a query on [`crate::store::postgres::presence`]'s locks.
macro_rules! others {
    () => {
        "SELECT objid::bigint::integer FROM pg_locks JOIN pg_database ON pg_database.oid = database
         WHERE locktype = 'advisory' AND classid::bigint = $1::bigint & 4294967295 AND objid::bigint <> $2 AND granted
            AND datname = current_database()"
    };
}

/// See [`crate::store::Store::recover`].
///
/// Only what a gateway was sending that does not live any more: another replica may be in the middle of it. A gateway
/// that lost its connection counts as dead here, and may still write down a reply that comes late. Claims of the dead
/// lapse, and at once if nobody else lives. A time to ask again that is further ahead than any wait was written down
/// by a clock that was wrong.
pub(super) async fn recover(session: &Session, kind: i32, replica: i32, at: Timestamp) -> Result<u64, StoreError> {
    let (kind, replica) = (i64::from(kind), i64::from(replica));
    if session.rows(others!(), &[&kind, &replica]).await?.is_empty() {
        session.execute("UPDATE jobs SET lease_until_ms = NULL WHERE lease_until_ms IS NOT NULL AND ended_at_ms IS NULL", &[]).await?;
        session.execute("UPDATE notices SET lease_until_ms = NULL WHERE lease_until_ms IS NOT NULL", &[]).await?;
    }
    let far = "UPDATE jobs SET due_at_ms = $1 WHERE due_at_ms > $1 AND state IN ('accepted', 'running')";
    session.execute(far, &[&at.after(WAIT_MAX).as_ms()]).await?;
    let sql = concat!(
        select_jobs!(
            "WHERE state = 'submitting' AND ended_at_ms IS NULL AND (SELECT replica FROM attempts WHERE attempts.id = jobs.attempt) NOT IN ("
        ),
        others!(),
        ") ORDER BY id FOR UPDATE SKIP LOCKED"
    );
    let mut count = 0;
    for row in session.rows(sql, &[&kind, &replica]).await? {
        let mut job = job(&row)?;
        job.state = step(job.state, Event::Unclear).map_err(|illegal| StoreError::Damaged(illegal.to_string()))?.to;
        job.version += 1;
        advance(session, &job, Some(at));
        count += 1;
    }
    Ok(count)
}

/// See [`crate::store::Store::add_character`].
pub(super) async fn add_character(session: &Session, character: &Character) -> Result<(), StoreError> {
    let sql = "INSERT INTO characters (id, tenant, name, route, upstream_id, created_at_ms, account) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let Character { id, tenant, name, route, upstream_id, created_at, account } = character;
    let values = (id.to_string(), tenant.as_str(), route.as_str(), created_at.as_ms());
    session
        .execute(sql, &[&values.0, &values.1, name, &values.2, upstream_id, &values.3, &account.as_ref().map(AccountId::as_str)])
        .await?;
    Ok(())
}
