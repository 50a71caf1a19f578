//! One connection in use: statements with a deadline, and what becomes of the connection afterwards.
//!
//! What is only written, and not asked about, is sent behind: together with the next question or the COMMIT, in the
//! order of the calls. Others wait for the locks that a transaction has, and it has them for as long as its messages
//! travel. The invariant: a connection goes back to the others only when it is known to be idle and outside of
//! any transaction. One that was left in the middle, because its user went away, ran out of time or met
//! a fault, is closed, and the server gives up what had not been committed.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use deadpool_postgres::Object;
use futures_util::TryStreamExt as _;
use futures_util::future::{maybe_done, try_join_all};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

use super::fault::Fault;

/// The values for a statement's `$1`, `$2`, ….
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];
/// One of them, kept until its statement is sent.
pub(super) type Value = Box<dyn ToSql + Sync + Send>;

/// The values for a statement that is sent later.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$(Box::new($value) as $crate::store::postgres::session::Value),*]
    };
}
pub(super) use values;

/// What a statement answered: the rows it found, or how many it changed.
struct Answer {
    rows: Vec<Row>,
    changed: u64,
}

/// How a COMMIT ended.
pub(super) enum Commit {
    /// It is on the server's disk.
    Done,
    /// Nothing of the transaction was written, for certain.
    Refused(Fault),
    /// Nobody knows.
    Unanswered(Fault),
}

/// A connection in use.
pub(super) struct Session {
    conn: Option<Object>,
    deadline: Instant,
    behind: Mutex<Vec<(&'static str, Vec<Value>)>>,
    is_idle: AtomicBool,
    met_conflict: AtomicBool,
    was_cut: AtomicBool,
    has_failed: AtomicBool,
}

impl Session {
    /// Uses `conn` until `deadline`.
    pub fn new(conn: Object, deadline: Instant) -> Self {
        Self {
            conn: Some(conn),
            deadline,
            behind: Mutex::default(),
            is_idle: AtomicBool::new(false),
            met_conflict: AtomicBool::new(false),
            was_cut: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
        }
    }

