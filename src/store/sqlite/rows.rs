//! Jobs as rows: one list of columns, and the two functions that read and write along it.

use std::str::FromStr;

use rusqlite::types::{FromSql, Type};
use rusqlite::{Connection, Error, OptionalExtension as _, Row, params};

use super::fault::BadValue;
use crate::clock::Timestamp;
use crate::id::{AccountId, JobId, ModelName, RouteName, TenantName};
use crate::money::MicroUsd;
use crate::store::{Job, JobError, extras};
use crate::video::{Extras, Seconds};

/// `SELECT` of whole jobs, to be followed by what is written behind it.
macro_rules! select_jobs {
    ($rest:literal) => {
        concat!(
            "SELECT id, tenant, state, version, operation, model, prompt, seconds, size, source, hidden_inputs, end_user, ",
            "residency, ceiling_microusd, price_microusd, cost_microusd, charge_microusd, attempts, attempt, route, ",
            "upstream_model, upstream_id, result_url, progress, error_code, error_message, created_at_ms, attempted_at_ms, ",
            "ended_at_ms, expires_at_ms, deleted_at_ms, extras, key_name, upstream_account FROM jobs ",
            $rest
        )
    };
}
pub(super) use select_jobs;

/// Reads the columns of a row from left to right.
pub(super) struct Columns<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl<'a> Columns<'a> {
    /// At the first column.
    pub fn of(row: &'a Row<'a>) -> Self {
        Self { row, next: 0 }
    }

    /// The next column as it is.
    pub fn take<T: FromSql>(&mut self) -> Result<T, Error> {
        let column = self.next;
        self.next += 1;
        self.row.get(column)
    }

    /// The next column, read from its text.
    pub fn parse<T: FromStr>(&mut self, kind: &'static str) -> Result<T, Error> {
        let column = self.next;
        let text: String = self.take()?;
        text.parse().map_err(|_| bad(column, text, kind))
    }

    fn parse_if_any<T: FromStr>(&mut self, kind: &'static str) -> Result<Option<T>, Error> {
        let column = self.next;
        let text: Option<String> = self.take()?;
        text.map(|text| text.parse().map_err(|_| bad(column, text, kind))).transpose()
    }

    /// The next column as a name of whatever kind.
    pub fn name<T>(&mut self, name: impl FnOnce(&'a str) -> T) -> Result<T, Error> {
        let column = self.next;
        self.next += 1;
        let text = self.row.get_ref(column)?.as_str().map_err(|error| Error::FromSqlConversionFailure(column, Type::Text, error.into()))?;
        Ok(name(text))
    }

    /// The next column as a number of things.
    pub fn count(&mut self) -> Result<u64, Error> {
        let column = self.next;
        let count: i64 = self.take()?;
        u64::try_from(count).map_err(|_| Error::IntegralValueOutOfRange(column, count))
    }

    /// The next column as an amount.
    pub fn money(&mut self) -> Result<MicroUsd, Error> {
        self.take().map(MicroUsd::new)
    }

    /// The next column as an amount, if there is one.
    pub fn money_if_any(&mut self) -> Result<Option<MicroUsd>, Error> {
        Ok(self.take::<Option<i64>>()?.map(MicroUsd::new))
    }

    /// The next column as a moment.
    pub fn moment(&mut self) -> Result<Timestamp, Error> {
        self.take().map(Timestamp::from_ms)
    }

    /// The next column as a moment, if there is one.
    pub fn moment_if_any(&mut self) -> Result<Option<Timestamp>, Error> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp::from_ms))
    }

    /// The next column as an account, if it is known: a job's row has an empty text where it is not.
    pub fn account(&mut self) -> Result<Option<AccountId>, Error> {
        let text: Option<String> = self.take()?;
        Ok(text.filter(|text| !text.is_empty()).map(AccountId::new))
    }

    /// The next column as the length of a clip.
    pub fn seconds(&mut self) -> Result<Seconds, Error> {
        let column = self.next;
        let seconds: u32 = self.take()?;
        Seconds::new(seconds).ok_or_else(|| bad(column, seconds.to_string(), "length"))
    }

    fn extras(&mut self) -> Result<Extras, Error> {
        let column = self.next;
        extras::read(self.take()?).map_err(|text| bad(column, text, "extras"))
    }

    fn error(&mut self) -> Result<Option<JobError>, Error> {
        let (code, message): (Option<String>, Option<String>) = (self.take()?, self.take()?);
        Ok(code.map(|code| JobError { code, message: message.unwrap_or_default() }))
    }
}

fn bad(column: usize, value: String, kind: &'static str) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, Box::new(BadValue { value, kind }))
}

