//! Cases about what is listed, deleted, reported, and kept from strangers.

use std::time::Duration;

use super::{NOON, Wish, World, month};
use crate::clock::Timestamp;
use crate::id::{CharacterId, JobId, RouteName, TenantName};
use crate::job::{Event, State};
use crate::money::MicroUsd;
use crate::store::{Character, Facts, Figures, Job, Page, Removed, Report, ReportBy, ReportQuery};

fn acme() -> TenantName {
    TenantName::new("acme")
}

async fn page(world: &World, after: Option<&str>, limit: u32, newest_first: bool) -> (Vec<JobId>, bool) {
    let page = Page { after: after.map(str::to_owned), limit, newest_first };
    let found = world.store.jobs(&acme(), page).await.unwrap();
    (found.jobs.iter().map(|job| job.id).collect(), found.has_more)
}

pub async fn pages(world: World) {
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(world.open(&Wish::plain()).await.unwrap().id);
        world.open(&Wish { tenant: "other", ..Wish::plain() }).await.unwrap();
    }
    for newest_first in [true, false] {
        let mut expected = made.clone();
        if newest_first {
            expected.reverse();
        }
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let (ids, has_more) = page(&world, after.as_deref(), 3, newest_first).await;
            assert!(ids.len() == 3 || !has_more);
            after = ids.last().map(ToString::to_string);
            seen.extend(ids);
            if !has_more {
                break;
            }
        }
        assert_eq!(seen, expected);
        assert_eq!(page(&world, None, 7, newest_first).await, (expected, false), "a page that is just full has nothing after it");
    }
}

pub async fn any_cursor(world: World) {
    let job = world.open(&Wish::plain()).await.unwrap();
    let all = (vec![job.id], false);
    let none = (vec![], false);
    for (after, newest_first, expected) in [
        ("", false, &all),
        ("", true, &none),
        ("zzz", false, &none),
        ("zzz", true, &all),
        ("video_", false, &all),
        ("'; DROP TABLE jobs; --", false, &all),
        ("🦊", true, &all),
        ("\0", false, &all),
    ] {
        assert_eq!(page(&world, Some(after), 10, newest_first).await, *expected, "{after:?}");
    }
    assert_eq!(page(&world, None, 0, true).await, (vec![], true));
    assert_eq!(page(&world, None, u32::MAX, true).await, all);
}

pub async fn remove(world: World) {
    let job = world.running(&Wish::plain(), "up-1").await;
    assert_eq!(world.store.remove(&acme(), job.id, NOON).await, Ok(Removed::StillRunning));
    let job = world.see(&job, Event::Finished).await;
    assert_eq!(world.store.remove(&TenantName::new("other"), job.id, NOON).await, Ok(Removed::Unknown));

    let Ok(Removed::Gone(gone)) = world.store.remove(&acme(), job.id, NOON).await else { panic!("it stayed") };
    assert_eq!(*gone, Job { deleted_at: Some(NOON), version: job.version + 1, ..Job::clone(&job) });
    assert_eq!(world.store.remove(&acme(), job.id, NOON).await, Ok(Removed::Unknown));
    assert_eq!(world.store.remove(&acme(), JobId::mint(), NOON).await, Ok(Removed::Unknown));

    let world = world.restart().await;
    assert_eq!(world.store.job(&acme(), job.id).await, Ok(None));
    assert_eq!(page(&world, None, 10, true).await, (vec![], false));
    assert_eq!(world.store.latest_jobs(None, None, 10).await.unwrap(), [gone]);
    assert_eq!(world.balances(&Wish::plain()).await, [(0, 800_000); 3]);
}

pub async fn deleted_among(world: World) {
    let here = world.running(&Wish::plain(), "up-1").await;
    let gone = world.running(&Wish::plain(), "up-2").await;
    world.see(&gone, Event::Finished).await;
    world.store.remove(&acme(), gone.id, NOON).await.unwrap();
    let deleted = world.store.deleted_among(&[here.id, gone.id, JobId::mint()]).await;
    assert_eq!(deleted.map(Vec::from_iter), Ok(vec![gone.id]));
    assert_eq!(world.store.deleted_among(&[]).await.map(Vec::from_iter), Ok(vec![]));
}

