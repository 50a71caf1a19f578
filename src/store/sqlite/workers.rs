//! Threads that own a connection each and take their work from one bounded queue.

use std::thread::JoinHandle;

use tokio::sync::mpsc;

use crate::store::StoreError;

/// Some threads and the way to them. They finish what waits, and end, when this is dropped.
pub(super) struct Workers<Work> {
    queue: Option<mpsc::Sender<Work>>,
    threads: Vec<JoinHandle<()>>,
}

impl<Work> Workers<Work> {
    /// Owns `threads`, which take from the other end of `queue` until it is closed.
    pub fn new(queue: mpsc::Sender<Work>, threads: Vec<JoinHandle<()>>) -> Self {
        Self { queue: Some(queue), threads }
    }

    /// Queues a piece of work, waiting while the queue is full.
    pub async fn bring(&self, work: Work) -> Result<(), StoreError> {
        let stopped = || StoreError::Unavailable("the store is stopping".to_owned());
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(work).await.map_err(|_| stopped())
    }
}

impl<Work> Drop for Workers<Work> {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already; there is nothing left to wait for.
            drop(thread.join());
        }
    }
}
