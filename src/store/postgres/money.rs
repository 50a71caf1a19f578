//! The money side of a fact: balances, bookings, places in flight, and lines of the ledger.
//!
//! Called only by who has the locks of the accounts concerned ([`enter`], [`lock`]), in a transaction
//! where each statement sees what is committed: to read a balance, check it here with checked arithmetic
//! and write it back is exact, whoever else is at it. Everybody waits for these locks, so whoever has them asks
//! once for all that it has to know ([`Funds`]) and sends all that it writes together. Knows nothing of states.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use super::fault::Fault;
use super::notices;
use super::read::{account_balance, balance};
use super::rows::Columns;
use super::session::{Session, values};
use crate::budget::{self, Account, Booking, Period};
use crate::clock::Timestamp;
use crate::id::{AccountId, Home, JobId, TenantName};
use crate::money::MicroUsd;
use crate::store::{Balance, OpenError, StoreError};

/// Locks the accounts of a condition, in the order of their names, and answers which periods they count in.
macro_rules! lock_accounts {
    ($which:literal) => {
        concat!("SELECT account, period FROM current_periods WHERE account = ANY ($1)", $which, " ORDER BY account FOR UPDATE")
    };
}

/// What accounts have, as whoever has their locks finds it and leaves it.
pub(super) struct Funds(HashMap<String, Fund>);

struct Fund {
    period: String,
    held: MicroUsd,
    spent: MicroUsd,
    places_taken: u32,
}

/// What accounts have in the periods that they count in.
const FUNDS: &str = "SELECT account, period, held_microusd, spent_microusd, coalesce(jobs, 0)
    FROM current_periods JOIN balances USING (account, period) LEFT JOIN in_flight USING (account) WHERE account = ANY ($1)";

impl Funds {
    fn read(found: &[Row]) -> Result<Self, Fault> {
        let funds = found.iter().map(|row| {
            let mut columns = Columns::of(row);
            let (account, period) = (columns.take()?, columns.take()?);
            Ok((account, Fund { period, held: columns.money()?, spent: columns.money()?, places_taken: columns.number("count")? }))
        });
        Ok(Self(funds.collect::<Result<_, Fault>>()?))
    }

    fn counts_in(&self, account: &str, period: &Period) -> bool {
        self.0.get(account).is_some_and(|fund| fund.period == period.key)
    }

    /// Holds `amount` against an account if it fits under the cap, remembers that cap, and owes its owner what
    /// that use of it is worth.
    pub fn hold(&mut self, session: &Session, booking: &Booking, amount: MicroUsd, at: Timestamp) -> Result<(), OpenError> {
        let (account, period) = (booking.account.to_string(), &booking.period.key);
        let fund = self.0.get_mut(&account).filter(|fund| fund.period == *period);
        let fund = fund.ok_or_else(|| StoreError::Damaged(format!("{account} has no balance for {period}")))?;

        let used = fund.held.plus(fund.spent).unwrap_or(MicroUsd::MAX);
        let (true, Some(held)) = (budget::fits(booking.cap, used, amount), fund.held.plus(amount)) else {
            return Err(OpenError::over_budget(booking, used));
        };
        fund.held = held;
        let sql = "UPDATE balances SET held_microusd = $3, cap_microusd = $4 WHERE account = $1 AND period = $2";
        session.write(sql, values![account, period.clone(), held.get(), booking.cap.map(MicroUsd::get)]);
        notices::owe_for_use(session, booking, held.plus(fund.spent).unwrap_or(MicroUsd::MAX), at);
        Ok(())
    }

    /// How many of an account's places are taken.
    pub fn places_taken(&self, account: &Account) -> u32 {
        self.0.get(&account.to_string()).map_or(0, |fund| fund.places_taken)
    }

    /// Takes one of an account's places, or answers how many are taken if that is all of them.
    pub fn take_place(&mut self, session: &Session, account: &Account, max: Option<u32>) -> Result<(), u32> {
        let taken = self.places_taken(account);
        if max.is_some_and(|max| taken >= max) {
            return Err(taken);
        }
        let account = account.to_string();
        if let Some(fund) = self.0.get_mut(&account) {
            fund.places_taken += 1;
        }
        let sql = "INSERT INTO in_flight (account, jobs) VALUES ($1, 1) ON CONFLICT (account) DO UPDATE SET jobs = in_flight.jobs + 1";
        session.write(sql, values![account]);
        Ok(())
    }
}

fn names(found: &[Row]) -> Result<Vec<String>, Fault> {
    found.iter().map(|row| Columns::of(row).take()).collect()
}

/// Takes the locks of those accounts that have been booked to; what they have.
pub(super) async fn lock(session: &Session, accounts: &[Account]) -> Result<Funds, Fault> {
    let names: Vec<String> = accounts.iter().map(Account::to_string).collect();
    lock_any(session, &names).await
}

