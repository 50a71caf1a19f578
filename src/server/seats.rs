//! How many connections may be open: so many that those who are inside can still be served.
//!
//! A process that may open only so many files must not spend them all on clients who wait: the database,
//! the policy file and, above all, the connection that a paid request travels on need some. And no address
//! takes them all from the others: it gets another seat as long as it does not have more than are free. So
//! one alone gets half of them, two a third each, and a newcomer one whenever one is free.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at a time, per listener, however many files there may be.
const CONNECTIONS_MAX: u64 = 20_000;
/// Files that are not connections: the database's, the policy's, threads' and what a scrape looks at.
const FILES: u64 = 64;

/// Lets this process open as many files as its limit can be raised to without anybody's leave.
pub fn open_as_many_files_as_allowed() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
}

/// Connections at a time, per listener: of the files that may be open, a third for clients, a third for
/// operators, and a third for what clients have us ask of providers.
pub fn seats() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let seats = (files.saturating_sub(FILES) / 3).clamp(4, CONNECTIONS_MAX);
    usize::try_from(seats).unwrap_or(usize::MAX)
}

/// Who sits where.
#[derive(Debug)]
pub struct Seats {
    free: Arc<Semaphore>,
    /// How many each neighbourhood has; who has none is not listed, so there are never more than seats.
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's; free again once it is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    whose: IpAddr,
    _free: OwnedSemaphorePermit,
}

impl Seats {
    /// So many, all of them free.
    pub fn new(seats: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(seats)), taken: Mutex::default() })
    }

    /// Waits until one is free.
    pub async fn free(&self) -> Option<OwnedSemaphorePermit> {
        self.free.clone().acquire_owned().await.ok()
    }

    /// Gives the free one to an address, unless it has more than are left for everybody else.
    pub fn take(self: &Arc<Self>, free: OwnedSemaphorePermit, address: IpAddr) -> Option<Seat> {
        let whose = neighbourhood(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let has = taken.get(&whose).copied().unwrap_or(0);
        if has > self.free.available_permits() {
            return None;
        }
        taken.insert(whose, has + 1);
        Some(Seat { seats: self.clone(), whose, _free: free })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut has) = taken.entry(self.whose) {
            *has.get_mut() -= 1;
            if *has.get() == 0 {
                has.remove();
            }
        }
    }
}

/// Whoever has one address of an IPv6 network of 64 bits has them all.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{Seat, Seats};

    fn sits(seats: &Arc<Seats>, address: &str) -> Option<Seat> {
        seats.take(seats.free.clone().try_acquire_owned().ok()?, address.parse().unwrap())
    }

    #[test]
    fn one_address_gets_half_of_the_seats_and_there_is_always_one_for_a_newcomer() {
        let seats = Seats::new(10);
        let greedy: Vec<Seat> = (0..50).filter_map(|_| sits(&seats, "192.0.2.1")).collect();
        assert_eq!(greedy.len(), 5);
        let second: Vec<Seat> = (0..50).filter_map(|_| sits(&seats, "192.0.2.2")).collect();
        assert_eq!(second.len(), 3);
        assert!(sits(&seats, "192.0.2.3").is_some());
        drop(greedy);
        assert_eq!((0..50).filter_map(|_| sits(&seats, "192.0.2.4").map(std::mem::forget)).count(), 4);
    }

    #[test]
    fn a_network_of_the_sixth_version_is_one_neighbour_and_an_address_in_its_clothes_is_itself() {
        let seats = Seats::new(10);
        let many: Vec<Seat> = (0..50).filter_map(|n| sits(&seats, &format!("2001:db8::{n:x}"))).collect();
        assert_eq!(many.len(), 5);
        assert!(sits(&seats, "2001:db8:0:1::1").is_some());
        let seats = Seats::new(10);
        let both: Vec<Seat> = (0..50).filter_map(|n| sits(&seats, if n % 2 == 0 { "192.0.2.1" } else { "::ffff:192.0.2.1" })).collect();
        assert_eq!(both.len(), 5);
    }

    proptest! {
        #[test]
        fn however_they_come_and_go_a_newcomer_finds_a_seat_if_one_is_free(moves in vec((any::<u8>(), any::<bool>()), 0..300), all in 1_usize..40) {
            let seats = Seats::new(all);
            let mut inside: Vec<Seat> = Vec::new();
            for (who, comes) in moves {
                if comes {
                    inside.extend(sits(&seats, &format!("192.0.2.{}", who % 4)));
                } else if !inside.is_empty() {
                    inside.swap_remove(usize::from(who) % inside.len());
                }
                let is_free = seats.free.available_permits() > 0;
                prop_assert_eq!(sits(&seats, "198.51.100.1").is_some(), is_free);
                prop_assert!(inside.len() <= all);
            }
            drop(inside);
            let newcomer: IpAddr = "192.0.2.1".parse().unwrap();
            prop_assert!(seats.taken.lock().unwrap().get(&newcomer).is_none());
        }
    }
}
