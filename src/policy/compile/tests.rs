use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::civil::date;
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};

use super::{SecretSource, compile};
use crate::id::TenantName;
use crate::money::MicroUsd;
use crate::policy::fault::{FAULTS_MAX, Faults};
use crate::policy::schema::schema;
use crate::policy::sunset::sunset_warnings;
use crate::policy::{ArchivePlace, Choose, Fit, Per, Policy, Price, StoreUrl};
use crate::provider::Credential;
use crate::secret::Secret;

const SHIPPED: &str = include_str!("../../../gateway.toml");

/// Compiles with every secret at hand but those that are called missing.
fn compiled(text: &str) -> Result<Policy, Faults> {
    compile(text, &|_, source| match source {
        SecretSource::Env(name) if name.contains("MISSING") => Err(format!("the environment variable {name} is not set")),
        SecretSource::File(path) if path.ends_with("missing") => Err(format!("cannot read the secret in {}", path.display())),
        SecretSource::Env(_) | SecretSource::File(_) => Ok(Secret::new("at-hand")),
        SecretSource::Literal(secret) => Ok(secret.clone()),
    })
}

fn good(text: &str) -> Policy {
    compiled(text).unwrap_or_else(|faults| panic!("{}", faults.render(false)))
}

/// The fixtures in a folder, at least `least` of them.
fn fixtures(folder: &str, least: usize) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/policy").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "toml"));
    files.sort();
    assert!(files.len() >= least, "only {} fixtures", files.len());
    files
}

/// The shipped file with everything in it in use: a setting is commented out by a `#` without a space.
fn all_in_use() -> String {
    let in_use = |line: &'static str| line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()));
    SHIPPED.lines().map(|line| format!("{}\n", in_use(line).unwrap_or(line))).collect()
}

#[test]
fn good_files_compile() {
    for file in fixtures("ok", 5) {
        let text = fs::read_to_string(&file).unwrap();
        compiled(&text).unwrap_or_else(|faults| panic!("{}: {}", file.display(), faults.render(false)));
    }
}

