//! Jobs as rows: one list of columns, and the two functions that read and write along it.

use std::str::FromStr;

use tokio_postgres::Row;
use tokio_postgres::types::FromSqlOwned;

use super::fault::Fault;
use super::session::{Session, values};
use crate::clock::Timestamp;
use crate::id::{AccountId, JobId, ModelName, RouteName, TenantName};
use crate::money::MicroUsd;
use crate::store::{Job, JobError, extras};
use crate::video::{Extras, Seconds};

/// `SELECT` of whole jobs, to be followed by what is written behind it; and to be opened by what is written before it.
macro_rules! select_jobs {
    ($rest:literal) => {
        select_jobs!("", "FROM jobs ", $rest)
    };
    ($before:literal, $from:literal, $rest:literal) => {
        concat!(
            $before,
            "SELECT id, jobs.tenant, state, version, operation, model, prompt, seconds, size, source, hidden_inputs, end_user, ",
            "residency, ceiling_microusd, price_microusd, cost_microusd, charge_microusd, attempts, attempt, route, ",
            "upstream_model, upstream_id, result_url, progress, error_code, error_message, jobs.created_at_ms, attempted_at_ms, ",
            "ended_at_ms, expires_at_ms, deleted_at_ms, extras, key_name, upstream_account ",
            $from,
            $rest
        )
    };
}
pub(super) use select_jobs;

/// Reads the columns of a row from left to right.
pub(super) struct Columns<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> Columns<'a> {
    /// At the first column.
    pub fn of(row: &'a Row) -> Self {
        Self { row, next: 0 }
    }

    /// At the `n`-th column from the end.
    pub fn last(row: &'a Row, n: usize) -> Self {
        Self { row, next: row.len().saturating_sub(n) }
    }

    /// The next column as it is.
    pub fn take<T: FromSqlOwned>(&mut self) -> Result<T, Fault> {
        let column = self.next;
        self.next += 1;
        let kind = self.row.columns().get(column).map_or("no such column", |column| column.type_().name()).to_owned();
        self.row
            .try_get(column)
            .map_err(|_| Fault::BadValue { value: format!("a {kind} in column {column}"), kind: std::any::type_name::<T>() })
    }

    /// The next column, read from its text.
    pub fn parse<T: FromStr>(&mut self, kind: &'static str) -> Result<T, Fault> {
        let text: String = self.take()?;
        text.parse().map_err(|_| Fault::BadValue { value: text, kind })
    }

    fn parse_if_any<T: FromStr>(&mut self, kind: &'static str) -> Result<Option<T>, Fault> {
        let text: Option<String> = self.take()?;
        text.map(|text| text.parse().map_err(|_| Fault::BadValue { value: text, kind })).transpose()
    }

    /// The next column as a name of whatever kind.
    pub fn name<T>(&mut self, name: impl FnOnce(String) -> T) -> Result<T, Fault> {
        self.take().map(name)
    }

    /// The next column as a number of things.
    pub fn number<T: TryFrom<i64>>(&mut self, kind: &'static str) -> Result<T, Fault> {
        let number: i64 = self.take()?;
        T::try_from(number).map_err(|_| Fault::BadValue { value: number.to_string(), kind })
    }

    /// The next column as a count.
    pub fn count(&mut self) -> Result<u64, Fault> {
        self.number("count")
    }

    /// The next column as an amount.
    pub fn money(&mut self) -> Result<MicroUsd, Fault> {
        self.take().map(MicroUsd::new)
    }

    /// The next column as an amount, if there is one.
    pub fn money_if_any(&mut self) -> Result<Option<MicroUsd>, Fault> {
        Ok(self.take::<Option<i64>>()?.map(MicroUsd::new))
    }

    /// The next column as a moment.
    pub fn moment(&mut self) -> Result<Timestamp, Fault> {
        self.take().map(Timestamp::from_ms)
    }

    /// The next column as a moment, if there is one.
    pub fn moment_if_any(&mut self) -> Result<Option<Timestamp>, Fault> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp::from_ms))
    }

    /// The next column as the fingerprint of a wish.
    pub fn fingerprint(&mut self) -> Result<[u8; 32], Fault> {
        let bytes: Vec<u8> = self.take()?;
        bytes.try_into().map_err(|_| Fault::BadValue { value: "another length".to_owned(), kind: "fingerprint" })
    }

    /// The next column as an account, if it is known: a job's row has an empty text where it is not.
    pub fn account(&mut self) -> Result<Option<AccountId>, Fault> {
        let text: Option<String> = self.take()?;
        Ok(text.filter(|text| !text.is_empty()).map(AccountId::new))
    }

    /// The next column as the length of a clip.
    pub fn seconds(&mut self) -> Result<Seconds, Fault> {
        let seconds: u32 = self.number("length")?;
        Seconds::new(seconds).ok_or_else(|| Fault::BadValue { value: seconds.to_string(), kind: "length" })
    }

    fn extras(&mut self) -> Result<Extras, Fault> {
        extras::read(self.take()?).map_err(|value| Fault::BadValue { value, kind: "extras" })
    }

    fn error(&mut self) -> Result<Option<JobError>, Fault> {
        let (code, message): (Option<String>, Option<String>) = (self.take()?, self.take()?);
        Ok(code.map(|code| JobError { code, message: message.unwrap_or_default() }))
    }
}