async fn lock_any(session: &Session, names: &[String]) -> Result<Funds, Fault> {
    let (_, funds) = session.rows_locked((lock_accounts!(""), &[&names]), (FUNDS, &[&names])).await?;
    Funds::read(&funds)
}

/// Takes the locks of a job's accounts; which of them its hold is booked to.
pub(super) async fn lock_booked(session: &Session, job: JobId, accounts: &[Account]) -> Result<HashSet<String>, Fault> {
    let accounts: Vec<String> = accounts.iter().map(Account::to_string).collect();
    let booked = "SELECT account FROM bookings WHERE job_id = $1";
    let (_, booked) = session.rows_locked((lock_accounts!(""), &[&accounts]), (booked, &[&job.to_string()])).await?;
    Ok(names(&booked)?.into_iter().collect())
}

/// Takes the locks of the accounts of a hold, and sees to it that each counts in its period; what they have in it.
///
/// An account that is new is added before the lock of any is taken: whoever waits for another to have added it
/// has nothing that the other could be waiting for.
pub(super) async fn enter(session: &Session, bookings: &[&Booking]) -> Result<Funds, Fault> {
    let mut wanted: Vec<(String, &Booking)> = bookings.iter().map(|booking| (booking.account.to_string(), *booking)).collect();
    wanted.sort_by(|one, other| one.0.cmp(&other.0));
    let names: Vec<String> = wanted.iter().map(|(account, _)| account.clone()).collect();
    // All of the locks, or none.
    let lock = lock_accounts!(" AND (SELECT count(*) FROM current_periods WHERE account = ANY ($1)) = $2");
    let count = i64::try_from(names.len()).unwrap_or(i64::MAX);
    let (locked, funds) = session.rows_locked((lock, &[&names, &count]), (FUNDS, &[&names])).await?;
    let mut funds = Funds::read(&funds)?;
    let is_current = |funds: &Funds| wanted.iter().all(|(account, booking)| funds.counts_in(account, &booking.period));
    let mut begun = false;
    if locked.len() < names.len() {
        let known = known(session, &names).await?;
        let missing = wanted.iter().filter(|(account, _)| !known.contains(account)).collect::<Vec<_>>();
        for (account, booking) in &missing {
            begin_account(session, account, &booking.period);
        }
        funds = lock_any(session, &names).await?;
        for (account, booking) in missing {
            if book_earlier_jobs(session, &booking.account, account, &booking.period).await? > 0 {
                add_up(session, account, &booking.period);
                begun = true;
            }
        }
    }
    if begun || !is_current(&funds) {
        for (account, booking) in &wanted {
            if !funds.counts_in(account, &booking.period) {
                enter_period(session, &booking.account, account, &booking.period).await?;
            }
        }
        funds = Funds::read(&session.rows(FUNDS, &[&names]).await?)?;
    }
    Ok(funds)
}

/// Which of these accounts something was booked to.
async fn known(session: &Session, accounts: &[String]) -> Result<HashSet<String>, Fault> {
    let found = session.rows("SELECT account FROM current_periods WHERE account = ANY ($1)", &[&accounts]).await?;
    Ok(names(&found)?.into_iter().collect())
}

/// The names of those of these bookings' accounts that count in another period, one that goes on at `at`.
pub(super) async fn strayed(session: &Session, bookings: &[Booking], at: Timestamp) -> Result<HashSet<String>, Fault> {
    let wanted: HashMap<String, &str> = bookings.iter().map(|b| (b.account.to_string(), b.period.key.as_str())).collect();
    let names: Vec<&String> = wanted.keys().collect();
    let sql = "SELECT account, period FROM current_periods JOIN balances USING (account, period)
        WHERE account = ANY ($1) AND (until_at_ms IS NULL OR until_at_ms > $2)";
    let mut strayed = HashSet::new();
    for row in session.rows(sql, &[&names, &at.as_ms()]).await? {
        let mut columns = Columns::of(&row);
        let (account, period): (String, String) = (columns.take()?, columns.take()?);
        if wanted.get(&account).is_some_and(|wanted| *wanted != period) {
            strayed.insert(account);
        }
    }
    Ok(strayed)
}

/// Gives an account that nothing was booked to yet its first balance and its lock, unless another is just doing so.
fn begin_account(session: &Session, account: &str, period: &Period) {
    begin_balance(session, account, period);
    let sql = "INSERT INTO current_periods (account, period) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    session.write(sql, values![account.to_owned(), period.key.clone()]);
}

