//! The readers: two read-only connections, so that a long report does not hold up a poll.
//!
//! They see what was committed when their query began, and never make the writer wait.

use std::sync::{Arc, Mutex};
use std::thread;

use rusqlite::{Connection, Error};
use tokio::sync::{mpsc, oneshot};

use super::workers::Workers;
use crate::store::StoreError;

/// How many queries may wait before those who bring more have to.
const WAITING_MAX: usize = 1_024;

type Query = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the readers' threads.
pub(super) struct Readers {
    threads: Workers<Query>,
}

impl Readers {
    /// Starts a thread for each connection; they end when this is dropped.
    pub fn start(connections: Vec<Connection>) -> std::io::Result<Self> {
        let (queue, queries) = mpsc::channel(WAITING_MAX);
        let queries = Arc::new(Mutex::new(queries));
        let mut threads = Vec::with_capacity(connections.len());
        for conn in connections {
            let queries = Arc::clone(&queries);
            let thread = thread::Builder::new().name("store-reader".to_owned());
            threads.push(thread.spawn(move || answer_all(&conn, &queries))?);
        }
        Ok(Self { threads: Workers::new(queue, threads) })
    }

    /// Runs a query on whichever connection is free.
    pub async fn read<T, R>(&self, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let query = move |conn: &Connection| drop(reply.send(read(conn).map_err(StoreError::from)));
        self.threads.bring(Box::new(query)).await?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("a reader has stopped; restart the gateway".to_owned())))
    }
}

/// Takes queries until nobody can bring any more. Whoever waits for one holds the lock; whoever works does not.
fn answer_all(conn: &Connection, queries: &Mutex<mpsc::Receiver<Query>>) {
    loop {
        let Ok(mut waiting) = queries.lock() else { return };
        let query = waiting.blocking_recv();
        drop(waiting);
        match query {
            Some(query) => query(conn),
            None => return,
        }
    }
}
