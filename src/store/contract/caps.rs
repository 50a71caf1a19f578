//! Cases about the caps of keys and of end users.

use futures_util::future::join_all;

use super::{NOON, Wish, World, key, tenant, user};
use crate::budget::{Account, Booking, Period};
use crate::clock::Timestamp;
use crate::id::TenantName;
use crate::job::Event;
use crate::money::MicroUsd;
use crate::store::{OpenError, Payers};

const CLIP: i64 = 800_000;

fn named(key_cap: Option<i64>, user_cap: Option<i64>) -> Wish {
    Wish { key: Some(("ci", key_cap)), user: Some(("u-1", user_cap)), ..Wish::plain() }
}

async fn books(world: &World, account: &Account) -> (i64, i64) {
    world.balance(account, "total").await
}

/// Whose cap refused it, and what is left there.
async fn refused(world: &World, wish: &Wish) -> (Account, i64) {
    match world.open(wish).await {
        Err(OpenError::OverBudget { booking, left }) => (booking.account, left.get()),
        other => panic!("{other:?}"),
    }
}

pub async fn all_or_nothing(world: World) {
    let (ci, alice) = (key("acme", "ci"), user("acme", "u-1"));
    assert_eq!(refused(&world, &named(Some(CLIP), Some(CLIP - 1))).await, (alice.clone(), CLIP - 1));
    assert_eq!(refused(&world, &named(Some(CLIP - 1), Some(CLIP))).await, (ci.clone(), CLIP - 1));
    assert_eq!(refused(&world, &Wish { tenant_cap: Some(1), ..named(Some(0), Some(0)) }).await, (tenant("acme"), 1), "in order");
    for account in [&Account::Gateway, &tenant("acme"), &ci, &alice] {
        assert_eq!(books(&world, account).await, (0, 0), "{account}");
    }

    let wish = named(Some(2 * CLIP), Some(2 * CLIP));
    let (made, failed) = (world.running(&wish, "up-1").await, world.running(&wish, "up-2").await);
    assert_eq!(refused(&world, &wish).await, (ci.clone(), 0));
    assert_eq!(refused(&world, &Wish { key: Some(("web", Some(CLIP))), ..wish.clone() }).await, (alice.clone(), 0));
    world.open(&Wish { key: Some(("web", Some(CLIP))), user: Some(("u-2", Some(CLIP))), ..wish.clone() }).await.unwrap();
    world.see(&made, Event::Finished).await;
    world.see(&failed, Event::Failed).await;
    for account in [&ci, &alice] {
        assert_eq!(books(&world, account).await, (0, CLIP), "{account}: one was made, one given back");
    }
    // The same names of another tenant are others.
    world.open(&Wish { tenant: "rival", ..named(Some(CLIP), Some(CLIP)) }).await.unwrap();
    assert_eq!(refused(&world, &named(Some(CLIP - 1), None)).await, (ci, 0), "lowered below what is spent");
}

pub async fn passed(world: World) {
    let free = |cap| Wish { ceiling: 0, price: 0, tenant_cap: Some(cap), ..Wish::plain() };
    world.running(&Wish::plain(), "up-1").await;
    world.open(&free(CLIP)).await.unwrap();
    assert_eq!(refused(&world, &free(CLIP - 1)).await, (tenant("acme"), 0));
    assert_eq!(books(&world, &tenant("acme")).await, (CLIP, 0));
}

pub async fn exact(world: World) {
    let wish = named(None, Some(50 * CLIP));
    let opened = join_all((0..200).map(|_| world.open(&wish))).await;
    assert_eq!(opened.iter().filter(|result| result.is_ok()).count(), 50);
    assert_eq!(books(&world, &user("acme", "u-1")).await, (50 * CLIP, 0));
    assert_eq!(books(&world, &tenant("acme")).await, (50 * CLIP, 0), "what was refused is nowhere");
}

