//! The PostgreSQL server that every test of this binary shares while any of them needs one, and a test's own
//! books on it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::cluster::{Books, Cluster};

/// Empty books, removed when dropped.
pub struct Emptied {
    /// Where they are.
    pub books: Books,
    pub cluster: Arc<Cluster>,
}

impl Emptied {
    /// New ones; the first in a while wait until the server has started.
    pub fn new() -> Self {
        static SHARED: OnceLock<Mutex<Weak<Cluster>>> = OnceLock::new();
        let mut shared = SHARED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = shared.upgrade().unwrap_or_else(|| Arc::new(Cluster::start()));
        *shared = Arc::downgrade(&cluster);
        drop(shared);
        Self::on(cluster)
    }

    /// New ones on that server.
    pub fn on(cluster: Arc<Cluster>) -> Self {
        Self { books: cluster.books(), cluster }
    }
}

impl Drop for Emptied {
    fn drop(&mut self) {
        // Whose gateways still live may be in the way, and the server goes with its last user.
        if !std::thread::panicking() {
            self.cluster.remove(&self.books);
        }
    }
}
