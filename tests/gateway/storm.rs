//! Thousands of open jobs: a provider that is away, a gateway that is started again, and everybody who waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use filmgate::bench::{
    Account, AccountId, AttemptId, Booking, Clock, Credential, Endpoint, Event, Facts, JobId, MicroUsd, ModelName, NewAttempt, NewJob,
    RouteName, Seconds, Secret, Size, Sqlite, Store, TenantName, Timestamp, by_name, step,
};
use filmgate::simulator::{Dialect, Faults};
use tokio::task::JoinSet;

use crate::campaign;
use crate::client::Client;
use crate::process::{Gateway, Site};
use crate::world::{openai, tenant};

/// Questions a minute: what an account allows that says nothing else.
const RATE: usize = 600;
const PRICE: MicroUsd = MicroUsd::new(400_000);
/// What is promised: the catching up, from the provider's return on.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(300);
/// How long everybody asks.
const WATCHED_FOR: Duration = Duration::from_secs(10);
/// What is promised: from the start of the process until it serves.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// So many jobs that the provider has and the books know: as if ordered through the door, only faster. Each is
/// due as much from now as `wait` says of the place that the provider's list has it at.
async fn seed(site: &Site, jobs: usize, wait: impl Fn(usize) -> Duration) -> Vec<JobId> {
    let path = site.path("books/books.db");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&path).unwrap());
    let ids = site.simulator.take_orders(Dialect::Openai, "sk-test-openai", jobs).unwrap();
    let base_url = format!("http://{}/openai/v1", site.simulator.addr());
    let endpoint = Endpoint { base_url, credential: Credential::Key(Secret::new("sk-test-openai")) };
    let account = endpoint.account(by_name("openai").unwrap());
    let now = Clock::default().now();
    // Lists have the newest first.
    let orders: Vec<_> = ids.into_iter().rev().enumerate().map(|(place, id)| (id, now.after(wait(place)))).collect();
    let mut seeding = JoinSet::new();
    for orders in orders.chunks(jobs.div_ceil(64)) {
        let (store, orders, account) = (store.clone(), orders.to_vec(), account.clone());
        seeding.spawn(async move {
            let mut jobs = Vec::new();
            for (upstream_id, due_at) in orders {
                jobs.push(open(&*store, &account, upstream_id, due_at).await);
            }
            jobs
        });
    }
    seeding.join_all().await.concat()
}

async fn open(store: &dyn Store, account: &AccountId, upstream_id: String, due_at: Timestamp) -> JobId {
    let (at, acme, route) = (Clock::default().now(), TenantName::new("acme"), RouteName::new("openai"));
    let job = NewJob {
        id: JobId::mint(),
        tenant: acme.clone(),
        operation: "create",
        model: ModelName::new("sora-2"),
        prompt: "a whale".to_owned(),
        source: None,
        hidden_inputs: false,
        extras: Default::default(),
        end_user: None,
        residency: None,
        key_name: None,
        ceiling: PRICE,
        bookings: [Account::Gateway, Account::Tenant(acme)].map(|account| Booking::at(account, None, at)).into(),
        tenant_in_flight_max: None,
        charge: None,
        fingerprint: [0; 32],
        idempotency_key: None,
        at,
    };
    let attempt = NewAttempt {
        id: AttemptId::mint(),
        route: route.clone(),
        account: account.clone(),
        upstream_model: "sora-2".to_owned(),
        seconds: Seconds::DEFAULT,
        size: Size::DEFAULT,
        price: PRICE,
        booking: Booking::at(Account::Route(route), None, at),
        in_flight_max: None,
        tenant_in_flight_max: None,
        at,
        due_at,
    };
    let job = store.open_job(job, attempt).await.unwrap();
    let facts = Facts { upstream_id: Some(upstream_id), outcome: Some("accepted"), due_at: Some(due_at), ..Facts::default() };
    store.apply(&job, step(job.state, Event::Accepted).unwrap(), facts, at).await.unwrap().id
}

/// Questions that the provider has been asked so far, and when: the most of them in any minute.
#[derive(Default)]
struct Questions(Vec<(Instant, usize)>);

impl Questions {
    fn look(&mut self, site: &Site) -> usize {
        let stats = site.simulator.stats();
        let asked = usize::try_from(stats.count("retrieve") + stats.count("list")).unwrap();
        self.0.push((Instant::now(), asked));
        asked
    }

    fn busiest_minute(&self) -> usize {
        let within = |from: usize| {
            let (at, before) = self.0[from];
            let last = self.0.iter().take_while(|(then, _)| *then < at + Duration::from_secs(60)).last().unwrap();
            last.1 - before
        };
        (0..self.0.len()).map(within).max().unwrap_or(0)
    }
}

