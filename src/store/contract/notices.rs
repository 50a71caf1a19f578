//! Cases about the outbox.

use std::time::Duration;

use serde_json::json;

use super::{NOON, Wish, World};
use crate::clock::Timestamp;
use crate::id::{NoticeId, TenantName};
use crate::job::{Event, step};
use crate::notice::{Addressee, Kind, NewNotice};
use crate::store::{ApplyError, Delivery, Facts, Notice, NoticesIn, OwedNotices};

const MINUTE: Duration = Duration::from_secs(60);

fn tenant(name: &str) -> Addressee {
    Addressee::Tenant(TenantName::new(name))
}

fn notice(to: Addressee, subject: &str) -> NewNotice {
    NewNotice { to, kind: Kind::VideoCompleted, subject: subject.to_owned(), data: json!({ "id": subject }), at: NOON }
}

/// What is owed and was not sent yet, as `addressee kind subject`.
async fn pending(world: &World) -> Vec<String> {
    let notices = world.store.notices(NoticesIn::Pending, 100).await.unwrap();
    let mut told: Vec<String> = notices.iter().map(|n| format!("{} {} {}", n.to, n.kind.as_str(), n.subject)).collect();
    told.sort();
    told
}

/// Claims at a moment, a minute each; by addressee and subject.
async fn claim(world: &World, now: Timestamp, n: u32, each: u32) -> Vec<String> {
    let claimed = world.store.lease_notices(now, MINUTE, n, each).await.unwrap();
    claimed.iter().map(|n| format!("{} {}", n.to, n.subject)).collect()
}

async fn the_one(world: &World, wanted: NoticesIn) -> Notice {
    let mut found = world.store.notices(wanted, 100).await.unwrap();
    assert_eq!(found.len(), 1, "{wanted:?}: {found:?}");
    found.remove(0)
}

