//! The money side of a fact: balances, bookings, places in flight, and lines of the ledger.
//!
//! Called only inside the writer's transaction, where nobody else writes: to read a balance, check it
//! here with checked arithmetic and write it back is exact. Knows nothing of states.

use rusqlite::{Connection, Error, OptionalExtension as _, params};

use super::notices;
use super::read::{account_balance, balance};
use crate::budget::{self, Account, Booking, Period};
use crate::clock::Timestamp;
use crate::id::{AccountId, Home, JobId, TenantName};
use crate::money::MicroUsd;
use crate::store::{Balance, OpenError, StoreError};

/// Holds `amount` against an account if it fits under the cap, remembers that cap, and owes its owner what
/// that use of it is worth.
pub(super) fn hold(conn: &Connection, booking: &Booking, amount: MicroUsd, at: Timestamp) -> Result<(), OpenError> {
    let account = booking.account.to_string();
    enter_period(conn, &booking.account, &account, &booking.period)?;
    let sql = "SELECT held_microusd, spent_microusd FROM balances WHERE account = ?1 AND period = ?2";
    let amounts = |row: &rusqlite::Row<'_>| Ok((MicroUsd::new(row.get(0)?), MicroUsd::new(row.get(1)?)));
    let found = conn.prepare_cached(sql)?.query_row([&account, &booking.period.key], amounts).optional()?;
    let (held, spent) = found.unwrap_or_default();

    let used = held.plus(spent).unwrap_or(MicroUsd::MAX);
    let (true, Some(held)) = (budget::fits(booking.cap, used, amount), held.plus(amount)) else {
        return Err(OpenError::over_budget(booking, used));
    };

    let sql = "INSERT INTO balances (account, period, from_at_ms, until_at_ms, held_microusd, spent_microusd, cap_microusd)
        VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)
        ON CONFLICT (account, period) DO UPDATE SET held_microusd = excluded.held_microusd, cap_microusd = excluded.cap_microusd";
    conn.prepare_cached(sql)?.execute(params![
        account,
        booking.period.key,
        booking.period.from.as_ms(),
        booking.period.until.map(Timestamp::as_ms),
        held.get(),
        booking.cap.map(MicroUsd::get),
    ])?;
    notices::owe_for_use(conn, booking, held.plus(spent).unwrap_or(MicroUsd::MAX), at)?;
    Ok(())
}

/// Those of these bookings whose accounts count in another period, one that goes on at `at`.
pub(super) fn strayed(conn: &Connection, mut bookings: Vec<Booking>, at: Timestamp) -> Result<Vec<Booking>, Error> {
    let sql = "SELECT period FROM current_periods JOIN balances USING (account, period)
        WHERE account = ?1 AND (until_at_ms IS NULL OR until_at_ms > ?2)";
    let mut found = conn.prepare_cached(sql)?;
    let mut periods = Vec::with_capacity(bookings.len());
    for booking in &bookings {
        let period = found.query_row(params![booking.account.to_string(), at.as_ms()], |row| row.get::<_, String>(0)).optional()?;
        periods.push(period);
    }
    let mut periods = periods.into_iter();
    bookings.retain(|booking| periods.next().flatten().is_some_and(|period| period != booking.period.key));
    Ok(bookings)
}

/// What jobs have cost, with what was corrected since.
const COST: &str = "coalesce(sum(cost_microusd), 0) + coalesce(sum((SELECT sum(ledger.amount_microusd) FROM ledger
    WHERE ledger.job_id = jobs.id AND kind = 'adjust')), 0)";

/// Has an account count in its booking's period.
pub(super) fn follow(conn: &Connection, booking: &Booking) -> Result<(), StoreError> {
    Ok(enter_period(conn, &booking.account, &booking.account.to_string(), &booking.period)?)
}

/// Sees to it that an account counts in `period`. One that is new to it begins with the jobs of that time
/// that the account has already: a cap holds from the start of its period, whenever it was written.
fn enter_period(conn: &Connection, whose: &Account, account: &str, period: &Period) -> Result<(), Error> {
    let sql = "SELECT period = ?2 FROM current_periods WHERE account = ?1";
    let is_current = conn.prepare_cached(sql)?.query_row([account, &period.key], |row| row.get(0)).optional()?;
    if is_current == Some(true) {
        return Ok(());
    }
    let (from, until) = (period.from.as_ms(), period.until.map(Timestamp::as_ms));
    let sql = "INSERT INTO balances (account, period, from_at_ms, until_at_ms, held_microusd, spent_microusd) VALUES (?1, ?2, ?3, ?4, 0, 0)
        ON CONFLICT DO NOTHING";
    conn.prepare_cached(sql)?.execute(params![account, period.key, from, until])?;
    let sql = "INSERT INTO bookings (job_id, account, period, amount_microusd)
        SELECT DISTINCT job_id, account, ?2, amount_microusd FROM jobs JOIN bookings ON job_id = jobs.id AND account = ?1
        WHERE created_at_ms >= ?3 AND (?4 IS NULL OR created_at_ms < ?4)
        ON CONFLICT DO NOTHING";
    conn.prepare_cached(sql)?.execute(params![account, period.key, from, until])?;
    book_earlier_jobs(conn, whose, account, period)?;
    let sql = format!(
        "UPDATE balances SET (held_microusd, spent_microusd) = (
            SELECT coalesce(sum(amount_microusd) FILTER (WHERE ended_at_ms IS NULL), 0), {COST}
            FROM bookings JOIN jobs ON jobs.id = job_id WHERE account = ?1 AND period = ?2)
        WHERE account = ?1 AND period = ?2"
    );
    conn.prepare_cached(&sql)?.execute(params![account, period.key])?;
    let sql = "INSERT INTO current_periods (account, period) VALUES (?1, ?2) ON CONFLICT (account) DO UPDATE SET period = excluded.period";
    conn.prepare_cached(sql)?.execute([account, &period.key])?;
    Ok(())
}

