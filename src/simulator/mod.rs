//! The simulator: a provider of our own, with a bill.
//!
//! It speaks three dialects of the videos protocol on one listener (`/openai/v1`,
//! `/azure/openai/v1`, `/cometapi/v1`), takes as long over a clip as the published times say or a
//! given factor less, makes clips that play, and can be told to misbehave. `filmgate simulate` runs
//! it alone; a route with `provider = "simulator"` runs it in-process; tests run against it.
//!
//! It knows nothing of the gateway: no policy, store or provider module is used here, so that a
//! mistake there cannot be repeated here and so be hidden. It keeps one invariant: a job is on the
//! bill, and in the journal if there is one, before any byte of a reply can tell anybody about it.
//! That is what makes the bill the authority that every money test compares with.
//!
//! A request is read in this order: `listen` takes the connection, `door` says what is asked for,
//! `studio` does it with the `books`, and `wording` puts the answer in the asker's dialect. Modules
//! are listed in that order; each uses only those below it.

mod listen;
mod door;
mod desk;
mod courier;
mod studio;
mod operation;
mod order;
mod form;
mod wording;
mod clip;
mod picture;
mod books;
mod journal;
mod account;
mod refusal;
mod content;
mod bill;
mod faults;
mod job;
mod dialect;
mod timing;
mod tariff;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::clock::Clock;

pub use account::account_of;
pub use bill::{Bill, BilledJob, Outcome, Stats};
pub use dialect::{Dialect, Shape};
pub use faults::{Fault, Faults, PollFault, Webhook};

use studio::Studio;

/// How a simulator is set up; what can change while it runs is in [`Faults`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How many times faster than the published times clips are made; 0 counts as 1.
    pub speed: u32,
    /// An append-only file of JSON lines. A simulator started again on the same file knows its
    /// jobs and its bill; without one it forgets.
    pub journal: Option<PathBuf>,
    /// Clips are padded to at least this many bytes; 0 leaves them as small as they are.
    pub clip_bytes_min: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), speed: 1, journal: None, clip_bytes_min: 0 }
    }
}

/// A running simulator; dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    studio: Arc<Studio>,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// Reads the journal, binds the socket and starts serving.
///
/// # Errors
/// When the address cannot be bound, or the journal cannot be read, written or understood.
pub async fn start(settings: Settings) -> std::io::Result<Simulator> {
    let clock = Clock::default();
    let listener = TcpListener::bind(settings.listen).await?;
    let addr = listener.local_addr()?;
    let studio = Arc::new(Studio::open(&settings, clock)?);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(listen::run(listener, Arc::clone(&studio), tasks.clone(), stop.clone()));
    tasks.spawn(courier::run(Arc::clone(&studio), stop.clone()));
    tasks.close();
    Ok(Simulator { addr, studio, tasks, _stop_on_drop: stop.clone().drop_guard(), stop })
}

impl Simulator {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What every account owes, as of now: the same as `GET /_simulator/bill`.
    pub fn bill(&self) -> Bill {
        self.studio.bill()
    }

    /// What was asked for so far: the same as `GET /_simulator/stats`.
    pub fn stats(&self) -> Stats {
        self.studio.books().stats.clone()
    }

    /// Replaces the faults and starts their dice anew: the same as `PUT /_simulator/faults`.
    pub fn set_faults(&self, faults: Faults) {
        self.studio.books().faults.replace(faults);
    }

    /// Names whom to tell when jobs end, or nobody: the same as `PUT /_simulator/webhook`.
    pub fn set_webhook(&self, webhook: Option<Webhook>) {
        self.studio.books().webhook = webhook;
    }

    /// Takes that many 4 s orders for `sora-2` as if whoever shows `credential` had sent them; answers their ids.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn take_orders(&self, dialect: Dialect, credential: &str, count: usize) -> std::io::Result<Vec<String>> {
        self.studio.take_orders(dialect, credential, count)
    }

    /// Turns the simulator's clock forward, which finishes jobs without waiting for them.
    pub fn turn_clock(&self, span: std::time::Duration) {
        self.studio.clock.turn(span);
    }

    /// Stops listening, drops every connection and waits until nothing is left running.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}
