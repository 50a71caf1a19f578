//! Cases about caps, holds and how they end.

use std::time::Duration;

use futures_util::future::join_all;

use super::{NOON, Wish, World, month, route, tenant};
use crate::budget::{Account, Booking, Period};
use crate::clock::Timestamp;
use crate::id::{RouteName, TenantName};
use crate::job::{Event, State, step};
use crate::money::MicroUsd;
use crate::store::{ApplyError, Facts, LedgerEntry, OpenError, StoreError};

pub async fn exact_cap(world: World) {
    let wish = Wish { tenant_cap: Some(50 * 800_000), ..Wish::plain() };
    let opened = join_all((0..200).map(|_| world.open(&wish))).await;

    assert_eq!(opened.iter().filter(|result| result.is_ok()).count(), 50);
    for refused in opened.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(refused, OpenError::OverBudget { left: MicroUsd::ZERO, .. }), "{refused}");
    }
    assert_eq!(world.balances(&wish).await, [(40_000_000, 0); 3], "the cap is reached exactly");
}

pub async fn refusals_in_order(world: World) {
    let full = Wish { tenant_max: Some(0), gateway_cap: Some(0), route_max: Some(0), route_cap: Some(0), ..Wish::plain() };
    assert_eq!(world.open(&full).await.unwrap_err(), OpenError::TenantFull { in_flight: 0 });

    let over = |error: OpenError| match error {
        OpenError::OverBudget { booking, left } => (booking.account, left.get()),
        other => panic!("{other}"),
    };
    let poor = Wish { tenant_max: None, tenant_cap: Some(700_000), ..full };
    assert_eq!(over(world.open(&poor).await.unwrap_err()), (Account::Gateway, 0));
    let poor = Wish { gateway_cap: Some(800_000), ..poor };
    assert_eq!(over(world.open(&poor).await.unwrap_err()), (tenant("acme"), 700_000));

    let poor = Wish { tenant_cap: None, ..poor };
    let full = OpenError::RouteFull { route: RouteName::new("north"), in_flight: 0 };
    assert_eq!(world.open(&poor).await.unwrap_err(), full);
    let poor = Wish { route_max: None, ..poor };
    assert_eq!(over(world.open(&poor).await.unwrap_err()), (route("north"), 0));
}

pub async fn refusal_leaves_nothing(world: World) {
    let wish = Wish { route_cap: Some(1), ..Wish::plain() };
    let (job, attempt) = wish.parts();
    let id = job.id;
    assert!(world.store.open_job(job.clone(), attempt.clone()).await.is_err());

    assert_eq!(world.store.job(&job.tenant, id).await, Ok(None));
    assert_eq!(world.balances(&wish).await, [(0, 0); 3]);
    assert_eq!(world.store.job_file(id).await, Ok(None));

    // The same job and attempt can be opened once there is room, and take the only place there is.
    let mut attempt = attempt;
    attempt.booking.cap = None;
    attempt.in_flight_max = Some(1);
    assert_eq!(world.store.open_job(job, attempt).await.unwrap().id, id);
}

pub async fn lowered_cap(world: World) {
    let wish = Wish { tenant_cap: Some(1_600_000), ..Wish::plain() };
    let job = world.running(&wish, "up-1").await;
    world.open(&wish).await.unwrap();

    let lowered = Wish { tenant_cap: Some(900_000), ..wish.clone() };
    assert!(matches!(world.open(&lowered).await, Err(OpenError::OverBudget { left: MicroUsd::ZERO, .. })));
    world.see(&job, Event::Finished).await;
    assert_eq!(world.balance(&tenant("acme"), "total").await, (800_000, 800_000));

    let raised = Wish { tenant_cap: None, ..wish };
    world.open(&raised).await.unwrap();
    assert_eq!(world.store.balance(&tenant("acme"), "total").await.unwrap().unwrap().cap, None);
}

