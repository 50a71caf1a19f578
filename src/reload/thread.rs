//! The thread that policies are made on, from the first to the last.
//!
//! The system gives memory back to the thread that took it. Were each policy made by another thread, what one of them
//! leaves would be of no use to the next, and after a few reloads of a large file the process would have several
//! times what it needs. So all of them are made here, one after the other, and let go of here as well.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

type Work = Box<dyn FnOnce() + Send>;

/// Does what it is given, in that order; ends when it is dropped.
#[derive(Debug)]
pub struct Thread(mpsc::Sender<Work>);

impl Thread {
    /// Begins, with nothing to do.
    pub fn begin() -> io::Result<Self> {
        let (give, take) = mpsc::channel::<Work>();
        std::thread::Builder::new().name("policy".to_owned()).spawn(move || {
            for work in take {
                // Whoever waits for it sees that no answer comes.
                let _ = catch_unwind(AssertUnwindSafe(work));
            }
        })?;
        Ok(Self(give))
    }

    /// Gives it something to do. What does not come to its end sends no answer.
    pub fn give(&self, work: impl FnOnce() + Send + 'static) {
        let _ = self.0.send(Box::new(work));
    }
}
