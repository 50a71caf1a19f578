use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{LINES_MAX, differences};

const OLD: &str = r#"
[routes.openai]
provider = "openai"
api_key = "sk-old-secret"
webhook_secret = ["whsec_old", "env:HOOK"]
limits = { rpm = 50, in_flight = 5 }
[routes.openai.models."wan-2.2"]
seconds = [4, 8]
price = "0.10"
sunset = 2026-09-24
[store]
url = "postgres://u:old-password@h/d"
[[rules]]
when = { model = "a" }
routes = ["openai"]
[[rules]]
routes = { openai = 80, other = 20 }
[tenants.acme]
keys = ["sha256:aaaa", "sha256:bbbb"]
"#;

/// What is told when this part of [`OLD`] is replaced by that.
fn told(edits: &[(&str, &str)]) -> Vec<String> {
    let mut new = OLD.to_owned();
    for (from, to) in edits {
        assert!(new.contains(from), "{from}");
        new = new.replace(from, to);
    }
    differences(OLD, &new)
}

#[test]
fn every_key_is_told_from_old_to_new() {
    for (from, to, line) in [
        ("in_flight = 5", "in_flight = 8", "routes.openai.limits.in_flight: 5 → 8"),
        ("in_flight = 5", "burst = 5", "routes.openai.limits.in_flight: 5 → removed"),
        ("\"0.10\"", "{ \"720p\" = \"0.12\" }", "routes.openai.models.\"wan-2.2\".price: \"0.10\" → { 720p = \"0.12\" }"),
        ("[4, 8]", "[4, 8, 12]", "routes.openai.models.\"wan-2.2\".seconds: [4, 8] → [4, 8, 12]"),
        ("2026-09-24", "2026-10-24", "routes.openai.models.\"wan-2.2\".sunset: 2026-09-24 → 2026-10-24"),
        ("model = \"a\"", "model = \"b\"", "rules[0].when.model: \"a\" → \"b\""),
        ("openai = 80, other = 20", "openai = 50, other = 50", "rules[1].routes.openai: 80 → 50"),
        ("provider = \"openai\"", "provider = \"openai\"\nenabled = false", "routes.openai.enabled: added false"),
    ] {
        assert!(told(&[(from, to)]).contains(&line.to_owned()), "{line}: {:?}", told(&[(from, to)]));
    }
}

#[test]
fn comments_order_and_style_say_nothing() {
    assert_eq!(told(&[]), Vec::<String>::new());
    assert_eq!(told(&[("[4, 8]", "[ 4,\n  8 ] # lengths"), ("rpm = 50, in_flight = 5", "in_flight = 5, rpm = 50")]), Vec::<String>::new());
    assert_eq!(differences(OLD, &format!("\u{feff}{OLD}")), Vec::<String>::new());
    assert_eq!(differences(OLD, "this is no TOML"), Vec::<String>::new());
}

#[test]
fn a_rule_that_comes_or_goes_does_not_make_others_of_those_below() {
    let first = "[[rules]]\nwhen = { model = \"a\" }\nroutes = [\"openai\"]\n";
    assert_eq!(told(&[(first, "")]), ["rules[0]: { routes = [\"openai\"], when = { model = \"a\" } } → removed"]);
    let twice = format!("[[rules]]\nwhen = {{ tenant = \"acme\" }}\nroutes = [\"openai\"]\n{first}");
    assert_eq!(told(&[(first, &twice)]), ["rules[0]: added { routes = [\"openai\"], when = { tenant = \"acme\" } }"]);
}

#[test]
fn a_secret_is_never_told() {
    let edits = [
        ("sk-old-secret", "sk-new-secret"),
        ("whsec_old", "whsec_new"),
        ("old-password", "new-password"),
        ("sha256:aaaa", "sha256:cccc"),
        ("provider = \"openai\"", "provider = \"openai\"\nentra = { client_secret = \"new-client\", tenant = \"t\" }"),
        ("price = \"0.10\"", "as = \"sk-misplaced\"\nprice = \"0.10\""),
    ];
    let all = told(&edits).join("\n");
    for secret in ["old-secret", "new-secret", "whsec_old", "whsec_new", "-password", "cccc", "aaaa", "new-client", "misplaced"] {
        assert!(!all.contains(secret), "{secret} in\n{all}");
    }
    assert!(all.contains("tenants.acme.keys: 1 added, 1 removed"), "{all}");
    let two = format!("{OLD}cap = \"5 or so\"\n[tenants.b]\n");
    let one = &two.replace("[tenants.acme]\nkeys = [\"sha256:aaaa\", \"sha256:bbbb\"]\ncap = \"5 or so\"\n", "");
    assert_eq!(differences(&two, one), ["tenants.acme: { cap = \"5 or so\", keys = [***, ***] } → removed"]);
    assert_eq!(differences(one, &two), ["tenants.acme: added { cap = \"5 or so\", keys = [***, ***] }"]);
    let nested = "a = { api_key = \"b\", hooks.key = [{ x = \"c\" }], z = \"?token=e\" }\nb = 1";
    assert_eq!(differences(nested, "b = 1"), ["a: { api_key = ***, hooks = { key = [{ x = *** }] }, z = \"?token=*\" } → removed"]);
    assert_eq!(told(&[("\"sk-old-secret\"", "\"env:OPENAI_API_KEY\"")]), ["routes.openai.api_key: *** → \"env:OPENAI_API_KEY\""]);
}