    /// The rows that a query finds.
    pub async fn rows(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Fault> {
        let [answer] = self.ask([(sql, values)]).await?;
        Ok(answer.rows)
    }

    /// The rows that the second query finds, of which the first takes the locks; and those that this one finds.
    pub async fn rows_locked(&self, lock: (&str, Values<'_>), query: (&str, Values<'_>)) -> Result<(Vec<Row>, Vec<Row>), Fault> {
        let [locked, found] = self.ask([lock, query]).await?;
        Ok((locked.rows, found.rows))
    }

    /// The first row that a query finds.
    pub async fn row_if_any(&self, sql: &str, values: Values<'_>) -> Result<Option<Row>, Fault> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Changes rows; how many.
    pub async fn execute(&self, sql: &str, values: Values<'_>) -> Result<u64, Fault> {
        let [answer] = self.ask([(sql, values)]).await?;
        Ok(answer.changed)
    }

    /// Changes rows, of which nobody has to know how many. It is sent with what comes next; if it fails, that does.
    pub fn write(&self, sql: &'static str, values: Vec<Value>) {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner).push((sql, values));
    }

    /// Commits, with what is still to be sent.
    pub async fn commit(&self) -> Commit {
        self.write("COMMIT", values![]);
        let mut answers = match self.send(&[]).await {
            Ok(answers) => answers,
            Err(fault @ Fault::Late) => return Commit::Unanswered(fault),
            // It could not be prepared, or not be put into bytes: COMMIT was not sent.
            Err(fault) => return Commit::Refused(fault),
        };
        let commit = answers.pop();
        // After a statement that the server refused, COMMIT commits nothing.
        match answers.into_iter().find_map(Result::err) {
            Some(fault) if fault.was_told() => Commit::Refused(fault),
            Some(fault) => Commit::Unanswered(fault),
            None => match commit {
                Some(Ok(_)) => Commit::Done,
                Some(Err(fault)) if fault.is_refusal() => Commit::Refused(fault),
                Some(Err(fault)) => Commit::Unanswered(fault),
                None => Commit::Unanswered(Fault::Late),
            },
        }
    }

    /// Gives the transaction up; whether the server has.
    pub async fn roll_back(&self) -> bool {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.run("ROLLBACK").await.is_ok()
    }

    /// Runs statements that take no values and answer no rows.
    pub async fn run(&self, sql: &str) -> Result<(), Fault> {
        let conn = self.conn()?;
        self.in_time(conn.batch_execute(sql)).await
    }

    /// The connection is idle and outside of any transaction: it may be used again.
    pub fn is_done(&self) {
        self.is_idle.store(true, Ordering::Relaxed);
    }

    /// Whether the server ended the transaction because another stood in its way.
    pub fn met_conflict(&self) -> bool {
        self.met_conflict.load(Ordering::Relaxed)
    }

    /// Whether the connection ended under a statement.
    pub fn was_cut(&self) -> bool {
        self.was_cut.load(Ordering::Relaxed)
    }

    /// Whether any statement failed: its transaction can only be given up.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    fn conn(&self) -> Result<&Object, Fault> {
        self.conn.as_ref().ok_or(Fault::Late)
    }

    /// What statements answer, sent behind all that is still to be sent.
    async fn ask<const N: usize>(&self, statements: [(&str, Values<'_>); N]) -> Result<[Answer; N], Fault> {
        let mut answers = self.send(&statements).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
        let asked = answers.split_off(answers.len().saturating_sub(N));
        asked.try_into().map_err(|_| Fault::Late)
    }

    /// Sends what is still to be sent and then `statements`; what each of all these answers.
    async fn send(&self, statements: &[(&str, Values<'_>)]) -> Result<Vec<Result<Answer, Fault>>, Fault> {
        let behind = std::mem::take(&mut *self.behind.lock().unwrap_or_else(PoisonError::into_inner));
        let behind = behind.iter().map(|(sql, values)| {
            let values = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect::<Vec<_>>();
            (*sql, values)
        });
        let all: Vec<(&str, Vec<_>)> = behind.chain(statements.iter().map(|(sql, values)| (*sql, values.to_vec()))).collect();
        let answers = self.in_time(pipeline(self.conn()?, &all)).await?;
        Ok(answers.into_iter().map(|answer| answer.map_err(|error| self.note(Fault::Sql(error)))).collect())
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
        match timeout_at(self.deadline, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.note(Fault::Sql(error))),
            Err(_) => Err(self.note(Fault::Late)),
        }
    }

    /// Remembers what a fault means to the transaction and to the connection.
    fn note(&self, fault: Fault) -> Fault {
        self.has_failed.store(true, Ordering::Relaxed);
        self.met_conflict.fetch_or(fault.is_conflict(), Ordering::Relaxed);
        self.was_cut.fetch_or(fault.is_disconnected(), Ordering::Relaxed);
        fault
    }
}

/// Sends statements one behind the other, and only then waits for what each of them answers. An error is that not all
/// of them were sent, and not the last.
async fn pipeline(conn: &Object, statements: &[(&str, Vec<&(dyn ToSql + Sync)>)]) -> Result<Vec<Result<Answer, Error>>, Error> {
    let prepared = try_join_all(statements.iter().map(|(sql, _)| conn.prepare_cached(sql))).await?;
    let queries = prepared.iter().zip(statements).map(|(statement, (_, values))| Box::pin(maybe_done(query(conn, statement, values))));
    let mut queries: Vec<_> = queries.collect();
    for query in &mut queries {
        // It sends when it is polled for the first time, and has failed by then if it could not.
        poll_fn(|cx| Poll::Ready(query.as_mut().poll(cx).is_ready())).await;
        if query.as_mut().output_mut().is_some_and(|answer| answer.is_err())
            && let Some(Err(error)) = query.as_mut().take_output()
        {
            return Err(error);
        }
    }
    let mut answers = Vec::with_capacity(queries.len());
    for mut query in queries {
        query.as_mut().await;
        answers.extend(query.as_mut().take_output());
    }
    Ok(answers)
}

async fn query(conn: &Object, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<Answer, Error> {
    let mut rows = pin!(conn.query_raw(statement, values.iter().copied()).await?);
    let found = rows.as_mut().try_collect().await?;
    Ok(Answer { rows: found, changed: rows.rows_affected().unwrap_or(0) })
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take()
            && !self.is_idle.load(Ordering::Relaxed)
        {
            drop(Object::take(conn));
        }
    }
}