/// A job from a row of [`select_jobs!`].
pub(super) fn job(row: &Row<'_>) -> Result<Job, Error> {
    let mut columns = Columns::of(row);
    // A struct's fields are evaluated in the order they are written: that of the columns.
    Ok(Job {
        id: columns.parse("job's id")?,
        tenant: columns.name(TenantName::new)?,
        state: columns.parse("state")?,
        version: columns.take()?,
        operation: columns.take()?,
        model: columns.name(ModelName::new)?,
        prompt: columns.take()?,
        seconds: columns.seconds()?,
        size: columns.parse("size")?,
        source: columns.parse_if_any("job's id")?,
        hidden_inputs: columns.take()?,
        end_user: columns.take()?,
        residency: columns.take()?,
        ceiling: columns.money()?,
        price: columns.money()?,
        cost: columns.money_if_any()?,
        charge: columns.money_if_any()?,
        attempts: columns.take()?,
        attempt: columns.parse("attempt's id")?,
        route: columns.name(RouteName::new)?,
        upstream_model: columns.take()?,
        upstream_id: columns.take()?,
        result_url: columns.take()?,
        progress: columns.take()?,
        error: columns.error()?,
        created_at: columns.moment()?,
        attempted_at: columns.moment()?,
        ended_at: columns.moment_if_any()?,
        expires_at: columns.moment_if_any()?,
        deleted_at: columns.moment_if_any()?,
        extras: columns.extras()?,
        key_name: columns.take()?,
        account: columns.account()?,
    })
}

/// An account as a job's row has it.
pub(super) fn account(account: Option<&AccountId>) -> &str {
    account.map_or("", AccountId::as_str)
}

/// The job of that id, deleted or not.
pub(super) fn job_by_id(conn: &Connection, id: JobId) -> Result<Option<Job>, Error> {
    conn.prepare_cached(select_jobs!("WHERE id = ?1"))?.query_row([id.to_string()], job).optional()
}

/// Writes a job's row for the first time.
pub(super) fn insert(conn: &Connection, job: &Job, due_at: Timestamp) -> Result<(), Error> {
    let sql = "INSERT INTO jobs (id, tenant, state, version, operation, model, prompt, seconds, size, source, hidden_inputs, end_user,
            residency, ceiling_microusd, price_microusd, charge_microusd, attempts, attempt, route, upstream_model, progress,
            created_at_ms, attempted_at_ms, due_at_ms, extras, key_name, upstream_account)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26,
            ?27)";
    conn.prepare_cached(sql)?.execute(params![
        job.id.to_string(),
        job.tenant.as_str(),
        job.state.as_str(),
        job.version,
        job.operation,
        job.model.as_str(),
        job.prompt,
        job.seconds.get(),
        job.size.to_string(),
        job.source.map(|id| id.to_string()),
        job.hidden_inputs,
        job.end_user,
        job.residency,
        job.ceiling.get(),
        job.price.get(),
        job.charge.map(MicroUsd::get),
        job.attempts,
        job.attempt.to_string(),
        job.route.as_str(),
        job.upstream_model,
        job.progress,
        job.created_at.as_ms(),
        job.attempted_at.as_ms(),
        due_at.as_ms(),
        extras::write(&job.extras),
        job.key_name,
        account(job.account.as_ref()),
    ])?;
    Ok(())
}

/// Writes what can move of a job, if it is still at the version before `job`'s; whether it was.
/// Ends its lease. Without `due_at` it stays due when it was, and so does one that somebody rang for: see `polls`.
pub(super) fn advance(conn: &Connection, job: &Job, due_at: Option<Timestamp>) -> Result<bool, Error> {
    let sql = "UPDATE jobs SET state = ?2, version = ?3, seconds = ?4, size = ?5, price_microusd = ?6, cost_microusd = ?7,
            attempts = ?8, attempt = ?9, route = ?10, upstream_model = ?11, upstream_id = ?12, result_url = ?13, progress = ?14,
            error_code = ?15, error_message = ?16, attempted_at_ms = ?17, ended_at_ms = ?18, expires_at_ms = ?19,
            due_at_ms = CASE lease_until_ms WHEN 0 THEN due_at_ms ELSE coalesce(?20, due_at_ms) END, lease_until_ms = NULL,
            upstream_account = ?21
        WHERE id = ?1 AND version = ?3 - 1";
    let rows = conn.prepare_cached(sql)?.execute(params![
        job.id.to_string(),
        job.state.as_str(),
        job.version,
        job.seconds.get(),
        job.size.to_string(),
        job.price.get(),
        job.cost.map(MicroUsd::get),
        job.attempts,
        job.attempt.to_string(),
        job.route.as_str(),
        job.upstream_model,
        job.upstream_id,
        job.result_url,
        job.progress,
        job.error.as_ref().map(|error| &error.code),
        job.error.as_ref().map(|error| &error.message),
        job.attempted_at.as_ms(),
        job.ended_at.map(Timestamp::as_ms),
        job.expires_at.map(Timestamp::as_ms),
        due_at.map(Timestamp::as_ms),
        account(job.account.as_ref()),
    ])?;
    Ok(rows == 1)
}