/// A rendering that is not there yet is written, for a person to read before it is committed.
#[test]
fn bad_files_are_told_every_fault_with_place_and_remedy() {
    let mut differing = Vec::new();
    for file in fixtures("bad", 25) {
        let text = fs::read_to_string(&file).unwrap();
        let faults = compiled(&text).err().unwrap_or_else(|| panic!("{} compiles", file.display()));
        assert!(faults.faults.iter().all(|f| f.line > 0 && f.column > 0 && !f.message.is_empty() && !f.remedy.is_empty()));
        let (expected, rendered) = (file.with_extension("txt"), faults.render(false));
        if !expected.exists() {
            fs::write(&expected, &rendered).unwrap();
            differing.push(format!("{}: written, read it", expected.display()));
        } else if fs::read_to_string(&expected).unwrap() != rendered {
            differing.push(format!("{}: now reads\n{rendered}", expected.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn the_shipped_file_serves_without_an_account_or_a_warning() {
    let policy = good(SHIPPED);
    assert_eq!(policy.warnings, Vec::<String>::new());
    assert_eq!(policy.routes.len(), 1);
    let simulator = policy.routes.values().next().unwrap();
    assert!(simulator.simulated && simulator.enabled);
    assert_eq!(
        (simulator.speed, simulator.poll.early, simulator.poll.late, simulator.poll.rate),
        (20, Duration::from_secs(1), Duration::from_secs(1), 60_000)
    );
    assert!(simulator.models.contains_key(&policy.defaults.model));
    let demo = &policy.tenants[&TenantName::new("demo")];
    assert_eq!(demo.budget.cap, Some(MicroUsd::new(100_000_000)));
    let hash: [u8; 32] =
        sha2::Digest::finalize(sha2::Digest::chain_update(<sha2::Sha256 as sha2::Digest>::new(), "filmgate-demo-key")).into();
    assert_eq!(policy.keys[&hash].name, demo.name);
}

#[test]
fn every_block_of_the_shipped_file_compiles_once_uncommented() {
    let policy = good(&all_in_use());
    let routes: Vec<&str> = policy.routes.keys().map(|name| name.as_str()).collect();
    assert_eq!(routes, ["azure", "azure-entra", "cometapi", "openai", "own", "simulator"]);
    assert_eq!((policy.rules.len(), policy.tenants.len(), policy.guard.deny.len()), (5, 2, 1));
    // One rule of the examples is for another region than the moderation is in.
    let is_expected =
        |w: &&String| w.ends_with("is read but not in force in this version") || w.starts_with("`guard.moderation` is in the region");
    assert_eq!(policy.warnings.iter().filter(is_expected).count(), policy.warnings.len(), "{:?}", policy.warnings);
}

/// What a comment calls a default has to be one: spelling them all out changes nothing.
#[test]
fn the_values_shown_in_the_shipped_file_are_the_defaults() {
    let (mut all, bare) = (good(&all_in_use()), good("[routes.sim]\nprovider = \"simulator\"\n"));
    assert!(all.server.public_url.take().is_some(), "an example, as its comment says");
    assert!(all.server.tls.take().is_some() && all.server.admin_tls.take().is_some(), "there is no TLS unless it is asked for");
    assert_eq!(all.archive.place.take(), Some(ArchivePlace::Folder("clips".into())), "the default is off, as its comment says");
    assert_eq!((&all.server, &all.store, &all.archive, &all.defaults), (&bare.server, &bare.store, &bare.archive, &bare.defaults));
    assert_eq!(all.guard.prompt_chars_max, bare.guard.prompt_chars_max);
    assert_eq!((all.alerts.retry_permille, all.alerts.sunset_days), (bare.alerts.retry_permille, bare.alerts.sunset_days));
    assert_eq!(all.telemetry, bare.telemetry);
    let spelt_out = &all.routes["openai"];
    let short = good(
        "[routes.openai]\nprovider = \"openai\"\napi_key = \"env:K\"\n[routes.openai.models.sora-2]\nseconds = [4, 8, 12]\nprice = { \"720p\" = \"0.10\" }\nsunset = 2026-09-24\n",
    );
    let short = &short.routes["openai"];
    assert_eq!(spelt_out.endpoint.base_url, short.endpoint.base_url);
    assert_eq!((spelt_out.enabled, spelt_out.poll, spelt_out.submit_timeout), (short.enabled, short.poll, short.submit_timeout));
    assert_eq!((spelt_out.bills_failed, spelt_out.unknown), (short.bills_failed, short.unknown));
    assert_eq!((spelt_out.drain, spelt_out.breaker), (short.drain, short.breaker));
    let mut offer = spelt_out.models["sora-2"].clone();
    assert!(!std::mem::take(&mut offer.extras).is_empty(), "an example, as its comment says");
    assert_eq!(offer, short.models["sora-2"]);
    let budget = |policy: &Policy| policy.budget.clone().unwrap();
    let capped = good("[routes.sim]\nprovider = \"simulator\"\n[budget]\ncap = \"2000.00\"\n");
    assert_eq!(budget(&all), budget(&capped));
}

#[test]
fn every_key_of_the_schema_is_documented_in_the_shipped_file() {
    let schema = schema();
    let mut keys = Vec::new();
    let tables = schema["definitions"].as_object().unwrap().values().chain([&schema]);
    for table in tables.filter_map(|table| table["properties"].as_object()) {
        keys.extend(table.iter());
    }
    assert!(keys.len() > 70, "only {} keys", keys.len());
    for (key, described) in keys {
        let shown = [format!("{key} = "), format!("[{key}"), format!(".{key}."), format!(".{key}]")]
            .iter()
            .any(|form| SHIPPED.contains(form.as_str()));
        assert!(shown, "{key} is not in gateway.toml");
        assert!(described["description"].is_string(), "{key} has no description: {described}");
    }
}

#[test]
fn the_schema_demands_what_has_no_default() {
    let schema = schema();
    let required = |table: &str| schema["definitions"][table]["required"].to_string();
    assert_eq!(required("Route"), r#"["provider"]"#);
    assert_eq!(required("Model"), r#"["seconds","price"]"#);
    assert_eq!(required("Rule"), r#"["routes"]"#);
    assert_eq!(required("Budget"), r#"["cap"]"#);
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn a_simulator_with_an_address_is_not_the_one_in_this_process() {
    let policy = good("[routes.far]\nprovider = \"simulator\"\nbase_url = \"http://127.0.0.1:9100/openai/v1\"\n");
    assert!(!policy.routes["far"].simulated);
    assert_eq!(policy.routes["far"].endpoint.base_url, "http://127.0.0.1:9100/openai/v1");
}

#[test]
fn a_policy_means_what_the_file_says() {
    let text = include_str!("../../../tests/fixtures/policy/ok/three-providers.toml");
    let policy = good(text);
    assert_eq!(policy.store, StoreUrl::Postgres(Secret::new("postgres://filmgate@db.internal/filmgate")));
    assert_eq!(policy.archive.place, Some(ArchivePlace::Folder("clips".into())));
    assert_eq!(policy.archive.keep, Duration::from_secs(30 * 86_400));

    let openai = &policy.routes["openai"];
    assert_eq!((openai.limits.rpm, openai.limits.in_flight), (Some(125), Some(5)), "tier 3 fills what is not written");
    assert_eq!(openai.webhook_secrets.len(), 2);
    assert_eq!(openai.endpoint.credential, Credential::Key(Secret::new("at-hand")));
    assert_eq!(openai.models["sora-2"].sunset, Some(date(2026, 9, 24)));
    let sizes: Vec<String> = openai.models["sora-2-pro"].sizes.iter().map(ToString::to_string).collect();
    assert_eq!(sizes, ["720x1280", "1280x720", "1024x1792", "1792x1024"]);

    let comet = &policy.routes["cometapi"].models["sora-2"];
    assert_eq!((comet.upstream_model.as_str(), comet.fit), ("veo3.1-fast", Fit::Down));
    assert_eq!(policy.routes["azure"].models["sora-2"].price, Price::Flat(MicroUsd::new(100_000)));

    let rules: Vec<(Choose, Vec<(&str, u32)>)> = policy
        .rules
        .iter()
        .map(|rule| (rule.choose, rule.routes.iter().map(|(route, weight)| (route.name.as_str(), *weight)).collect()))
        .collect();
    let expected = [
        (Choose::Ordered, vec![("azure", 1), ("openai", 1)]),
        (Choose::Ordered, vec![("azure", 1)]),
        (Choose::Weighted, vec![("openai", 80), ("cometapi", 20)]),
    ];
    assert_eq!(rules, expected);

    let acme = &policy.tenants["acme"];
    assert_eq!(
        (acme.budget.cap, acme.budget.per, &acme.budget.warn[..]),
        (Some(MicroUsd::new(500_000_000)), Per::Month, &[50, 80, 95][..])
    );
    assert_eq!(acme.budget.timezone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(acme.webhook.as_ref().map(|hook| hook.url.to_string()).as_deref(), Some("https://acme.example/hooks?team=video"));
    assert_eq!(policy.tenants["demo"].budget.cap, None);
    assert_eq!(policy.keys.len(), 2);
}

#[test]
fn a_file_without_rules_serves_everybody_in_the_order_of_its_routes() {
    let policy = good("[routes.zebra]\nprovider = \"simulator\"\n[routes.ape]\nprovider = \"simulator\"\n");
    let names: Vec<&str> = policy.rules[0].routes.iter().map(|(route, _)| route.name.as_str()).collect();
    assert_eq!((policy.rules.len(), names, policy.rules[0].choose), (1, vec!["zebra", "ape"], Choose::Ordered));
    assert_eq!(policy.rules[0].when, crate::policy::When::default());
}

#[test]
fn what_is_legal_but_surprising_is_a_warning() {
    let policy = good(concat!(
        "[server]\nlisten = \"0.0.0.0:8080\"\nadmin = \"0.0.0.0:9090\"\n",
        "[store]\nurl = \"postgres://u:hunter2@db/f\"\n",
        "[archive]\nurl = \"az://clips\"\n",
        "[routes.openai]\nprovider = \"openai\"\ntier = 1\napi_key = \"hunter2\"\nbase_url = \"http://relay.example/v1\"\n",
        "[routes.openai.models.veo]\nseconds = [4]\nprice = \"0\"\n",
        "[routes.twin]\nprovider = \"openai\"\napi_key = \"hunter2\"\nbase_url = \"http://relay.example/v1\"\n",
        "[routes.twin.models.veo]\nseconds = [4]\nprice = \"0.10\"\n",
        "[routes.there]\nprovider = \"simulator\"\nregion = \"eu\"\n[routes.there.models.veo]\nseconds = [4, 8]\nprice = \"0.10\"\n",
        "[[rules]]\nwhen = { seconds = 8 }\nroutes = [\"openai\", \"there\"]\nresidency = \"eu\"\n[[rules]]\nroutes = [\"openai\"]\n",
        "[tenants.penniless]\nresidency = \"mars\"\n",
        "[tenants.thrifty]\nmax_cost = \"0.39\"\nmax_seconds = 3\n",
        "[tenants.demo]\nbudget = { cap = \"unlimited\" }\n",
        "keys = [\"sha256:60eb4ca46c272b89621d56e8ae5383c6a4837c1a7b707081f04aa47a516e491c\"]\n",
    ));
    let warnings = policy.warnings.join("\n");
    for part in [
        "tier 1 has no access to video",
        "the credential travels unencrypted",
        "`routes.openai.models.veo` has a price of 0",
        "`routes.openai` and `routes.twin` are one account",
        "`archive.url` is read but not in force",
        "no route offers `sora-2`",
        "nothing may be spent: the tenants `penniless`, `thrifty`",
        "nobody can ask: the tenants `penniless`, `thrifty`",
        "in the region `mars`, so what is bound to it is refused: the tenant `penniless`",
        "`max_seconds` is below 4, as long as the shortest clip is, so all are refused: the tenant `thrifty`",
        "rules[0]: it binds to the region `eu`, so these routes of it serve nothing: `openai`",
        "everybody knows the demo key of the tenant `demo`",
        "secrets stand in the file itself, at `store.url`, `routes.openai.api_key`",
        "`server.admin` is 0.0.0.0:9090",
    ] {
        assert!(warnings.contains(part), "no {part:?} in\n{warnings}");
    }
    assert!(!warnings.contains("hunter2"));
    assert_eq!(policy.tenants["penniless"].budget.cap, Some(MicroUsd::ZERO));
}

#[test]
fn a_tenant_that_can_have_nothing_is_told_of() {
    let file = |rules: &str, tenant: &str| {
        let route = "[routes.here]\nprovider = \"simulator\"\n[routes.here.models.sora-2]\nseconds = [4, 8]\nprice = \"0.10\"\n";
        let key = format!("keys = [\"sha256:{}\"]\nbudget = {{ cap = \"1.00\" }}\n", "0".repeat(64));
        good(&format!("{route}{rules}[tenants.acme]\n{key}{tenant}")).warnings
    };
    let one_of = "[[rules]]\nwhen = { tenant = \"acme\" }\nroutes = [\"here\"]\n";
    let other = "[tenants.rival]\n[[rules]]\nwhen = { tenant = \"rival\" }\nroutes = [\"here\"]\n";
    let of_acme = |warnings: Vec<String>| warnings.into_iter().filter(|warning| warning.contains("`acme`")).collect::<Vec<_>>().join("\n");
    for (rules, tenant, expected) in [
        ("", "max_cost = \"0.40\"\nmax_seconds = 4", ""),
        (one_of, "", ""),
        (other, "", "every rule is for other tenants, so nothing is served: the tenant `acme`; add a rule, or one for all"),
        ("", "max_cost = \"0.39\"", "`max_cost` is below 0.40, which the cheapest clip costs, so all are refused: the tenant `acme`"),
        ("", "max_seconds = 3", "`max_seconds` is below 4, as long as the shortest clip is, so all are refused: the tenant `acme`"),
    ] {
        assert_eq!(of_acme(file(rules, tenant)), expected, "{rules}{tenant}");
    }
}

#[test]
fn sunsets_are_told_before_and_after_the_day() {
    let policy = good(include_str!("../../../tests/fixtures/policy/ok/three-providers.toml"));
    assert_eq!(sunset_warnings(&policy, date(2026, 8, 1), 30), Vec::<String>::new());
    let soon = sunset_warnings(&policy, date(2026, 9, 24), 30);
    assert_eq!(soon[0], "`sora-2` on the route `openai` has its last day on 2026-09-24, in 0 days");
    assert_eq!(soon.len(), 2);
    let after = sunset_warnings(&policy, date(2026, 9, 25), 30);
    assert_eq!(after, ["the route `openai` offers nothing any more: every model of it is past its last day"]);
    let only = good(concat!(
        "[routes.openai]\nprovider = \"openai\"\napi_key = \"env:K\"\n",
        "[routes.openai.models.sora-2]\nseconds = [4]\nprice = \"0.10\"\nsunset = 2026-09-24\n",
    ));
    assert!(sunset_warnings(&only, date(2027, 1, 1), 30).iter().any(|w| w.starts_with("rules[0]: every route of it is past its last day")));
}

#[test]
fn no_rendering_or_data_shows_a_secret() {
    for name in ["secrets-stay-covered", "secrets-stay-covered-when-it-does-not-parse"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/policy/bad/{name}.toml"));
        let faults = compiled(&fs::read_to_string(file).unwrap()).unwrap_err();
        let told = format!("{}{}{}{faults}{faults:?}", faults.render(false), faults.render(true), serde_json::to_string(&faults).unwrap());
        for secret in ["hunter", "abcdef", "top-secret", "pasted_by_mistake"] {
            assert!(!told.contains(secret), "{name}: {secret}");
        }
    }
}

#[test]
fn many_faults_are_counted_and_not_all_told() {
    let text: String = (0..FAULTS_MAX + 100).map(|i| format!("[routes.r{i}]\nprovider = \"x\"\n")).collect();
    let faults = compiled(&text).unwrap_err();
    assert_eq!((faults.faults.len(), faults.untold), (FAULTS_MAX, 100));
    let one_table: String = (0..10_000).map(|i| format!("k{i} = 1\n")).collect();
    assert!(compiled(&format!("[routes.r]\n{one_table}")).unwrap_err().faults.len() < 30);
}

#[test]
fn a_hundred_thousand_tenants_are_no_burden() {
    let mut text = "[routes.sim]\nprovider = \"simulator\"\n".to_owned();
    for i in 0..100_000 {
        text.push_str(&format!(
            "[tenants.t{i}]\nkeys = [\"sha256:{i:064x}\"]\nbudget = {{ cap = \"5.00\", timezone = \"Europe/Berlin\" }}\nmodels = [\"sora-2\"]\n"
        ));
    }
    let started = Instant::now();
    assert_eq!(good(&text).keys.len(), 100_000);
    let took = started.elapsed();
    // Unoptimised, on a busy machine: what is caught here is a quadratic pass, which takes minutes.
    assert!(took < Duration::from_secs(60), "{took:?}");
}

/// Bytes of the shipped file, all in use, with a few of them changed, cut or doubled.
fn mutated(edits: &[(usize, u8, u8)]) -> String {
    let mut bytes = all_in_use().into_bytes();
    for (at, what, byte) in edits {
        let at = at % bytes.len().max(1);
        match what % 4 {
            0 => bytes[at] = *byte,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, *byte),
            _ => {
                let end = (at + usize::from(*byte)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_mutated_file_compiles_or_is_told_its_faults(edits in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6)) {
        if let Err(faults) = compiled(&mutated(&edits)) {
            prop_assert!(!faults.faults.is_empty());
            prop_assert!(!faults.render(true).is_empty());
        }
    }

    #[test]
    fn any_text_compiles_or_is_told_its_faults(text in any::<String>()) {
        if let Err(faults) = compiled(&text) {
            prop_assert!(!faults.faults.is_empty());
            prop_assert!(!faults.render(false).is_empty());
        }
    }
}
