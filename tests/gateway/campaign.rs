//! Campaigns: a gateway that dies again and again on the same books, clients who send again what they
//! lost, a provider who cuts lines; and what must hold all the while and after it has healed.
//!
//! Random, and replayed from one number: `CAMPAIGN_SEED`. How long is `CAMPAIGN_CYCLES`, of which the
//! other campaigns take their share; a plain `cargo test` runs a taste. Knows nothing of how a gateway
//! comes to die: that is the business of those who run [`Lane`]s.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use filmgate::simulator::Faults;
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::client::{Answer, Client};
use crate::cluster::Cluster;
use crate::cluster::Emptied;
use crate::process::{Process, Site, eventually};
use crate::world::{azure, id, key_of, openai, tenant};

/// From the start of a process to the latest instant of its death.
pub const LIFE: Duration = Duration::from_millis(240);
/// Cycles when nobody says how many.
const TASTE: usize = 60;
/// Cycles on one set of books before they are healed and compared with the bill.
const CYCLES_OF_A_LANE: usize = 50;
/// While one lane heals, another dies.
static LANES_AT_ONCE: Semaphore = Semaphore::const_new(4);
/// Calls that wait for their answer at a time, over all lives of a gateway.
const CALLS_MAX: usize = 48;
/// The official SDKs send a call so often.
const SENDINGS: usize = 3;
/// Who has a key of their own can go on longer.
const KEYED_SENDINGS: usize = 6;
/// Longer than a hold that nobody uses is kept.
const A_WHILE: Duration = Duration::from_secs(20 * 60);
const TENANTS: [&str; 3] = ["acme", "berlin", "capped"];
/// Outcomes that nobody knows are decided within seconds.
const HASTY: &str = "submit_timeout = \"3s\"\nunknown = { grace = \"5s\" }";

/// Runs so many cycles, in lanes; `cycle` is one, from the start of a gateway to its death.
pub async fn run(name: &str, cycles: usize, cycle: impl AsyncFn(&mut Lane) + Copy) {
    run_on(|| None, name, cycles, cycle).await;
}

/// Likewise, with the books of each lane in a server of its own, if there is one.
pub async fn run_on(server: impl Fn() -> Option<Cluster>, name: &str, cycles: usize, cycle: impl AsyncFn(&mut Lane) + Copy) {
    let (seed, began) = (seed(), Instant::now());
    eprintln!("{name}: {cycles} cycles, CAMPAIGN_SEED={seed}");
    let server = &server;
    let lanes = (0..cycles.div_ceil(CYCLES_OF_A_LANE)).map(|number| async move {
        let _seat = LANES_AT_ONCE.acquire().await.unwrap();
        let mut lane = Lane::new(server(), name, seed, number).await;
        for _ in 0..CYCLES_OF_A_LANE.min(cycles - number * CYCLES_OF_A_LANE) {
            lane.cycle += 1;
            cycle(&mut lane).await;
            lane.look_at_the_books();
        }
        lane.heal().await
    });
    let (paid, given) = join_all(lanes).await.into_iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    let secs = began.elapsed().as_secs();
    println!("FIGURE {name}: {cycles} cycles, {paid} paid jobs, drift 0 µ$, {given} ids given and known, {secs} s");
}

/// How many cycles a campaign has that is so many per mille of the longest.
pub fn cycles(per_mille: usize) -> usize {
    (environment("CAMPAIGN_CYCLES").unwrap_or(TASTE) * per_mille / 1_000).max(2)
}

/// What all dice fall from.
pub fn seed() -> u64 {
    environment("CAMPAIGN_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

#[expect(clippy::disallowed_methods, reason = "how long to test is nobody's setting")]
fn environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// Dice that fall the same way from the same seed: SplitMix64.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl From<u64> for Dice {
    fn from(seed: u64) -> Self {
        Self(seed)
    }
}

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to 1.
    pub fn share(&mut self) -> f64 {
        self.below(1_000_000) as f64 / 1e6
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }
}