/// A tenant's jobs in a period; `?1` and `?2` are left to whoever asks about them.
const JOBS_OF_PERIOD: &str = "FROM jobs WHERE created_at_ms >= ?3 AND (?4 IS NULL OR created_at_ms < ?4) AND tenant = ?5";

/// Which jobs of which tenant the account of a key or an end user pays for, by the name that is `?6`; `None` for others.
fn pays_for(whose: &Account) -> Option<(&'static str, &TenantName, Option<&String>)> {
    match whose {
        Account::Gateway | Account::Route(_) | Account::Tenant(_) => None,
        Account::Key(tenant, key) => Some(("key_name = ?6", tenant, Some(key))),
        Account::User(tenant, Some(user)) => Some(("end_user = ?6", tenant, Some(user))),
        Account::User(tenant, None) => Some(("end_user IS NULL AND ?6 IS NULL", tenant, None)),
    }
}

/// Books the jobs of a period to a key or an end user whose cap is newer than they are.
fn book_earlier_jobs(conn: &Connection, whose: &Account, account: &str, period: &Period) -> Result<(), Error> {
    let Some((meant, tenant, name)) = pays_for(whose) else { return Ok(()) };
    let sql = format!(
        "INSERT INTO bookings (job_id, account, period, amount_microusd)
            SELECT id, ?1, ?2, ceiling_microusd {JOBS_OF_PERIOD} AND {meant} ON CONFLICT DO NOTHING"
    );
    let (from, until) = (period.from.as_ms(), period.until.map(Timestamp::as_ms));
    conn.prepare_cached(&sql)?.execute(params![account, period.key, from, until, tenant.as_str(), name])?;
    Ok(())
}

/// See [`crate::store::Store::prospect`].
pub(super) fn prospect(conn: &Connection, booking: &Booking) -> Result<Balance, Error> {
    let (account, period) = (booking.account.to_string(), &booking.period);
    if let Some(balance) = account_balance(conn, &account, &period.key)? {
        return Ok(balance);
    }
    let Some((meant, tenant, name)) = pays_for(&booking.account) else {
        return Ok(Balance { account, period: period.key.clone(), held: MicroUsd::ZERO, spent: MicroUsd::ZERO, cap: None });
    };
    let sql = format!(
        "SELECT ?1, ?2, coalesce(sum(ceiling_microusd) FILTER (WHERE ended_at_ms IS NULL), 0), {COST}, NULL
            {JOBS_OF_PERIOD} AND {meant}"
    );
    let (from, until) = (period.from.as_ms(), period.until.map(Timestamp::as_ms));
    conn.prepare_cached(&sql)?.query_row(params![account, period.key, from, until, tenant.as_str(), name], balance)
}

/// Remembers where a hold was made, so that its end is booked to the same place.
pub(super) fn book(conn: &Connection, job: JobId, booking: &Booking, amount: MicroUsd) -> Result<(), Error> {
    let sql = "INSERT INTO bookings (job_id, account, period, amount_microusd) VALUES (?1, ?2, ?3, ?4)";
    let (account, period) = (booking.account.to_string(), &booking.period.key);
    conn.prepare_cached(sql)?.execute(params![job.to_string(), account, period, amount.get()])?;
    Ok(())
}

