//! Cases about the life of a job between its hold and its end.

use std::sync::Arc;
use std::time::Duration;

use super::{NOON, Wish, World};
use crate::clock::Timestamp;
use crate::id::{AttemptId, JobId, ModelName, RouteName, TenantName};
use crate::job::{Event, State, step};
use crate::money::MicroUsd;
use crate::store::{ApplyError, Facts, Job, JobError, OpenError, Removed};
use crate::video::{Extra, Extras, Seconds, Size};

fn later(secs: u64) -> Timestamp {
    NOON.after(Duration::from_secs(secs))
}

pub async fn reads_back(world: World) {
    let (mut new, mut attempt) = Wish { ceiling: 900_000, ..Wish::plain() }.parts();
    new.operation = "remix";
    new.prompt = "ein Fuchs 🦊 im Schnee, 'quoted'; \"twice\"\n".repeat(700);
    new.source = Some(JobId::mint());
    new.hidden_inputs = true;
    new.end_user = Some("user-7".to_owned());
    new.residency = Some("eu".to_owned());
    new.charge = Some(MicroUsd::new(1_500_000));
    new.extras = Extras::from([
        ("cfg_scale".to_owned(), Extra::Number("7.500000000000001".to_owned())),
        ("loop".to_owned(), Extra::Flag(false)),
        ("negative_prompt".to_owned(), Extra::Text("'no' \"hunters\" 🦌\n".to_owned())),
        ("seed".to_owned(), Extra::Number("18446744073709551615".to_owned())),
    ]);
    attempt.due_at = later(10);
    let job = world.store.open_job(new.clone(), attempt.clone()).await.unwrap();
    let expected = Job {
        id: new.id,
        tenant: new.tenant,
        state: State::Submitting,
        version: 1,
        operation: "remix".to_owned(),
        model: ModelName::new("sora-2"),
        prompt: new.prompt,
        seconds: Seconds::new(8).unwrap(),
        size: Size::DEFAULT,
        source: new.source,
        hidden_inputs: true,
        end_user: new.end_user,
        key_name: new.key_name,
        residency: new.residency,
        ceiling: MicroUsd::new(900_000),
        price: MicroUsd::new(800_000),
        cost: None,
        charge: new.charge,
        attempts: 1,
        attempt: attempt.id,
        route: RouteName::new("north"),
        upstream_model: "sora-2".to_owned(),
        upstream_id: None,
        result_url: None,
        progress: 0,
        error: None,
        created_at: NOON,
        attempted_at: NOON,
        ended_at: None,
        expires_at: None,
        deleted_at: None,
        extras: new.extras,
        account: Wish::plain().home().account,
    };
    assert_eq!(*job, expected);

    let facts = Facts {
        upstream_id: Some("up-1".to_owned()),
        progress: Some(40),
        result_url: Some("https://cdn.example/clip.mp4".to_owned()),
        expires_at: Some(later(3600)),
        error: Some(JobError { code: "moderation".to_owned(), message: "no".to_owned() }),
        ..Facts::default()
    };
    let job = world.learn(&job, Event::Accepted, facts).await;
    let failed = world.see(&job, Event::Failed).await;
    assert_eq!((failed.version, failed.progress, failed.ended_at), (3, 40, Some(NOON)));
    assert_eq!(failed.error.as_ref().unwrap().code, "moderation");
    assert_eq!(failed.result_url.as_deref(), Some("https://cdn.example/clip.mp4"));

    // From memory, from disk, and after a restart it is the same.
    let tenant = TenantName::new("acme");
    assert_eq!(world.store.job(&tenant, failed.id).await, Ok(Some(Arc::clone(&failed))));
    assert_eq!(world.store.latest_jobs(None, None, 1).await, Ok(vec![Arc::clone(&failed)]));
    let world = world.restart().await;
    assert_eq!(world.store.job(&tenant, failed.id).await, Ok(Some(failed)));
}

pub async fn compare_and_set(world: World) {
    let job = world.open(&Wish::plain()).await.unwrap();
    let accepted = world.see(&job, Event::Accepted).await;
    let stale = world.store.apply(&job, step(State::Submitting, Event::Unclear).unwrap(), Facts::default(), NOON).await;
    assert_eq!(stale, Err(ApplyError::Moved));
    let not_its_state = world.store.apply(&accepted, step(State::Running, Event::Finished).unwrap(), Facts::default(), NOON).await;
    assert_eq!(not_its_state, Err(ApplyError::Moved));
    assert_eq!(world.store.open_attempt(&accepted, Wish::plain().attempt()).await, Err(OpenError::Moved));

    // The same state at a later version is another moment all the same.
    let again = world.see(&accepted, Event::Queued).await;
    let finish = step(State::Accepted, Event::Finished).unwrap();
    assert_eq!(world.store.apply(&accepted, finish, Facts::default(), NOON).await, Err(ApplyError::Moved));
    let accepted = again;

    let mut nobody = Job::clone(&accepted);
    nobody.id = JobId::mint();
    let unknown = world.store.apply(&nobody, finish, Facts::default(), NOON).await;
    assert_eq!(unknown, Err(ApplyError::Moved));
    assert_eq!(world.store.job(&accepted.tenant, job.id).await, Ok(Some(accepted)));
}

