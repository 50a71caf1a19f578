//! What the commands print and how they exit: an interface like any other.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::process::{Site, run_in};
use crate::world::{Folder, id, openai, tenant};

const SHIPPED: &str = include_str!("../../gateway.toml");

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Its standard output, once it is certain that it succeeded.
fn done(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}{}", out(output), err(output));
    out(output)
}

fn parsed(output: &Output) -> Value {
    serde_json::from_str(out(output)).unwrap_or_else(|_| panic!("not JSON: {}{}", out(output), err(output)))
}

/// A folder with the shipped policy in it.
fn shipped() -> Folder {
    let folder = Folder::new();
    std::fs::write(folder.0.join("gateway.toml"), SHIPPED).unwrap();
    folder
}

fn run(folder: &Folder, args: &[&str]) -> Output {
    run_in(&folder.0, args)
}

#[test]
fn check_passes_what_is_shipped_and_explains_what_is_wrong() {
    let folder = shipped();
    assert!(done(&run(&folder, &["check"])).contains("gateway.toml: sound"));
    assert_eq!(parsed(&run(&folder, &["check", "--json"]))["faults"], json!([]));

    let bad = SHIPPED.replace("provider = \"simulator\"  ", "provider = \"simulatr\"  ");
    assert_ne!(bad, SHIPPED);
    std::fs::write(folder.0.join("bad.toml"), bad).unwrap();
    let told = run(&folder, &["check", "bad.toml"]);
    assert_eq!((told.status.code(), out(&told)), (Some(1), ""));
    for part in ["there is no provider \"simulatr\"", "bad.toml:", "^^^", "did you mean `simulator`?", "bad.toml: 1 fault\n"] {
        assert!(err(&told).contains(part), "{part}: {}", err(&told));
    }
    let told = run(&folder, &["check", "bad.toml", "--json"]);
    assert_eq!(told.status.code(), Some(1));
    let faults = parsed(&told)["faults"].as_array().unwrap().clone();
    assert_eq!((faults.len(), faults[0]["path"].as_str(), faults[0]["column"].as_u64()), (1, Some("routes.simulator.provider"), Some(12)));
    assert!(faults.iter().all(|fault| fault["line"].as_u64() > Some(0) && fault["remedy"].is_string()), "{faults:?}");

    let told = run(&folder, &["check", "nowhere.toml"]);
    assert_eq!(told.status.code(), Some(2));
    assert!(err(&told).contains("nowhere.toml"), "{}", err(&told));
}

#[test]
fn check_takes_as_many_files_as_a_hook_passes_and_the_worst_decides() {
    let folder = shipped();
    let secret = "[routes.r]\nprovider = \"openai\"\napi_key = \"env:NOBODY_SETS_THIS\"\nmodels.sora-2 = { seconds = [4], price = \"0.10\" }\n\
                  [store]\nurl = \"env:NOR_THIS\"\n[tenants.t]\nwebhook = { url = \"https://e.example/\", secret = \"file:nowhere\" }\n";
    for (name, text) in [
        ("bad.toml", "routes = 1"),
        ("secret.toml", secret),
        ("binary.toml", "\u{0}"),
        ("warned.toml", "[routes.r]\nprovider = \"simulator\""),
    ] {
        std::fs::write(folder.0.join(name), text).unwrap();
    }
    std::fs::write(folder.0.join("latin.toml"), b"# caf\xe9\n").unwrap();
    for (files, code) in [
        (&["gateway.toml", "warned.toml"][..], 0),
        (&["gateway.toml", "bad.toml", "warned.toml"], 1),
        (&["secret.toml"], 1),
        (&["secret.toml", "--no-secrets"], 0),
        (&["latin.toml"], 1),
        (&["binary.toml"], 1),
        (&["bad.toml", "nowhere.toml"], 2),
        (&["gateway.toml", "--deny-warnings"], 0),
        (&["warned.toml", "--deny-warnings"], 1),
    ] {
        let told = run(&folder, &[&["check"], files].concat());
        assert_eq!(told.status.code(), Some(code), "{files:?}: {}", err(&told));
        let told = run(&folder, &[&["check", "--json"], files].concat());
        let lines: Vec<Value> = out(&told).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), files.iter().filter(|file| file.ends_with(".toml")).count(), "{files:?}");
        assert!(lines.iter().all(|line| line["file"].is_string() && (line["faults"].is_array() || line["error"].is_string())), "{lines:?}");
        assert_eq!((told.status.code(), err(&told)), (Some(code), ""), "{files:?}");
    }
}

