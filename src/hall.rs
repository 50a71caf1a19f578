//! The hall: what this process knows of those who stand in line, without asking the books.
//!
//! `jobs::usher` puts a board up, every second or so while anybody waits; polls read a place off it without a
//! lock. Knows what it is told: the books decide who waits, and a board may be a little old. Bounded by the
//! board's size and by the routes of the policy in force, which `jobs::usher` holds it to.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::id::{JobId, RouteName, TenantName};
use crate::queue::Room;

/// A route that turned a job away is asked again within this time, whatever it said.
const REST_MAX: Duration = Duration::from_secs(15 * 60);

/// For so long after a route turned a job away, those who wait are sent to it one at a time.
const CAREFUL_FOR: Duration = Duration::from_secs(60);

/// A place in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The next to be sent is 1.
    pub position: u32,
    /// How long that is expected to take.
    pub starts_in: Duration,
}

/// A tenant's jobs that wait for some of the same routes.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Whose.
    pub tenant: TenantName,
    /// For which routes, by name.
    pub routes: Vec<RouteName>,
    /// How many.
    pub jobs: u32,
    /// The oldest, if the board has it.
    pub head: Option<(JobId, Place)>,
    /// What becomes free on those routes.
    pub room: Room,
}

/// Who waits, as of a moment.
#[derive(Debug, Default)]
pub struct Board {
    /// How many wait where.
    pub waiting: Vec<Waiting>,
    /// Where each job stands.
    pub places: HashMap<JobId, Place>,
    /// Where the first of each tenant's stands.
    pub firsts: HashMap<TenantName, Place>,
    /// The routes that somebody waits for.
    pub waited_for: HashSet<RouteName>,
}

/// What is known of those who wait.
#[derive(Debug, Default)]
pub struct Hall {
    board: ArcSwap<Board>,
    /// Routes that somebody came to wait for, perhaps after the board was made.
    lately: Mutex<HashMap<RouteName, Instant>>,
    rests: Mutex<HashMap<RouteName, Rest>>,
    /// When each route turned a job away last.
    turned: Mutex<HashMap<RouteName, Instant>>,
    bell: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    /// It said for how long.
    by_request: bool,
}

impl Hall {
    /// Puts a board up of what the books said at `read_at`.
    pub fn show(&self, board: Board, read_at: Instant) {
        lock(&self.lately).retain(|_, at| *at > read_at);
        self.board.store(board.into());
    }

    /// Where a job stands, if the board has it.
    pub fn place(&self, job: JobId) -> Option<Place> {
        self.board.load().places.get(&job).copied()
    }

    /// Where the first of a tenant's jobs stands, if the board has one.
    pub fn first_of(&self, tenant: &TenantName) -> Option<Place> {
        self.board.load().firsts.get(tenant).copied()
    }

    /// Where how many wait: the longest first, up to `n`, and how many such there are.
    pub fn waiting(&self, n: usize) -> (Vec<Waiting>, usize) {
        let board = self.board.load();
        let mut longest: Vec<&Waiting> = board.waiting.iter().collect();
        longest.sort_by(|a, b| b.jobs.cmp(&a.jobs).then_with(|| a.tenant.cmp(&b.tenant)));
        (longest.into_iter().take(n).cloned().collect(), board.waiting.len())
    }

    /// How many wait in all.
    pub fn waiting_in_all(&self) -> u64 {
        self.board.load().waiting.iter().map(|waiting| u64::from(waiting.jobs)).sum()
    }

    /// Somebody came to wait for these routes.
    pub fn came<'a>(&self, routes: impl Iterator<Item = &'a RouteName>) {
        let now = Instant::now();
        lock(&self.lately).extend(routes.map(|route| (route.clone(), now)));
        self.ring();
    }

    /// Whether a newcomer who may wait should not ask a route: others wait for it, or it said that it is full.
    pub fn is_busy(&self, route: &RouteName) -> bool {
        self.board.load().waited_for.contains(route) || lock(&self.lately).contains_key(route) || self.is_resting(route)
    }

    /// Whether a route turned a job away and is not asked again yet.
    pub fn is_resting(&self, route: &RouteName) -> bool {
        lock(&self.rests).get(route).is_some_and(|rest| rest.until > Instant::now())
    }

    /// A route turned a job away: nobody is sent to it out of the line for `wait`, if it said so, or for `usual`.
    pub fn rests(&self, route: &RouteName, wait: Option<Duration>, usual: Duration) {
        let rest = Rest { until: Instant::now() + wait.unwrap_or(usual).min(REST_MAX), by_request: wait.is_some() };
        lock(&self.rests).insert(route.clone(), rest);
    }

    /// A route turned a job away because it is full, by a limit that only it knows.
    pub fn turned_away(&self, route: &RouteName) {
        lock(&self.turned).insert(route.clone(), Instant::now());
    }

    /// Whether a route turned a job away lately: of several that are sent at once, any may be the one that it takes.
    pub fn takes_one_at_a_time(&self, route: &RouteName) -> bool {
        lock(&self.turned).get(route).is_some_and(|at| at.elapsed() < CAREFUL_FOR)
    }

    /// A route's place became free. One that only said that it is full may have room again.
    pub fn freed(&self, route: &RouteName) {
        lock(&self.rests).retain(|resting, rest| resting != route || rest.by_request);
        self.ring();
    }

    /// Wakes the usher.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits until somebody rings.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Forgets what is over, and routes that the policy does not know any more.
    ///
    /// To be called now and then, not only when a policy comes into force: whoever was at a route by the one before
    /// may come back from there later.
    pub fn retain(&self, known: impl Fn(&RouteName) -> bool) {
        let now = Instant::now();
        lock(&self.rests).retain(|route, rest| rest.until > now && known(route));
        lock(&self.lately).retain(|route, _| known(route));
        lock(&self.turned).retain(|route, at| at.elapsed() < CAREFUL_FOR && known(route));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Hall, lock};
    use crate::id::RouteName;

    fn known(hall: &Hall) -> [usize; 3] {
        [lock(&hall.rests).len(), lock(&hall.lately).len(), lock(&hall.turned).len()]
    }

    #[test]
    fn what_is_known_of_a_route_goes_with_it_and_a_rest_when_it_is_over() {
        let hall = Hall::default();
        let routes = ["stays", "goes"].map(RouteName::new);
        hall.came(routes.iter());
        for route in &routes {
            hall.rests(route, None, Duration::from_secs(60));
            hall.turned_away(route);
        }
        hall.retain(|route| *route == routes[0]);
        assert_eq!(known(&hall), [1, 1, 1]);
        assert!(!hall.is_busy(&routes[1]) && hall.is_resting(&routes[0]));

        hall.rests(&routes[0], Some(Duration::ZERO), Duration::ZERO);
        hall.retain(|_| true);
        assert_eq!(known(&hall), [0, 1, 1], "nobody has to ask for it");
    }
}
