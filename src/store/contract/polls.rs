//! Cases about who is to be asked about, and when.

use std::sync::Arc;
use std::time::Duration;

use super::{NOON, Wish, World};
use crate::clock::Timestamp;
use crate::id::RouteName;
use crate::job::Event;
use crate::store::{Due, Facts, Job, Leased, Postponed};

const LEASE: Duration = Duration::from_secs(60);
const NOBODY: [&str; 0] = [];

fn later(secs: u64) -> Timestamp {
    NOON.after(Duration::from_secs(secs))
}

fn north() -> RouteName {
    RouteName::new("north")
}

/// A job that the upstream is at work on and that is due then.
async fn due(world: &World, upstream_id: &str, at: Timestamp) -> Arc<Job> {
    let job = world.running(&Wish::plain(), upstream_id).await;
    world.learn(&job, Event::Running, Facts { due_at: Some(at), ..Facts::default() }).await
}

/// Claims jobs of the one route.
async fn lease(world: &World, now: Timestamp, n: u32) -> Leased {
    world.store.lease_due(&Wish::plain().home(), now, LEASE, n).await.unwrap()
}

async fn leased(world: &World, now: Timestamp, n: u32) -> Vec<String> {
    lease(world, now, n).await.jobs.iter().map(|job| job.upstream_id.clone().unwrap()).collect()
}

fn postponed(job: &Job, claim: Option<Timestamp>, due_at: Timestamp) -> Postponed {
    Postponed { id: job.id, version: job.version, claim, due_at }
}

pub async fn exclusive(world: World) {
    for n in 0..10 {
        due(&world, &format!("up-{n}"), later(n)).await;
    }
    // Neither an attempt that is being sent nor one of unknown outcome is polled.
    world.open(&Wish::plain()).await.unwrap();
    let unclear = world.open(&Wish::plain()).await.unwrap();
    world.see(&unclear, Event::Unclear).await;

    assert_eq!(leased(&world, later(5), 4).await, ["up-0", "up-1", "up-2", "up-3"]);
    assert_eq!(leased(&world, later(5), 100).await, ["up-4", "up-5"]);
    assert_eq!(leased(&world, later(5), 100).await, NOBODY);
    let (one, other) = futures_util::join!(lease(&world, later(9), 100), lease(&world, later(9), 100));
    assert_eq!(one.jobs.len() + other.jobs.len(), 4);

    // Who claimed them went away: the claims lapse, and a restart changes nothing about it.
    let world = world.restart().await;
    assert_eq!(leased(&world, later(64), 100).await, NOBODY);
    assert_eq!(lease(&world, later(65), 100).await.jobs.len(), 6);
}

pub async fn by_route(world: World) {
    assert_eq!(world.store.due(later(100)).await, Ok(Vec::new()));
    for n in 0..3 {
        due(&world, &format!("up-{n}"), later(n)).await;
    }
    let south = Wish { route: "south", ..Wish::plain() };
    let job = world.running(&south, "up-0").await;
    world.learn(&job, Event::Running, Facts { due_at: Some(later(2)), ..Facts::default() }).await;

    let on = |route, jobs, since| Due { home: Wish { route, ..Wish::plain() }.home(), jobs, since };
    assert_eq!(world.store.due(later(1)).await, Ok(vec![on("north", 2, NOON)]));
    assert_eq!(world.store.due(later(2)).await, Ok(vec![on("north", 3, NOON), on("south", 1, later(2))]));
    assert_eq!(leased(&world, later(2), 1).await, ["up-0"]);
    assert_eq!(
        world.store.due(later(2)).await,
        Ok(vec![on("north", 2, later(1)), on("south", 1, later(2))]),
        "a claimed one does not wait"
    );
    assert_eq!(leased(&world, later(2), 9).await, ["up-1", "up-2"], "one route's jobs, and nobody else's");
    assert_eq!(world.store.due(later(2)).await, Ok(vec![on("south", 1, later(2))]));
}

pub async fn step_ends_claim(world: World) {
    due(&world, "up-1", NOON).await;
    let job = lease(&world, NOON, 1).await.jobs.remove(0);
    world.learn(&job, Event::Running, Facts { due_at: Some(later(10)), ..Facts::default() }).await;
    assert_eq!(leased(&world, later(9), 1).await, NOBODY);
    let job = lease(&world, later(10), 1).await.jobs.remove(0);
    world.see(&job, Event::Finished).await;
    assert_eq!(leased(&world, later(10_000), 1).await, NOBODY);
}