pub async fn of_a_step(world: World) {
    let job = world.running(&Wish::plain(), "up-1").await;
    let finished = step(job.state, Event::Finished).unwrap();
    let id = job.id.to_string();
    let facts = Facts { notices: vec![notice(tenant("acme"), &id)], ..Facts::default() };
    let stale = world.store.apply(&job, step(job.state, Event::Running).unwrap(), Facts::default(), NOON).await.unwrap();
    assert_eq!(world.store.apply(&job, finished, facts.clone(), NOON).await, Err(ApplyError::Moved));
    assert_eq!(pending(&world).await, [""; 0], "a step that is not written owes nothing");

    world.store.apply(&stale, finished, facts, NOON).await.unwrap();
    let world = world.restart().await;
    assert_eq!(pending(&world).await, [format!("tenant:acme video.completed {id}")]);
    assert_eq!(world.store.owe(vec![notice(tenant("acme"), &id), notice(tenant("rival"), &id)]).await, Ok(1), "once for each");

    let owed = the_one_of(&world, "tenant:acme").await;
    let body =
        format!(r#"{{"id":"{}","object":"event","created_at":1795420800,"type":"video.completed","data":{{"id":"{id}"}}}}"#, owed.id);
    assert_eq!(owed.body, body);
    assert_eq!((owed.tries, owed.due_at, owed.created_at), (0, NOON, NOON), "due at once");
    assert_eq!((owed.sent_at, owed.dead_at, owed.last_error), (None, None, None));
}

async fn the_one_of(world: &World, to: &str) -> Notice {
    let found = world.store.notices(NoticesIn::Pending, 100).await.unwrap();
    found.into_iter().find(|notice| notice.to.to_string() == to).unwrap()
}

pub async fn of_a_cap(world: World) {
    let wish = Wish { tenant_cap: Some(3_200_000), marks: Some(&[25, 60]), ..Wish::plain() };
    let first = world.open(&wish).await.unwrap();
    assert_eq!(pending(&world).await, ["tenant:acme budget.warning total/25 of 3.20"]);
    world.see(&first, Event::Rejected).await;
    world.open(&wish).await.unwrap();
    assert_eq!(pending(&world).await.len(), 1, "the same mark, reached again");

    world.open(&wish).await.unwrap();
    assert_eq!(pending(&world).await.len(), 1, "half of it is under the next mark");
    world.open(&wish).await.unwrap();
    world.open(&wish).await.unwrap();
    let told = [
        "tenant:acme budget.exhausted total of 3.20",
        "tenant:acme budget.warning total/25 of 3.20",
        "tenant:acme budget.warning total/60 of 3.20",
    ];
    assert_eq!(pending(&world).await, told);
    world.open(&wish).await.unwrap_err();
    assert_eq!(pending(&world).await, told, "a refusal writes nothing");

    let gateway = Wish { tenant: "rival", gateway_cap: Some(100_000_000), tenant_cap: None, marks: Some(&[1]), ..wish.clone() };
    world.open(&gateway).await.unwrap();
    assert_eq!(pending(&world).await[0], "operator budget.warning gateway/total/1 of 100.00");
    world.open(&Wish { tenant: "guest", marks: None, ..gateway }).await.unwrap();
    assert_eq!(pending(&world).await.len(), 4, "nobody is told");
}

pub async fn round(world: World) {
    let mut owed: Vec<NewNotice> = (0..50).map(|n| notice(tenant("acme"), &format!("a-{n:02}"))).collect();
    owed.extend(["b-1", "b-2"].map(|subject| NewNotice { at: NOON.after(MINUTE), ..notice(tenant("rival"), subject) }));
    owed.push(NewNotice { at: NOON.after(MINUTE), ..notice(Addressee::Operator, "o-1") });
    assert_eq!(world.store.owe(owed).await, Ok(53));

    assert_eq!(claim(&world, NOON.before(MINUTE), 10, 2).await, [""; 0], "nobody is due");
    let now = NOON.after(MINUTE);
    let mut claimed = claim(&world, now, 10, 2).await;
    claimed.sort();
    let of_acme = claimed.iter().filter(|notice| notice.starts_with("tenant:acme ")).count();
    assert_eq!((claimed.len(), of_acme), (5, 2), "one addressee's backlog stands before nobody: {claimed:?}");
    assert_eq!(claim(&world, now, 10, 2).await, [""; 0], "two of acme's are under way, and the others' all");
    assert_eq!(claim(&world, now, 10, 3).await.len(), 1);
    assert_eq!(claim(&world, now.after(MINUTE), 10, 2).await.len(), 5, "claims lapse");

    let world = world.restart().await;
    world.store.recover(now).await.unwrap();
    let again = claim(&world, now.after(MINUTE), 4, 2).await;
    assert!(again.len() <= 4 && !again.is_empty());
}

pub async fn life(world: World) {
    world.store.owe(vec![notice(tenant("acme"), "a")]).await.unwrap();
    let id = the_one(&world, NoticesIn::Pending).await.id;
    claim(&world, NOON, 1, 1).await;
    let later = NOON.after(MINUTE);
    let failed = |why: &str| Delivery::Failed { why: why.to_owned(), due_at: later };
    assert_eq!(world.store.note_delivery(id, failed("503"), NOON).await, Ok(true));
    let world = world.restart().await;
    let failing = the_one(&world, NoticesIn::Failing).await;
    assert_eq!((failing.tries, failing.due_at, failing.last_error.as_deref()), (1, later, Some("503")));
    assert_eq!(claim(&world, NOON, 1, 1).await, [""; 0], "not due");
    assert_eq!(claim(&world, later, 1, 1).await, ["tenant:acme a"]);
    assert_eq!(world.store.note_delivery(id, Delivery::Dead { why: "410".to_owned() }, later).await, Ok(true));
    let dead = the_one(&world, NoticesIn::Dead).await;
    assert_eq!((dead.tries, dead.dead_at, dead.last_error.as_deref()), (2, Some(later), Some("410")));
    assert_eq!(claim(&world, later.after(MINUTE), 1, 1).await, [""; 0]);
    assert_eq!(world.store.note_delivery(id, failed("late"), later).await, Ok(false), "it was given up");
    let standing =
        |owed: u64, dead: u64| vec![OwedNotices { kind: Kind::VideoCompleted, owed, oldest_at: (owed > 0).then_some(NOON), dead }];
    assert_eq!(world.store.overview().await.unwrap().notices, standing(0, 1));

    assert_eq!(world.store.revive_notices(&tenant("rival"), later).await, Ok(0));
    assert_eq!(world.store.revive_notices(&tenant("acme"), later).await, Ok(1));
    assert_eq!(world.store.overview().await.unwrap().notices, standing(1, 0));
    assert_eq!(claim(&world, later, 1, 1).await, ["tenant:acme a"]);
    assert_eq!(world.store.note_delivery(id, Delivery::Taken, later).await, Ok(true));
    assert_eq!(world.store.note_delivery(id, Delivery::Taken, later.after(MINUTE)).await, Ok(false));
    let sent = the_one(&world, NoticesIn::Sent).await;
    assert_eq!((sent.tries, sent.sent_at, sent.dead_at), (0, Some(later), None));
    assert_eq!(world.store.overview().await.unwrap().notices, []);

    assert_eq!(world.store.revive_notice(NoticeId::mint(), later).await, Ok(false));
    assert_eq!(world.store.revive_notice(id, later).await, Ok(true), "also what was taken");
    assert_eq!(claim(&world, later, 1, 1).await, ["tenant:acme a"]);
}

pub async fn forgotten(world: World) {
    let warning = NewNotice { kind: Kind::BudgetWarning, ..notice(tenant("acme"), "w") };
    world
        .store
        .owe(vec![notice(tenant("acme"), "a"), notice(tenant("acme"), "b"), notice(tenant("acme"), "c"), warning.clone()])
        .await
        .unwrap();
    for notice in world.store.notices(NoticesIn::Pending, 100).await.unwrap() {
        match notice.subject.as_str() {
            "a" | "w" => world.store.note_delivery(notice.id, Delivery::Taken, NOON).await.unwrap(),
            "b" => world.store.note_delivery(notice.id, Delivery::Dead { why: "410".to_owned() }, NOON).await.unwrap(),
            _ => continue,
        };
    }
    let before = NOON.before(MINUTE);
    assert_eq!(world.store.forget_notices(NOON, before).await, Ok(0), "not older than that");
    assert_eq!(world.store.forget_notices(NOON.after(MINUTE), before).await, Ok(2));
    assert_eq!(world.store.owe(vec![warning.clone()]).await, Ok(0), "what was told of a cap is remembered for longer");
    assert_eq!(world.store.forget_notices(before, NOON.after(MINUTE)).await, Ok(1));
    assert_eq!(world.store.owe(vec![warning]).await, Ok(1));
    assert_eq!(pending(&world).await.len(), 2, "what is owed stays");
}