/// Everybody asks about their jobs, each once a second or as often as this machine lets them; how many were told.
fn watch(acme: &Client, jobs: &[JobId]) -> JoinSet<usize> {
    let (mut watching, until) = (JoinSet::new(), Instant::now() + WATCHED_FOR);
    for share in jobs.chunks(jobs.len().div_ceil(32)) {
        let (acme, share) = (acme.clone(), share.to_vec());
        watching.spawn(async move {
            let (mut told, mut round) = (0, tokio::time::interval(Duration::from_secs(1)));
            while Instant::now() < until {
                round.tick().await;
                for job in share.iter().take_while(|_| Instant::now() < until) {
                    assert_eq!(acme.get(&format!("/v1/videos/{job}")).await.status, 200);
                    told += 1;
                }
            }
            told
        });
    }
    watching
}

/// Starts the gateway; how long it took until it served.
async fn started(site: &Site) -> (Gateway, Duration) {
    let begun = Instant::now();
    let gateway = site.gateway().await;
    (gateway, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_open_jobs_are_caught_up_with_after_an_outage_at_the_accounts_own_pace() {
    let number = (campaign::cycles(1_000) * 10).min(10_000);
    let usual = format!("poll = {{ early = \"10s\", late = \"30s\", rate = {RATE} }}");
    let site = Site::new(1, 0, &[openai("openai", &usual), tenant("acme", "budget = { cap = \"unlimited\" }")]).await;
    let begun = Instant::now();
    let jobs = seed(&site, number, |_| Duration::ZERO).await;
    println!("{number} jobs opened in {:.1} s", begun.elapsed().as_secs_f64());
    let mut questions = Questions::default();

    // The provider is away: it is asked now and then whether it is back, and not for each job.
    site.simulator.set_faults(Faults { poll_500: 1_000, list_500: 1_000, ..Faults::default() });
    let (gateway, ready) = started(&site).await;
    let mut readies = vec![ready];
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!("{} questions in 3 s of a provider that is away", questions.look(&site));
    assert!(questions.look(&site) < 100);
    gateway.process.kill();
    site.simulator.set_faults(Faults::default());

    // It is back and at work, and clients ask: nobody's question reaches it.
    let before = questions.look(&site);
    let (gateway, ready) = started(&site).await;
    readies.push(ready);
    let watched = Instant::now();
    let mut watching = watch(&gateway.tenant("acme"), &jobs);
    let mut answers = 0;
    while let Some(told) = tokio::time::timeout(Duration::from_millis(50), watching.join_next()).await.unwrap_or_else(|_| Some(Ok(0))) {
        answers += told.unwrap();
        questions.look(&site);
    }
    let (asked, minutes) = (questions.look(&site) - before, watched.elapsed().as_secs_f64() / 60.0);
    println!(
        "{answers} answers to clients meanwhile; {asked} questions upstream for {number} jobs in {:.0} s: {:.4} a job-minute",
        minutes * 60.0,
        asked as f64 / (number as f64 * minutes)
    );
    assert!(answers >= number, "{answers} answers");
    gateway.process.kill();

    // All have ended while nobody looked.
    site.simulator.turn_clock(Duration::from_secs(600));
    let before = questions.look(&site);
    let (_gateway, ready) = started(&site).await;
    readies.push(ready);
    let caught_up = Instant::now();
    while site.number("SELECT count(*) FROM jobs WHERE ended_at_ms IS NULL") > 0 {
        assert!(caught_up.elapsed() < CAUGHT_UP_WITHIN, "not caught up in time");
        questions.look(&site);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let asked = questions.look(&site) - before;
    println!(
        "FIGURE outage of {number} open jobs: caught up in {:.1} s with {asked} questions; at most {} in any minute, of {RATE}; ready after {readies:.0?}",
        caught_up.elapsed().as_secs_f64(),
        questions.busiest_minute()
    );
    // A page is a hundred jobs; where other tests slow the walk down, some pages are read again.
    assert!(asked <= number / 20 + 30, "{asked} questions");
    assert!(questions.busiest_minute() <= RATE);
    // The quickest of three: what slows a start down here is other tests.
    assert!(readies.iter().min().is_some_and(|ready| *ready <= READY_WITHIN), "{readies:?}");
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'completed'"), i64::try_from(number).unwrap());
    site.settle_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_deep_down_the_list_are_found_there_when_they_come_due_one_after_the_other() {
    const OPEN: usize = 1_000;
    // Two questions a second: 400 jobs that are asked about one by one take over three minutes.
    let slow = "poll = { early = \"2s\", late = \"2s\", rate = 120 }";
    let site = Site::new(1, 0, &[openai("openai", slow), tenant("acme", "budget = { cap = \"unlimited\" }")]).await;
    // The newest are due at once, a few of the others next, and the rest after those.
    let wait = |place| {
        Duration::from_secs(if place < 600 {
            0
        } else if place < 610 {
            8
        } else {
            10
        })
    };
    seed(&site, OPEN, wait).await;
    site.simulator.turn_clock(Duration::from_secs(600));
    let (_gateway, _) = started(&site).await;
    let begun = Instant::now();
    while site.number("SELECT count(*) FROM jobs WHERE ended_at_ms IS NULL") > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "still asked about one by one");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("caught up in {:.1} s with {} questions", begun.elapsed().as_secs_f64(), Questions::default().look(&site));
    assert_eq!(site.number("SELECT count(*) FROM jobs WHERE state = 'completed'"), i64::try_from(OPEN).unwrap());
    site.settle_up();
}