/// An id that a client was given, for which wish and to whom.
#[derive(Clone, Debug)]
struct Given {
    tenant: &'static str,
    intent: String,
    id: String,
}

/// One call of a client.
#[derive(Clone, Debug)]
struct Call {
    tenant: &'static str,
    intent: String,
    key: Option<String>,
}

/// One set of books and everything that happens around it.
pub struct Lane {
    pub site: Site,
    pub dice: Dice,
    pub cycle: usize,
    name: String,
    gate: watch::Sender<Option<SocketAddr>>,
    calls: JoinSet<Option<Given>>,
    looks: JoinSet<()>,
    given: Vec<Given>,
    /// How often each wish was wished for of the client's own accord.
    wished: HashMap<String, usize>,
    /// Jobs that had ended, and how.
    ended: HashMap<String, (String, i64)>,
}

impl Lane {
    async fn new(server: Option<Cluster>, name: &str, seed: u64, number: usize) -> Self {
        let unlimited = "budget = { cap = \"unlimited\" }";
        let policy = [
            openai("first", HASTY),
            azure("second", HASTY),
            "[[rules]]\nwhen = { tenant = \"berlin\" }\nroutes = [\"second\", \"first\"]".to_owned(),
            "[[rules]]\nroutes = [\"first\", \"second\"]".to_owned(),
            tenant("acme", unlimited),
            tenant("berlin", unlimited),
            tenant("capped", "budget = { cap = \"8.00\" }"),
        ];
        let books = server.map(|server| Emptied::on(Arc::new(server)));
        let site = Site::with(1_000, 0, &policy, books).await;
        Self {
            site,
            dice: Dice(seed.wrapping_add(u64::try_from(number).unwrap() << 32)),
            cycle: 0,
            name: format!("{name}, CAMPAIGN_SEED={seed}, lane {number}"),
            gate: watch::Sender::new(None),
            calls: JoinSet::new(),
            looks: JoinSet::new(),
            given: Vec::new(),
            wished: HashMap::new(),
            ended: HashMap::new(),
        }
    }

    /// The PostgreSQL server that has this lane's books.
    pub fn server(&self) -> &Cluster {
        &self.site.server.as_ref().expect("a campaign on PostgreSQL").cluster
    }

    /// Where a failure happened.
    pub fn place(&self) -> String {
        format!("{}, cycle {}", self.name, self.cycle)
    }

    /// A provider who cuts lines, takes jobs and says that it did not, refuses, and dawdles.
    pub fn misbehave(&mut self) {
        let seed = self.dice.roll();
        let (delay_ms, list_lag_ms) = (self.dice.below(25), self.dice.below(60));
        self.site.simulator.set_faults(Faults {
            seed,
            delay_ms,
            list_lag_ms,
            accept_then_cut: 100,
            accept_then_500: 40,
            accept_then_502: 20,
            accept_then_503: 20,
            accept_then_504: 20,
            cut_before_read: 60,
            refuse_401: 10,
            refuse_429: 60,
            refuse_503: 30,
            poll_500: 30,
            ..Faults::default()
        });
    }

    /// Starts a gateway with these words before its command line, and some calls that wait for it.
    pub fn start(&mut self, before: &[String], wishes: u64) -> Process {
        let command: Vec<String> = before.iter().cloned().chain(self.site.serve()).collect();
        let process = Process::start(&command);
        for _ in 0..wishes {
            self.wish();
        }
        process
    }