#[test]
fn a_wrong_command_line_is_told_apart_from_a_wrong_policy() {
    let folder = shipped();
    for args in [&["frobnicate"][..], &["serve", "--listen", "here"], &["estimate"], &["report", "--month", "2026-13"]] {
        let told = run(&folder, args);
        assert_eq!(told.status.code(), Some(2), "{args:?}: {}", err(&told));
        assert!(err(&told).contains("--help"), "{args:?}: {}", err(&told));
    }
}

#[test]
fn a_new_key_is_shown_with_the_hash_that_lets_it_in() {
    let folder = shipped();
    let told = parsed(&run(&folder, &["key", "new", "--tenant", "acme", "--json"]));
    let (key, hash) = (told["key"].as_str().unwrap(), told["hash"].as_str().unwrap());
    let expected = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hash, format!("sha256:{expected}"));
    assert!(key.len() > 40, "{key}");

    let printed = run(&folder, &["key", "new", "--tenant", "acme"]);
    let printed = done(&printed);
    assert!(printed.contains("[tenants.acme]") && printed.contains("keys = [\"sha256:"), "{printed}");
    assert!(!printed.contains(key), "no key is made twice");
}

#[test]
fn estimates_come_out_to_the_cent() {
    let folder = shipped();
    let takes = run(&folder, &["estimate", "8:sora-2:5s", "1:sora-2-pro:5s:1024x1792"]);
    for part in ["4.00", "2.50", "6.50", "5 s of sora-2 cannot be ordered", "4 s at 0.40 and 8 s at 0.80"] {
        assert!(done(&takes).contains(part), "{part}: {}", out(&takes));
    }
    let retakes = run(&folder, &["estimate", "50:sora-2:8s", "--retakes", "30%"]);
    for part in ["40.00", "12.00", "52.00"] {
        assert!(done(&retakes).contains(part), "{part}: {}", out(&retakes));
    }
    let daily = run(&folder, &["estimate", "sora-2:6s", "--per-day", "1000", "--charge", "0.50"]);
    for part in ["0.60", "18,000.00", "loses 0.10 on each", "breaks even at 0.60", "at least 0.65"] {
        assert!(done(&daily).contains(part), "{part}: {}", out(&daily));
    }
    let daily = parsed(&run(&folder, &["estimate", "sora-2:6s", "--per-day", "1000", "--json"]));
    assert_eq!(daily["month"]["total_microusd"], json!(18_000_000_000_i64));
}

#[test]
fn editors_and_shells_get_what_they_need() {
    let folder = shipped();
    assert!(done(&run(&folder, &["completions", "bash"])).contains("_filmgate()"));
    let schema = parsed(&run(&folder, &["schema"]));
    assert_eq!(schema["additionalProperties"], false);
    for table in ["server", "store", "routes", "rules", "tenants"] {
        assert!(schema["properties"][table].is_object(), "{table}");
    }
}

#[test]
fn the_demo_makes_one_clip_and_leaves_nothing_behind_but_it() {
    let folder = Folder::new();
    let told = run(&folder, &["demo", "--once"]);
    let printed = done(&told);
    for part in ["completed", "cost       0.40 USD", "left       99.60 USD"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let left: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["filmgate-demo.mp4"]);
    let clip = std::fs::read(folder.0.join("filmgate-demo.mp4")).unwrap();
    assert_eq!(&clip[4..8], b"ftyp");
}

