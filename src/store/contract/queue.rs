//! Cases about standing in line.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{NOON, Wish, World, tenant};
use crate::budget::Account;
use crate::clock::Timestamp;
use crate::id::TenantName;
use crate::job::{Event, State};
use crate::store::{ApplyError, Facts, Job, Line, NewPlace, OpenError, Standing, StoreError};

/// A place in a line, for a minute.
pub fn place(lane: &str, max: u32) -> NewPlace {
    let until = NOON.after(Duration::from_secs(60));
    NewPlace { lane: lane.to_owned(), until, max, wish: "{}".to_owned(), upload: None }
}

/// A job that stands in line.
async fn lined(world: &World, wish: &Wish, lane: &str) -> Arc<Job> {
    line_up(world, wish, place(lane, 100)).await.unwrap()
}

async fn line_up(world: &World, wish: &Wish, place: NewPlace) -> Result<Arc<Job>, OpenError> {
    let (job, first) = wish.parts();
    world.store.line_up(job, first, place).await
}

async fn lines(world: &World) -> Vec<(String, String, u32)> {
    let lines = world.store.lines().await.unwrap();
    lines.into_iter().map(|Line { tenant, lane, jobs }| (tenant.to_string(), lane, jobs)).collect()
}

async fn heads(world: &World, who: &str, lane: &str) -> Vec<Arc<Job>> {
    let heads = world.store.heads(&TenantName::new(who), lane, None, 100).await.unwrap();
    heads.into_iter().map(|head| head.job).collect()
}

fn line(who: &str, lane: &str, jobs: u32) -> (String, String, u32) {
    (who.to_owned(), lane.to_owned(), jobs)
}

/// Holds its ceiling and no place, of a tenant or of a route.
pub async fn holds_money_and_no_place(world: World) {
    let wish = Wish { tenant_max: Some(0), route_max: Some(0), route_cap: Some(0), tenant_cap: Some(800_000), ..Wish::plain() };
    let job = lined(&world, &wish, "north").await;
    assert_eq!((job.state, job.attempts, job.version), (State::Waiting, 0, 1));
    assert_eq!(world.balances(&wish).await, [(800_000, 0), (800_000, 0), (0, 0)]);
    assert!(matches!(line_up(&world, &wish, place("north", 100)).await, Err(OpenError::OverBudget { .. })));

    let world = world.restart().await;
    assert_eq!(lines(&world).await, [line("acme", "north", 1)]);
    assert_eq!(heads(&world, "acme", "north").await, [Arc::clone(&job)]);
    let attempt = wish.attempt();
    assert_eq!(world.store.open_attempt(&job, attempt.clone()).await, Err(OpenError::TenantFull { in_flight: 0 }));
    let attempt = crate::store::NewAttempt { tenant_in_flight_max: None, ..attempt };
    assert!(matches!(world.store.open_attempt(&job, attempt).await, Err(OpenError::RouteFull { .. })));
    assert_eq!(heads(&world, "acme", "north").await, [job], "it is where it was");
}

/// One of many takes a job out; it comes back to its old place.
pub async fn out_and_back(world: World) {
    let wish = Wish::plain();
    let upload = Some(Bytes::from_static(b"\x00\xff picture"));
    let first = line_up(&world, &wish, NewPlace { upload: upload.clone(), ..place("north", 100) }).await.unwrap();
    let second = lined(&world, &wish, "north").await;
    let other = lined(&world, &Wish { tenant: "other", ..Wish::plain() }, "north").await;
    assert_eq!(lines(&world).await, [line("acme", "north", 2), line("other", "north", 1)]);
    assert_eq!(heads(&world, "acme", "north").await, [Arc::clone(&first), Arc::clone(&second)]);
    let behind = world.store.heads(&TenantName::new("acme"), "north", Some(first.id), 1).await.unwrap();
    assert_eq!((&behind[0].job, behind[0].has_upload), (&second, false));
    assert_eq!(world.store.upload(first.id).await, Ok(upload.clone()));

    let (one, two) =
        futures_util::join!(world.store.open_attempt(&first, wish.attempt()), world.store.open_attempt(&first, wish.attempt()));
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    assert_eq!(lost, Err(OpenError::Moved));
    let sent = won.unwrap();
    assert_eq!((sent.state, sent.attempts), (State::Submitting, 1));
    assert_eq!(world.store.places_taken(&tenant("acme")).await, Ok(1));
    assert_eq!(lines(&world).await, [line("acme", "north", 1), line("other", "north", 1)]);
    assert_eq!(world.store.forget_places().await, Ok(0), "it may come back");

    let back = world.see(&sent, Event::TurnedAway).await;
    let world = world.restart().await;
    let back = world.store.stand(&back, None).await.unwrap();
    assert_eq!((back.state, back.attempts), (State::Waiting, 1));
    assert_eq!(world.store.places_taken(&tenant("acme")).await, Ok(0));
    assert_eq!(heads(&world, "acme", "north").await, [Arc::clone(&back), second]);
    assert_eq!(world.store.upload(first.id).await, Ok(upload));

    let sent = world.store.open_attempt(&back, wish.attempt()).await.unwrap();
    world.learn(&sent, Event::Accepted, Facts { upstream_id: Some("up-1".to_owned()), ..Facts::default() }).await;
    assert_eq!(world.store.forget_places().await, Ok(1));
    assert_eq!(world.store.upload(first.id).await, Ok(None));
    assert_eq!(world.balances(&wish).await[2], (800_000, 0));
    let standing = world.store.standing(10).await.unwrap();
    let whole = |job: &Job, lane: &str| Standing {
        id: job.id,
        tenant: job.tenant.clone(),
        lane: lane.to_owned(),
        seconds: job.seconds,
        size: job.size,
    };
    assert_eq!(standing, [whole(&heads(&world, "acme", "north").await[0], "north"), whole(&other, "north")]);
    assert_eq!(world.store.standing(1).await.unwrap(), standing[..1]);
    world.see(&other, Event::Exhausted).await;
}