pub async fn foreign_tenant(world: World) {
    let running = world.running(&Wish::plain(), "up-1").await;
    let ended = world.running(&Wish::plain(), "up-2").await;
    let ended = world.see(&ended, Event::Finished).await;
    let stranger = TenantName::new("other");
    assert_eq!(world.store.job(&stranger, running.id).await, Ok(None));
    assert_eq!(world.store.job(&stranger, ended.id).await, Ok(None));

    // Nor after a restart, when what has ended is read from the disk again.
    let world = world.restart().await;
    for job in [running, ended] {
        assert_eq!(world.store.job(&stranger, job.id).await, Ok(None));
        assert_eq!(world.store.job(&acme(), job.id).await, Ok(Some(job)));
    }
    let all = Page { after: None, limit: 10, newest_first: true };
    assert!(world.store.jobs(&stranger, all).await.unwrap().jobs.is_empty());
    assert!(world.store.latest_jobs(Some(&stranger), None, 10).await.unwrap().is_empty());
    assert_eq!(world.store.latest_jobs(Some(&acme()), Some(State::Running), 10).await.unwrap().len(), 1);
    assert!(world.store.latest_jobs(Some(&acme()), Some(State::Failed), 10).await.unwrap().is_empty());
}

pub async fn characters(world: World) {
    let character = Character {
        id: CharacterId::mint(),
        tenant: acme(),
        name: "Ingeborg".to_owned(),
        route: RouteName::new("north"),
        upstream_id: "char-1".to_owned(),
        created_at: NOON,
        account: Wish::plain().home().account,
    };
    world.store.add_character(character.clone()).await.unwrap();
    let world = world.restart().await;
    assert_eq!(world.store.character(&TenantName::new("other"), character.id).await, Ok(None));
    assert_eq!(world.store.character(&acme(), CharacterId::mint()).await, Ok(None));
    assert_eq!(world.store.character(&acme(), character.id).await, Ok(Some(character)));
}

pub async fn report(world: World) {
    // One made after a failover, one that failed, one open; and one of the next day.
    let charged = |wish: &Wish| {
        let (mut job, attempt) = wish.parts();
        job.charge = Some(MicroUsd::new(1_000_000));
        (job, attempt)
    };
    let wish = Wish { ceiling: 900_000, ..Wish::plain() };
    let (job, attempt) = charged(&wish);
    let first = world.store.open_job(job, attempt).await.unwrap();
    let first = world.see(&first, Event::TurnedAway).await;
    let first = world.store.open_attempt(&first, wish.attempt()).await.unwrap();
    let first = world.see(&first, Event::Accepted).await;
    world.see(&first, Event::Finished).await;
    let (job, attempt) = charged(&wish);
    let second = world.store.open_job(job, attempt).await.unwrap();
    world.see(&second, Event::Rejected).await;
    world.open(&wish).await.unwrap();
    world.open(&Wish { at: NOON.after(Duration::from_secs(86_400)), ..wish.clone() }).await.unwrap();

    let all = |by: &[ReportBy]| ReportQuery {
        from: Timestamp::from_ms(0),
        until: Timestamp::from_ms(i64::MAX),
        tenant: None,
        by: by.to_vec(),
        limit: 100,
    };
    let by_all = all(&[ReportBy::Tenant, ReportBy::Route, ReportBy::Model, ReportBy::Day]);
    let report = world.store.report(by_all.clone()).await.unwrap();
    let names: Vec<Vec<&str>> = report.rows.iter().map(|row| row.names.iter().flatten().map(String::as_str).collect()).collect();
    assert_eq!(names, [["acme", "north", "sora-2", "2026-11-23"], ["acme", "north", "sora-2", "2026-11-24"]], "the dearest first");
    let expected = Figures {
        jobs: 3,
        completed: 1,
        failed: 1,
        seconds: 8,
        spent: MicroUsd::new(800_000),
        held: MicroUsd::new(900_000),
        retries: 1,
        retry_cost: MicroUsd::new(800_000),
        charged: MicroUsd::new(1_000_000),
    };
    assert_eq!(report.rows[0].figures, expected);
    assert_eq!((report.rows[1].figures.jobs, report.groups), (1, 2));
    let total = Figures { jobs: 4, held: MicroUsd::new(1_800_000), ..expected };
    assert_eq!(report.total, total);

    let first = world.store.report(ReportQuery { limit: 1, ..by_all.clone() }).await.unwrap();
    assert_eq!((first.rows.as_slice(), first.groups, first.total), (&report.rows[..1], 2, total), "what is left out is known of");
    let others = ReportQuery { tenant: Some(TenantName::new("other")), ..by_all.clone() };
    assert_eq!(world.store.report(others).await, Ok(Report::default()));
    let ms = |n| Timestamp::from_ms(NOON.as_ms() + n);
    let between = |from, until| ReportQuery { from, until, ..by_all.clone() };
    assert_eq!(world.store.report(between(ms(1), ms(2))).await, Ok(Report::default()));
    assert_eq!(world.store.report(between(ms(0), ms(1))).await.unwrap().groups, 1, "the first moment counts, the last does not");
}

