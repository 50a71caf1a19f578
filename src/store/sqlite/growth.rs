//! What is asked often, and must not take longer the more there is in the books: counted in steps of SQLite's machine,
//! which are the same on any computer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rusqlite::{Connection, Error};

use super::writer::Tx;
use super::{Sqlite, books, money, queue, write};
use crate::id::TenantName;
use crate::job::{Event, step};
use crate::store::contract::{Folder, NOON, Wish, block_on};
use crate::store::{Facts, Job, NewPlace, OpenError, Payers, Store as _};

/// How many steps a question takes.
fn steps<T, E: std::fmt::Debug>(file: &Folder, ask: impl FnOnce(&Connection) -> Result<T, E>) -> u64 {
    let (mut conn, taken) = (Connection::open(file.file()).unwrap(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&taken);
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    conn.progress_handler(1, Some(count)).unwrap();
    ask(&conn).unwrap();
    taken.load(Ordering::Relaxed)
}

/// Books with a finished job, and so many end users who have a balance each.
fn with_users(users: u32) -> Folder {
    let folder = Folder::new();
    let store = Sqlite::open(&folder.file()).unwrap();
    block_on(async {
        let (job, attempt) = Wish { user: Some(("u-1", Some(8_000_000))), ..Wish::plain() }.parts();
        let job = store.open_job(job, attempt).await.unwrap();
        store.apply(&job, step(job.state, Event::Rejected).unwrap(), Facts::default(), NOON).await.unwrap();
    });
    drop(store);
    let more = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {users})
         INSERT INTO balances SELECT 'user:acme/x' || i, 'total', 0, NULL, 0, 0, 1 FROM n WHERE {users} > 0;
         INSERT INTO current_periods SELECT account, period FROM balances WHERE account LIKE 'user:acme/x%'"
    );
    Connection::open(folder.file()).unwrap().execute_batch(&more).unwrap();
    folder
}

#[test]
fn an_overview_does_not_look_at_end_users() {
    let overview = |users| steps(&with_users(users), books::overview);
    assert_eq!(overview(200_000), overview(0));
}

#[test]
fn who_has_used_most_is_found_in_one_walk() {
    let range = Payers::Users.range(None);
    let fullest = |users| steps(&with_users(users), |conn| books::fullest(conn, &range, NOON, 50));
    let (some, twice) = (fullest(10_000), fullest(20_000));
    assert!(twice < 2 * some && twice < 20_000 * 50, "{some} steps for 10,000, {twice} for 20,000");
}

/// Books with a job on its route, and so many that stand in line for that.
fn with_waiting(jobs: usize) -> Folder {
    let folder = Folder::new();
    let store = Sqlite::open(&folder.file()).unwrap();
    block_on(async {
        let (job, attempt) = Wish::plain().parts();
        store.open_job(job, attempt).await.unwrap();
        let lined = (0..jobs).map(|_| {
            let (job, first) = Wish::plain().parts();
            store.line_up(job, first, place())
        });
        assert!(join_all(lined).await.iter().all(Result::is_ok));
    });
    folder
}

fn place() -> NewPlace {
    let until = NOON.after(Duration::from_secs(60));
    NewPlace { lane: "north".to_owned(), until, max: u32::MAX, wish: "{}".to_owned(), upload: None }
}

/// One comes, and its turn comes, and it ends.
fn a_turn(conn: &Connection) -> Result<(), OpenError> {
    let mut tx = Tx { conn, changed: &mut Vec::new() };
    let (wish, first) = Wish::plain().parts();
    let job = queue::line_up(&mut tx, &wish, &first, &place())?;
    let job: Arc<Job> = write::open_attempt(&mut tx, job.id, job.version, &Wish::plain().attempt())?;
    let end = step(job.state, Event::Rejected).unwrap();
    write::apply(&mut tx, job.id, job.version, end, Facts::default(), NOON).unwrap();
    // One that waits is deleted.
    let (wish, first) = Wish::plain().parts();
    let job = queue::line_up(&mut tx, &wish, &first, &place())?;
    let end = step(job.state, Event::Exhausted).unwrap();
    write::apply(&mut tx, job.id, job.version, end, Facts::default(), NOON).unwrap();
    write::remove(&mut tx, &job.tenant, job.id, NOON)?;
    Ok(())
}

#[test]
fn a_turn_takes_as_long_when_many_wait() {
    let [short, long] = [20, 2_000].map(with_waiting);
    assert_eq!(steps(&long, a_turn), steps(&short, a_turn));
}

type Asked<'a> = &'a dyn Fn(&Connection) -> Result<(), Error>;

#[test]
fn the_ends_of_a_line_are_as_near_when_it_is_long() {
    let [short, long] = [20, 2_000].map(with_waiting);
    let (home, acme) = (Wish::plain().home(), TenantName::new("acme"));
    let asked: [(&str, Asked<'_>); 4] = [
        ("lines", &|conn| queue::lines(conn).map(drop)),
        ("heads", &|conn| queue::heads(conn, &acme, "north", None, 16).map(drop)),
        ("places taken", &|conn| money::places_taken_in(conn, &home).map(drop)),
        ("whose time is up", &|conn| queue::out_of_time(conn, NOON, 500).map(drop)),
    ];
    for (what, ask) in asked {
        let (of_short, of_long) = (steps(&short, ask), steps(&long, ask));
        assert_eq!(of_long, of_short, "{what}");
    }
}
