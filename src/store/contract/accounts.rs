//! Cases about a route that has one account after another: what is in each of them is kept apart.

use std::time::Duration;

use super::{NOON, Wish, World, route};
use crate::id::Home;
use crate::job::{Event, State, step};
use crate::store::{ApplyError, Facts, Inhabited, OpenError};

fn former() -> Wish {
    Wish { account: "1111111111111111-old", ..Wish::plain() }
}

fn present() -> Wish {
    Wish { account: "2222222222222222-new", ..Wish::plain() }
}

/// Every attempt says to which account it was sent, and so does its job.
pub async fn written_down(world: World) {
    let job = world.open(&former()).await.unwrap();
    assert_eq!(job.account.as_ref().map(|account| account.as_str()), Some("1111111111111111-old"));
    let job = world.see(&job, Event::TurnedAway).await;
    let job = world.store.open_attempt(&job, present().attempt()).await.unwrap();
    let job = world.see(&job, Event::Accepted).await;
    assert_eq!(job.home(), present().home());
    let world = world.restart().await;
    assert_eq!(world.store.job(&job.tenant, job.id).await, Ok(Some(job.clone())));
    let (_, attempts, _) = world.store.job_file(job.id).await.unwrap().unwrap();
    let accounts: Vec<_> = attempts.into_iter().map(|attempt| attempt.account).collect();
    assert_eq!(accounts, [former().home().account, present().home().account]);
    let booked = world.store.booked(&job.route, NOON).await.unwrap();
    assert_eq!(booked[0].account, present().home().account);
    let open = Inhabited { home: present().home(), jobs: 1 };
    assert_eq!(world.store.inhabited().await, Ok(vec![open]));
}

/// What is due in one account is claimed without a look at what is due in another.
pub async fn due_apart(world: World) {
    let old = world.running(&former(), "up-1").await;
    let new = world.running(&present(), "up-2").await;
    let due = world.store.due(NOON).await.unwrap();
    let homes: Vec<(Home, u64)> = due.into_iter().map(|due| (due.home, due.jobs)).collect();
    assert_eq!(homes, [(former().home(), 1), (present().home(), 1)]);
    let lease = async |wish: &Wish| world.store.lease_due(&wish.home(), NOON, Duration::from_secs(60), 10).await.unwrap().jobs;
    assert_eq!(lease(&present()).await.iter().map(|job| job.id).collect::<Vec<_>>(), [new.id]);
    assert_eq!(lease(&present()).await, []);
    assert_eq!(lease(&former()).await.iter().map(|job| job.id).collect::<Vec<_>>(), [old.id]);
}

/// Two accounts may call two jobs the same, and nobody takes the one for the other.
pub async fn same_id(world: World) {
    let old = world.running(&former(), "up-1").await;
    let new = world.running(&present(), "up-1").await;
    let ids = ["up-1".to_owned()];
    for (wish, job) in [(former(), &old), (present(), &new)] {
        assert_eq!(world.store.of_upstream(&wish.home(), &ids).await, Ok(vec![job.clone()]));
        assert!(world.store.known_upstream_ids(&wish.home(), &ids).await.unwrap().contains("up-1"));
    }
    let third = Wish { account: "3333333333333333-new", ..Wish::plain() }.home();
    assert!(world.store.known_upstream_ids(&third, &ids).await.unwrap().is_empty());
    let whoever = Home { account: None, ..third };
    assert!(world.store.known_upstream_ids(&whoever, &ids).await.unwrap().contains("up-1"));
    let fresh_key = Wish { account: "1111111111111111-new", ..Wish::plain() };
    assert!(world.store.known_upstream_ids(&fresh_key.home(), &ids).await.unwrap().contains("up-1"));
    let again = world.open(&fresh_key).await.unwrap();
    let accept = step(again.state, Event::Accepted).unwrap();
    let facts = Facts { upstream_id: Some("up-1".to_owned()), ..Facts::default() };
    let taken = world.store.apply(&again, accept, facts, NOON).await;
    assert_eq!(taken, Err(ApplyError::Duplicate("up-1".to_owned())), "at one address it is one job, whatever the key");
    assert_eq!(world.store.hasten(&old.route, "up-1", NOON).await, Ok(true));
}

/// Places are an account's: those of jobs in the former one are not the present one's.
pub async fn places(world: World) {
    let (old, new) = (Wish { route_max: Some(2), ..former() }, Wish { route_max: Some(2), ..present() });
    let jobs = [world.running(&old, "up-1").await, world.running(&old, "up-2").await];
    assert!(matches!(world.open(&old).await, Err(OpenError::RouteFull { .. })));
    for _ in 0..2 {
        world.open(&new).await.unwrap();
    }
    assert!(matches!(world.open(&new).await, Err(OpenError::RouteFull { .. })));
    assert_eq!(world.store.places_taken_in(&new.home()).await, Ok(2));
    assert_eq!(world.store.places_taken(&route("north")).await, Ok(4));
    world.see(&jobs[0], Event::Finished).await;
    assert!(matches!(world.open(&new).await, Err(OpenError::RouteFull { .. })), "that was none of its places");
    let ended = world.learn(&jobs[1], Event::Finished, Facts::default()).await;
    assert_eq!(ended.state, State::Completed);
    assert_eq!(world.store.places_taken_in(&new.home()).await, Ok(2));
}