pub async fn postpone(world: World) {
    for n in 0..5 {
        due(&world, &format!("up-{n}"), later(n)).await;
    }
    let Leased { jobs, until } = lease(&world, later(3), 4).await;
    let moved = world.learn(&jobs[1], Event::Running, Facts { due_at: Some(later(5)), ..Facts::default() }).await;
    world.see(&jobs[2], Event::Finished).await;
    let all = jobs.iter().map(|job| postponed(job, Some(until), later(30))).collect();
    world.store.postpone(all, later(4)).await.unwrap();

    assert_eq!(leased(&world, later(29), 9).await, ["up-4", "up-1"], "who has moved is due when that step said");
    assert_eq!(lease(&world, later(30), 9).await.jobs, [jobs[0].clone(), jobs[3].clone()], "putting off moves no version");
    // Those who were claimed by somebody else after the claim lapsed are left to them.
    let again = lease(&world, later(95), 9).await;
    world.store.postpone(vec![postponed(&moved, Some(until), later(500))], later(95)).await.unwrap();
    assert!(again.jobs.contains(&moved) && leased(&world, again.until, 9).await.contains(&"up-1".to_owned()));
}

pub async fn postpone_unclaimed(world: World) {
    let (free, claimed, lapsed) =
        (due(&world, "up-1", later(2)).await, due(&world, "up-2", later(1)).await, due(&world, "up-3", NOON).await);
    assert_eq!(leased(&world, NOON, 9).await, ["up-3"]);
    assert_eq!(leased(&world, later(1), 9).await, ["up-2"]);
    // Seen in passing, without a claim.
    let all = [&free, &claimed, &lapsed].map(|job| postponed(job, None, later(300)));
    world.store.postpone(all.into(), later(60)).await.unwrap();
    assert_eq!(leased(&world, later(299), 9).await, ["up-2"], "what somebody claims is left to them");
    assert_eq!(leased(&world, later(300), 9).await.len(), 2);
}

pub async fn hasten(world: World) {
    let job = due(&world, "up-1", later(300)).await;
    assert_eq!(leased(&world, later(1), 1).await, NOBODY);
    assert_eq!(world.store.hasten(&north(), "up-1", later(1)).await, Ok(true));
    assert_eq!(world.store.hasten(&north(), "up-1", later(200)).await, Ok(true));
    assert_eq!(world.store.hasten(&RouteName::new("south"), "up-1", later(0)).await, Ok(false), "an id is a route's own");
    assert_eq!(lease(&world, later(1), 1).await.jobs, [job], "hastening moves no version");
    assert_eq!(world.store.hasten(&north(), "up-2", later(0)).await, Ok(false));
}

pub async fn bell_during_question(world: World) {
    let job = due(&world, "up-1", NOON).await;
    let asked = lease(&world, NOON, 1).await;
    world.store.hasten(&north(), "up-1", later(1)).await.unwrap();
    // The answer to a question from before the bell, with news or without, does not put the job off.
    world.store.postpone(vec![postponed(&job, Some(asked.until), later(30)), postponed(&job, None, later(30))], later(2)).await.unwrap();
    assert_eq!(leased(&world, later(2), 1).await, ["up-1"]);
    world.store.hasten(&north(), "up-1", later(3)).await.unwrap();
    let job = world.learn(&job, Event::Running, Facts { due_at: Some(later(30)), ..Facts::default() }).await;
    let again = lease(&world, later(4), 1).await;
    assert_eq!(again.jobs, std::slice::from_ref(&job));
    world.store.postpone(vec![postponed(&job, Some(again.until), later(34))], later(4)).await.unwrap();
    assert_eq!(leased(&world, later(33), 1).await, NOBODY, "one look for one bell");
}

pub async fn waits_end(world: World) {
    due(&world, "up-1", later(86_400)).await;
    world.store.recover(NOON).await.unwrap();
    assert_eq!(leased(&world, later(3_599), 1).await, NOBODY, "a provider may have asked for an hour");
    assert_eq!(leased(&world, later(3_600), 1).await, ["up-1"]);
}

pub async fn of_upstream(world: World) {
    let (one, other) = (due(&world, "up-1", NOON).await, due(&world, "up-2", NOON).await);
    let other = world.see(&other, Event::Finished).await;
    world.running(&Wish { route: "south", ..Wish::plain() }, "up-3").await;
    let ids = ["up-1", "up-2", "up-3", "up-4", "'"].map(str::to_owned);
    let mut found = world.store.of_upstream(&Wish::plain().home(), &ids).await.unwrap();
    found.sort_by_key(|job| job.id);
    assert_eq!(found, [one, other]);
    assert_eq!(world.store.of_upstream(&Wish::plain().home(), &[]).await, Ok(Vec::new()));
}
