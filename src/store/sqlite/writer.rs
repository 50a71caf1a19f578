//! The one writer: its thread takes the facts that wait and commits them together.
//!
//! A sync of the disk costs as much for a hundred facts as for one, so the writer takes whatever is
//! waiting, runs each fact in a savepoint of its own, commits once, and only then answers them all.
//! The invariants: nobody hears of a fact before it is durable; a refused fact leaves nothing behind
//! and takes nobody with it; if the commit fails everybody is told so, refusals too, because they may
//! rest on facts of the same batch; if the disk could not be synced, the process ends. Knows nothing of what the facts are.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Weighter};
use rusqlite::hooks::Wal;
use rusqlite::{Connection, Error, ffi};
use tokio::sync::{mpsc, oneshot};

use super::fault::end_if_unsynced;
use super::place::Place;
use super::workers::Workers;
use crate::crash;
use crate::id::JobId;
use crate::store::{Job, StoreError};

/// How many facts one commit takes with it.
const BATCH_MAX: usize = 256;
/// How many facts may wait before those who bring more have to.
const WAITING_MAX: usize = 4_096;
/// How long the log grows before it is folded in, pages.
const LOG_PAGES_MAX: i32 = 1_000;
/// For how long a commit that failed counts.
const LATELY: Duration = Duration::from_secs(10);
/// How many recent jobs are kept at hand.
const RECENT_JOBS_MAX: usize = 50_000;
/// What they may weigh together: prompts differ in length by four orders of magnitude.
const RECENT_BYTES_MAX: u64 = 128 << 20;

/// Recent jobs as they are on disk. Only the writer puts any in, after the commit and before the
/// answer: a reader that did might put an older row over a newer one.
pub(super) type RecentJobs = Cache<JobId, Arc<Job>, ByBytes>;

/// Weighs a job by what it keeps in memory.
#[derive(Clone)]
pub(super) struct ByBytes;

impl Weighter<JobId, Arc<Job>> for ByBytes {
    fn weight(&self, _: &JobId, job: &Arc<Job>) -> u64 {
        const BARE_BYTES: usize = size_of::<Job>() + 256;
        let texts = job.prompt.len() + job.result_url.as_ref().map_or(0, String::len);
        u64::try_from(BARE_BYTES + texts).unwrap_or(u64::MAX)
    }
}

/// An empty cache of recent jobs.
pub(super) fn recent_jobs() -> RecentJobs {
    Cache::with(RECENT_JOBS_MAX, RECENT_BYTES_MAX, ByBytes, DefaultHashBuilder::default(), Default::default())
}

/// The transaction a fact is written in.
pub(super) struct Tx<'a> {
    /// Where to write.
    pub conn: &'a Connection,
    /// Who was handed over.
    pub(super) changed: &'a mut Vec<Arc<Job>>,
}

impl Tx<'_> {
    /// Hands over a job as it will be once this is committed.
    pub fn changed(&mut self, job: Job) -> Arc<Job> {
        let job = Arc::new(job);
        self.changed.push(Arc::clone(&job));
        job
    }
}

/// A fact that waits to be written, and somebody who waits to hear of it.
trait Waiting: Send {
    /// Writes it; whether it shall stay.
    fn write(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Tells how it went; `fault` if the commit did not happen.
    fn answer(self: Box<Self>, fault: Option<&StoreError>);
}

struct Fact<T, E, W> {
    write: Option<W>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, W> Waiting for Fact<T, E, W>
where
    T: Send,
    E: Send + From<StoreError>,
    W: Send + FnOnce(&mut Tx<'_>) -> Result<T, E>,
{
    fn write(&mut self, tx: &mut Tx<'_>) -> bool {
        self.outcome = self.write.take().map(|write| write(tx));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, fault: Option<&StoreError>) {
        let outcome = match (fault, self.outcome) {
            (None, Some(outcome)) => outcome,
            (Some(fault), _) => Err(E::from(fault.clone())),
            (None, None) => Err(E::from(StoreError::Unavailable("the fact was not written".to_owned()))),
        };
        // Who has stopped waiting will read it.
        drop(self.reply.send(outcome));
    }
}

/// The way to the writer's thread.
pub(super) struct Writer {
    thread: Workers<Box<dyn Waiting>>,
    failed: Arc<Failed>,
}

/// The latest commit that failed, and when.
#[derive(Default)]
struct Failed(Mutex<Option<(Instant, StoreError)>>);

impl Failed {
    fn remember(&self, why: &StoreError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), why.clone()));
    }

