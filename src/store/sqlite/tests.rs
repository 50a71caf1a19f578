//! What is SQLite's own: the file, the writer's batches, and what the schema itself forbids.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::mpsc;

use futures_util::future::join_all;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Sqlite;
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::job::{Event, State, step};
use crate::store::contract::{Folder, NOON, Wish, block_on};
use crate::store::{ApplyError, Facts, OpenError, Store as _, StoreError};

fn open(folder: &Folder) -> Sqlite {
    Sqlite::open(&folder.file()).unwrap()
}

/// What a refusal to open says.
fn refusal(path: &Path) -> String {
    match Sqlite::open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

async fn open_one(store: &Sqlite) -> Result<crate::id::JobId, OpenError> {
    let (job, attempt) = Wish::plain().parts();
    store.open_job(job, attempt).await.map(|job| job.id)
}

/// Copies what a crash would leave behind of an open database.
fn crash(folder: &Folder, leave_out: &str) -> Folder {
    let left = Folder::new();
    for suffix in ["", "-wal", ".lock"] {
        if suffix != leave_out {
            let name = format!("gateway.db{suffix}");
            fs::copy(folder.0.join(&name), left.0.join(&name)).unwrap();
        }
    }
    left
}

#[test]
fn the_files_are_private_and_gone_but_for_two_when_closed() {
    let folder = Folder::new();
    let store = open(&folder);
    block_on(open_one(&store)).unwrap();
    for name in ["gateway.db", "gateway.db-wal", "gateway.db.lock"] {
        assert_eq!(fs::metadata(folder.0.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    drop(store);
    let mut names: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["gateway.db", "gateway.db.lock"]);
}

#[test]
fn a_second_gateway_is_refused_while_the_first_runs() {
    let folder = Folder::new();
    let first = open(&folder);
    assert!(refusal(&folder.file()).contains("another gateway is running"));
    let link = folder.0.join("link.db");
    std::os::unix::fs::symlink(folder.file(), &link).unwrap();
    assert!(refusal(&link).contains("another gateway is running"));
    drop(first);
    open(&folder);
}

#[test]
fn what_was_answered_survives_a_crash() {
    let folder = Folder::new();
    let store = open(&folder);
    let mut left = Vec::new();
    for _ in 0..5 {
        let id = block_on(open_one(&store)).unwrap();
        left.push((id, crash(&folder, "nothing")));
    }
    for (id, left) in left {
        let store = open(&left);
        assert!(block_on(store.recover(NOON)).is_ok());
        let (job, _, ledger) = block_on(store.job_file(id)).unwrap().unwrap();
        assert_eq!((job.state, ledger.len()), (State::Unknown, 1));
        assert_eq!(block_on(store.audit()), Ok(Vec::new()));
    }
}

#[test]
fn an_empty_ledger_is_never_begun_where_one_has_been() {
    let folder = Folder::new();
    drop(open(&folder));
    fs::remove_file(folder.file()).unwrap();
    let said = refusal(&folder.file());
    assert!(said.contains("missing") && said.contains("gateway.db.lock"), "{said}");
    assert!(!folder.file().exists());

    fs::remove_file(folder.0.join("gateway.db.lock")).unwrap();
    open(&folder);
}

#[test]
fn a_database_that_was_swapped_is_refused() {
    let (ours, theirs) = (Folder::new(), Folder::new());
    drop(open(&ours));
    drop(open(&theirs));
    fs::copy(theirs.file(), ours.file()).unwrap();
    assert!(refusal(&ours.file()).contains("not the database that was here before"));
}

#[test]
fn an_older_copy_of_the_database_is_marked_as_one() {
    let folder = Folder::new();
    drop(open(&folder));
    let copy = folder.0.join("copy.db");
    fs::copy(folder.file(), &copy).unwrap();
    let store = open(&folder);
    block_on(open_one(&store)).unwrap();
    drop(store);
    let newer = fs::read(folder.file()).unwrap();

    fs::write(folder.file(), newer).unwrap();
    assert_eq!(block_on(open(&folder).reconciling()), Ok(None), "it is the newest there is");
    fs::copy(&copy, folder.file()).unwrap();
    assert_eq!(block_on(open(&folder).reconciling()), Ok(Some(Timestamp::from_ms(0))));
    assert_eq!(block_on(open(&folder).reconciling()), Ok(Some(Timestamp::from_ms(0))), "until somebody has looked");
    assert_eq!(block_on(open(&folder).reconciled()), Ok(true));
    assert_eq!(block_on(open(&folder).reconciling()), Ok(None));
}

/// A copy that was made while the gateway ran has been opened as often as what it is a copy of.
#[test]
fn a_copy_of_the_same_run_is_marked_as_one() {
    let folder = Folder::new();
    let store = open(&folder);
    block_on(open_one(&store)).unwrap();
    let copy = folder.0.join("copy.db");
    Connection::open(folder.file()).unwrap().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    block_on(open_one(&store)).unwrap();
    drop(store);
    fs::copy(&copy, folder.file()).unwrap();
    assert_eq!(block_on(open(&folder).reconciling()), Ok(Some(NOON)));
}

#[test]
fn a_database_without_its_lock_file_comes_from_elsewhere() {
    let folder = Folder::new();
    let store = open(&folder);
    block_on(open_one(&store)).unwrap();
    let left = crash(&folder, "-wal");
    assert!(refusal(&left.file()).contains("--reconcile-only"));
    let store = Sqlite::open_restored(&left.file()).unwrap();
    assert!(matches!(block_on(store.reconciling()), Ok(Some(_))), "it is said to be a backup");
    let left = crash(&folder, ".lock");
    assert_eq!(block_on(open(&left).reconciling()), Ok(Some(NOON)));
}

#[test]
fn a_log_that_is_missing_after_a_crash_is_refused() {
    let folder = Folder::new();
    let store = open(&folder);
    block_on(open_one(&store)).unwrap();
    let left = crash(&folder, "-wal");
    assert!(refusal(&left.file()).contains("write-ahead log"), "{}", refusal(&left.file()));
}

#[test]
fn files_that_are_not_ours_or_not_whole_are_refused_and_left_alone() {
    let folder = Folder::new();
    let file = folder.file();
    for bytes in [&b""[..], b"hello, I am a text and not a database at all", &[0; 8192]] {
        fs::write(&file, bytes).unwrap();
        refusal(&file);
        assert_eq!(fs::read(&file).unwrap(), bytes);
    }
    fs::remove_file(&file).unwrap();
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(refusal(&file).contains("not a gateway's database"));
    fs::remove_file(&file).unwrap();

    let store = open(&folder);
    for _ in 0..20 {
        block_on(open_one(&store)).unwrap();
    }
    drop(store);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    refusal(&file);

    fs::write(&file, &whole).unwrap();
    fs::File::options().write(true).open(&file).unwrap().write_all_at(&[0xa5; 1024], 4096 * 3).unwrap();
    refusal(&file);

    fs::write(&file, &whole).unwrap();
    open(&folder);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = Folder::new();
    let path = folder.0.join("nowhere").join("gateway.db");
    assert!(refusal(&path).contains("nowhere"));
}

#[test]
fn a_database_with_another_past_is_refused() {
    let folder = Folder::new();
    drop(open(&folder));
    let change = |sql: &str| Connection::open(folder.file()).unwrap().execute_batch(sql).unwrap();
    change("INSERT INTO migrations (name, checksum) VALUES ('9999_later', 'x')");
    assert!(refusal(&folder.file()).contains("newer gateway"));
    change("DELETE FROM migrations WHERE name = '9999_later'");
    open(&folder);
    change("UPDATE migrations SET checksum = 'x'");
    assert!(refusal(&folder.file()).contains("0001_start"));
}

/// A database of the first version: one job that was lost, which was an end then, and one that runs.
const FIRST_VERSION: &str = "
    INSERT INTO jobs (id, tenant, state, version, operation, model, prompt, seconds, size, hidden_inputs, ceiling_microusd, price_microusd,
        cost_microusd, attempts, attempt, route, upstream_model, upstream_id, progress, created_at_ms, attempted_at_ms, ended_at_ms, due_at_ms)
    VALUES ('video_0193f5e0a0007000800000000000000a', 'acme', 'lost', 3, 'create', 'sora-2', 'a kite', 8, '720x1280', 0, 800000, 800000,
            800000, 1, 'att_0193f5e0a0007000800000000000000a', 'north', 'sora-2', 'up-1', 0, 1, 1, 2, 1),
           ('video_0193f5e0a0007000800000000000000b', 'acme', 'running', 3, 'create', 'sora-2', 'a kite', 8, '720x1280', 0, 800000, 800000,
            NULL, 1, 'att_0193f5e0a0007000800000000000000b', 'north', 'sora-2', 'up-2', 0, 1, 1, NULL, 1);
    INSERT INTO attempts (id, job_id, number, route, upstream_model, seconds, size, price_microusd, upstream_id, created_at_ms)
    SELECT attempt, id, 1, route, upstream_model, seconds, size, price_microusd, upstream_id, 1 FROM jobs;
    INSERT INTO ledger (job_id, kind, amount_microusd, at_ms) SELECT id, 'hold', 800000, 1 FROM jobs;
    INSERT INTO ledger (job_id, kind, amount_microusd, at_ms) SELECT id, 'settle', 800000, 2 FROM jobs WHERE state = 'lost';
    INSERT INTO balances VALUES ('tenant:acme', 'total', 0, NULL, 800000, 800000, NULL), ('route:north', 'total', 0, NULL, 800000, 800000, NULL);
    INSERT INTO bookings SELECT id, account, period, 800000 FROM jobs, balances;
    INSERT INTO in_flight VALUES ('tenant:acme', 1), ('route:north', 1);
    INSERT INTO meta VALUES ('identity', '0193f5e0-a000-7000-8000-00000000000c'), ('signing_key', zeroblob(32));
";

#[test]
fn a_database_of_the_first_version_is_brought_up_to_date() {
    let folder = Folder::new();
    let first = include_str!("0001_start.sql");
    let conn = Connection::open(folder.file()).unwrap();
    conn.pragma_update(None, "application_id", 0x4667_6174).unwrap();
    conn.execute_batch("CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL) STRICT").unwrap();
    conn.execute_batch(first).unwrap();
    conn.execute("INSERT INTO migrations (name, checksum) VALUES ('0001_start', ?1)", [super::migrate::checksum(first)]).unwrap();
    conn.execute_batch(FIRST_VERSION).unwrap();
    drop(conn);

    let store = open(&folder);
    let jobs = block_on(store.latest_jobs(None, None, 10)).unwrap();
    let states: Vec<State> = jobs.iter().map(|job| job.state).collect();
    assert_eq!(states, [State::Running, State::Failed]);
    assert_eq!(block_on(store.audit()), Ok(Vec::new()));
    let finish = step(State::Running, Event::Finished).unwrap();
    block_on(store.apply(&jobs[0], finish, Facts::default(), NOON)).unwrap();
    assert_eq!(block_on(store.audit()), Ok(Vec::new()));
}

#[test]
fn the_schema_itself_forbids_what_must_not_be() {
    let folder = Folder::new();
    let store = open(&folder);
    let id = block_on(async {
        let (job, attempt) = Wish::plain().parts();
        let job = store.open_job(job, attempt).await.unwrap();
        let end = step(State::Submitting, Event::Rejected).unwrap();
        store.apply(&job, end, Facts::default(), NOON).await.unwrap().id
    });
    drop(store);

    let conn = Connection::open(folder.file()).unwrap();
    for sql in [
        "UPDATE ledger SET amount_microusd = 1",
        "DELETE FROM ledger",
        "INSERT INTO ledger (job_id, kind, amount_microusd, at_ms) SELECT id, 'settle', 1, 1 FROM jobs",
        "INSERT INTO ledger (job_id, kind, amount_microusd, at_ms) SELECT id, 'hold', 1, 1 FROM jobs",
        "INSERT INTO ledger (job_id, kind, amount_microusd, at_ms) SELECT id, 'bonus', 1, 1 FROM jobs",
        "UPDATE jobs SET state = 'running', ended_at_ms = NULL, cost_microusd = NULL",
        "UPDATE jobs SET cost_microusd = 1",
        "DELETE FROM jobs",
        "UPDATE balances SET held_microusd = -1",
        "UPDATE balances SET spent_microusd = 9223372036854775807 + 1",
        "UPDATE in_flight SET jobs = -1",
    ] {
        assert!(conn.execute_batch(sql).is_err(), "{sql}");
    }
    drop(conn);
    assert_eq!(block_on(open(&folder).audit()), Ok(Vec::new()), "{id}");
}

#[test]
fn an_audit_finds_what_was_tampered_with() {
    for sql in [
        "UPDATE balances SET held_microusd = held_microusd + 1 WHERE account = 'gateway'",
        "UPDATE balances SET spent_microusd = spent_microusd + 1 WHERE account = 'route:north'",
        "UPDATE bookings SET amount_microusd = 1 WHERE account = 'route:north'",
        "INSERT INTO ledger (job_id, kind, amount_microusd, at_ms) SELECT id, 'settle', 1, 1 FROM jobs",
        "UPDATE in_flight SET jobs = 7 WHERE account = 'tenant:acme'",
    ] {
        let folder = Folder::new();
        let store = open(&folder);
        block_on(open_one(&store)).unwrap();
        drop(store);
        Connection::open(folder.file()).unwrap().execute_batch(sql).unwrap();
        assert_ne!(block_on(open(&folder).audit()), Ok(Vec::new()), "{sql}");
    }
}

#[test]
fn what_would_leave_less_than_nothing_is_not_written_and_nothing_of_it_stays() {
    for sql in [
        "UPDATE balances SET held_microusd = held_microusd - 1 WHERE account = 'gateway'",
        "UPDATE balances SET spent_microusd = 9223372036854775807 WHERE account = 'route:north'",
        "UPDATE in_flight SET jobs = 0 WHERE account = 'tenant:acme'",
        "DELETE FROM bookings",
    ] {
        let folder = Folder::new();
        let store = open(&folder);
        let (job, attempt) = Wish::plain().parts();
        let job = block_on(store.open_job(job, attempt)).unwrap();
        let accept = step(State::Submitting, Event::Accepted).unwrap();
        let job = block_on(store.apply(&job, accept, Facts { upstream_id: Some("up-1".to_owned()), ..Facts::default() }, NOON)).unwrap();
        Connection::open(folder.file()).unwrap().execute_batch(sql).unwrap();
        let all = "SELECT group_concat(account || held_microusd || ' ' || spent_microusd) || (SELECT group_concat(account || jobs) FROM in_flight)
            || (SELECT count(*) FROM ledger) || (SELECT state || version FROM jobs) FROM balances";
        let as_it_is = || Connection::open(folder.file()).unwrap().query_row(all, [], |row| row.get::<_, String>(0)).unwrap();
        let before = as_it_is();

        let finish = step(State::Accepted, Event::Finished).unwrap();
        let refused = block_on(store.apply(&job, finish, Facts::default(), NOON));
        assert!(matches!(refused, Err(ApplyError::Store(StoreError::Damaged(_)))), "{sql}: {refused:?}");
        assert_eq!(as_it_is(), before, "{sql}");
        assert_eq!(block_on(store.job(&job.tenant, job.id)), Ok(Some(job)), "{sql}");
    }
}

/// Keeps the writer busy with a batch of its own until all of `work` is queued, so that it makes the next one.
async fn in_one_batch<T>(store: &Sqlite, work: impl Future<Output = T>) -> T {
    let (began, begun) = oneshot::channel();
    let (go, wait) = mpsc::channel();
    let busy = store.writer.write(move |_: &mut Tx<'_>| {
        began.send(()).unwrap();
        wait.recv().map_err(|error| StoreError::Unavailable(error.to_string()))
    });
    let queue = async {
        begun.await.unwrap();
        // In this order: by the time it is let go, `work` has been polled, and has queued all it has.
        futures_util::join!(work, async { go.send(()).unwrap() }).0
    };
    let (busy, done) = futures_util::join!(busy, queue);
    busy.unwrap();
    done
}

fn spoil(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.conn.execute_batch(
        "PRAGMA defer_foreign_keys = ON; INSERT INTO ledger (job_id, kind, amount_microusd, at_ms) VALUES ('x', 'hold', 1, 1)",
    )?;
    Ok(())
}

#[test]
fn a_commit_that_fails_is_told_to_everybody_and_nothing_stays() {
    let folder = Folder::new();
    let store = open(&folder);
    block_on(async {
        let (job, attempt) = Wish::plain().parts();
        let (tenant, id) = (job.tenant.clone(), job.id);
        let (refused_job, mut refused) = Wish::plain().parts();
        refused.in_flight_max = Some(0);
        let work =
            async { futures_util::join!(store.open_job(job, attempt), store.open_job(refused_job, refused), store.writer.write(spoil)) };
        let (opened, refused, spoilt) = in_one_batch(&store, work).await;
        assert!(matches!(opened, Err(OpenError::Store(_))), "{spoilt:?} {opened:?}");
        assert!(matches!(refused, Err(OpenError::Store(_))), "a refusal may rest on what was not written: {refused:?}");
        assert!(spoilt.is_err());
        assert_eq!(store.job(&tenant, id).await, Ok(None));
        open_one(&store).await.unwrap();
        assert_eq!(store.audit().await, Ok(Vec::new()));
    });
}

#[test]
fn facts_that_wait_are_committed_together_and_refused_alone() {
    let folder = Folder::new();
    let store = open(&folder);
    block_on(async {
        let wish = Wish { route_max: Some(40), ..Wish::plain() };
        let opens = join_all((0..64).map(|_| {
            let (job, attempt) = wish.parts();
            store.open_job(job, attempt)
        }));
        let opened = in_one_batch(&store, opens).await;
        assert_eq!(opened.iter().filter(|result| result.is_ok()).count(), 40);
        assert_eq!(store.audit().await, Ok(Vec::new()));
        assert_eq!(store.latest_jobs(None, None, 100).await.unwrap().len(), 40);
    });
}

#[test]
fn a_full_disk_refuses_money_and_goes_on_reading() {
    let folder = Folder::new();
    let store = open(&folder);
    let limit = |pages: u32| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        block_on(store.writer.write(move |tx| Ok::<_, StoreError>(tx.conn.query_row(&sql, [], |_| Ok(()))?))).unwrap();
    };
    limit(1);
    let (mut made, mut refused) = (Vec::new(), 0);
    for _ in 0..300 {
        match block_on(open_one(&store)) {
            Ok(id) => made.push(id),
            Err(OpenError::Store(StoreError::Unavailable(why))) => {
                assert!(why.contains("full"), "{why}");
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 0 && !made.is_empty());
    for id in &made {
        assert!(block_on(store.job_file(*id)).unwrap().is_some());
    }
    assert_eq!(block_on(store.audit()), Ok(Vec::new()));

    limit(1_000_000);
    made.push(block_on(open_one(&store)).unwrap());
    assert_eq!(block_on(store.latest_jobs(None, None, 1_000)).unwrap().len(), made.len());
    assert_eq!(block_on(store.audit()), Ok(Vec::new()));
}

#[test]
fn a_row_that_we_did_not_write_is_damage_and_not_a_guess() {
    let folder = Folder::new();
    let store = open(&folder);
    block_on(open_one(&store)).unwrap();
    drop(store);
    Connection::open(folder.file()).unwrap().execute_batch("UPDATE jobs SET size = 'wide'").unwrap();
    assert!(refusal(&folder.file()).contains("\"wide\" is not a size"));
}

#[test]
fn a_job_that_fell_out_of_memory_is_read_from_disk() {
    let folder = Folder::new();
    let store = open(&folder);
    let id = block_on(open_one(&store)).unwrap();
    let tenant = crate::id::TenantName::new("acme");
    let before = block_on(store.job(&tenant, id)).unwrap().unwrap();
    store.recent.clear();
    assert_eq!(block_on(store.job(&tenant, id)), Ok(Some(before)));
    assert!(store.recent.is_empty(), "only the writer fills it");
    block_on(store.recover(Timestamp::from_ms(1))).unwrap();
    assert_eq!(store.recent.get(&id).unwrap().state, State::Unknown);
}