/// A job from a row of [`select_jobs!`].
pub(super) fn job(row: &Row) -> Result<Job, Fault> {
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
        attempts: columns.number("number of attempts")?,
        attempt: columns.parse("attempt's id")?,
        route: columns.name(RouteName::new)?,
        upstream_model: columns.take()?,
        upstream_id: columns.take()?,
        result_url: columns.take()?,
        progress: columns.number("progress")?,
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
pub(super) async fn job_by_id(session: &Session, id: JobId) -> Result<Option<Job>, Fault> {
    let found = session.row_if_any(select_jobs!("WHERE id = $1"), &[&id.to_string()]).await?;
    found.as_ref().map(job).transpose()
}

/// The job of that id, for this transaction alone to move.
pub(super) async fn job_to_move(session: &Session, id: JobId) -> Result<Option<Job>, Fault> {
    let found = session.row_if_any(select_jobs!("WHERE id = $1 FOR UPDATE"), &[&id.to_string()]).await?;
    found.as_ref().map(job).transpose()
}

/// Writes a job's row for the first time.
pub(super) fn insert(session: &Session, job: &Job, due_at: Timestamp) {
    let sql = "INSERT INTO jobs (id, tenant, state, version, operation, model, prompt, seconds, size, source, hidden_inputs, end_user,
            residency, ceiling_microusd, price_microusd, charge_microusd, attempts, attempt, route, upstream_model, progress,
            created_at_ms, attempted_at_ms, due_at_ms, extras, key_name, upstream_account)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26,
            $27)";
    let values = values![
        job.id.to_string(),
        job.tenant.to_string(),
        job.state.as_str(),
        job.version,
        job.operation.clone(),
        job.model.to_string(),
        job.prompt.clone(),
        i64::from(job.seconds.get()),
        job.size.to_string(),
        job.source.map(|id| id.to_string()),
        job.hidden_inputs,
        job.end_user.clone(),
        job.residency.clone(),
        job.ceiling.get(),
        job.price.get(),
        job.charge.map(MicroUsd::get),
        i64::from(job.attempts),
        job.attempt.to_string(),
        job.route.to_string(),
        job.upstream_model.clone(),
        i64::from(job.progress),
        job.created_at.as_ms(),
        job.attempted_at.as_ms(),
        due_at.as_ms(),
        extras::write(&job.extras),
        job.key_name.clone(),
        account(job.account.as_ref()).to_owned(),
    ];
    session.write(sql, values);
}

/// Writes what can move of a job, which was read with its lock ([`job_to_move`]) at the version before `job`'s.
/// Ends its lease. Without `due_at` it stays due when it was, and so does one that somebody rang for: see `polls`.
pub(super) fn advance(session: &Session, job: &Job, due_at: Option<Timestamp>) {
    let sql = "UPDATE jobs SET state = $2, version = $3, seconds = $4, size = $5, price_microusd = $6, cost_microusd = $7,
            attempts = $8, attempt = $9, route = $10, upstream_model = $11, upstream_id = $12, result_url = $13, progress = $14,
            error_code = $15, error_message = $16, attempted_at_ms = $17, ended_at_ms = $18, expires_at_ms = $19,
            due_at_ms = CASE lease_until_ms WHEN 0 THEN due_at_ms ELSE coalesce($20, due_at_ms) END, lease_until_ms = NULL,
            upstream_account = $21
        WHERE id = $1 AND version + 1 = $3";
    let values = values![
        job.id.to_string(),
        job.state.as_str(),
        job.version,
        i64::from(job.seconds.get()),
        job.size.to_string(),
        job.price.get(),
        job.cost.map(MicroUsd::get),
        i64::from(job.attempts),
        job.attempt.to_string(),
        job.route.to_string(),
        job.upstream_model.clone(),
        job.upstream_id.clone(),
        job.result_url.clone(),
        i64::from(job.progress),
        job.error.as_ref().map(|error| error.code.clone()),
        job.error.as_ref().map(|error| error.message.clone()),
        job.attempted_at.as_ms(),
        job.ended_at.map(Timestamp::as_ms),
        job.expires_at.map(Timestamp::as_ms),
        due_at.map(Timestamp::as_ms),
        account(job.account.as_ref()).to_owned(),
    ];
    session.write(sql, values);
}