pub async fn places(world: World) {
    let wish = Wish { tenant_max: Some(30), route_max: Some(20), ..Wish::plain() };
    let opened = join_all((0..100).map(|_| world.open(&wish))).await;
    let jobs: Vec<_> = opened.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(jobs.len(), 20);
    assert!(opened.contains(&Err(OpenError::RouteFull { route: RouteName::new("north"), in_flight: 20 })));

    let elsewhere = Wish { route: "south", ..wish.clone() };
    let opened = join_all((0..100).map(|_| world.open(&elsewhere))).await;
    assert_eq!(opened.iter().filter(|result| result.is_ok()).count(), 10);
    assert!(opened.contains(&Err(OpenError::TenantFull { in_flight: 30 })));
    assert_eq!(world.store.places_taken(&tenant("acme")).await, Ok(30));
    assert_eq!(world.store.places_taken(&tenant("nobody")).await, Ok(0));

    // Turned away: the route has room again, the tenant does not, for the job is still its.
    let waiting = world.see(jobs[0], Event::TurnedAway).await;
    assert_eq!(world.open(&wish).await.unwrap_err(), OpenError::TenantFull { in_flight: 30 });
    let other = Wish { tenant: "other", ..wish.clone() };
    world.open(&other).await.unwrap();
    assert_eq!(
        world.store.open_attempt(&waiting, wish.attempt()).await.unwrap_err(),
        OpenError::RouteFull { route: RouteName::new("north"), in_flight: 20 }
    );

    // Unknown keeps its place; an end gives both back.
    let unknown = world.see(jobs[1], Event::Unclear).await;
    assert!(world.open(&other).await.is_err());
    world.see(&unknown, Event::Absent).await;
    world.open(&wish).await.unwrap();
}