fn begin_balance(session: &Session, account: &str, period: &Period) {
    let sql = "INSERT INTO balances (account, period, from_at_ms, until_at_ms, held_microusd, spent_microusd) VALUES ($1, $2, $3, $4, 0, 0)
        ON CONFLICT DO NOTHING";
    let (from, until) = (period.from.as_ms(), period.until.map(Timestamp::as_ms));
    session.write(sql, values![account.to_owned(), period.key.clone(), from, until]);
}

/// Makes `period` the one that an account counts in. It begins with the jobs of that time that the account has
/// already: a cap holds from the start of its period, whenever it was written.
async fn enter_period(session: &Session, whose: &Account, account: &str, period: &Period) -> Result<(), Fault> {
    begin_balance(session, account, period);
    let sql = "INSERT INTO bookings (job_id, account, period, amount_microusd)
        SELECT DISTINCT job_id, account, $2, amount_microusd FROM jobs JOIN bookings ON job_id = jobs.id AND account = $1
        WHERE created_at_ms >= $3 AND ($4::bigint IS NULL OR created_at_ms < $4)
        ON CONFLICT DO NOTHING";
    let (from, until) = (period.from.as_ms(), period.until.map(Timestamp::as_ms));
    session.write(sql, values![account.to_owned(), period.key.clone(), from, until]);
    book_earlier_jobs(session, whose, account, period).await?;
    add_up(session, account, period);
    let sql = "UPDATE current_periods SET period = $2 WHERE account = $1";
    session.write(sql, values![account.to_owned(), period.key.clone()]);
    Ok(())
}

/// What jobs have cost, with what was corrected since.
macro_rules! cost {
    () => {
        "(coalesce(sum(cost_microusd), 0) + coalesce(sum((SELECT sum(ledger.amount_microusd) FROM ledger
            WHERE ledger.job_id = jobs.id AND kind = 'adjust')), 0))::bigint"
    };
}

/// Makes a balance what is booked to it.
fn add_up(session: &Session, account: &str, period: &Period) {
    let sql = concat!(
        "UPDATE balances SET (held_microusd, spent_microusd) = (
            SELECT coalesce(sum(amount_microusd) FILTER (WHERE ended_at_ms IS NULL), 0)::bigint, ",
        cost!(),
        " FROM bookings JOIN jobs ON jobs.id = job_id WHERE account = $1 AND period = $2)
        WHERE account = $1 AND period = $2"
    );
    session.write(sql, values![account.to_owned(), period.key.clone()]);
}

/// A tenant's jobs in a period; `$1` and `$2` are left to whoever asks about them.
const JOBS_OF_PERIOD: &str = "FROM jobs WHERE tenant = $5 AND created_at_ms >= $3 AND ($4::bigint IS NULL OR created_at_ms < $4)";

/// Which jobs of which tenant the account of a key or an end user pays for, by the name that is `$6`; `None` for others.
fn pays_for(whose: &Account) -> Option<(&'static str, &TenantName, Option<&String>)> {
    match whose {
        Account::Gateway | Account::Route(_) | Account::Tenant(_) => None,
        Account::Key(tenant, key) => Some(("key_name = $6", tenant, Some(key))),
        Account::User(tenant, Some(user)) => Some(("end_user = $6", tenant, Some(user))),
        Account::User(tenant, None) => Some(("end_user IS NULL AND $6::text IS NULL", tenant, None)),
    }
}

/// Books the jobs of a period to a key or an end user whose cap is newer than they are; how many.
async fn book_earlier_jobs(session: &Session, whose: &Account, account: &str, period: &Period) -> Result<u64, Fault> {
    let Some((meant, tenant, name)) = pays_for(whose) else { return Ok(0) };
    let sql = format!(
        "INSERT INTO bookings (job_id, account, period, amount_microusd)
            SELECT id, $1, $2, ceiling_microusd {JOBS_OF_PERIOD} AND {meant} ON CONFLICT DO NOTHING"
    );
    let (from, until) = (period.from.as_ms(), period.until.map(Timestamp::as_ms));
    session.execute(&sql, &[&account, &period.key, &from, &until, &tenant.as_str(), &name]).await
}

/// See [`crate::store::Store::prospect`].
pub(super) async fn prospect(session: &Session, booking: &Booking) -> Result<Balance, Fault> {
    let (account, period) = (booking.account.to_string(), &booking.period);
    if let Some(balance) = account_balance(session, &account, &period.key).await? {
        return Ok(balance);
    }
    let mut sums = Vec::new();
    if let Some((meant, tenant, name)) = pays_for(&booking.account) {
        let sql = format!(
            "SELECT $1::text, $2::text, coalesce(sum(ceiling_microusd) FILTER (WHERE ended_at_ms IS NULL), 0)::bigint,
                {cost}, NULL::bigint {JOBS_OF_PERIOD} AND {meant}",
            cost = cost!()
        );
        let (from, until) = (period.from.as_ms(), period.until.map(Timestamp::as_ms));
        sums = session.rows(&sql, &[&account, &period.key, &from, &until, &tenant.as_str(), &name]).await?;
    }
    let nothing = Balance { account, period: period.key.clone(), held: MicroUsd::ZERO, spent: MicroUsd::ZERO, cap: None };
    sums.first().map_or(Ok(nothing), balance)
}