pub async fn newer_than_its_jobs(world: World) {
    let made = world.running(&named(None, None), "up-1").await;
    world.see(&made, Event::Finished).await;
    let running = world.running(&named(None, None), "up-2").await;
    world.open(&Wish { key: Some(("web", None)), user: None, ..Wish::plain() }).await.unwrap();
    world.open(&Wish { tenant: "rival", ..named(None, None) }).await.unwrap();
    let prospect = async |account: &Account| {
        let booking = Booking { account: account.clone(), ..Wish::plain().parts().0.bookings[0].clone() };
        let balance = world.store.prospect(&booking).await.unwrap();
        assert_eq!((balance.account.as_str(), balance.period.as_str()), (account.to_string().as_str(), "total"));
        (balance.held.get(), balance.spent.get())
    };
    let (ci, alice) = (key("acme", "ci"), user("acme", "u-1"));
    for account in [&ci, &alice] {
        assert_eq!((prospect(account).await, books(&world, account).await), ((CLIP, CLIP), (0, 0)), "{account}: as it would be");
    }
    assert_eq!(prospect(&Account::User(TenantName::new("acme"), None)).await, (CLIP, 0), "who names nobody");
    assert_eq!((prospect(&user("acme", "u-2")).await, prospect(&tenant("stranger")).await), ((0, 0), (0, 0)));

    assert_eq!(refused(&world, &named(Some(3 * CLIP - 1), None)).await, (key("acme", "ci"), CLIP - 1));
    assert_eq!(refused(&world, &named(None, Some(3 * CLIP - 1))).await, (user("acme", "u-1"), CLIP - 1));
    world.open(&named(Some(3 * CLIP), Some(3 * CLIP))).await.unwrap();
    world.see(&running, Event::Finished).await;
    for account in [&ci, &alice] {
        assert_eq!(books(&world, account).await, (CLIP, 2 * CLIP), "{account}");
        assert_eq!(prospect(account).await, (CLIP, 2 * CLIP), "{account}");
    }

    let later = Timestamp::from_secs(NOON.as_secs() + 100);
    let tomorrow = Period { key: "day:2".to_owned(), from: later, until: None };
    world.open(&Wish { period: tomorrow, at: later, ..named(Some(CLIP), Some(CLIP)) }).await.unwrap();
}

pub async fn any_name(world: World) {
    let long = ["x".repeat(256), format!("{}y", "x".repeat(255))];
    for name in [None, Some("-"), Some("a/b"), Some("%_' ünd\\"), Some(long[0].as_str()), Some(long[1].as_str())] {
        let account = Account::User(TenantName::new("acme"), name.map(str::to_owned));
        let (mut job, attempt) = Wish::plain().parts();
        job.end_user = name.map(str::to_owned);
        let mut booking = job.bookings[0].clone();
        (booking.account, booking.cap) = (account.clone(), Some(MicroUsd::new(CLIP)));
        job.bookings.push(booking);
        world.store.open_job(job, attempt).await.unwrap();
        assert_eq!(books(&world, &account).await, (CLIP, 0), "{account}");
        assert!(account.to_string().len() < 90, "{account}");
    }
}

pub async fn fullest(world: World) {
    // Half of one cap, all of another, a quarter of a third; and a rival's user of the same name, who has used least.
    let users = [("acme", "u-1", 2), ("acme", "u-2", 1), ("acme", "u-3", 4), ("rival", "u-1", 8), ("acmeb", "u-9", 3)];
    for (tenant, user, clips) in users {
        let wish = Wish { tenant, key: Some(("ci", Some(20 * CLIP))), user: Some((user, Some(clips * CLIP))), ..Wish::plain() };
        world.open(&wish).await.unwrap();
    }
    let told = async |of, who: Option<&str>, n| {
        let tenant = who.map(TenantName::new);
        let found = world.store.fullest(of, tenant.as_ref(), NOON, n).await.unwrap();
        found.into_iter().map(|balance| balance.account).collect::<Vec<_>>()
    };
    assert_eq!(told(Payers::Users, Some("acme"), 9).await, ["user:acme/u-2", "user:acme/u-1", "user:acme/u-3"]);
    assert_eq!(told(Payers::Users, None, 3).await, ["user:acme/u-2", "user:acme/u-1", "user:acmeb/u-9"]);
    assert_eq!(told(Payers::Keys, None, 9).await, ["key:acme/ci", "key:acmeb/ci", "key:rival/ci"]);
    assert!(told(Payers::Users, Some("nobody"), 9).await.is_empty());

    // What counted in a period that is over has used nothing of the next.
    let later = Timestamp::from_secs(NOON.as_secs() + 100);
    let short = Period { key: "day:1".to_owned(), from: NOON, until: Some(later) };
    world.open(&Wish { tenant: "brief", period: short, ..named(None, Some(CLIP)) }).await.unwrap();
    assert_eq!(told(Payers::Users, Some("brief"), 9).await, ["user:brief/u-1"]);
    assert!(world.store.fullest(Payers::Users, Some(&TenantName::new("brief")), later, 9).await.unwrap().is_empty());
}
