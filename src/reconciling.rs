//! Reconcile-only mode: whether paid requests may go out at all.
//!
//! Books that were restored from a backup do not know what was bought since. Until a person has looked
//! at what was found, nothing more is bought; everything free goes on. The database remembers the mode
//! over restarts; this is its copy in memory, which the one place that pays looks at too.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::Timestamp;

/// No moment at which anything was written.
const NOT: i64 = i64::MIN;

/// The mode, shared by everybody who has to know.
#[derive(Clone, Debug)]
pub struct Reconciling(Arc<AtomicI64>);

impl Reconciling {
    /// As the database has it.
    pub fn new(since: Option<Timestamp>) -> Self {
        Self(Arc::new(AtomicI64::new(since.map_or(NOT, Timestamp::as_ms))))
    }

    /// The moment after which the books know nothing for certain, while that is being looked into.
    pub fn since(&self) -> Option<Timestamp> {
        let since = self.0.load(Ordering::Acquire);
        (since != NOT).then(|| Timestamp::from_ms(since))
    }

    /// Follows what the database says.
    pub fn set(&self, since: Option<Timestamp>) {
        self.0.store(since.map_or(NOT, Timestamp::as_ms), Ordering::Release);
    }
}