pub async fn report_by_payer(world: World) {
    let names = [(None, None), (Some("ci"), None), (Some("ci"), Some("u-1")), (Some("Web"), Some("ünd, \"2\"")), (None, Some("u-1"))];
    for (key, user) in names {
        for tenant in ["acme", "other"] {
            let wish = Wish { tenant, key: key.map(|key| (key, None)), user: user.map(|user| (user, None)), ..Wish::plain() };
            world.open(&wish).await.unwrap();
        }
    }
    let all = |by: &[ReportBy]| ReportQuery {
        from: Timestamp::from_ms(0),
        until: Timestamp::from_ms(i64::MAX),
        tenant: Some(acme()),
        by: by.to_vec(),
        limit: 100,
    };
    let held = |report: &Report| {
        let mut held: Vec<(Option<String>, i64)> = report.rows.iter().map(|row| (row.names[0].clone(), row.figures.held.get())).collect();
        held.sort();
        held
    };
    let clips = |name: Option<&str>, n: i64| (name.map(str::to_owned), n * 800_000);
    let by_key = world.store.report(all(&[ReportBy::Key])).await.unwrap();
    assert_eq!(held(&by_key), [clips(None, 2), clips(Some("Web"), 1), clips(Some("ci"), 2)]);
    let by_user = world.store.report(all(&[ReportBy::User])).await.unwrap();
    assert_eq!(held(&by_user), [clips(None, 2), clips(Some("u-1"), 2), clips(Some("ünd, \"2\""), 1)]);
    let both = world.store.report(all(&[ReportBy::User, ReportBy::Key])).await.unwrap();
    assert_eq!((both.groups, both.total), (5, by_key.total));
}

pub async fn overview(world: World) {
    let wish = Wish { tenant_cap: Some(8_000_000), ..Wish::plain() };
    world.running(&wish, "up-1").await;
    world.running(&Wish { at: NOON.before(Duration::from_secs(60)), ..wish.clone() }, "up-2").await;
    let ended = world.running(&wish, "up-3").await;
    world.learn(&ended, Event::Finished, Facts::default()).await;

    let overview = world.store.overview().await.unwrap();
    let open: Vec<_> = overview.open.iter().map(|o| (o.tenant.as_str(), o.route.as_str(), o.state, o.count)).collect();
    assert_eq!(open, [("acme", "north", State::Running, 2)]);
    assert_eq!(overview.open[0].oldest_at, NOON.before(Duration::from_secs(60)));
    let balances: Vec<_> = overview.balances.iter().map(|b| (b.account.as_str(), b.held.get(), b.spent.get(), b.cap)).collect();
    let cap = Some(MicroUsd::new(8_000_000));
    assert_eq!(
        balances,
        [("gateway", 1_600_000, 800_000, None), ("route:north", 1_600_000, 800_000, None), ("tenant:acme", 1_600_000, 800_000, cap)]
    );
    assert_eq!((overview.suspense, overview.overrun), (MicroUsd::ZERO, MicroUsd::ZERO));
}

pub async fn overview_of_running_periods(world: World) {
    let october =
        Wish { period: month("2026-10"), key: Some(("ci", Some(8_000_000))), user: Some(("u-1", Some(8_000_000))), ..Wish::plain() };
    world.running(&october, "up-1").await;
    world.open(&Wish { period: month("2026-11"), ..october }).await.unwrap();

    let told = world.store.overview().await.unwrap().balances;
    let told: Vec<_> = told.iter().map(|b| (b.account.as_str(), b.period.as_str(), b.held.get())).collect();
    assert_eq!(told, ["gateway", "route:north", "tenant:acme"].map(|account| (account, "month:2026-11", 800_000)));
}

pub async fn signing_key(world: World) {
    let key = world.store.signing_key().await.unwrap();
    assert_ne!(key, [0; 32]);
    let world = world.restart().await;
    assert_eq!(world.store.signing_key().await, Ok(key));
}