/// Remembers where a hold was made, so that its end is booked to the same place.
pub(super) fn book(session: &Session, job: JobId, booking: &Booking, amount: MicroUsd) {
    let sql = "INSERT INTO bookings (job_id, account, period, amount_microusd) VALUES ($1, $2, $3, $4)";
    session.write(sql, values![job.to_string(), booking.account.to_string(), booking.period.key.clone(), amount.get()]);
}

/// Ends a job's hold on every account it is booked to: what was held there is not any more, and `cost` is spent.
pub(super) fn end_hold(session: &Session, job: JobId, cost: MicroUsd) {
    let sql = "UPDATE balances SET held_microusd = held_microusd - amount_microusd, spent_microusd = spent_microusd + $2
        FROM bookings WHERE job_id = $1 AND balances.account = bookings.account AND balances.period = bookings.period";
    session.write(sql, values![job.to_string(), cost.get()]);
}

/// Gives back what a job holds on one account, and forgets that it did: its route turned it away.
pub(super) fn take_back(session: &Session, job: JobId, account: &Account) {
    let sql = "WITH gone AS (DELETE FROM bookings WHERE job_id = $1 AND account = $2 RETURNING account, period, amount_microusd)
        UPDATE balances SET held_microusd = held_microusd - amount_microusd
        FROM gone WHERE balances.account = gone.account AND balances.period = gone.period";
    session.write(sql, values![job.to_string(), account.to_string()]);
}

/// The moment of a line that is about to be added: never before that of the line above it.
macro_rules! in_order {
    ($at:literal) => {
        concat!("greatest(", $at, ", (SELECT latest.at_ms FROM ledger AS latest ORDER BY number DESC LIMIT 1))")
    };
}
pub(super) use in_order;

/// The moment of the ledger's last line.
pub(super) async fn latest_line(session: &Session) -> Result<Option<Timestamp>, Fault> {
    let found = session.row_if_any("SELECT at_ms FROM ledger ORDER BY number DESC LIMIT 1", &[]).await?;
    found.map(|row| Columns::of(&row).moment()).transpose()
}

/// Adds a line to the ledger, with the reason if a person gave one.
pub(super) fn write_line(session: &Session, job: JobId, kind: &'static str, amount: MicroUsd, at: Timestamp, note: Option<&str>) {
    let sql = concat!("INSERT INTO ledger (job_id, kind, amount_microusd, at_ms, note) VALUES ($1, $2, $3, ", in_order!("$4"), ", $5)");
    session.write(sql, values![job.to_string(), kind, amount.get(), at.as_ms(), note.map(str::to_owned)]);
}

/// How many of an account's places are taken.
pub(super) async fn places_taken(session: &Session, account: &Account) -> Result<u32, Fault> {
    let found = session.row_if_any("SELECT jobs FROM in_flight WHERE account = $1", &[&account.to_string()]).await?;
    found.map_or(Ok(0), |row| Columns::of(&row).number("count"))
}

/// How many of a route's places are taken by jobs that are in another account than this one.
///
/// The states that take a place are named, so that whoever waits for one is not looked at: there may be thousands.
pub(super) async fn places_taken_elsewhere(session: &Session, home: &Home) -> Result<u32, Fault> {
    let sql =
        "SELECT count(*) FROM jobs WHERE route = $1 AND ended_at_ms IS NULL AND state IN ('submitting', 'unknown', 'accepted', 'running')
        AND upstream_account NOT IN ('', $2)";
    let Some(account) = home.account.as_ref().map(AccountId::as_str) else { return Ok(0) };
    let found = session.row_if_any(sql, &[&home.route.as_str(), &account]).await?;
    found.map_or(Ok(0), |row| Columns::of(&row).number("count"))
}

/// See [`crate::store::Store::places_taken_in`].
pub(super) async fn places_taken_in(session: &Session, home: &Home) -> Result<u32, Fault> {
    let taken = places_taken(session, &Account::Route(home.route.clone())).await?;
    Ok(if taken == 0 { 0 } else { taken.saturating_sub(places_taken_elsewhere(session, home).await?) })
}

/// Gives a place back.
pub(super) fn leave_place(session: &Session, account: &Account) {
    session.write("UPDATE in_flight SET jobs = jobs - 1 WHERE account = $1", values![account.to_string()]);
}
