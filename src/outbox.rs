//! What this process remembers of the outbox: that something is owed, and what has been owed lately.
//!
//! In memory and bounded. Forgetting costs a look at the books, which know better.

use quick_cache::sync::Cache;
use tokio::sync::Notify;

use crate::notice::{Addressee, NewNotice};

/// Notices that are remembered as owed.
const OWED_MAX: usize = 100_000;

/// The memory.
#[derive(Debug)]
pub struct Outbox {
    ring: Notify,
    owed: Cache<(Addressee, &'static str, String), ()>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { ring: Notify::new(), owed: Cache::new(OWED_MAX) }
    }
}

impl Outbox {
    /// Something is owed, or there is room to send more.
    pub fn ring(&self) {
        self.ring.notify_one();
    }

    /// Waits until it rings.
    pub async fn rung(&self) {
        self.ring.notified().await;
    }

    /// Whether a notice is not known to be owed already.
    pub fn is_news(&self, notice: &NewNotice) -> bool {
        self.owed.get(&key(notice)).is_none()
    }

    /// Remembers that it is.
    pub fn remember(&self, notice: &NewNotice) {
        self.owed.insert(key(notice), ());
    }
}

fn key(notice: &NewNotice) -> (Addressee, &'static str, String) {
    (notice.to.clone(), notice.kind.as_str(), notice.subject.clone())
}