/// Ends a job's hold on every account it is booked to: what was held there is not any more, and `cost` is spent.
pub(super) fn end_hold(conn: &Connection, job: JobId, cost: MicroUsd) -> Result<(), StoreError> {
    let bookings = {
        let mut rows = conn.prepare_cached("SELECT account, period, amount_microusd FROM bookings WHERE job_id = ?1")?;
        let rows = rows.query_map([job.to_string()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<Result<Vec<(String, String, i64)>, Error>>()?
    };
    if bookings.is_empty() {
        return Err(StoreError::Damaged(format!("{job} holds money of nobody")));
    }
    for (account, period, amount) in &bookings {
        end_booking(conn, account, period, *amount, cost)?;
    }
    Ok(())
}

/// Gives back what a job holds on one account, and forgets that it did: its route turned it away.
pub(super) fn take_back(conn: &Connection, job: JobId, account: &Account) -> Result<(), StoreError> {
    let account = account.to_string();
    let sql = "DELETE FROM bookings WHERE job_id = ?1 AND account = ?2 RETURNING period, amount_microusd";
    let found = {
        let mut rows = conn.prepare_cached(sql)?;
        let rows = rows.query_map([&job.to_string(), &account], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<Vec<(String, i64)>, Error>>()?
    };
    if found.is_empty() {
        return Err(StoreError::Damaged(format!("{job} holds nothing against {account}")));
    }
    found.iter().try_for_each(|(period, amount)| end_booking(conn, &account, period, *amount, MicroUsd::ZERO))
}

fn end_booking(conn: &Connection, account: &str, period: &str, held: i64, cost: MicroUsd) -> Result<(), StoreError> {
    // A sum past the end of the range becomes a REAL, which a strict table refuses, as its checks do less than nothing.
    let sql = "UPDATE balances SET held_microusd = held_microusd - ?3, spent_microusd = spent_microusd + ?4
        WHERE account = ?1 AND period = ?2";
    match conn.prepare_cached(sql)?.execute(params![account, period, held, cost.get()])? {
        1 => Ok(()),
        _ => Err(StoreError::Damaged(format!("{account} has no balance for {period}"))),
    }
}

/// Adds a line to the ledger, with the reason if a person gave one.
pub(super) fn enter(conn: &Connection, job: JobId, kind: &str, amount: MicroUsd, at: Timestamp, note: Option<&str>) -> Result<(), Error> {
    let sql = "INSERT INTO ledger (job_id, kind, amount_microusd, at_ms, note) VALUES (?1, ?2, ?3, ?4, ?5)";
    let at = in_order(conn, at)?;
    conn.prepare_cached(sql)?.execute(params![job.to_string(), kind, amount.get(), at.as_ms(), note])?;
    Ok(())
}

/// The moment of a line that is about to be added: never before that of the line above it.
pub(super) fn in_order(conn: &Connection, at: Timestamp) -> Result<Timestamp, Error> {
    Ok(latest_line(conn)?.map_or(at, |latest| latest.max(at)))
}

/// The moment of the ledger's last line.
pub(super) fn latest_line(conn: &Connection) -> Result<Option<Timestamp>, Error> {
    let sql = "SELECT at_ms FROM ledger ORDER BY number DESC LIMIT 1";
    conn.prepare_cached(sql)?.query_row([], |row| row.get(0).map(Timestamp::from_ms)).optional()
}

/// Takes one of an account's places, or answers how many are taken if that is all of them.
pub(super) fn take_place(conn: &Connection, account: &Account, max: Option<u32>) -> Result<Result<(), u32>, Error> {
    let taken = places_taken(conn, account)?;
    if max.is_some_and(|max| taken >= max) {
        return Ok(Err(taken));
    }
    let sql = "INSERT INTO in_flight (account, jobs) VALUES (?1, 1) ON CONFLICT (account) DO UPDATE SET jobs = jobs + 1";
    conn.prepare_cached(sql)?.execute([account.to_string()])?;
    Ok(Ok(()))
}

/// How many of an account's places are taken.
pub(super) fn places_taken(conn: &Connection, account: &Account) -> Result<u32, Error> {
    let sql = "SELECT jobs FROM in_flight WHERE account = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([account.to_string()], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// How many of a route's places are taken by jobs that are in another account than this one.
///
/// The states that take a place are named, so that whoever waits for one is not looked at: there may be thousands.
pub(super) fn places_taken_elsewhere(conn: &Connection, home: &Home) -> Result<u32, Error> {
    let sql =
        "SELECT count(*) FROM jobs WHERE route = ?1 AND ended_at_ms IS NULL AND state IN ('submitting', 'unknown', 'accepted', 'running')
        AND upstream_account NOT IN ('', ?2)";
    let Some(account) = home.account.as_ref().map(AccountId::as_str) else { return Ok(0) };
    conn.prepare_cached(sql)?.query_row([home.route.as_str(), account], |row| row.get(0))
}

/// See [`crate::store::Store::places_taken_in`].
pub(super) fn places_taken_in(conn: &Connection, home: &Home) -> Result<u32, Error> {
    let taken = places_taken(conn, &Account::Route(home.route.clone()))?;
    Ok(if taken == 0 { 0 } else { taken.saturating_sub(places_taken_elsewhere(conn, home)?) })
}

/// Gives a place back.
pub(super) fn leave_place(conn: &Connection, account: &Account) -> Result<(), Error> {
    conn.prepare_cached("UPDATE in_flight SET jobs = jobs - 1 WHERE account = ?1")?.execute([account.to_string()])?;
    Ok(())
}
