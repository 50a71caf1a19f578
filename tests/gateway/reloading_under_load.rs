//! Edits of the policy file by the hundred, in every way that files are edited, while clients go on: no request
//! fails, and each decision is one file's alone.
//!
//! Each file has routes of its own name, prices of its own and its rule at a place of its own, so that a decision
//! which mixed two files would show it. `CAMPAIGN_CYCLES` says how many edits there are.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::campaign;
use crate::client::{Answer, Client};
use crate::process::Site;
use crate::world::{id, tenant};

/// Edits when nobody says how many.
const TASTE: usize = 200;
/// How many different files there are.
const KINDS: usize = 40;
const CLIENTS: usize = 4;
/// How files change, beside being faulty and being away.
const WAYS: usize = 4;

/// The parts of the file of that kind; tenants stand last, so that half a file may be a policy without them.
fn parts(kind: usize) -> Vec<String> {
    parts_with(kind, "", "")
}

/// Likewise, where a route may have one job at a time and who finds none free waits.
fn parts_with_a_line(kind: usize) -> Vec<String> {
    parts_with(kind, "limits = { in_flight = 1 }\n", "queue = { max = 10000, wait = \"1h\" }\n")
}

fn parts_with(kind: usize, of_route: &str, of_tenant: &str) -> Vec<String> {
    let route = |side: &str| {
        format!(
            "[routes.r{kind}{side}]\nprovider = \"openai\"\nbase_url = \"{{simulator}}/openai/v1\"\napi_key = \"sk-test-r{kind}{side}\"\n\
             poll = {{ early = \"200ms\", late = \"200ms\" }}\n{of_route}\
             [routes.r{kind}{side}.models.sora-2]\nseconds = [4]\nprice = \"{}\"\n",
            per_second(kind)
        )
    };
    let nobody = |n: usize| format!("[[rules]]\nwhen = {{ user = \"nobody-{n}\" }}\nroutes = [\"r{kind}a\"]\n");
    let everybody = format!("[[rules]]\nroutes = {{ r{kind}a = {}, r{kind}b = {} }}\n", 1 + kind, KINDS - kind);
    let mut parts = vec![route("a"), route("b")];
    parts.extend((0..rule_of(kind)).map(nobody));
    parts.extend([everybody, tenant("acme", &format!("{of_tenant}budget = {{ cap = \"unlimited\" }}\nshow_route = true"))]);
    parts
}

/// Where the rule for everybody stands.
fn rule_of(kind: usize) -> usize {
    kind % 7
}

fn per_second(kind: usize) -> String {
    format!("0.{:03}", 100 + kind)
}

/// Which file has that route.
fn kind_of(route: &str) -> usize {
    let kind = route.strip_prefix('r').and_then(|rest| rest.strip_suffix(['a', 'b'])?.parse().ok());
    kind.unwrap_or_else(|| panic!("no route is called {route:?}"))
}

/// What 4 s cost on a route, micro-dollars.
fn price_of(route: &str) -> i64 {
    i64::try_from(100 + kind_of(route)).unwrap() * 4_000
}

/// An answer was decided by one file: its route and its price belong together.
fn assert_of_one_file(answer: &Answer) {
    let (route, cost) = (answer.header("filmgate-route"), answer.header("filmgate-cost"));
    let microusd = (cost.parse::<f64>().unwrap() * 1_000_000.0).round() as i64;
    assert_eq!(microusd, price_of(route), "{route} at {cost}");
}

/// The value of a field in a line of the log.
fn field<'l>(line: &'l str, name: &str) -> &'l str {
    let start = line.find(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {line}")) + name.len() + 2;
    let rest = &line[start..];
    let end = rest.find('=').map_or(rest.len(), |next| rest[..next].rfind(' ').unwrap_or(next));
    rest[..end].trim_matches('"')
}

/// Every decision that was logged is that of the file which it names; how many there were.
fn assert_decided_by_one_file_each(log: &str, kinds: &HashMap<String, usize>) -> usize {
    let planned = log.lines().filter(|line| line.contains(" planned "));
    planned.map(|line| assert_decided_by_one_file(line, kinds)).count()
}

fn assert_decided_by_one_file(line: &str, kinds: &HashMap<String, usize>) {
    let kind = *kinds.get(field(line, "revision")).unwrap_or_else(|| panic!("no file that was ever whole: {line}"));
    let mut routes: Vec<&str> = field(line, "routes").split(", ").collect();
    routes.sort_unstable();
    assert_eq!(routes, [format!("r{kind}a"), format!("r{kind}b")], "{line}");
    assert_eq!(field(line, "rule"), rule_of(kind).to_string(), "{line}");
}

