//! One connection in use: statements with a deadline, and what becomes of the connection afterwards.
//!
//! The invariant: a connection goes back to the others only when it is known to be idle and outside of
//! any transaction. One that was left in the middle, because its user went away, ran out of time or met
//! a fault, is closed, and the server gives up what had not been committed.

use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::Object;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::fault::Fault;

/// The values for a statement's `$1`, `$2`, ….
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection in use.
pub(super) struct Session {
    conn: Option<Object>,
    deadline: Instant,
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
            is_idle: AtomicBool::new(false),
            met_conflict: AtomicBool::new(false),
            was_cut: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
        }
    }

    /// The rows that a query finds.
    pub async fn rows(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Fault> {
        let conn = self.conn()?;
        self.in_time(async { conn.query(&conn.prepare_cached(sql).await?, values).await }).await
    }

    /// The first row that a query finds.
    pub async fn row_if_any(&self, sql: &str, values: Values<'_>) -> Result<Option<Row>, Fault> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Changes rows; how many.
    pub async fn execute(&self, sql: &str, values: Values<'_>) -> Result<u64, Fault> {
        let conn = self.conn()?;
        self.in_time(async { conn.execute(&conn.prepare_cached(sql).await?, values).await }).await
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

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Fault> {
        let fault = match timeout_at(self.deadline, work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => Fault::Sql(error),
            Err(_) => Fault::Late,
        };
        self.has_failed.store(true, Ordering::Relaxed);
        self.met_conflict.fetch_or(fault.is_conflict(), Ordering::Relaxed);
        self.was_cut.fetch_or(fault.is_disconnected(), Ordering::Relaxed);
        Err(fault)
    }
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
