//! Several gateways, each a process of its own, on one PostgreSQL server: what they hold to together, and what
//! becomes of the work of one that is killed or paused. The provider's bill is the judge.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use filmgate::simulator::Faults;
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::campaign::{Dice, seed};
use crate::client::Client;
use crate::cluster::{self, Cluster};
use crate::process::{BINARY, Gateway, Site, eventually};
use crate::world::{id, key_of, openai, tenant};

const REPLICAS: usize = 3;
/// At each replica.
const CONNECTIONS: usize = 16;
const PRICE_MICROUSD: i64 = 400_000;
/// Longer than a hold that nobody uses is kept.
const A_WHILE: Duration = Duration::from_secs(20 * 60);

/// Three gateways with a policy file each, their books and their provider.
struct Replicas {
    site: Site,
    server: Cluster,
    books: cluster::Books,
    gateways: Vec<Gateway>,
}

impl Replicas {
    async fn start(speed: u32, policy: &[String]) -> Self {
        let server = Cluster::start();
        let books = server.books();
        let site = Site::new(speed, 0, &[]).await;
        let mut replicas = Self { site, server, books, gateways: Vec::new() };
        for n in 0..REPLICAS {
            replicas.write_policy(n, policy);
            let gateway = replicas.site.gateway_of(&replicas.serve(n)).await;
            replicas.gateways.push(gateway);
        }
        replicas
    }

    fn file(&self, n: usize) -> String {
        self.site.path(&format!("replica-{n}.toml")).display().to_string()
    }

    /// Writes a replica's file as an editor does: whole, under another name, and moved there.
    fn write_policy(&self, n: usize, parts: &[String]) {
        let sqlite = format!("url = \"sqlite:{}\"", self.site.path("books/books.db").display());
        let journal = self.site.path(&format!("journal-{n}.jsonl"));
        let postgres = format!("url = \"{}\"\njournal = \"{}\"", self.books.address, journal.display());
        let (file, new) = (self.file(n), format!("{}.new", self.file(n)));
        std::fs::write(&new, self.site.policy(parts).replace(&sqlite, &postgres)).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    fn serve(&self, n: usize) -> Vec<String> {
        let anywhere = "127.0.0.1:0";
        [BINARY, "serve", "--config", &self.file(n), "--listen", anywhere, "--admin", anywhere].map(str::to_owned).to_vec()
    }

    fn client(&self, n: usize, tenant: &str) -> Client {
        Client::new(self.gateways[n].address).bearer(&key_of(tenant))
    }

    fn rows(&self, select: &str) -> Vec<Vec<String>> {
        cluster::query(&self.books.address, select)
    }

    fn number(&self, select: &str) -> i64 {
        self.rows(select)[0][0].parse().unwrap()
    }

    /// Bill and books are equal, line by line, and no wish was paid for twice.
    fn settle_up(&self) {
        let bill = self.site.simulator.bill();
        let mut lines: HashMap<&str, i64> = bill.jobs.iter().map(|job| (job.upstream_id.as_str(), job.microusd)).collect();
        let select = "SELECT upstream_id, coalesce((SELECT amount_microusd FROM ledger WHERE job_id = jobs.id AND kind = 'settle'),
            CASE WHEN ended_at_ms IS NULL THEN price_microusd ELSE 0 END) FROM jobs";
        for row in self.rows(select) {
            let (upstream_id, amount): (&str, i64) = (&row[0], row[1].parse().unwrap());
            let billed =
                if upstream_id.is_empty() { 0 } else { lines.remove(upstream_id).unwrap_or_else(|| panic!("{upstream_id} is on no bill")) };
            assert_eq!(billed, amount, "{upstream_id}");
        }
        assert_eq!(lines, HashMap::new(), "billed, and in nobody's books");
        let mut intents: HashMap<&str, usize> = HashMap::new();
        for intent in bill.jobs.iter().filter_map(|job| job.intent.as_deref()) {
            *intents.entry(intent).or_default() += 1;
        }
        let twice: Vec<_> = intents.into_iter().filter(|(_, paid)| *paid > 1).collect();
        assert_eq!(twice, [], "paid for more often than it was wished for");
    }