    /// Lets everybody in once the gateway serves, and says whether it came to that before `until`.
    pub async fn serves(&mut self, process: &Process, until: Instant) -> bool {
        loop {
            if let Some((address, _)) = process.serving_at() {
                self.gate.send_replace(Some(address));
                self.look(address);
                return true;
            }
            if Instant::now() >= until || process.has_ended() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The gateway is dead: nobody can be reached.
    pub async fn dead(&mut self, process: &Process) {
        self.gate.send_replace(None);
        let log = process.log();
        assert!(!log.contains("panicked"), "{}: {log}", self.place());
        while let Some(given) = self.calls.try_join_next() {
            self.given.extend(given.unwrap());
        }
        while let Some(look) = self.looks.try_join_next() {
            look.unwrap();
        }
    }

    fn wish(&mut self) {
        if self.calls.len() >= CALLS_MAX {
            return;
        }
        let intent = format!("{}-{}", self.cycle, self.wished.len());
        let tenant = TENANTS[usize::try_from(self.dice.below(10)).unwrap().min(5) / 2];
        let (calls, key) = match self.dice.below(8) {
            0 => (1, Some(format!("key-{intent}"))),
            // The same words twice: two wishes, whichever of them a resend is taken for.
            1 => (2, None),
            _ => (1, None),
        };
        self.wished.insert(intent.clone(), calls);
        for _ in 0..calls {
            let call = Call { tenant, intent: intent.clone(), key: key.clone() };
            self.calls.spawn(calls_until_answered(self.gate.subscribe(), call));
        }
    }

    /// Some of those who were given an id ask about it.
    fn look(&mut self, address: SocketAddr) {
        for _ in 0..3 {
            if self.given.is_empty() {
                return;
            }
            let given = self.given[usize::try_from(self.dice.below(self.given.len() as u64)).unwrap()].clone();
            let place = self.place();
            self.looks.spawn(async move {
                let client = Client::new(address).bearer(&key_of(given.tenant));
                if let Ok(answer) = client.ask("GET", &format!("/v1/videos/{}", given.id), None, "").await {
                    assert_eq!(answer.status, 200, "{place}: {given:?} is not known");
                }
            });
        }
    }

    /// What must hold at every instant, whoever is dead: no account is over its cap or below nothing, what
    /// has ended stays as it is, and every job on the bill is one that the books pay for or hold for.
    pub fn look_at_the_books(&mut self) {
        if self.site.has_no_books() {
            assert_eq!(self.site.simulator.bill().total_microusd, 0);
            return;
        }
        let place = self.place();
        let wrong =
            "SELECT count(*) FROM balances WHERE held_microusd < 0 OR spent_microusd < 0 OR held_microusd + spent_microusd > cap_microusd";
        let bill = self.site.simulator.bill();
        assert_eq!(self.site.rows_left_behind(wrong), [["0"]], "{place}: over a cap, or below nothing");
        let (mut known, mut open) = (HashMap::new(), HashMap::<String, usize>::new());
        for row in self.site.rows_left_behind("SELECT id, state, upstream_id, prompt, cost_microusd FROM jobs") {
            let [id, state, upstream_id, prompt, cost] = row.try_into().unwrap();
            let cost: Option<i64> = cost.parse().ok();
            let upstream_id = Some(upstream_id).filter(|id| !id.is_empty());
            if let Some(cost) = cost {
                let end = (state.clone(), cost);
                let before = self.ended.entry(id).or_insert_with(|| end.clone());
                assert_eq!(*before, end, "{place}: a job that had ended has changed");
            }
            match upstream_id {
                Some(upstream_id) => drop(known.insert(upstream_id, cost)),
                None if cost.is_none() => *open.entry(intent_in(&prompt)).or_default() += 1,
                None => {}
            }
        }
        for line in &bill.jobs {
            match known.get(&line.upstream_id) {
                Some(cost) => assert!(cost.is_none_or(|cost| cost == line.microusd), "{place}: {line:?} was settled at {cost:?}"),
                None => {
                    let held = open.get_mut(line.intent.as_ref().unwrap()).filter(|held| **held > 0);
                    *held.unwrap_or_else(|| {
                        let jobs = self.site.jobs_of(line.intent.as_ref().unwrap());
                        panic!("{place}: {line:?} is billed, and nobody holds money for it: {jobs:#?}")
                    }) -= 1;
                }
            }
        }
    }

    /// The last gateway meets no faults: whatever is open ends, and everything adds up. Answers how many
    /// jobs were paid for and how many ids were given.
    async fn heal(mut self) -> (usize, usize) {
        self.site.simulator.set_faults(Faults::default());
        let gateway = self.site.gateway_in_this_process().await;
        self.gate.send_replace(Some(gateway.address));
        while let Some(given) = self.calls.join_next().await {
            self.given.extend(given.unwrap());
        }
        // A request that is still on its way shall not find that it is twenty minutes late.
        let on_its_way = "SELECT count(*) FROM jobs WHERE state = 'submitting'";
        eventually("no request is on its way", || self.site.number(on_its_way) == 0).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        // What was held and never sent waits for a while; and absence can be told only from a list that shows
        // something younger.
        gateway.turn_clock(A_WHILE);
        self.site.simulator.turn_clock(A_WHILE);
        for tenant in ["acme", "berlin"] {
            self.wished.insert(format!("last-{tenant}"), 1);
            let call = Call { tenant, intent: format!("last-{tenant}"), key: None };
            self.given.extend(calls_until_answered(self.gate.subscribe(), call).await);
        }
        self.site.until_quiet().await;
        self.look_at_the_books();
        self.site.settle_up_for(|intent| self.wished.get(intent).copied().unwrap_or(0));
        for given in &self.given {
            let client = Client::new(gateway.address).bearer(&key_of(given.tenant));
            let video = client.get(&format!("/v1/videos/{}", given.id)).await;
            assert_eq!(video.status, 200, "{}: {given:?} is not known", self.place());
            assert_eq!(intent_in(video.json()["prompt"].as_str().unwrap()), given.intent, "{}: another's clip", self.place());
        }
        let unended = "SELECT count(*) FROM jobs WHERE state NOT IN ('completed', 'released')";
        assert_eq!(self.site.number(unended), 0, "{}", self.place());
        assert_eq!(self.site.number("SELECT coalesce(sum(held_microusd), 0) FROM balances"), 0, "{}", self.place());
        assert_eq!(gateway.audit().await, Vec::<String>::new(), "{}", self.place());
        assert!(gateway.stop().await, "{}: it did not stop by itself", self.place());
        (self.site.simulator.bill().jobs.len(), self.given.len())
    }
}

/// As the official SDKs do: sent again when the line was cut or when the answer invites to, counting.
/// What nobody answers in the end, nobody was given.
async fn calls_until_answered(mut gate: watch::Receiver<Option<SocketAddr>>, call: Call) -> Option<Given> {
    let wish = json!({ "prompt": format!("a kite #intent:{}", call.intent), "seconds": "4" }).to_string();
    let sendings = if call.key.is_some() { KEYED_SENDINGS } else { SENDINGS };
    for sending in 0..sendings {
        let address = *gate.wait_for(Option::is_some).await.ok()?;
        let mut client = Client::new(address?).bearer(&key_of(call.tenant)).with("x-stainless-retry-count", &sending.to_string());
        if let Some(key) = &call.key {
            client = client.with("idempotency-key", key);
        }
        match client.ask("POST", "/v1/videos", Some("application/json"), wish.clone()).await {
            Ok(answer) if answer.status == 200 => {
                return Some(Given { tenant: call.tenant, intent: call.intent, id: id(&answer.json()).to_owned() });
            }
            Ok(answer) if !invites(&answer) => return None,
            Ok(_) | Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

/// Whether a refusal invites to come back; those that may occur here are known.
fn invites(answer: &Answer) -> bool {
    match answer.refusal().as_str() {
        "429 insufficient_quota -" => false,
        "429 rate_limit_exceeded -"
        | "429 queue_full -"
        | "503 no_route_available -"
        | "503 ledger_unavailable -"
        | "409 idempotency_key_in_use -" => true,
        other => panic!("nobody should be told {other}: {answer:?}"),
    }
}

fn intent_in(prompt: &str) -> String {
    prompt.split_once("#intent:").map(|(_, intent)| intent.to_owned()).unwrap_or_default()
}