pub async fn progress(world: World) {
    let mut job = world.running(&Wish::plain(), "up-1").await;
    for (told, shown) in [(Some(30), 30), (Some(10), 30), (None, 30), (Some(250), 100)] {
        job = world.learn(&job, Event::Running, Facts { progress: told, ..Facts::default() }).await;
        assert_eq!(job.progress, shown);
    }
    let other = world.running(&Wish::plain(), "up-2").await;
    assert_eq!(world.see(&other, Event::Finished).await.progress, 100);
}

pub async fn duplicate(world: World) {
    let first = world.running(&Wish::plain(), "up-1").await;
    let second = world.open(&Wish::plain()).await.unwrap();
    let facts = || Facts { upstream_id: Some("up-1".to_owned()), ..Facts::default() };
    let accept = step(State::Submitting, Event::Accepted).unwrap();
    assert_eq!(world.store.apply(&second, accept, facts(), NOON).await, Err(ApplyError::Duplicate("up-1".to_owned())));
    assert_eq!(world.store.job(&second.tenant, second.id).await, Ok(Some(second)), "nothing of it was written");

    // The same id on another route is another upstream's job; the same job may be told its id twice.
    let elsewhere = world.open(&Wish { route: "south", ..Wish::plain() }).await.unwrap();
    world.learn(&elsewhere, Event::Accepted, facts()).await;
    world.learn(&first, Event::Running, facts()).await;

    let ids = ["up-1".to_owned(), "up-9".to_owned()];
    let known = world.store.known_upstream_ids(&Wish::plain().home(), &ids).await.unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), ["up-1"]);
    assert!(world.store.known_upstream_ids(&Wish { route: "west", ..Wish::plain() }.home(), &ids).await.unwrap().is_empty());
}

pub async fn keys(world: World) {
    let wish = Wish { fingerprint: [1; 32], idempotency_key: Some("mine"), ..Wish::plain() };
    let acme = TenantName::new("acme");
    assert_eq!(world.store.keyed_job(&acme, "mine").await, Ok(None));
    let job = world.open(&wish).await.unwrap();
    assert_eq!(world.store.keyed_job(&acme, "mine").await, Ok(Some(([1; 32], job.clone()))));
    assert_eq!(world.open(&wish).await, Err(OpenError::KeyTaken));
    assert_eq!(world.store.keyed_job(&TenantName::new("other"), "mine").await, Ok(None), "a key is a tenant's own");

    world.see(&job, Event::Rejected).await;
    assert_eq!(world.store.keyed_job(&acme, "mine").await, Ok(None), "nothing came of it");
    let again = world.open(&wish).await.unwrap();
    assert_eq!(world.store.keyed_job(&acme, "mine").await, Ok(Some(([1; 32], again.clone()))));

    let accepted = Facts { upstream_id: Some("up-1".to_owned()), ..Facts::default() };
    let made = world.learn(&again, Event::Accepted, accepted).await;
    let made = world.see(&made, Event::Finished).await;
    let Removed::Gone(gone) = world.store.remove(&acme, made.id, later(40 * 86_400)).await.unwrap() else { panic!("it has ended") };
    assert_eq!(world.store.keyed_job(&acme, "mine").await, Ok(Some(([1; 32], gone))), "deleted, and paid for");
    assert_eq!(world.open(&wish).await, Err(OpenError::KeyTaken));
}

