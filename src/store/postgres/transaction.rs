//! A fact's transaction: begun, committed, repeated where that is safe, and told apart how it ended.
//!
//! The invariants: a fact that was refused leaves nothing; one is repeated only if nothing of it was
//! written, because the server ended it for another's sake or the connection was lost before it came to
//! COMMIT; a COMMIT that nobody answered is never repeated, for it may have been done. Everybody hears
//! something within [`ANSWER_WITHIN`].

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

use super::connections::Connections;
use super::fault::Fault;
use super::session::{Commit, Session};
use crate::crash;
use crate::store::StoreError;

/// Nobody waits for the store longer than this.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A fact is written within this time, or not: the rest is for finding out what became of it.
const WRITTEN_WITHIN: Duration = Duration::from_secs(3);
/// How often a fact is begun again because others stood in its way.
const CONFLICTS_MAX: u32 = 10;

/// What a transaction was, once its fact was done.
pub(super) enum Written<T> {
    /// It is committed.
    Surely(T),
    /// The connection ended between COMMIT and the answer to it.
    Perhaps(T),
}

/// Writes a fact that takes the locks of accounts, in a transaction of its own, when its turn has come.
pub(super) async fn write_in_turn<T, E, F, Fut>(connections: &Connections, fact: F) -> Result<Written<T>, E>
where
    E: From<StoreError>,
    F: Fn(Arc<Session>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let deadline = Instant::now() + WRITTEN_WITHIN;
    let _turn = connections.turn(deadline).await.map_err(StoreError::from)?;
    write_until(connections, deadline, fact).await
}

/// Writes a fact in a transaction of its own.
pub(super) async fn write<T, E, F, Fut>(connections: &Connections, fact: F) -> Result<Written<T>, E>
where
    E: From<StoreError>,
    F: Fn(Arc<Session>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    write_until(connections, Instant::now() + WRITTEN_WITHIN, fact).await
}

async fn write_until<T, E, F, Fut>(connections: &Connections, deadline: Instant, fact: F) -> Result<Written<T>, E>
where
    E: From<StoreError>,
    F: Fn(Arc<Session>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let refuse = |fault: Fault| E::from(StoreError::from(fault));
    let mut conflicts = 0;
    loop {
        let session = Arc::new(connections.session(deadline).await.map_err(refuse)?);
        // By itself: behind a BEGIN that failed, every statement would be a transaction of its own.
        let outcome = match session.run("BEGIN").await {
            Ok(()) => fact(Arc::clone(&session)).await,
            Err(fault) => Err(refuse(fault)),
        };
        match outcome {
            Ok(value) if !session.has_failed() => match session.commit().await {
                Commit::Done => {
                    crash::point("after_commit");
                    session.is_done();
                    return Ok(Written::Surely(value));
                }
                Commit::Refused(_) if session.was_cut() && Instant::now() < deadline => continue,
                Commit::Refused(fault) if fault.is_conflict() => {}
                Commit::Refused(fault) => return Err(refuse(fault)),
                Commit::Unanswered(fault) => {
                    warn!(%fault, "a commit was not answered; what became of it is looked up");
                    return Ok(Written::Perhaps(value));
                }
            },
            Ok(_) => return Err(StoreError::Unavailable("a statement failed, and its transaction with it".to_owned()).into()),
            Err(_) if session.was_cut() && Instant::now() < deadline => continue,
            Err(error) => {
                if !session.was_cut() && session.roll_back().await {
                    session.is_done();
                }
                if !session.met_conflict() {
                    return Err(error);
                }
            }
        }
        conflicts += 1;
        if conflicts > CONFLICTS_MAX || Instant::now() >= deadline {
            let why = format!("others stood in its way {conflicts} times");
            return Err(StoreError::Unavailable(why).into());
        }
        sleep(pause(conflicts)).await;
    }
}

/// Looks something up; once more if the connection was lost over it.
pub(super) async fn read<T, F, Fut>(connections: &Connections, within: Duration, query: F) -> Result<T, StoreError>
where
    F: Fn(Arc<Session>) -> Fut,
    Fut: Future<Output = Result<T, Fault>>,
{
    let deadline = Instant::now() + within;
    loop {
        let session = Arc::new(connections.session(deadline).await?);
        match query(Arc::clone(&session)).await {
            Ok(found) => {
                session.is_done();
                return Ok(found);
            }
            Err(_) if session.was_cut() && Instant::now() < deadline => {}
            Err(fault) => return Err(fault.into()),
        }
    }
}

/// A little, and not as long as whoever stood in the way waits.
fn pause(tries: u32) -> Duration {
    let lot = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
    Duration::from_micros(500 * u64::from(tries) + lot * 20)
}