#[test]
fn however_much_changes_little_is_told_and_in_little_time() {
    let many = |cap: &str| (0..20_000).map(|n| format!("[tenants.t{n}]\nbudget = {{ cap = \"{cap}\" }}\n")).collect::<String>();
    let began = Instant::now();
    let told = differences(&many("1.00"), &many("2.00"));
    assert_eq!((told.len(), told.last().map(String::as_str)), (LINES_MAX + 1, Some("and 19980 more")));
    assert!(told[0].contains("\"1.00\" → \"2.00\""), "{}", told[0]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let long = differences("deny = []", &format!("deny = [{}]", "\"a\\nb\", ".repeat(5_000)));
    assert!(long.len() == 1 && long[0].len() < 300 && !long[0].contains('\n'), "{long:?}");
}

/// Leaving out what is the same in both by its lines tells what comparing everything would.
#[test]
fn tenants_that_did_not_change_are_left_out_and_no_others() {
    let tenants = "[tenants.a]\nlimits.rpm = 1\n[tenants.b]\n[tenants.b.limits]\nrpm = 1\n[tenants.\"c d\"]\n# [tenants.z]\n";
    let edits = [
        ("[tenants.a]\nlimits.rpm = 1", "[tenants.a]\nlimits.rpm = 2", "tenants.a.limits.rpm: 1 → 2"),
        ("[tenants.b.limits]\nrpm = 1", "[tenants.b.limits]\nrpm = 3", "tenants.b.limits.rpm: 1 → 3"),
        ("[tenants.b]\n", "[tenants.b]\nweight = 2\n", "tenants.b.weight: added 2"),
        ("[tenants.\"c d\"]\n", "[tenants.\"c d\"]\nweight = 2\n", "tenants.\"c d\".weight: added 2"),
        ("[tenants.a]\nlimits.rpm = 1\n", "", "tenants.a: { limits = { rpm = 1 } } → removed"),
        ("[tenants.a]", "[tenants.a-b]\n[tenants.a]", "tenants.a-b: added {  }"),
        ("# [tenants.z]", "# another remark", ""),
        ("# [tenants.z]", "note = \"\"\"\n[tenants.a]\n\"\"\"", "tenants.\"c d\".note: added \"[tenants.a]\\n\""),
    ];
    for (from, to, line) in edits {
        assert!(tenants.contains(from), "{from}");
        let told = differences(tenants, &tenants.replace(from, to));
        assert_eq!(told.join("|"), line, "{from} → {to}");
    }
    let (old, new) = super::unchanged::left_out(tenants, &tenants.replace("rpm = 1\n[tenants.b]", "rpm = 2\n[tenants.b]")).unwrap();
    assert_eq!(old, "[tenants.a]\nlimits.rpm = 1\n[tenants.\"c d\"]\n# [tenants.z]\n\n[tenants]\n");
    assert_eq!(new, "[tenants.a]\nlimits.rpm = 2\n[tenants.\"c d\"]\n# [tenants.z]\n\n[tenants]\n");
}

proptest! {
    /// Whatever is under a name that sounds secret stays covered, and no line is broken in two.
    #[test]
    fn secrets_stay_covered_and_lines_whole(old in "[ -~]{8,40}", new in "[ -~\\n]{8,40}", key in "(api_key|client_secret|token|secret)") {
        let text = |value: &str| format!("[routes.a]\n{key} = {value:?}\nhooks = [{{ {key} = {value:?} }}]\n");
        for line in differences(&text(&old), &text(&new)) {
            prop_assert!(!line.contains('\n') && !line.contains(&old[..8]) && !line.contains(&new[..8]), "{line}");
        }
    }
}
