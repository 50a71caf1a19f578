//! Cases about lost jobs, charges that nobody can explain, and corrections.

use super::{NOON, Wish, World, route, tenant};
use crate::clock::Timestamp;
use crate::id::{JobId, RouteName};
use crate::job::{Event, State};
use crate::money::MicroUsd;
use crate::store::{Change, Correction, CorrectionError, Facts, OpenError, Removed, ReportBy, ReportQuery, Unexplained};

fn charge(upstream_id: &str, microusd: i64) -> Unexplained {
    let (route, amount) = (RouteName::new("north"), MicroUsd::new(microusd));
    Unexplained { route, upstream_id: upstream_id.to_owned(), amount, note: "in the list".to_owned(), at: NOON }
}

fn correction(job: JobId, microusd: i64) -> Correction {
    Correction { job, change: Change::By(MicroUsd::new(microusd)), upstream_id: None, note: "the bill says so".to_owned(), at: NOON }
}

async fn suspense(world: &World) -> i64 {
    world.store.overview().await.unwrap().suspense.get()
}

pub async fn lost(world: World) {
    let wish = Wish { tenant_max: Some(2), route_max: Some(2), ..Wish::plain() };
    let (first, second) = (world.running(&wish, "up-1").await, world.running(&wish, "up-2").await);
    assert_eq!(world.open(&wish).await, Err(OpenError::TenantFull { in_flight: 2 }));

    let first = world.see(&first, Event::Vanished).await;
    assert_eq!((first.state, first.cost, first.ended_at), (State::Lost, None, None));
    assert_eq!(world.balances(&wish).await, [(1_600_000, 0); 3], "it may have been made: its money stays held");
    let second = world.see(&second, Event::Vanished).await;
    world.open(&wish).await.expect("nobody waits for a lost job: both places are free");

    let removed = world.store.remove(&first.tenant, first.id, NOON).await.unwrap();
    let Removed::Gone(first) = removed else { panic!("its client was told that it failed, and deletes it: {removed:?}") };
    let world = world.restart().await;
    let first = world.see(&first, Event::WrittenOffSpent).await;
    assert_eq!((first.state, first.cost, first.ended_at), (State::Failed, Some(MicroUsd::new(800_000)), Some(NOON)));
    assert_eq!(world.balances(&wish).await, [(1_600_000, 800_000); 3]);
    let second = world.see(&second, Event::WrittenOffFree).await;
    assert_eq!((second.state, second.cost), (State::Failed, Some(MicroUsd::ZERO)));
    assert_eq!(world.balances(&wish).await, [(800_000, 800_000); 3]);
}

pub async fn unexplained(world: World) {
    world.running(&Wish::plain(), "up-1").await;
    let north = RouteName::new("north");
    assert_eq!(world.store.suspend(charge("up-1", 800_000)).await, Ok(false), "a job explains it");
    assert_eq!(world.store.suspend(charge("up-2", 800_000)).await, Ok(true));
    assert_eq!(world.store.suspend(charge("up-2", 900_000)).await, Ok(false), "once");
    assert_eq!(world.store.suspend(charge("up-3", 300_000)).await, Ok(true));
    assert_eq!(world.store.suspend(Unexplained { route: RouteName::new("south"), ..charge("up-2", 1) }).await, Ok(true));
    assert_eq!(suspense(&world).await, 1_100_001);

    let world = world.restart().await;
    assert_eq!(world.store.explain(&north, "up-2", "refunded", NOON).await, Ok(true));
    assert_eq!(world.store.explain(&north, "up-2", "refunded", NOON).await, Ok(false));
    assert_eq!(world.store.explain(&north, "up-9", "never heard of it", NOON).await, Ok(false));
    assert_eq!(world.store.suspend(charge("up-2", 800_000)).await, Ok(false), "what was explained stays so");
    let ids = ["up-1", "up-2", "up-3"].map(str::to_owned);
    let charged = world.store.charged(&north, &ids).await.unwrap();
    assert_eq!(charged, ["up-2", "up-3"].map(str::to_owned).into());
    assert_eq!(suspense(&world).await, 300_001);
    let left = world.store.unexplained().await.unwrap();
    assert_eq!(left, [charge("up-3", 300_000), Unexplained { route: RouteName::new("south"), ..charge("up-2", 1) }]);
}

