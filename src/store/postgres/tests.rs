//! What is PostgreSQL's own: several replicas over one server, a server that is killed, and what is refused.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;

use super::Postgres;
use crate::budget::Account;
use crate::id::{AttemptId, JobId, TenantName};
use crate::job::{Event, State, step};
use crate::store::contract::cluster::{Books, Cluster, query};
use crate::store::contract::{Emptied, NOON, Wish};
use crate::store::{ApplyError, Facts, Job, NewAttempt, OpenError, Store as _, StoreError};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// Gateways on the same books.
async fn replicas(books: &Books, count: usize) -> Vec<Arc<Postgres>> {
    join_all((0..count).map(|_| async { Arc::new(Postgres::open(&books.address).await.unwrap()) })).await
}

async fn open(store: &Postgres, wish: &Wish) -> Result<Arc<Job>, OpenError> {
    let (job, attempt) = wish.parts();
    store.open_job(job, attempt).await
}

async fn refusal(address: &str) -> String {
    Postgres::open(address).await.err().expect("it was opened").to_string()
}

/// 31 jobs fit under the gateway's cap; sixteen tasks at each of three replicas ask for 192, for three tenants, and
/// do not agree on the cap: whoever knows the lower one stops there.
#[test]
fn three_replicas_reach_a_cap_and_never_pass_it() {
    let database = Emptied::new();
    block_on(async {
        let stores = replicas(&database.books, 3).await;
        let cap = |tenant, jobs: i64| Wish { tenant, gateway_cap: Some(jobs * 800_000 + 799_999), ..Wish::plain() };
        let tasks = (0..48_usize).map(|task| {
            let store = Arc::clone(&stores[task % 3]);
            async move {
                let mut opened = 0;
                for n in 0..4 {
                    let tenant = ["acme", "rival", "guest"][(task + n) % 3];
                    match open(&store, &cap(tenant, if (task + n) % 2 == 0 { 31 } else { 20 })).await {
                        Ok(_) => opened += 1,
                        Err(OpenError::OverBudget { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
                opened
            }
        });
        assert_eq!(join_all(tasks).await.iter().sum::<i32>(), 31);
        let balance = stores[0].balance(&Account::Gateway, "total").await.unwrap().unwrap();
        assert_eq!(balance.held.get(), 31 * 800_000, "reached, and not passed");
        assert_eq!(stores[1].audit().await, Ok(Vec::new()));
    });
}

/// Whoever comes first with a tenant, an end user or a route adds their accounts. Two who each had what the other
/// waits for would stand for a second, until the server ends one of them.
#[test]
fn those_who_come_first_do_not_stand_in_each_others_way() {
    let cluster = Arc::new(Cluster::start());
    let database = Emptied::on(Arc::clone(&cluster));
    block_on(async {
        let stores = replicas(&database.books, 3).await;
        for tenant in ["acme", "bravo", "chess", "delta", "early", "final"] {
            let wishes = (0..24_usize).map(|task| {
                let user = Some((["ann", "bob", "cy"][task % 3], Some(99_000_000)));
                let wish = Wish { tenant, route: ["north", "south"][task % 2], user, ..Wish::plain() };
                let store = Arc::clone(&stores[task % 3]);
                async move { open(&store, &wish).await.map(drop) }
            });
            assert_eq!(join_all(wishes).await, vec![Ok(()); 24]);
        }
        assert_eq!(stores[0].audit().await, Ok(Vec::new()));
    });
    // The server counts what a connection met when that ends.
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    while cluster.sql(connected)[0][0] != "0" {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(cluster.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0], "0");
}

#[test]
fn who_reads_does_not_wait_for_those_who_wait_for_an_account() {
    let database = Emptied::new();
    block_on(async {
        let store = Arc::new(Postgres::open(&database.books.address).await.unwrap());
        let job = open(&store, &Wish::plain()).await.unwrap();
        let (mut other, connection) = tokio_postgres::connect(&database.books.address, tokio_postgres::NoTls).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { connection.await.map_err(|error| error.to_string()) });
        let held = other.transaction().await.unwrap();
        held.execute("SELECT FROM current_periods WHERE account = 'gateway' FOR UPDATE", &[]).await.unwrap();
        for _ in 0..48 {
            let store = Arc::clone(&store);
            tasks.spawn(async move { open(&store, &Wish::plain()).await.map(drop).map_err(|error| error.to_string()) });
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let read = tokio::time::timeout(Duration::from_secs(1), store.job(&job.tenant, job.id)).await;
        assert_eq!(read, Ok(Ok(Some(job))));
        held.commit().await.unwrap();
        drop(other);
        assert_eq!(tasks.join_all().await, vec![Ok(()); 49]);
        assert_eq!(store.places_taken(&Account::Tenant(TenantName::new("acme"))).await, Ok(49));
    });
}

/// What is written and not asked about is sent together with the COMMIT.
#[test]
fn a_statement_that_fails_right_before_the_commit_takes_everything_with_it() {
    let database = Emptied::new();
    block_on(async {
        let store = Postgres::open(&database.books.address).await.unwrap();
        let (job, attempt) = Wish::plain().parts();
        store.open_job(job.clone(), attempt.clone()).await.unwrap();
        let again = store.open_job(job.clone(), NewAttempt { id: AttemptId::mint(), ..attempt }).await;
        assert!(matches!(again, Err(OpenError::Store(StoreError::Damaged(_)))), "{again:?}");
        let balance = store.balance(&Account::Gateway, "total").await.unwrap().unwrap();
        assert_eq!(balance.held, job.ceiling, "held once");
        assert_eq!(store.audit().await, Ok(Vec::new()));
    });
}

#[test]
fn what_one_replica_learns_another_answers_at_once() {
    let database = Emptied::new();
    block_on(async {
        let stores = replicas(&database.books, 2).await;
        let mut job = open(&stores[0], &Wish::plain()).await.unwrap();
        for event in [Event::Accepted, Event::Running, Event::Finished] {
            job = stores[1].apply(&job, step(job.state, event).unwrap(), Facts::default(), NOON).await.unwrap();
            assert_eq!(stores[0].job(&TenantName::new("acme"), job.id).await, Ok(Some(Arc::clone(&job))));
        }
    });
}

#[test]
fn what_a_living_replica_sends_is_left_to_it() {
    let database = Emptied::new();
    block_on(async {
        let mut stores = replicas(&database.books, 2).await;
        let sending = open(&stores[0], &Wish::plain()).await.unwrap();
        assert_eq!(stores[1].recover(NOON).await, Ok(0), "its gateway lives");
        drop(stores.remove(0));
        let mut found = 0;
        for _ in 0..100 {
            found += stores[0].recover(NOON).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(found, 1, "once, after it is gone");
        let now = stores[0].job(&sending.tenant, sending.id).await.unwrap().unwrap();
        assert_eq!(now.state, State::Unknown);
        let late = step(State::Submitting, Event::Accepted).unwrap();
        assert_eq!(stores[0].apply(&sending, late, Facts::default(), NOON).await, Err(ApplyError::Moved));
    });
}

/// Lives as many jobs as it can until `until`; which of them were acknowledged.
async fn live(store: &Postgres, until: tokio::time::Instant) -> Vec<JobId> {
    let mut acknowledged = Vec::new();
    while tokio::time::Instant::now() < until {
        let Ok(mut job) = open(store, &Wish::plain()).await else { continue };
        acknowledged.push(job.id);
        for event in [Event::Accepted, Event::Finished] {
            let facts = Facts { upstream_id: Some(job.id.to_string()), ..Facts::default() };
            match store.apply(&job, step(job.state, event).unwrap(), facts, NOON).await {
                Ok(moved) => job = moved,
                Err(ApplyError::Store(StoreError::Unavailable(_))) => break,
                Err(other) => panic!("nobody else moves it: {other}"),
            }
        }
    }
    acknowledged
}

/// Connections are cut in the middle of everything, COMMIT included, and the server is killed.
#[test]
fn a_server_that_is_killed_forgets_nothing_that_it_confirmed() {
    let cycles = if std::env::var_os("FILMGATE_LONG").is_some() { 200 } else { 3 };
    let cluster = Cluster::start();
    let books = cluster.books();
    block_on(async {
        let stores = replicas(&books, 3).await;
        let mut acknowledged = HashSet::new();
        for _ in 0..cycles {
            let until = tokio::time::Instant::now() + Duration::from_secs(2);
            let living = join_all((0..12).map(|task| {
                let store = Arc::clone(&stores[task % 3]);
                async move { live(&store, until).await }
            }));
            let killing = async {
                for _ in 0..3 {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    cluster.sql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> '' AND pid <> pg_backend_pid()",
                    );
                }
                tokio::task::block_in_place(|| {
                    cluster.stop_at_once();
                    cluster.start_again();
                });
            };
            let (lived, ()) = futures_util::join!(living, killing);
            acknowledged.extend(lived.into_iter().flatten());
        }
        assert!(acknowledged.len() > 10, "only {} jobs were opened", acknowledged.len());
        for id in &acknowledged {
            let found = stores[0].job(&TenantName::new("acme"), *id).await.unwrap();
            assert!(found.is_some(), "{id} was acknowledged and is gone");
        }
        assert_eq!(stores[0].audit().await, Ok(Vec::new()));
    });
}

#[test]
fn a_server_that_may_lose_what_it_confirmed_is_refused() {
    let database = Emptied::new();
    block_on(async {
        let hasty = format!("{}%20-c%20synchronous_commit%3Doff", database.books.address);
        assert!(refusal(&hasty).await.contains("synchronous_commit = off"), "{}", refusal(&hasty).await);
        for enough in ["local", "remote_write", "remote_apply"] {
            let address = format!("{}%20-c%20synchronous_commit%3D{enough}", database.books.address);
            assert!(Postgres::open(&address).await.is_ok(), "{enough}");
        }
    });
}

#[test]
fn books_of_a_newer_gateway_and_other_books_are_refused() {
    let ours = Emptied::new();
    block_on(async {
        let store = Postgres::open(&ours.books.address).await.unwrap();
        query(&ours.books.address, "INSERT INTO migrations VALUES (1000, '1000_later', '')");
        assert!(refusal(&ours.books.address).await.contains("newer gateway"));
        query(&ours.books.address, "DELETE FROM migrations WHERE number = 1000; UPDATE migrations SET checksum = 'x' WHERE number = 1");
        assert!(refusal(&ours.books.address).await.contains("0001_start"));

        // Another database answers at the address from now on, as after a failover that went wrong.
        query(&ours.books.address, "UPDATE meta SET value = 'another' WHERE name = 'identity'");
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = current_setting('application_name')";
        query(&ours.books.address, end);
        let refused = open(&store, &Wish::plain()).await.unwrap_err().to_string();
        assert!(refused.contains("not the database that was here before"), "{refused}");
    });
}

#[test]
fn the_schema_itself_forbids_what_must_not_be() {
    let database = Emptied::new();
    block_on(async {
        let store = Postgres::open(&database.books.address).await.unwrap();
        let job = open(&store, &Wish::plain()).await.unwrap();
        store.apply(&job, step(State::Submitting, Event::Rejected).unwrap(), Facts::default(), NOON).await.unwrap();
    });
    let (client, forbidden) = (
        &database.books.address,
        [
            "UPDATE ledger SET amount_microusd = 1",
            "DELETE FROM ledger",
            "TRUNCATE ledger CASCADE",
            "UPDATE jobs SET state = 'running', ended_at_ms = NULL, cost_microusd = NULL",
            "DELETE FROM jobs",
            "UPDATE balances SET held_microusd = -1",
            "INSERT INTO ledger (job_id, kind, amount_microusd, at_ms) SELECT id, 'settle', 1, 1 FROM jobs",
        ],
    );
    for statement in forbidden {
        let tried = std::panic::catch_unwind(|| query(client, statement));
        assert!(tried.is_err(), "{statement} was allowed");
    }
}

/// The pages that are read for it say so: those of two hundred thousand end users are some thousands.
#[test]
fn an_overview_does_not_look_at_end_users() {
    let database = Emptied::new();
    block_on(async {
        let store = Postgres::open(&database.books.address).await.unwrap();
        open(&store, &Wish::plain()).await.unwrap();
    });
    let users = "INSERT INTO balances SELECT 'user:acme/x' || i, 'total', 0, NULL, 0, 0, 1 FROM generate_series(1, 200000) AS i;
        INSERT INTO current_periods SELECT account, period FROM balances WHERE account LIKE 'user:acme/x%'; ANALYZE balances, current_periods";
    query(&database.books.address, users);
    let explained = query(&database.books.address, &format!("EXPLAIN (ANALYZE, BUFFERS) {}", super::books::BALANCES));
    let pages = explained.iter().find_map(|line| line[0].trim().strip_prefix("Buffers: shared "));
    let pages: u64 = pages.unwrap().split([' ', '=']).filter_map(|word| word.parse::<u64>().ok()).sum();
    assert!(pages < 100, "{explained:#?}");
}