/// Orders and asks until told to stop; how many clips it ordered.
async fn keep_ordering(acme: Client, done: Arc<AtomicBool>, requests: Arc<AtomicUsize>) -> usize {
    let mut ordered = 0;
    while !done.load(Ordering::SeqCst) {
        let answer = acme.post("/v1/videos", &json!({ "prompt": "a kite", "seconds": "4" })).await.ok();
        assert_of_one_file(&answer);
        let video = answer.json();
        for path in [format!("/v1/videos/{}", id(&video)), "/v1/videos?limit=2".to_owned(), "/v1/models".to_owned()] {
            acme.get(&path).await.ok();
        }
        ordered += 1;
        requests.fetch_add(4, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ordered
}

/// Puts the text there, in one of the ways that editors, tools and orchestrators do.
async fn edit(site: &Site, number: usize, text: &str) {
    let file = site.policy_file();
    let link_to = |target: &Path, link: &Path| {
        let beside = site.path("link.new");
        std::os::unix::fs::symlink(target, &beside).unwrap();
        std::fs::rename(beside, link).unwrap();
    };
    match number % WAYS {
        0 => {
            let beside = site.path("gateway.toml.new");
            std::fs::write(&beside, text).unwrap();
            std::fs::rename(beside, file).unwrap();
        }
        1 => in_place(&file, text).await,
        2 => {
            let version = site.path(&format!("version-{number}.toml"));
            std::fs::write(&version, text).unwrap();
            link_to(&version, &file);
        }
        // As Kubernetes swaps a mounted ConfigMap.
        _ => {
            let version = site.path(&format!("mount-{number}"));
            std::fs::create_dir(&version).unwrap();
            std::fs::write(version.join("gateway.toml"), text).unwrap();
            link_to(&version, &site.path("..data"));
            link_to(&site.path("..data/gateway.toml"), &file);
        }
    }
}

/// In three pieces, with time to look in between.
async fn in_place(file: &Path, text: &str) {
    // The tenants are in the last third.
    let tenants = text.find("[tenants").unwrap_or(text.len());
    let mut file = File::create(file).unwrap();
    for (from, to) in [(0, tenants / 2), (tenants / 2, tenants), (tenants, text.len())] {
        file.write_all(&text.as_bytes()[from..to]).unwrap();
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_by_the_hundred_fail_no_request_and_mix_no_decision() {
    let edits = campaign::cycles(1_000).max(TASTE);
    let site = Site::new(1_000, 0, &parts(0)).await;
    let kinds: HashMap<String, usize> =
        (0..KINDS).map(|kind| (format!("{:x}", Hex(&Sha256::digest(site.policy(&parts(kind))))), kind)).collect();
    let gateway = site.gateway().await;
    let (done, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(keep_ordering(gateway.tenant("acme"), done.clone(), requests.clone()));
    }

    let (began, operator) = (Instant::now(), gateway.operator().with("x-filmgate-admin", "1"));
    let (mut taken, mut refused) = (0, 0);
    for number in 1..=edits {
        let text = site.policy(&parts(number % KINDS));
        match number % 10 {
            0 => edit(&site, number, &text.replace("provider = \"openai\"", "provider = \"opnai\"")).await,
            5 => std::fs::remove_file(site.policy_file()).unwrap(),
            _ => edit(&site, number, &text).await,
        }
        let answer = operator.post("/api/reload", &json!({})).await;
        match answer.status {
            200 => taken += 1,
            422 => refused += 1,
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!((taken, refused), (edits - edits / 10 - (edits + 5) / 10, edits / 10 + (edits + 5) / 10));
    let took = began.elapsed();
    done.store(true, Ordering::SeqCst);
    let ordered: usize = clients.join_all().await.into_iter().sum();
    assert!(ordered > edits / 5, "{ordered} clips were ordered meanwhile");
    assert!(requests.load(Ordering::SeqCst) >= ordered * 4);

    site.until_quiet().await;
    let books = site.books();
    let mut jobs = books.prepare("SELECT route, price_microusd, ceiling_microusd FROM jobs").unwrap();
    let jobs = jobs.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let jobs: Vec<(String, i64, i64)> = jobs.map(Result::unwrap).collect();
    assert_eq!(jobs.len(), ordered);
    for (route, price, ceiling) in jobs {
        assert_eq!((price, ceiling), (price_of(&route), price_of(&route)), "{route}");
    }
    assert_eq!(assert_decided_by_one_file_each(&gateway.process.log(), &kinds), ordered);
    assert_eq!(gateway.operator().get("/readyz").await.status, 200);
    assert_only_the_last_is_kept(&gateway.operator()).await;
    let asked = requests.load(Ordering::SeqCst);
    println!(
        "FIGURE reloading: {taken} edits in force and {refused} refused in {took:.1?}, {asked} requests meanwhile: 0 failed; {ordered} decisions: 0 mixed"
    );
}

/// Which file decided last of each job, as the log has it.
fn last_decisions<'l>(log: &'l str, kinds: &HashMap<String, usize>) -> HashMap<&'l str, usize> {
    let planned = log.lines().filter(|line| line.contains(" planned "));
    planned.map(|line| (field(line, "job.id"), kinds[field(line, "revision")])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_out_of_the_line_is_sent_as_one_file_has_it_and_the_log_says_which() {
    let site = Site::new(1_000, 0, &parts_with_a_line(0)).await;
    // By the last file, which has the lowest prices and much room, everybody can be made who waits by then.
    let last = parts_with(0, "limits = { in_flight = 200 }\n", "");
    let files = (0..KINDS).map(|kind| (parts_with_a_line(kind), kind)).chain([(last.clone(), 0)]);
    let kinds: HashMap<String, usize> =
        files.map(|(parts, kind)| (format!("{:x}", Hex(&Sha256::digest(site.policy(&parts)))), kind)).collect();
    let gateway = site.gateway().await;
    let (done, acme) = (Arc::new(AtomicBool::new(false)), gateway.tenant("acme"));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (acme, done) = (acme.clone(), done.clone());
        clients.spawn(async move {
            while !done.load(Ordering::SeqCst) {
                acme.post("/v1/videos", &json!({ "prompt": "a kite", "seconds": "4" })).await.ok();
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        });
    }
    let operator = gateway.operator().with("x-filmgate-admin", "1");
    for number in 1..=60 {
        edit(&site, number, &site.policy(&parts_with_a_line(number % KINDS))).await;
        operator.post("/api/reload", &json!({})).await.ok();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    done.store(true, Ordering::SeqCst);
    clients.join_all().await;
    edit(&site, 0, &site.policy(&last)).await;
    operator.post("/api/reload", &json!({})).await.ok();
    site.until_quiet_for(Duration::from_secs(120)).await;

    let log = gateway.process.log();
    let decisions = assert_decided_by_one_file_each(&log, &kinds);
    let decided = last_decisions(&log, &kinds);
    let books = site.books();
    let mut jobs = books.prepare("SELECT id, route, price_microusd, ceiling_microusd FROM jobs").unwrap();
    let jobs = jobs.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    let jobs: Vec<(String, String, i64, i64)> = jobs.map(Result::unwrap).collect();
    let out_of_the_line = log.lines().filter(|line| line.contains("out of the line")).count();
    assert!(out_of_the_line > 60, "{out_of_the_line} of {} jobs waited", jobs.len());
    assert!(decisions >= jobs.len() + out_of_the_line, "{decisions} decisions, {} jobs, {out_of_the_line} out of the line", jobs.len());
    for (id, route, price, ceiling) in &jobs {
        assert_eq!(kind_of(route), decided[id.as_str()], "{id} is on {route}");
        assert!(*price == price_of(route) && price <= ceiling, "{id} for {price} of {ceiling} on {route}");
    }
}

/// Nothing goes by a policy that was replaced once what was under way has ended, so that none of them takes memory.
async fn assert_only_the_last_is_kept(operator: &Client) {
    let began = Instant::now();
    loop {
        let answer = operator.get("/metrics").await.ok();
        let metrics = answer.text();
        if metrics.lines().any(|line| line == "filmgate_outgoing_policies 0") {
            return;
        }
        let kept = metrics.lines().find(|line| line.starts_with("filmgate_outgoing_policies"));
        assert!(began.elapsed() < Duration::from_secs(15), "{kept:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Bytes as hexadecimal digits.
struct Hex<'b>(&'b [u8]);

impl std::fmt::LowerHex for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[test]
fn a_decision_that_mixes_two_files_would_be_noticed() {
    let kinds = HashMap::from([("aa".to_owned(), 8)]);
    let line = |revision: &str, rule: u32, routes: &str| {
        format!("INFO create: planned job.id=video_1 revision=\"{revision}\" rule={rule} routes={routes} passed_over=")
    };
    assert_decided_by_one_file(&line("aa", 1, "r8b, r8a"), &kinds);
    for (revision, rule, routes) in [("ab", 1, "r8a, r8b"), ("aa", 2, "r8a, r8b"), ("aa", 1, "r8a, r9b"), ("aa", 1, "r8a")] {
        let line = line(revision, rule, routes);
        assert!(std::panic::catch_unwind(|| assert_decided_by_one_file(&line, &kinds)).is_err(), "{line}");
    }
}

#[tokio::test]
async fn half_a_file_is_not_a_policy_even_if_it_could_be_one() {
    let site = Site::new(1_000, 0, &parts(0)).await;
    let gateway = site.gateway().await;
    let acme = gateway.tenant("acme");
    let text = site.policy(&parts(1));
    for _ in 0..20 {
        in_place(&site.policy_file(), &text).await;
        assert_eq!(acme.get("/v1/models").await.status, 200);
    }
    // And it is followed once it stands still.
    let took = Instant::now();
    loop {
        let answer = acme.post("/v1/videos", &json!({ "prompt": "a kite", "seconds": "4" })).await.ok();
        assert_of_one_file(&answer);
        if kind_of(answer.header("filmgate-route")) == 1 {
            break;
        }
        assert!(took.elapsed() < Duration::from_secs(2), "the edit is not followed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