pub async fn corrections(world: World) {
    let wish = Wish::plain();
    let running = world.running(&wish, "up-1").await;
    assert_eq!(world.store.correct(correction(running.id, 1)).await, Err(CorrectionError::NotEnded(running.id)));
    let nobody = JobId::mint();
    assert_eq!(world.store.correct(correction(nobody, 1)).await, Err(CorrectionError::NoSuchJob(nobody)));

    let job = world.see(&running, Event::Finished).await;
    world.store.correct(correction(job.id, -300_000)).await.unwrap();
    assert_eq!(world.balances(&wish).await, [(0, 500_000); 3]);
    let too_much = world.store.correct(correction(job.id, -500_001)).await;
    assert_eq!(too_much, Err(CorrectionError::BelowZero { job: job.id, cost: MicroUsd::new(500_000) }));
    assert_eq!(world.store.correct(correction(job.id, 50_000)).await, Ok(MicroUsd::new(50_000)));

    let world = world.restart().await;
    assert_eq!(world.balances(&wish).await, [(0, 550_000); 3]);
    let (found, _, ledger) = world.store.job_file(job.id).await.unwrap().unwrap();
    assert_eq!(found.cost, Some(MicroUsd::new(800_000)), "a job that has ended does not change");
    let lines: Vec<_> = ledger.iter().map(|line| (line.kind.as_str(), line.amount.get(), line.note.as_deref())).collect();
    let note = Some("the bill says so");
    assert_eq!(lines, [("hold", 800_000, None), ("settle", 800_000, None), ("adjust", -300_000, note), ("adjust", 50_000, note)]);
    let until = Timestamp::from_secs(NOON.as_secs() + 1);
    let query = ReportQuery { from: NOON, until, tenant: None, by: vec![ReportBy::Tenant], limit: 10 };
    let report = world.store.report(query).await.unwrap();
    assert_eq!(report.rows.iter().map(|row| row.figures.spent.get()).collect::<Vec<_>>(), [550_000]);

    // To an amount, by its own id, again and again.
    let to = |microusd| Correction {
        change: Change::To(MicroUsd::new(microusd)),
        upstream_id: Some("up-1".to_owned()),
        ..correction(job.id, 0)
    };
    let added = [world.store.correct(to(700_000)).await, world.store.correct(to(700_000)).await, world.store.correct(to(0)).await];
    assert_eq!(added, [150_000, 0, -700_000].map(|amount| Ok(MicroUsd::new(amount))));
    let below = Err(CorrectionError::BelowZero { job: job.id, cost: MicroUsd::ZERO });
    assert_eq!(world.store.correct(to(-1)).await, below);
    assert_eq!(world.balances(&wish).await, [(0, 0); 3]);
}