/// Whoever was sent directly first takes a place of its own, if there is one.
pub async fn after_an_attempt(world: World) {
    let wish = Wish::plain();
    let turned = async |job: Arc<Job>| world.see(&job, Event::TurnedAway).await;
    let job = turned(world.open(&wish).await.unwrap()).await;
    assert_eq!(world.store.stand(&job, None).await, Err(OpenError::Moved), "it never had a place");
    assert_eq!(world.store.stand(&job, Some(place("north", 0))).await, Err(OpenError::LineFull { waiting: 0 }));
    let waits = world.store.stand(&job, Some(place("north", 1))).await.unwrap();
    assert_eq!(waits.state, State::Waiting);
    assert_eq!(world.store.stand(&job, Some(place("north", 9))).await, Err(OpenError::Moved), "it has moved on");
    let next = turned(world.open(&wish).await.unwrap()).await;
    assert_eq!(world.store.stand(&next, Some(place("south", 1))).await, Err(OpenError::LineFull { waiting: 1 }));
    assert_eq!(lines(&world).await, [line("acme", "north", 1)]);
    world.see(&next, Event::Exhausted).await;
}

/// The bound is exact, whoever comes at once, and counts all lines of a tenant.
pub async fn bounded(world: World) {
    let wish = Wish::plain();
    let comers = (0..20).map(|n| line_up(&world, &wish, place(if n % 2 == 0 { "north" } else { "south" }, 7)));
    let outcomes = futures_util::future::join_all(comers).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 7);
    assert!(outcomes.iter().flat_map(|outcome| outcome.as_ref().err()).all(|why| *why == OpenError::LineFull { waiting: 7 }));
    assert_eq!(world.balance(&Account::Gateway, "total").await, (7 * 800_000, 0));
    lined(&world, &Wish { tenant: "other", ..Wish::plain() }, "north").await;
}

/// Ends give the hold back, once.
pub async fn ends(world: World) {
    let wish = Wish { idempotency_key: Some("one"), ..Wish::plain() };
    let late = lined(&world, &wish, "north").await;
    assert_eq!(line_up(&world, &wish, place("north", 100)).await, Err(OpenError::KeyTaken), "a job that waits keeps its key");
    let deleted = lined(&world, &Wish::plain(), "north").await;
    let early = line_up(&world, &Wish::plain(), NewPlace { until: NOON, ..place("north", 100) }).await.unwrap();
    let at = |secs| NOON.after(Duration::from_secs(secs));
    assert_eq!(world.store.out_of_time(Timestamp::from_ms(NOON.as_ms() - 1), 10).await, Ok(Vec::new()));
    assert_eq!(world.store.out_of_time(at(59), 10).await, Ok(vec![Arc::clone(&early)]));
    assert_eq!(world.store.out_of_time(at(60), 10).await.unwrap().len(), 3);
    assert_eq!(world.store.out_of_time(at(60), 1).await, Ok(vec![Arc::clone(&early)]));

    assert_eq!(world.see(&early, Event::Expired).await.state, State::Released);
    assert_eq!(world.see(&late, Event::Expired).await.state, State::Released);
    world.see(&deleted, Event::Exhausted).await;
    assert_eq!((lines(&world).await, world.balances(&wish).await[1]), (Vec::new(), (0, 0)));
    let step = crate::job::step(State::Waiting, Event::Expired).unwrap();
    assert_eq!(world.store.apply(&early, step, Facts::default(), NOON).await, Err(ApplyError::Moved));

    // Their clients were answered, so what they wished for is known again.
    assert_eq!(line_up(&world, &wish, place("north", 100)).await, Err(OpenError::KeyTaken));
    let (acme, of) = (TenantName::new("acme"), |jobs: Vec<Arc<Job>>| jobs.iter().map(|job| job.id).collect::<Vec<_>>());
    let keyed = world.store.keyed_job(&acme, "one").await.unwrap().map(|(_, job)| (job.id, job.state));
    assert_eq!(keyed, Some((late.id, State::Released)));
    let alike = world.store.alike(&acme, &Wish::plain().fingerprint, 1, NOON).await.unwrap();
    assert_eq!(of(alike), [deleted.id, early.id]);

    // Nobody gets into the line by a step: what he needs there is not in it.
    let reserved = world.see(&world.open(&Wish::plain()).await.unwrap(), Event::TurnedAway).await;
    let step = crate::job::step(State::Reserved, Event::Lined).unwrap();
    let refused = world.store.apply(&reserved, step, Facts::default(), NOON).await;
    assert!(matches!(refused, Err(ApplyError::Store(StoreError::Damaged(_)))), "{refused:?}");
}
