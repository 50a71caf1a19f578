//! The durable half: what happens to a job after its creation was answered.
//!
//! `poller` finds who is due, `advance` moves one job by one step, `walk` many with one question,
//! `archiving` copies a clip before its job's last one, `sweeper` ends what policy ends, `unknowns` finds
//! out about attempts whose outcome nobody knows, `replay` takes over what the books did not take in time,
//! `keeper` removes what the archive has kept for long enough, `notifier` tells webhooks, `lookout`
//! finds what the operator's is told, and `budgets` has the books follow the policy's. All of them can be killed at any instant; what they were doing is done again, and doing it again costs a question.

mod account;
mod adopt;
mod advance;
mod archiving;
mod bind;
mod budgets;
mod desk;
mod keeper;
mod lane;
mod lookout;
mod notifier;
mod pages;
mod poller;
mod replay;
mod resubmit;
mod schedule;
mod seek;
mod settle;
mod sweeper;
mod unknowns;
mod usher;
mod walk;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::gateway::Gateway;

pub use self::account::Account;
pub use self::bind::{Bound, Evidence, bind};
pub use self::pages::{by_our_clock, read as read_page};
pub use self::replay::replay;

/// Between a worker's death and the next one's start.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the workers, in tasks that a stop waits for.
pub fn start(gw: &Arc<Gateway>) {
    keep(gw, "poller", poller::run);
    keep(gw, "sweeper", sweeper::run);
    keep(gw, "usher", usher::run);
    keep(gw, "keeper", keeper::run);
    keep(gw, "notifier", notifier::run);
    keep(gw, "lookout", lookout::run);
    keep(gw, "budgets", budgets::run);
}

/// Keeps a worker at work until the gateway stops.
fn keep<W, F>(gw: &Arc<Gateway>, name: &'static str, work: W)
where
    W: Fn(Arc<Gateway>) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let ours = gw.clone();
    gw.tasks.spawn(keep_going(gw.tasks.clone(), gw.stop.clone(), name, PAUSE, move || work(ours.clone())));
}

/// Runs a worker until it ends by itself; one that panics is replaced, because what it does is done
/// for every job and must not end with the one that it could not take.
async fn keep_going<F>(tasks: TaskTracker, stop: CancellationToken, name: &'static str, pause: Duration, work: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(died) = tasks.spawn(work()).await {
        error!(worker = name, %died, "a worker died and is started again");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::keep_going;

    #[tokio::test]
    async fn a_worker_that_panics_is_replaced_until_the_gateway_stops() {
        let (tasks, stop, lives) = (TaskTracker::new(), CancellationToken::new(), Arc::new(AtomicU32::new(0)));
        let work = |deaths: u32, lives: Arc<AtomicU32>| {
            move || {
                let lives = lives.clone();
                async move { assert!(lives.fetch_add(1, Ordering::SeqCst) >= deaths, "this one dies") }
            }
        };
        keep_going(tasks.clone(), stop.clone(), "test", Duration::ZERO, work(2, lives.clone())).await;
        assert_eq!(lives.load(Ordering::SeqCst), 3);
        stop.cancel();
        keep_going(tasks, stop, "test", Duration::from_secs(3_600), work(9, lives.clone())).await;
        assert_eq!(lives.load(Ordering::SeqCst), 4, "it dies once more, and nobody starts another");
    }
}
