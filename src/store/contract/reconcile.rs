//! Cases about books that come from a backup, and about comparing them with what a route says.

use super::{NOON, Wish, World};
use crate::clock::Timestamp;
use crate::id::RouteName;
use crate::job::{Event, State};
use crate::money::MicroUsd;
use crate::store::{Change, Correction, Facts};

pub async fn mode(world: World) {
    assert_eq!(world.store.reconciling().await, Ok(None));
    assert_eq!(world.store.reconciled().await, Ok(false), "nothing was to be looked at");
    world.open(&Wish::plain()).await.unwrap();
    assert_eq!(world.store.reconcile_only().await, Ok(NOON), "since the last line of the ledger");

    let world = world.restart().await;
    assert_eq!(world.store.reconciling().await, Ok(Some(NOON)));
    world.open(&Wish { at: Timestamp::from_secs(NOON.as_secs() + 9), ..Wish::plain() }).await.unwrap();
    assert_eq!(world.store.reconcile_only().await, Ok(NOON), "what was not known then is not known now");
    assert_eq!(world.store.reconciled().await, Ok(true));
    let world = world.restart().await;
    assert_eq!(world.store.reconciling().await, Ok(None));
}

pub async fn booked(world: World) {
    let wish = Wish::plain();
    let made = world.running(&wish, "up-1").await;
    let over = Facts { reported_cost: Some(MicroUsd::new(900_000)), ..Facts::default() };
    world.learn(&made, Event::Finished, over).await;
    let running = world.running(&wish, "up-2").await;
    let unknown = world.see(&world.open(&wish).await.unwrap(), Event::Unclear).await;
    let freed = world.see(&world.open(&wish).await.unwrap(), Event::Unclear).await;
    world.see(&freed, Event::Absent).await;
    let (amount, upstream_id) = (MicroUsd::new(700_000), Some("up-4".to_owned()));
    world
        .store
        .correct(Correction { job: freed.id, change: Change::By(amount), upstream_id, note: "found".to_owned(), at: NOON })
        .await
        .unwrap();
    world.running(&Wish { route: "south", ..wish.clone() }, "up-1").await;
    world.running(&Wish { at: Timestamp::from_secs(NOON.as_secs() - 60), ..wish }, "up-5").await;

    let mut booked = world.store.booked(&RouteName::new("north"), NOON).await.unwrap();
    booked.sort_by_key(|ours| ours.job);
    let told: Vec<_> = booked
        .iter()
        .map(|ours| (ours.job, ours.state, ours.upstream_id.as_deref(), ours.price.get(), ours.cost.map(MicroUsd::get)))
        .collect();
    let expected = [
        (made.id, State::Completed, Some("up-1"), 800_000, Some(900_000)),
        (running.id, State::Running, Some("up-2"), 800_000, None),
        (unknown.id, State::Unknown, None, 800_000, None),
        (freed.id, State::Released, Some("up-4"), 800_000, Some(700_000)),
    ];
    assert_eq!(told, expected);
    assert!(booked.iter().all(|ours| ours.at == NOON && !ours.deleted));
}