    fn lately(&self) -> Option<StoreError> {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().filter(|(at, _)| at.elapsed() < LATELY).map(|(_, why)| why.clone())
    }
}

impl Writer {
    /// Starts the thread; it ends when this is dropped, after what still waits is written.
    pub fn start(conn: Connection, recent: Arc<RecentJobs>) -> std::io::Result<Self> {
        let (queue, facts) = mpsc::channel(WAITING_MAX);
        let failed = Arc::new(Failed::default());
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn({
            let failed = Arc::clone(&failed);
            move || write_all(conn, facts, &recent, &failed)
        })?;
        Ok(Self { thread: Workers::new(queue, vec![thread]), failed })
    }

    /// What kept a commit from the disk a moment ago. Where there is room for one fact there may be none for another.
    pub fn failed_lately(&self) -> Option<StoreError> {
        self.failed.lately()
    }

    /// Brings a fact and waits until it is durable, refused, or known not to be written.
    pub async fn write<T, E, W>(&self, write: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + From<StoreError> + 'static,
        W: Send + FnOnce(&mut Tx<'_>) -> Result<T, E> + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.thread.bring(Box::new(Fact { write: Some(write), outcome: None, reply })).await?;
        answer.await.unwrap_or_else(|_| Err(E::from(StoreError::Unavailable("the writer has stopped; restart the gateway".to_owned()))))
    }
}

/// Has the log folded into the database whenever it has grown. What is committed is on disk in the log and
/// may stay there if that fails, unless a sync failed: SQLite's own way of doing this keeps that to itself.
pub(super) fn keep_the_log_short(conn: &mut Connection) -> Result<(), Error> {
    conn.wal_hook(Some(|log: &mut Wal, pages| {
        if pages >= LOG_PAGES_MAX
            && let Err(error) = log.checkpoint()
        {
            end_if_unsynced(&error);
        }
        Ok(())
    }))
}

/// Takes what waits, until nobody can bring any more.
fn write_all(conn: Connection, mut facts: mpsc::Receiver<Box<dyn Waiting>>, recent: &RecentJobs, failed: &Failed) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut changed = Vec::new();
    let mut place = Place::of(&conn);

    while facts.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let mut fault = None;
        if let Err(error) = commit(&conn, &mut place, &mut batch, &mut changed) {
            end_if_unsynced(&error);
            let why = StoreError::from(error);
            failed.remember(&why);
            fault = Some(why);
            changed.clear();
        }
        crash::point("after_commit");
        for job in changed.drain(..) {
            recent.insert(job.id, job);
        }
        for fact in batch.drain(..) {
            fact.answer(fault.as_ref());
        }
    }
}

/// Writes a batch and commits it, or leaves nothing of it.
fn commit(conn: &Connection, place: &mut Place, batch: &mut [Box<dyn Waiting>], changed: &mut Vec<Arc<Job>>) -> Result<(), Error> {
    let written = write_batch(conn, batch, changed).and_then(|()| place.check()).and_then(|()| run(conn, "COMMIT"));
    if written.is_err() && !conn.is_autocommit() {
        run(conn, "ROLLBACK")?;
    }
    written
}

fn write_batch(conn: &Connection, batch: &mut [Box<dyn Waiting>], changed: &mut Vec<Arc<Job>>) -> Result<(), Error> {
    run(conn, "BEGIN IMMEDIATE")?;
    for fact in batch {
        let before = changed.len();
        run(conn, "SAVEPOINT fact")?;
        if !fact.write(&mut Tx { conn, changed }) {
            changed.truncate(before);
            if conn.is_autocommit() {
                return Err(given_up());
            }
            run(conn, "ROLLBACK TO fact")?;
        }
        run(conn, "RELEASE fact")?;
    }
    Ok(())
}

/// SQLite ends a whole transaction by itself when the disk is full or fails in the middle of it.
fn given_up() -> Error {
    let why = "the disk is full or failing; everything that was being written has been given up".to_owned();
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ABORT_ROLLBACK), Some(why))
}

fn run(conn: &Connection, sql: &str) -> Result<(), Error> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}