    /// What a tenant has spent or holds, in micro-dollars.
    fn paid_by(&self, tenant: &str) -> i64 {
        self.number(&format!("SELECT coalesce(sum(held_microusd + spent_microusd), 0) FROM balances WHERE account = 'tenant:{tenant}'"))
    }
}

fn wish(intent: &str) -> serde_json::Value {
    json!({ "prompt": format!("a kite #intent:{intent}"), "seconds": "4" })
}

/// Twenty caps, each raced for by 48 connections while the files of all three say now this and now that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_that_is_edited_while_48_race_for_it_is_reached_and_never_passed() {
    let (runs, low, high) = (20, 5, 9);
    let caps = |clips: usize| -> Vec<String> {
        // A cap that is no multiple of the price: one clip more would be too much.
        let cap = i64::try_from(clips).unwrap() * PRICE_MICROUSD + PRICE_MICROUSD - 1;
        let cap = format!("budget = {{ cap = \"{}.{:06}\" }}", cap / 1_000_000, cap % 1_000_000);
        let tenants = (0..runs).map(|run| tenant(&format!("team-{run}"), &cap));
        [openai("studio", "")].into_iter().chain(tenants).collect()
    };
    let replicas = Arc::new(Replicas::start(1_000, &caps(low)).await);
    let done = Arc::new(AtomicBool::new(false));
    let editor = async {
        let mut clips = low;
        while !done.load(Ordering::Relaxed) {
            clips = if clips == low { low + 2 } else { low };
            for n in 0..REPLICAS {
                replicas.write_policy(n, &caps(clips));
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        }
    };
    let race = |clips: usize| {
        let replicas = Arc::clone(&replicas);
        async move {
            for run in 0..runs {
                let team = format!("team-{run}");
                let callers = (0..REPLICAS * CONNECTIONS).map(|caller| {
                    let (client, team) = (replicas.client(caller % REPLICAS, &team), &team);
                    async move {
                        let key = format!("{clips}-{caller}");
                        let answer = client.with("idempotency-key", &key).post("/v1/videos", &wish(&format!("{team}-{key}"))).await;
                        match answer.refusal().as_str() {
                            "200 - -" => {}
                            "429 insufficient_quota -" => {}
                            other => panic!("{other}: {answer:?}"),
                        }
                    }
                });
                join_all(callers).await;
                let paid = replicas.paid_by(&team) / PRICE_MICROUSD;
                assert!(paid <= i64::try_from(clips).unwrap(), "{team} has {paid} clips, of {clips} at most");
            }
        }
    };
    let racing = async {
        race(low + 2).await;
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(editor, racing);
    // All say the same: what there is room for is made, to the last clip.
    for n in 0..REPLICAS {
        replicas.write_policy(n, &caps(high));
        let reloaded = replicas.gateways[n].admin;
        assert_eq!(Client::new(reloaded).with("x-filmgate-admin", "1").post("/api/reload", &json!({})).await.status, 200);
    }
    race(high).await;
    for run in 0..runs {
        assert_eq!(replicas.paid_by(&format!("team-{run}")), i64::try_from(high).unwrap() * PRICE_MICROUSD, "team-{run}");
    }
    assert_eq!(replicas.site.simulator.bill().jobs.len(), runs * high);
    eventually("all is settled", || replicas.number("SELECT count(*) FROM jobs WHERE ended_at_ms IS NULL") == 0).await;
    replicas.settle_up();
    println!("FIGURE three replicas: {runs} caps, 48 connections, edited all the while: overshoot 0, reached {runs} of {runs}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_are_in_flight_as_may_be_over_all_replicas() {
    // Nothing ends while this lasts.
    let policy = [openai("studio", "limits = { in_flight = 11 }"), tenant("acme", "limits = { in_flight = 7 }"), tenant("rival", "")];
    let replicas = Replicas::start(1, &policy).await;
    for (team, may) in [("acme", 7), ("rival", 4)] {
        let callers = (0..REPLICAS * CONNECTIONS).map(|caller| {
            let client = replicas.client(caller % REPLICAS, team);
            async move { client.post("/v1/videos", &wish(&format!("{team}-{caller}"))).await }
        });
        let answers = join_all(callers).await;
        let taken = answers.iter().filter(|answer| answer.status == 200).count();
        assert!(answers.iter().all(|answer| [200, 429].contains(&answer.status)), "{answers:?}");
        assert_eq!(taken, may, "{team}");
    }
    assert_eq!(replicas.site.simulator.bill().jobs.len(), 11);
    assert_eq!(replicas.site.simulator.stats().in_flight_max.into_values().max(), Some(11));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_knows_all_say() {
    let replicas = Replicas::start(1_000, &[openai("studio", ""), tenant("acme", "")]).await;
    let at = |n| replicas.client(n, "acme");
    // The same wish under one key, at all of them at once: one job.
    let sendings = (0..REPLICAS * 4).map(|n| {
        let client = at(n % REPLICAS).with("idempotency-key", "once");
        async move {
            loop {
                let answer = client.post("/v1/videos", &wish("once")).await;
                if answer.status != 409 {
                    return id(&answer.json()).to_owned();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let ids = join_all(sendings).await;
    assert!(ids.iter().all(|other| *other == ids[0]), "{ids:?}");
    assert_eq!(replicas.site.simulator.bill().jobs.len(), 1);

    let path = format!("/v1/videos/{}", ids[0]);
    let mut n = 0;
    // Whoever says it first, the next one says it too.
    let began = Instant::now();
    while at(n).get(&path).await.json()["status"] != "completed" {
        assert!(began.elapsed() < Duration::from_secs(20), "it is never made");
        n = (n + 1) % REPLICAS;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for n in 0..REPLICAS {
        assert_eq!(at(n).get(&path).await.json()["status"], "completed", "at replica {n}");
        assert_eq!(at(n).get(&format!("{path}/content")).await.status, 200, "at replica {n}");
    }
    assert_eq!(at(1).ask("DELETE", &path, None, "").await.unwrap().status, 200);
    for n in 0..REPLICAS {
        assert_eq!(at(n).get(&path).await.status, 404, "at replica {n}");
    }
    replicas.settle_up();
}

/// Sent to one replica after the other until somebody answers for good.
async fn keyed(addresses: &[watch::Receiver<SocketAddr>], intent: &str, first: usize) -> Option<String> {
    for sending in 0..12 {
        let address = *addresses[(first + sending) % REPLICAS].borrow();
        let client = Client::new(address).bearer(&key_of("acme")).with("idempotency-key", intent);
        match client.ask("POST", "/v1/videos", Some("application/json"), wish(intent).to_string()).await {
            Ok(answer) if answer.status == 200 => return Some(id(&answer.json()).to_owned()),
            Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(30)).await,
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_and_their_server_that_are_killed_again_and_again_owe_nobody_anything() {
    let cycles = 40;
    let hasty = "submit_timeout = \"3s\"\nunknown = { grace = \"5s\" }";
    let policy = [openai("studio", hasty), tenant("acme", "budget = { cap = \"unlimited\" }")];
    let mut replicas = Replicas::start(1_000, &policy).await;
    let mut dice = Dice::from(seed());
    replicas.site.simulator.set_faults(Faults {
        seed: dice.roll(),
        delay_ms: 15,
        accept_then_cut: 100,
        accept_then_500: 40,
        cut_before_read: 60,
        refuse_429: 60,
        ..Faults::default()
    });
    let (tell, told): (Vec<_>, Vec<_>) = replicas.gateways.iter().map(|gateway| watch::channel(gateway.address)).unzip();
    let mut calls = JoinSet::new();
    for cycle in 0..cycles {
        for n in 0..8 {
            let (told, intent) = (told.clone(), format!("{cycle}-{n}"));
            calls.spawn(async move { keyed(&told, &intent, n).await.map(|id| (intent, id)) });
        }
        tokio::time::sleep(Duration::from_millis(dice.below(120))).await;
        let victim = usize::try_from(dice.below(REPLICAS as u64)).unwrap();
        replicas.gateways[victim].process.kill();
        replicas.gateways[victim] = replicas.site.gateway_of(&replicas.serve(victim)).await;
        tell[victim].send_replace(replicas.gateways[victim].address);
        if cycle % 10 == 9 {
            tokio::task::block_in_place(|| replicas.server.stop_at_once());
            tokio::time::sleep(Duration::from_millis(dice.below(300))).await;
            tokio::task::block_in_place(|| replicas.server.start_again());
        }
    }
    let given: Vec<(String, String)> = calls.join_all().await.into_iter().flatten().collect();

    // All die; one that is healthy takes everything over.
    replicas.site.simulator.set_faults(Faults::default());
    let on_its_way = "SELECT count(*) FROM jobs WHERE state = 'submitting'";
    for gateway in replicas.gateways.drain(..) {
        gateway.process.kill();
    }
    std::fs::copy(replicas.file(0), replicas.site.policy_file()).unwrap();
    let last = replicas.site.gateway_in_this_process().await;
    eventually("no request is on its way", || replicas.number(on_its_way) == 0).await;
    last.turn_clock(A_WHILE);
    replicas.site.simulator.turn_clock(A_WHILE);
    let client = Client::new(last.address).bearer(&key_of("acme"));
    // Absence can be told only from a list that shows something younger.
    assert_eq!(client.post("/v1/videos", &wish("last")).await.status, 200);
    let open = "SELECT count(*) FROM jobs WHERE ended_at_ms IS NULL";
    eventually("everything has ended", || replicas.number(open) == 0).await;
    replicas.settle_up();
    for (intent, id) in &given {
        let video = client.get(&format!("/v1/videos/{id}")).await;
        assert_eq!(video.status, 200, "{id} is not known");
        assert!(video.json()["prompt"].as_str().unwrap().ends_with(&format!("#intent:{intent}")), "another's clip");
    }
    assert_eq!(replicas.number("SELECT coalesce(sum(held_microusd), 0) FROM balances"), 0);
    assert_eq!(last.audit().await, Vec::<String>::new());
    let paid = replicas.site.simulator.bill().jobs.len();
    assert!(last.stop().await);
    println!(
        "FIGURE three replicas, one killed, and the server now and then: {cycles} cycles, {paid} paid jobs, drift 0 µ$, {} ids given and known",
        given.len()
    );
}

/// Stopped for half a minute while its request is on the wire; once the server believes it to be alive, once it has
/// cut it off. Others sweep meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_paused_while_it_sends_pays_once() {
    join_all([false, true].map(paused)).await;
}

async fn paused(cut_off: bool) {
    let hasty = "submit_timeout = \"3s\"\nunknown = { grace = \"5s\" }\npoll = { early = \"1s\", late = \"1s\" }";
    let replicas = Replicas::start(1_000, &[openai("studio", hasty), tenant("acme", "")]).await;
    replicas.site.simulator.set_faults(Faults { delay_ms: 700, ..Faults::default() });
    let sleeper = &replicas.gateways[0].process;
    let sending = async {
        let client = replicas.client(0, "acme").with("idempotency-key", "once");
        client.ask("POST", "/v1/videos", Some("application/json"), wish("once").to_string()).await
    };
    let pausing = async {
        eventually("the provider has the order", || replicas.site.simulator.bill().jobs.len() == 1).await;
        sleeper.signal("STOP");
        replicas.site.simulator.set_faults(Faults::default());
        assert_eq!(replicas.number("SELECT count(*) FROM jobs WHERE state = 'submitting'"), 1, "it was paused too late");
        if cut_off {
            let pid_of =
                format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{}'", replicas.books.name);
            replicas.server.sql(&pid_of);
            // A start is what takes over the work of the dead.
            let another = replicas.site.gateway_of(&replicas.serve(1)).await;
            let adopted = "SELECT count(*) FROM jobs WHERE upstream_id IS NOT NULL";
            eventually("it is adopted", || replicas.number(adopted) == 1).await;
            drop(another);
        }
        // Whoever resends it meanwhile elsewhere hears of the same job.
        tokio::time::sleep(Duration::from_secs(30)).await;
        sleeper.signal("CONT");
    };
    let (answer, ()) = tokio::join!(sending, pausing);
    eventually("it is made", || replicas.number("SELECT count(*) FROM jobs WHERE state = 'completed'") == 1).await;
    if let Ok(answer) = answer {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let again = replicas.client(2, "acme").with("idempotency-key", "once").post("/v1/videos", &wish("once")).await;
    assert_eq!(again.status, 200, "{again:?}");
    let video = replicas.client(1 + usize::from(!cut_off), "acme").get(&format!("/v1/videos/{}", id(&again.json()))).await;
    assert_eq!(video.json()["status"], "completed");
    assert_eq!(replicas.site.simulator.bill().jobs.len(), 1, "one paid job");
    replicas.settle_up();
}
