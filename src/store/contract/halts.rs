//! Cases about the switch that stops all buying.

use futures_util::future::join_all;

use super::{NOON, World};
use crate::clock::Timestamp;
use crate::store::Halt;

pub async fn life(world: World) {
    let (store, later) = (&world.store, Timestamp::from_secs(NOON.as_secs() + 60));
    assert_eq!((store.halted().await, store.resume("ann", NOON).await), (Ok(None), Ok(false)), "nothing was halted");
    assert_eq!(store.halt("ann", "a bill that nobody understands", NOON).await, Ok(true));
    assert_eq!(store.halt("bob", "me too", later).await, Ok(false), "the first reason stands");
    let first = Halt { at: NOON, by: "ann".into(), reason: "a bill that nobody understands".into(), ended_at: None, ended_by: None };
    assert_eq!(store.halted().await, Ok(Some(first.clone())));

    let world = world.restart().await;
    assert_eq!(world.store.halted().await, Ok(Some(first.clone())), "a restart ends nothing");
    assert_eq!(world.store.resume("bob", later).await, Ok(true));
    assert_eq!((world.store.halted().await, world.store.resume("bob", later).await), (Ok(None), Ok(false)));
    assert_eq!(world.store.halt("cleo", "a drill", later).await, Ok(true));

    let first = Halt { ended_at: Some(later), ended_by: Some("bob".into()), ..first };
    let second = Halt { at: later, by: "cleo".into(), reason: "a drill".into(), ended_at: None, ended_by: None };
    assert_eq!(world.store.halts(9).await, Ok(vec![second.clone(), first]));
    assert_eq!(world.store.halts(1).await, Ok(vec![second]));
}

pub async fn once(world: World) {
    let halted = join_all((0..20).map(|_| world.store.halt("ann", "now", NOON))).await;
    assert_eq!(halted.iter().filter(|new| **new == Ok(true)).count(), 1, "{halted:?}");
    let resumed = join_all((0..20).map(|_| world.store.resume("ann", NOON))).await;
    assert_eq!(resumed.iter().filter(|was| **was == Ok(true)).count(), 1, "{resumed:?}");
    assert_eq!(world.store.halts(9).await.map(|halts| halts.len()), Ok(1));
}