/// A job was released, and then turns out to have been made.
pub async fn found_after_all(world: World) {
    let wish = Wish::plain();
    let job = world.open(&wish).await.unwrap();
    let job = world.see(&job, Event::Unclear).await;
    let job = world.see(&job, Event::Absent).await;
    world.running(&wish, "up-2").await;
    let answered = world.open(&wish).await.unwrap();
    world.learn(&answered, Event::Rejected, Facts { outcome: Some("rejected"), ..Facts::default() }).await;
    let (north, south) = (RouteName::new("north"), RouteName::new("south"));
    assert_eq!(world.store.let_go(&north, NOON).await, Ok(vec![job.clone()]), "a rejection is an answer, and no conclusion");
    assert_eq!(world.store.let_go(&north, Timestamp::from_ms(NOON.as_ms() + 1)).await, Ok(Vec::new()));
    assert_eq!(world.store.let_go(&south, NOON).await, Ok(Vec::new()));
    world.store.suspend(charge("up-1", 800_000)).await.unwrap();

    let found = |upstream_id: &str| Correction { upstream_id: Some(upstream_id.to_owned()), ..correction(job.id, 800_000) };
    let taken = world.store.correct(found("up-2")).await;
    assert_eq!(taken, Err(CorrectionError::Duplicate("up-2".to_owned())));
    world.store.correct(found("up-1")).await.unwrap();
    assert_eq!(world.store.correct(found("up-3")).await, Err(CorrectionError::Duplicate("up-3".to_owned())), "it has one");
    assert_eq!(suspense(&world).await, 0);
    assert_eq!(world.store.unexplained().await, Ok(Vec::new()));
    assert_eq!(world.balance(&tenant("acme"), "total").await, (800_000, 800_000));
    assert_eq!(world.balance(&route("north"), "total").await, (800_000, 800_000));
    let known = world.store.known_upstream_ids(&Wish::plain().home(), &["up-1".to_owned()]).await.unwrap();
    assert!(known.contains("up-1"));
    assert_eq!(world.store.let_go(&north, NOON).await, Ok(Vec::new()), "it is found");
}

/// What a person decided has the reason beside the money that it moved, or in a line of its own.
pub async fn notes(world: World) {
    let wish = Wish::plain();
    let noted = |note: &str| Facts { note: Some(note.to_owned()), ..Facts::default() };
    let kept = world.see(&world.open(&wish).await.unwrap(), Event::Unclear).await;
    let spent = world.see(&world.open(&wish).await.unwrap(), Event::Unclear).await;
    let free = world.see(&world.open(&wish).await.unwrap(), Event::Unclear).await;
    world.learn(&kept, Event::Accepted, Facts { upstream_id: Some("up-1".to_owned()), ..noted("seen there") }).await;
    world.learn(&spent, Event::WrittenOffSpent, noted("on the bill")).await;
    world.learn(&free, Event::WrittenOffFree, noted("not on the bill")).await;

    let world = world.restart().await;
    for (job, expected) in [
        (kept, ("adjust", 0, Some("seen there"))),
        (spent, ("settle", 800_000, Some("on the bill"))),
        (free, ("release", 800_000, Some("not on the bill"))),
    ] {
        let (_, _, ledger) = world.store.job_file(job.id).await.unwrap().unwrap();
        let lines: Vec<_> = ledger.iter().map(|line| (line.kind.as_str(), line.amount.get(), line.note.as_deref())).collect();
        assert_eq!(lines, [("hold", 800_000, None), expected]);
    }
}

/// A charge went into suspense before the job that it is for was found.
pub async fn found_in_suspense(world: World) {
    let job = world.open(&Wish::plain()).await.unwrap();
    let job = world.see(&job, Event::Unclear).await;
    world.store.suspend(charge("up-1", 800_000)).await.unwrap();
    world.store.suspend(charge("up-2", 1)).await.unwrap();
    let found = Facts { upstream_id: Some("up-1".to_owned()), ..Facts::default() };
    world.learn(&job, Event::Accepted, found).await;
    assert_eq!(suspense(&world).await, 1, "what is a job's is in suspense no more");
    assert_eq!(world.store.unexplained().await.unwrap(), [charge("up-2", 1)]);
}

/// Written policy is no answer either: what it counted as spent may turn up, and is then explained.
pub async fn given_up(world: World) {
    let job = world.open(&Wish::plain()).await.unwrap();
    let job = world.see(&job, Event::Unclear).await;
    let job = world.see(&job, Event::WrittenOffSpent).await;
    assert_eq!(job.cost, Some(MicroUsd::new(800_000)));
    assert_eq!(world.store.let_go(&RouteName::new("north"), NOON).await, Ok(vec![job]));
}