pub async fn ends_once(world: World) {
    let wish = Wish::plain();
    let job = world.running(&wish, "up-1").await;
    let events = [Event::Finished, Event::Failed, Event::FailedBilled];
    let race = (0..40).map(|n| {
        let step = step(State::Running, events[n % events.len()]).unwrap();
        world.store.apply(&job, step, Facts::default(), NOON)
    });
    let ended = join_all(race).await;
    assert_eq!(ended.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(ended.iter().all(|result| result.is_ok() || *result == Err(ApplyError::Moved)));

    let ended = ended.into_iter().find_map(Result::ok).unwrap();
    let again = step(State::Running, Event::Finished).unwrap();
    assert_eq!(world.store.apply(&ended, again, Facts::default(), NOON).await, Err(ApplyError::Moved));
    let from_the_end = again.leaving(ended.state);
    assert!(matches!(world.store.apply(&ended, from_the_end, Facts::default(), NOON).await, Err(ApplyError::Store(_))));
    let spent = ended.cost.unwrap().get();
    assert_eq!(world.balances(&wish).await, [(0, spent); 3]);
}

pub async fn period_of_the_hold(world: World) {
    let october = Wish { period: month("2026-10"), tenant_cap: Some(800_000), ..Wish::plain() };
    let job = world.running(&october, "up-1").await;
    let november = Wish { period: month("2026-11"), ..october.clone() };
    world.open(&november).await.unwrap();

    let world = world.restart().await;
    world.see(&job, Event::Finished).await;
    assert_eq!(world.balances(&october).await, [(0, 800_000); 3]);
    assert_eq!(world.balances(&november).await, [(800_000, 0); 3]);
}

pub async fn reported_cost(world: World) {
    let wish = Wish { ceiling: 1_000_000, price: 800_000, ..Wish::plain() };
    let costs = [
        (None, 800_000, 0),
        (Some(300_000), 300_000, 0),
        (Some(900_000), 900_000, 0),
        (Some(1_250_000), 1_000_000, 250_000),
        (Some(-5), 800_000, 0),
    ];
    let mut spent = 0;
    for (n, (reported, cost, over)) in costs.into_iter().enumerate() {
        let job = world.running(&wish, &format!("up-{n}")).await;
        let facts = Facts { reported_cost: reported.map(MicroUsd::new), ..Facts::default() };
        let job = world.learn(&job, Event::Finished, facts).await;
        assert_eq!(job.cost, Some(MicroUsd::new(cost)));
        spent += cost;
        assert_eq!(world.balances(&wish).await, [(0, spent); 3]);

        let (_, _, ledger) = world.store.job_file(job.id).await.unwrap().unwrap();
        let lines: Vec<_> = ledger.iter().map(|line| (line.kind.as_str(), line.amount.get())).collect();
        let mut expected = vec![("hold", 1_000_000), ("settle", cost)];
        expected.extend((over > 0).then_some(("overrun", over)));
        assert_eq!(lines, expected);
    }
    assert_eq!(world.store.overview().await.unwrap().overrun, MicroUsd::new(250_000));
}

pub async fn failover(world: World) {
    let cheap = Wish { ceiling: 1_000_000, price: 600_000, route_cap: Some(600_000), ..Wish::plain() };
    let dear = Wish { route: "south", price: 1_000_000, ..cheap.clone() };
    let job = world.open(&cheap).await.unwrap();
    let waiting = world.see(&job, Event::TurnedAway).await;
    assert_eq!(waiting.state, State::Reserved);
    assert_eq!(world.balances(&cheap).await, [(1_000_000, 0), (1_000_000, 0), (0, 0)]);

    // The next route has too low a cap: the job goes on waiting, and nothing else changes.
    assert!(matches!(world.store.open_attempt(&waiting, dear.attempt()).await, Err(OpenError::OverBudget { .. })));
    let dear = Wish { route_cap: Some(1_000_000), ..dear };
    let again = world.store.open_attempt(&waiting, dear.attempt()).await.unwrap();
    assert_eq!((again.state, again.attempts, again.route.as_str(), again.price.get()), (State::Submitting, 2, "south", 1_000_000));
    assert_eq!(world.balances(&dear).await, [(1_000_000, 0); 3]);
    assert_eq!(world.store.open_attempt(&waiting, dear.attempt()).await, Err(OpenError::Moved));

    // Back to the first route, which takes it: the end is booked there and nowhere else.
    let waiting = world.see(&again, Event::TurnedAway).await;
    let third = world.store.open_attempt(&waiting, cheap.attempt()).await.unwrap();
    let accepted = world.see(&third, Event::Accepted).await;
    world.see(&accepted, Event::Finished).await;
    assert_eq!(world.balances(&cheap).await, [(0, 600_000); 3]);
    assert_eq!(world.balance(&route("south"), "total").await, (0, 0));
}

pub async fn release(world: World) {
    let wish = Wish::plain();
    for event in [Event::Rejected, Event::Exhausted] {
        let job = world.open(&wish).await.unwrap();
        let job = world.see(&job, event).await;
        assert_eq!((job.state, job.cost, job.ended_at), (State::Released, Some(MicroUsd::ZERO), Some(NOON)));
    }
    // Also when no route holds anything any more.
    let job = world.open(&wish).await.unwrap();
    let job = world.see(&job, Event::TurnedAway).await;
    let job = world.see(&job, Event::Exhausted).await;
    assert_eq!(job.state, State::Released);
    assert_eq!(world.balances(&wish).await, [(0, 0); 3]);
    let (_, attempts, ledger) = world.store.job_file(job.id).await.unwrap().unwrap();
    assert_eq!(attempts[0].outcome.as_deref(), Some("turned_away"));
    assert_eq!(ledger.iter().map(|line| line.kind.as_str()).collect::<Vec<_>>(), ["hold", "release"]);
}

pub async fn overflow(world: World) {
    let huge = Wish { ceiling: i64::MAX, price: 1, ..Wish::plain() };
    world.open(&huge).await.unwrap();
    assert!(matches!(world.open(&huge).await, Err(OpenError::OverBudget { left: MicroUsd::ZERO, .. })));

    // What cannot be an amount is refused whole.
    let negative = Wish { ceiling: -1, price: -1, tenant: "other", ..Wish::plain() };
    assert!(matches!(world.open(&negative).await, Err(OpenError::Store(StoreError::Damaged(_)))));
    let above_its_ceiling = Wish { price: 900_000, tenant: "third", period: month("2026-11"), ..Wish::plain() };
    assert!(matches!(world.open(&above_its_ceiling).await, Err(OpenError::Store(StoreError::Damaged(_)))));
    assert_eq!(world.store.latest_jobs(Some(&TenantName::new("third")), None, 10).await.unwrap(), []);
}

/// A budget by the day becomes one by the month, and one by the day again.
pub async fn other_period(world: World) {
    let later = |secs: i64| Timestamp::from_secs(NOON.as_secs() + secs);
    let span = |key: &str, from: Timestamp, secs| Period { key: key.to_owned(), from, until: Some(later(secs)) };
    let (today, month) = (span("day:1", NOON, 100), span("month:1", NOON, 1_000));
    let by = |period: &Period, cap| Wish { period: period.clone(), tenant_cap: Some(cap), at: later(1), ..Wish::plain() };

    let made = world.running(&by(&today, 2_400_000), "up-1").await;
    world.see(&made, Event::Finished).await;
    let running = world.running(&by(&today, 2_400_000), "up-2").await;
    let refused = world.open(&by(&month, 2_000_000)).await;
    assert!(matches!(refused, Err(OpenError::OverBudget { left, .. }) if left == MicroUsd::new(400_000)), "{refused:?}");

    let third = world.open(&by(&month, 2_400_000)).await.unwrap();
    let refused = world.open(&by(&today, 2_400_000)).await;
    assert!(
        matches!(refused, Err(OpenError::OverBudget { left, .. }) if left == MicroUsd::ZERO),
        "the day knows of the third too: {refused:?}"
    );
    world.see(&running, Event::Failed).await;
    world.open(&by(&today, 2_400_000)).await.unwrap();
    world.see(&third, Event::Rejected).await;

    let tomorrow = Wish { period: span("day:2", later(100), 200), tenant_cap: Some(800_000), at: later(150), ..Wish::plain() };
    world.open(&tomorrow).await.unwrap();
}

pub async fn followed_budget(world: World) {
    let later = |secs: i64| Timestamp::from_secs(NOON.as_secs() + secs);
    let month = Period { key: "month:1".to_owned(), from: NOON, until: Some(later(1_000)) };
    let by = |account| Booking { account, period: month.clone(), cap: Some(MicroUsd::new(800_000)), marks: None };
    let follow = async |at| world.store.follow_budgets(vec![by(Account::Gateway), by(tenant("acme")), by(tenant("new"))], at).await;
    assert_eq!(follow(later(1)).await, Ok(0), "nothing was booked to anybody");

    let total = Wish { at: later(1), ..Wish::plain() };
    let made = world.running(&total, "up-1").await;
    world.see(&made, Event::Finished).await;
    world.open(&total).await.unwrap();
    world.open(&Wish { at: NOON.before(Duration::from_secs(1)), ..total.clone() }).await.unwrap();
    assert_eq!(follow(later(2)).await, Ok(2));
    assert_eq!(world.balance(&tenant("acme"), "month:1").await, (800_000, 800_000));
    assert_eq!(world.balance(&Account::Gateway, "month:1").await, (800_000, 800_000));
    assert_eq!(world.store.balance(&tenant("new"), "month:1").await, Ok(None));
    assert_eq!(follow(later(2)).await, Ok(0), "they count there already");

    let monthly = Wish { period: month.clone(), at: later(3), ..Wish::plain() };
    world.open(&monthly).await.unwrap();
    assert_eq!(world.balance(&tenant("acme"), "month:1").await, (1_600_000, 800_000));
    let next = Booking { period: Period { key: "month:2".to_owned(), from: later(1_000), until: None }, ..by(Account::Gateway) };
    assert_eq!(world.store.follow_budgets(vec![next], later(1_001)).await, Ok(0), "a period that is over is followed by nothing");
}

pub async fn ledger_ascends(world: World) {
    let later = |secs| NOON.after(Duration::from_secs(secs));
    assert_eq!(world.store.latest_line_at().await, Ok(None));
    let first = world.open(&Wish { at: later(60), ..Wish::plain() }).await.unwrap();
    let second = world.open(&Wish { at: later(30), ..Wish::plain() }).await.unwrap();
    let third = world.open(&Wish { at: later(90), ..Wish::plain() }).await.unwrap();
    world.see(&third, Event::Rejected).await;
    let of = async |id| {
        let (_, _, lines) = world.store.job_file(id).await.unwrap().unwrap();
        lines.iter().map(|line: &LedgerEntry| line.at).collect::<Vec<_>>()
    };
    assert_eq!(of(first.id).await, [later(60)]);
    assert_eq!(of(second.id).await, [later(60)], "written after the first");
    assert_eq!(of(third.id).await, [later(90), later(90)], "its end was seen at noon, by another clock");
    assert_eq!(world.store.latest_line_at().await, Ok(Some(later(90))));
}
