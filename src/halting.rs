//! The kill switch: whether an operator has stopped all buying.
//!
//! It is pulled in the policy file (`[server] halt`), for the gateways that read that file, or in the books
//! (`filmgate halt`), for all that share them; everything free goes on. This is the copy in memory that the one
//! place that pays looks at, last of all before a byte leaves. The invariant: what shared books said longer ago
//! than [`FRESH_FOR`] permits nothing. So when they cannot be read, nothing is bought either.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::{Halt, Store, StoreError};

/// How often shared books are looked at.
pub const EVERY: Duration = Duration::from_millis(250);
/// How long one look permits buying; a halt holds everywhere before a second has passed.
const FRESH_FOR: Duration = Duration::from_millis(800);

/// For how long it is looked anew, while each look takes longer than it permits buying.
const LOOK_FOR: Duration = Duration::from_secs(3);

/// Why nothing is bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halted {
    /// The policy file says so.
    ByFile,
    /// An operator said so, in the books.
    ByOperator(Halt),
    /// The books did not say lately that it is permitted.
    NotKnown,
}

/// The switch, shared by everybody who has to know.
#[derive(Clone, Debug)]
pub struct Halting(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    by_file: AtomicBool,
    seen: Mutex<Seen>,
    /// Whether others may pull the switch in the books.
    is_shared: bool,
    /// Looks take turns, so that an older one never overwrites a newer one.
    turn: tokio::sync::Mutex<()>,
}

/// What the books said, and when they were asked.
#[derive(Clone, Debug)]
struct Seen {
    halt: Option<Halt>,
    at: Instant,
}

impl Halting {
    /// As the file and the books have it.
    pub async fn start(by_file: bool, store: &dyn Store) -> Result<Self, StoreError> {
        let at = Instant::now();
        let seen = Mutex::new(Seen { halt: store.halted().await?, at });
        let (by_file, turn) = (AtomicBool::new(by_file), tokio::sync::Mutex::default());
        Ok(Self(Arc::new(Inner { by_file, seen, is_shared: store.is_shared(), turn })))
    }

    /// Why nothing may be bought at this moment; `None` if it may.
    pub fn why(&self) -> Option<Halted> {
        let Seen { halt, at } = self.seen();
        match halt {
            Some(halt) => Some(Halted::ByOperator(halt)),
            None if self.0.by_file.load(Ordering::Acquire) => Some(Halted::ByFile),
            None if self.0.is_shared && at.elapsed() > FRESH_FOR => Some(Halted::NotKnown),
            None => None,
        }
    }

    /// Follows what the file in force says.
    pub fn follow_file(&self, halt: bool) {
        self.0.by_file.store(halt, Ordering::Release);
    }

    /// Follows what the books say.
    pub async fn look(&self, store: &dyn Store) -> Result<(), StoreError> {
        let _turn = self.0.turn.lock().await;
        self.ask(store).await
    }

    /// Why nothing may be bought, after a look at the books if there was none lately.
    pub async fn why_now(&self, store: &dyn Store) -> Option<Halted> {
        let give_up = Instant::now() + LOOK_FOR;
        // What a look says that itself took longer than it is good for is too old: under load, the next may be quicker.
        while self.why() == Some(Halted::NotKnown) && Instant::now() < give_up {
            let _turn = self.0.turn.lock().await;
            // Whoever had the turn before may have looked for everybody; if it cannot be known, that is the answer.
            if self.why() == Some(Halted::NotKnown) && self.ask(store).await.is_err() {
                break;
            }
        }
        self.why()
    }

    async fn ask(&self, store: &dyn Store) -> Result<(), StoreError> {
        let at = Instant::now();
        let halt = store.halted().await?;
        *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { halt, at };
        Ok(())
    }

    fn seen(&self) -> Seen {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