#[tokio::test]
async fn health_is_asked_for_from_outside() {
    let site = Site::new(1_000, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    let admin = gateway.admin.to_string();
    done(&site.run(&["healthcheck", "--admin", &admin]));
    gateway.process.kill();
    let told = site.run(&["healthcheck", "--admin", &admin]);
    assert_eq!(told.status.code(), Some(1));
    assert!(err(&told).contains(&admin), "{}", err(&told));
}

#[tokio::test]
async fn reports_and_jobs_are_read_beside_the_running_gateway_and_after_it() {
    let charge = "charge = { per_clip = \"0.50\" }";
    let site = Site::new(1_000, 0, &[openai("openai", ""), tenant("acme", charge), tenant("b-corp", "")]).await;
    let gateway = site.gateway().await;
    let order = |who: &'static str, seconds: &'static str| {
        let client = gateway.tenant(who);
        async move { client.post("/v1/videos", &json!({ "prompt": "a secret whale", "seconds": seconds })).await.ok().json() }
    };
    let first = order("acme", "4").await;
    order("acme", "8").await;
    order("b-corp", "12").await;
    site.until_quiet().await;

    let config = site.policy_file();
    the_books_say_what_was_billed(&site, &config);
    no_secret_is_needed_but_the_address_of_the_books(&site);
    gateway.process.kill();
    the_books_say_what_was_billed(&site, &config);

    let shown = site.run(&["jobs", "--config", config.to_str().unwrap(), "show", id(&first)]);
    let shown: Value = serde_json::from_str(done(&shown)).unwrap();
    assert_eq!(shown["state"], "completed");
    assert_eq!(shown["cost"], "0.40");
    let kinds: Vec<&str> = shown["ledger"].as_array().unwrap().iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["hold", "settle"]);
    assert!(!shown.to_string().contains("whale"), "prompts are left out");
    let unknown = site.run(&["jobs", "--config", config.to_str().unwrap(), "show", "video_00000000000000000000000000000000"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", err(&unknown));
}

/// Three clips: 0.40 and 0.80 of acme's, charged at 0.50 each, and 1.20 of b-corp's.
fn the_books_say_what_was_billed(site: &Site, config: &Path) {
    let config = config.to_str().unwrap();
    let report = parsed(&site.run(&["report", "--config", config, "--by", "tenant", "--json"]));
    let figure = |row: &Value| (row["tenant"].clone(), row["spent_microusd"].clone(), row["margin_microusd"].clone());
    let rows: Vec<_> = report["rows"].as_array().unwrap().iter().map(figure).collect();
    let expected = [(json!("acme"), json!(1_200_000), json!(-200_000)), (json!("b-corp"), json!(1_200_000), json!(-1_200_000))];
    assert_eq!(rows, expected);
    assert_eq!(report["total"]["spent_microusd"], json!(site.simulator.bill().total_microusd));

    let csv = site.run(&["report", "--config", config, "--by", "tenant,route", "--format", "csv"]);
    let lines: Vec<&str> = done(&csv).lines().collect();
    assert_eq!(lines[0], "tenant,route,jobs,completed,failed,seconds,spent,held,retries,retry_cost,charged,margin");
    assert_eq!(lines[1], "acme,openai,2,2,0,12,1.20,0.00,0,0.00,1.00,-0.20");
    assert_eq!(lines.len(), 3);
    let table = site.run(&["report", "--config", config]);
    assert!(done(&table).contains("total") && out(&table).contains("2.40"), "{}", out(&table));

    let jobs = parsed(&site.run(&["jobs", "--config", config, "--json", "list"]));
    let costs: Vec<&Value> = jobs.as_array().unwrap().iter().map(|job| &job["cost"]).collect();
    assert_eq!(costs, ["1.20", "0.80", "0.40"], "the newest first");
    let table = site.run(&["jobs", "--config", config, "list", "--tenant", "acme"]);
    assert_eq!(done(&table).matches("completed").count(), 2, "{}", out(&table));
    assert!(!out(&table).contains("whale") && !jobs.to_string().contains("whale"), "prompts are left out");
}

/// An operator's shell has none of the providers' secrets, and the policy file names them all the same.
fn no_secret_is_needed_but_the_address_of_the_books(site: &Site) {
    let nobodys = "env:NOBODY_SETS_THIS";
    let webhook = format!("webhook = {{ url = \"https://e.example/\", secret = {nobodys:?} }}");
    let guard = format!("[guard.moderation]\nbase_url = \"https://e.example/v1\"\non_error = \"refuse\"\napi_key = {nobodys:?}\n");
    let policy = site
        .policy(&[openai("openai", "").replace("sk-test-openai", nobodys), tenant("acme", &webhook), guard])
        .replace("drain =", "admin = \"127.0.0.1:1\"\ndrain =");
    let (head, books) = policy.split_once("url = \"").unwrap();
    let (address, rest) = books.split_once('"').unwrap();
    std::fs::write(site.path("address"), address).unwrap();
    std::fs::write(site.path("secrets.toml"), format!("{head}url = \"file:address\"{rest}")).unwrap();
    assert_eq!(site.run(&["check", "secrets.toml"]).status.code(), Some(1), "to serve, they are needed");

    let told = |args: &[&str]| site.run(&[args, &["--config", "secrets.toml"]].concat());
    let books = [&["report", "--month", "2020-01"][..], &["jobs", "list"], &["notices", "list"], &["suspense", "list"]];
    let file = [&["explain", "--tenant", "acme"][..], &["estimate", "1:sora-2:8s"]];
    let running = [&["halt"][..], &["resume"], &["readmit", "openai", "sora-2"], &["reconcile"]];
    for args in books.iter().chain(&file) {
        done(&told(args));
    }
    std::fs::remove_file(site.path("address")).unwrap();
    for args in &file {
        done(&told(args));
    }
    for args in &running {
        assert!(err(&told(args)).contains("no gateway answers at 127.0.0.1:1,"), "{args:?}: {}", err(&told(args)));
    }
    for args in &books {
        let told = told(args);
        assert!(err(&told).contains("cannot read the secret in") && !err(&told).contains("NOBODY"), "{args:?}: {}", err(&told));
    }
}