pub async fn claims(world: World) {
    let acme = TenantName::new("acme");
    let wish = Wish { fingerprint: [2; 32], ..Wish::plain() };
    let (first, second) = (world.open(&wish).await.unwrap(), world.open(&wish).await.unwrap());
    world.open(&Wish { idempotency_key: Some("keyed"), ..wish.clone() }).await.unwrap();
    world.open(&Wish { fingerprint: [3; 32], ..Wish::plain() }).await.unwrap();

    let alike = |resend, since| world.store.alike(&acme, &[2; 32], resend, since);
    assert_eq!(alike(1, NOON).await, Ok(vec![first.clone(), second.clone()]), "the oldest first; a keyed one is not guessed at");
    assert_eq!(alike(1, later(1)).await, Ok(Vec::new()), "not for ever");
    assert_eq!(world.store.claim(first.id, 1).await, Ok(true));
    assert_eq!(world.store.claim(first.id, 1).await, Ok(false), "one claim for each resend");
    assert_eq!(alike(1, NOON).await, Ok(vec![second.clone()]));
    assert_eq!(alike(2, NOON).await, Ok(vec![first, second.clone()]), "a second resend finds what the first one did");
    world.see(&second, Event::Rejected).await;
    assert_eq!(alike(1, NOON).await, Ok(Vec::new()));
}

pub async fn recover(world: World) {
    let sending = world.open(&Wish::plain()).await.unwrap();
    let running = world.running(&Wish::plain(), "up-1").await;
    let waiting = world.open(&Wish { route: "south", ..Wish::plain() }).await.unwrap();
    let waiting = world.see(&waiting, Event::TurnedAway).await;

    let world = world.restart().await;
    assert_eq!(world.store.recover(later(1)).await, Ok(1));
    assert_eq!(world.store.recover(later(1)).await, Ok(0));
    let unknown = world.store.in_state(State::Unknown, &RouteName::new("north")).await.unwrap();
    assert_eq!(unknown.iter().map(|job| (job.id, job.version)).collect::<Vec<_>>(), [(sending.id, sending.version + 1)]);
    assert_eq!(world.store.job(&sending.tenant, sending.id).await.unwrap().unwrap().state, State::Unknown);
    assert_eq!(world.store.job(&running.tenant, running.id).await, Ok(Some(running)));
    assert_eq!(world.store.in_state(State::Reserved, &RouteName::new("south")).await, Ok(vec![waiting]));
    assert_eq!(world.balances(&Wish::plain()).await, [(2_400_000, 0), (2_400_000, 0), (1_600_000, 0)], "it stays held");
}

pub async fn late_reply(world: World) {
    let job = world.open(&Wish::plain()).await.unwrap();
    world.store.recover(NOON).await.unwrap();
    let accept = step(State::Submitting, Event::Accepted).unwrap();
    let facts = Facts { upstream_id: Some("up-1".to_owned()), ..Facts::default() };
    assert_eq!(world.store.apply(&job, accept, facts.clone(), NOON).await, Err(ApplyError::Moved));

    let now = world.store.job(&job.tenant, job.id).await.unwrap().unwrap();
    let accepted = world.learn(&now, Event::Accepted, facts).await;
    assert_eq!((accepted.state, accepted.upstream_id.as_deref()), (State::Accepted, Some("up-1")));
}

pub async fn of_attempt(world: World) {
    let (job, other) = (world.open(&Wish::plain()).await.unwrap(), world.open(&Wish::plain()).await.unwrap());
    assert_eq!(world.store.job_of_attempt(job.attempt).await, Ok(Some(job.id)));
    assert_eq!(world.store.job_of_attempt(other.attempt).await, Ok(Some(other.id)));
    assert_eq!(world.store.job_of_attempt(AttemptId::mint()).await, Ok(None));
}

pub async fn file(world: World) {
    let first = world.open(&Wish::plain()).await.unwrap();
    let facts = Facts { outcome: Some("throttled"), ..Facts::default() };
    let waiting = world.learn(&first, Event::TurnedAway, facts).await;
    let second = Wish { route: "south", price: 500_000, ..Wish::plain() }.attempt();
    let job = world.store.open_attempt(&waiting, second.clone()).await.unwrap();
    let facts = Facts { upstream_id: Some("up-2".to_owned()), ..Facts::default() };
    let job = world.learn(&job, Event::Accepted, facts).await;

    let (found, attempts, ledger) = world.store.job_file(job.id).await.unwrap().unwrap();
    assert_eq!(found, job);
    let shown: Vec<_> =
        attempts.iter().map(|a| (a.route.as_str(), a.price.get(), a.outcome.as_deref(), a.upstream_id.as_deref())).collect();
    assert_eq!(shown, [("north", 800_000, Some("throttled"), None), ("south", 500_000, None, Some("up-2"))]);
    assert_eq!((attempts[1].id.clone(), attempts[1].at), (second.id.to_string(), NOON));
    assert_eq!(ledger.iter().map(|line| (line.kind.as_str(), line.at)).collect::<Vec<_>>(), [("hold", NOON)]);
    assert_eq!(world.store.job_file(JobId::mint()).await, Ok(None));
}
