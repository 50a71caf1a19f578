//! Rules: who is served by what. The first rule that is for a wish decides, and nothing else does.

use std::time::Duration;

use filmgate::simulator::{Fault, Faults};
use serde_json::{Value, json};

use crate::client::Part;
use crate::things::png;
use crate::world::{World, eventually, id, openai, tenant};

fn whale() -> Value {
    json!({ "prompt": "a whale" })
}

/// Routes `special` and `usual`, and a rule for the one before the rule for everybody.
fn special(when: &str) -> [String; 5] {
    let rules = format!("[[rules]]\nwhen = {when}\nroutes = [\"special\"]\n[[rules]]\nroutes = [\"usual\"]");
    let acme = tenant("acme", "show_route = true");
    [openai("special", ""), openai("usual", ""), acme, tenant("rival", "show_route = true\nresidency = \"eu\""), rules]
}

/// Who served the video.
fn server(video: &Value) -> &str {
    video["route"].as_str().unwrap_or_else(|| panic!("no route in {video}"))
}

#[tokio::test]
async fn a_rule_for_a_tenant_is_for_that_tenant() {
    let [one, other, acme, rival, rules] = special("{ tenant = [\"acme\", \"guest\"] }");
    let rival = rival.replace("residency = \"eu\"", "");
    let world = World::start(&[one, other, acme, rival, tenant("guest", "show_route = true"), rules]).await;
    for (name, route) in [("acme", "special"), ("rival", "usual"), ("guest", "special")] {
        assert_eq!(server(&world.tenant(name).made(&whale()).await), route, "{name}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_rule_for_models_sizes_and_lengths_is_for_wishes_for_all_of_them() {
    let world = World::start(&special("{ model = [\"sora-2\"], size = \"1280x720\", seconds = [8, 12] }")).await;
    let acme = world.tenant("acme");
    for (model, size, seconds, route) in [
        ("sora-2", "1280x720", "8", "special"),
        ("sora-2", "1280x720", "12", "special"),
        ("sora-2", "1280x720", "4", "usual"),
        ("sora-2", "720x1280", "8", "usual"),
        ("sora-2-pro", "1280x720", "10", "usual"),
    ] {
        let wish = json!({ "prompt": "a whale", "model": model, "size": size, "seconds": seconds });
        assert_eq!(server(&acme.ordered(&wish).await), route, "{wish}");
    }
    assert_eq!(server(&acme.ordered(&whale()).await), "usual", "what is not said is the protocol's default: 4 s upright");
    world.end().await;
}

#[tokio::test]
async fn a_rule_for_a_residency_is_for_tenants_that_are_bound_to_it() {
    let [special, usual, acme, rival, rules] = special("{ residency = \"eu\" }");
    let special = special.replace("provider =", "region = \"eu\"\nprovider =");
    let world = World::start(&[special, usual, acme, rival, rules]).await;
    assert_eq!(server(&world.tenant("rival").made(&whale()).await), "special");
    assert_eq!(server(&world.tenant("acme").made(&whale()).await), "usual");
    world.end().await;
}

#[tokio::test]
async fn a_rule_for_wishes_with_a_reference_is_for_those_whatever_form_it_has() {
    let world = World::start(&special("{ has_reference = true }")).await;
    let acme = world.tenant("acme");
    assert_eq!(server(&acme.ordered(&whale()).await), "usual");
    let by_id = json!({ "prompt": "a whale", "input_reference": { "file_id": "file-1" } });
    assert_eq!(server(&acme.ordered(&by_id).await), "special");
    let parts = [Part::Text("prompt", "a whale"), Part::File("input_reference", "image/png", &png(720, 1280))];
    assert_eq!(server(&acme.client.post_form("/v1/videos", &parts).await.ok().json()), "special");
    world.end().await;

    let world = World::start(&special("{ has_reference = false }")).await;
    let acme = world.tenant("acme");
    assert_eq!((server(&acme.ordered(&whale()).await), server(&acme.ordered(&by_id).await)), ("special", "usual"));
    world.end().await;
}

#[tokio::test]
async fn a_rule_for_an_end_user_hears_of_it_from_the_header_or_the_body() {
    let world = World::start(&special("{ user = [\"u-17\", \"zo\u{eb}\"] }")).await;
    let acme = world.tenant("acme");
    let asks = |header: Option<&str>, user: Option<&str>| {
        let client = header.map_or_else(|| acme.client.clone(), |user| acme.client.with("x-filmgate-user", user));
        let wish = user.map_or_else(whale, |user| json!({ "prompt": "a whale", "user": user }));
        async move { client.post("/v1/videos", &wish).await }
    };
    for (header, body, route) in [
        (None, None, "usual"),
        (None, Some("u-17"), "special"),
        (Some("u-17"), None, "special"),
        (Some("zo\u{eb}"), Some("zo\u{eb}"), "special"),
        (Some("U-17"), None, "usual"),
        (Some(""), Some("u-18"), "usual"),
    ] {
        assert_eq!(server(&asks(header, body).await.ok().json()), route, "{header:?} and {body:?}");
    }
    let orders = world.orders();
    let refused = asks(Some("u-17"), Some("u-18")).await;
    assert_eq!(refused.refusal(), "400 invalid_value user", "nobody chooses whose rules apply by naming two");
    let long = "u".repeat(257);
    assert_eq!(asks(Some(&long), None).await.refusal(), "400 string_above_max_length x-filmgate-user");
    assert_eq!(world.orders(), orders);
    assert_eq!(world.number("SELECT count(*) FROM jobs WHERE end_user = 'u-17'"), 2, "whoever said so");
    world.end().await;
}

#[tokio::test]
async fn a_rule_for_a_time_of_day_comes_into_force_and_goes_out_of_it() {
    // Whatever the time is now: the window opens in half an hour and is open for two hours.
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let shown = |minutes| now.saturating_add(jiff::Span::new().minutes(minutes)).strftime("%H:%M").to_string();
    let when = format!("{{ time = {{ from = {:?}, until = {:?} }} }}", shown(30), shown(150));
    let world = World::start(&special(&when)).await;
    let acme = world.tenant("acme");
    let mut served = Vec::new();
    for _ in 0..5 {
        served.push(server(&acme.made(&whale()).await).to_owned());
        world.turn_clock(Duration::from_secs(3_600));
    }
    assert_eq!(served, ["usual", "special", "special", "usual", "usual"]);
    world.end().await;
}

#[tokio::test]
async fn the_first_rule_that_is_for_a_wish_decides_and_the_log_says_which() {
    let rules = concat!(
        "[[rules]]\nwhen = { tenant = \"acme\", seconds = 8 }\nroutes = [\"third\", \"first\"]\n",
        "[[rules]]\nwhen = { tenant = \"acme\" }\nroutes = [\"second\", \"off\"]\n",
        "[[rules]]\nroutes = [\"first\"]",
    );
    let routes = [openai("first", ""), openai("second", ""), openai("third", ""), openai("off", "enabled = false")];
    let [first, second, third, off] = routes;
    let world = World::start(&[first, second, third, off, tenant("acme", ""), tenant("rival", ""), rules.to_owned()]).await;
    world.tenant("acme").made(&json!({ "prompt": "a whale", "seconds": "8" })).await;
    world.tenant("acme").made(&whale()).await;
    world.tenant("rival").made(&whale()).await;
    let log = world.log();
    let planned: Vec<&str> = log.lines().filter_map(|line| line.split_once(": planned ").map(|(_, fields)| fields)).collect();
    let told = ["rule=0 routes=third, first ", "rule=1 routes=second passed_over=off is disabled", "rule=2 routes=first "];
    assert_eq!(planned.len(), told.len(), "{planned:#?}");
    for (line, told) in planned.iter().zip(told) {
        assert!(line.contains(told) && line.contains("revision=\"") && line.contains("job.id=video_"), "{line}");
    }
    world.end().await;
}

// ── Residency by rule ──

/// Everybody may be served at home and abroad, and clips of 8 s only at home.
fn bound(abroad: &str, home: &str) -> [String; 4] {
    let rules = concat!(
        "[[rules]]\nwhen = { seconds = 8 }\nroutes = [\"abroad\", \"home\", \"spare\", \"nowhere\"]\nresidency = \"eu\"\n",
        "[[rules]]\nroutes = [\"abroad\", \"home\"]",
    );
    [
        format!("{}{}", openai("abroad", &format!("region = \"us\"\n{abroad}")), openai("nowhere", "")),
        format!("{}{}", openai("home", &format!("region = \"eu\"\n{home}")), openai("spare", "region = \"eu\"")),
        tenant("acme", "show_route = true"),
        rules.to_owned(),
    ]
}

fn at_home() -> Value {
    json!({ "prompt": "a whale at home", "seconds": "8" })
}

/// Attempts of bound jobs anywhere but where they are bound to.
fn strayed(world: &World) -> i64 {
    let strayed = "SELECT count(*) FROM attempts JOIN jobs ON jobs.id = job_id";
    world.number(&format!("{strayed} WHERE residency = 'eu' AND attempts.route NOT IN ('home', 'spare')"))
}

fn script(faults: impl IntoIterator<Item = Fault>) -> Faults {
    Faults { script: faults.into_iter().collect(), ..Faults::default() }
}

#[tokio::test]
async fn what_a_rule_binds_to_a_region_leaves_it_for_no_fallback() {
    let world = World::start(&bound("", "")).await;
    let acme = world.tenant("acme");
    assert_eq!(server(&acme.made(&whale()).await), "abroad");
    assert_eq!(server(&acme.made(&at_home()).await), "home");
    world.misbehave(script([Fault::Refuse(429)]));
    assert_eq!(server(&acme.made(&at_home()).await), "spare");
    for fault in [Fault::Refuse(401), Fault::Refuse(429), Fault::AcceptThenCut] {
        world.misbehave(script([fault.clone(), fault]));
        acme.wish(&at_home()).await;
    }
    assert_eq!((strayed(&world), world.number("SELECT count(*) FROM jobs WHERE residency = 'eu'")), (0, 5));
    assert_eq!(world.number("SELECT count(*) FROM jobs WHERE residency IS NULL"), 1);
    world.misbehave(Faults::default());
    eventually("what was unclear is cleared up", || world.jobs_in("unknown") == 0).await;
    world.end().await;
}

#[tokio::test]
async fn a_tenant_that_is_bound_elsewhere_than_a_rule_is_served_by_nobody() {
    let [abroad, home, acme, rules] = bound("", "");
    let elsewhere = tenant("rival", "residency = \"us\"\nshow_route = true");
    let world = World::start(&[abroad, home, acme, elsewhere, rules]).await;
    let rival = world.tenant("rival");
    assert_eq!(server(&rival.made(&whale()).await), "abroad");
    assert_eq!(rival.wish(&at_home()).await.refusal(), "503 no_route_available -");
    assert_eq!(world.orders(), 1);
    world.end().await;
}

#[tokio::test]
async fn what_is_made_from_a_bound_clip_is_bound_whatever_the_file_says_by_then() {
    let world = World::start(&bound("", "")).await;
    let acme = world.tenant("acme");
    let source = acme.made(&at_home()).await;
    let path = format!("/v1/videos/{}/remix", id(&source));
    let remixed = async |prompt: &str| acme.client.post(&path, &json!({ "prompt": prompt })).await;
    let remix = remixed("a red whale").await.ok().json();
    assert_eq!((server(&remix), world.number("SELECT count(*) FROM jobs WHERE residency = 'eu'")), ("home", 2));
    acme.ended(id(&remix)).await;

    // The account moves, and the rule is dropped.
    let [abroad, home, acme_too, _] = bound("", "");
    let moved = home.replacen("region = \"eu\"", "region = \"us\"", 1);
    world.edit_policy(&[abroad, moved, acme_too]).await;
    let orders = world.orders();
    assert_eq!(remixed("a blue whale").await.refusal(), "503 no_route_available -");
    let extension = json!({ "prompt": "a whale, on", "seconds": "4", "video": { "id": id(&remix) } });
    assert_eq!(
        acme.client.post("/v1/videos/extensions", &extension).await.refusal(),
        "503 no_route_available -",
        "nor what a remix leads to"
    );
    let edit = json!({ "prompt": "a whale, brighter", "video": { "id": id(&source) } });
    assert_eq!(acme.client.post("/v1/videos/edits", &edit).await.refusal(), "503 no_route_available -");
    assert_eq!(world.orders(), orders);

    let [abroad, home, acme_too, _] = bound("", "");
    world.edit_policy(&[abroad, home, acme_too]).await;
    assert_eq!(server(&acme.client.post("/v1/videos/extensions", &extension).await.ok().json()), "home");
    assert_eq!(world.number("SELECT count(*) FROM jobs WHERE residency = 'eu'"), 3, "no rule says so any more, and the job does");
    world.end().await;
}

#[tokio::test]
async fn a_bound_order_of_unknown_outcome_is_not_sent_again_to_an_account_that_moved() {
    let world = World::start(&bound("", "")).await;
    let acme = world.tenant("acme");
    world.misbehave(Faults { list_lag_ms: 3_600_000, ..script([Fault::AcceptThenCut]) });
    let video = acme.ordered(&at_home()).await;
    assert_eq!(world.jobs_in("unknown"), 1);

    // From now on what is unknown there may be sent again, but for the move.
    let [abroad, home, acme_too, rules] = bound("", "idempotency_key = true");
    world.edit_policy(&[abroad, home.replacen("region = \"eu\"", "region = \"us\"", 1), acme_too, rules]).await;
    let listed = world.simulator.stats().count("list");
    eventually("it was looked for", || world.simulator.stats().count("list") > listed + 3).await;
    assert_eq!((world.orders(), world.jobs_in("unknown")), (1, 1));
    world.misbehave(Faults::default());
    assert_eq!(acme.ended(id(&video)).await["status"], "completed", "it was there all along");
    assert_eq!((world.orders(), strayed(&world)), (1, 0));
    world.end().await;
}

// ── Choosing by what was seen ──

#[tokio::test]
async fn the_fastest_is_who_was_seen_to_be_also_after_a_reload() {
    let slow = openai("slow", "poll = { early = \"1500ms\", late = \"1500ms\", rate = 60000 }");
    let rules = concat!(
        "[[rules]]\nwhen = { user = \"scout\" }\nroutes = [\"quick\"]\n",
        "[[rules]]\nroutes = [\"slow\", \"quick\"]\nchoose = \"fastest\"",
    );
    let policy = [slow, openai("quick", ""), tenant("acme", "show_route = true"), rules.to_owned()];
    let world = World::start(&policy).await;
    let acme = world.tenant("acme");
    assert_eq!(server(&acme.made(&whale()).await), "slow", "nobody was seen yet, and so the file's order holds");
    for _ in 0..3 {
        acme.made(&json!({ "prompt": "a whale", "user": "scout" })).await;
    }
    assert_eq!(server(&acme.made(&whale()).await), "quick");
    let of_eight = json!({ "prompt": "a whale", "seconds": "8" });
    assert_eq!(server(&acme.ordered(&of_eight).await), "slow", "nobody was seen making one of 8 s");
    world.edit_policy(&[policy.as_slice(), &["[guard]\nprompt_max_chars = 100".to_owned()]].concat()).await;
    assert_eq!(server(&acme.ordered(&whale()).await), "quick");
    world.misbehave(script([Fault::Refuse(429)]));
    assert_eq!(server(&acme.ordered(&whale()).await), "slow", "the other is the fallback");
    world.turn_gateways_clock(Duration::from_secs(24 * 3_600));
    assert_eq!(server(&acme.ordered(&whale()).await), "slow", "a day later nobody remembers");
    world.end().await;
}

#[tokio::test]
async fn the_least_busy_is_who_has_the_most_room_for_its_size() {
    let [large, small] = [openai("large", "limits = { in_flight = 8 }"), openai("small", "limits = { in_flight = 4 }")];
    let rule = "[[rules]]\nroutes = [\"large\", \"small\"]\nchoose = \"least_busy\"".to_owned();
    let world = World::at_speed(1, &[large, small, tenant("acme", "show_route = true"), rule]).await;
    let acme = world.tenant("acme");
    // It is counted twice a second.
    let counted = || tokio::time::sleep(Duration::from_millis(1_200));
    counted().await;
    let mut served = Vec::new();
    for _ in 0..6 {
        served.push(server(&acme.ordered(&whale()).await).to_owned());
    }
    let on_small = served.iter().filter(|route| *route == "small").count();
    assert!((1..=3).contains(&on_small), "what was sent since the last count counts too: {served:?}");
    for _ in 0..6 {
        counted().await;
        acme.ordered(&whale()).await;
    }
    assert_eq!((world.orders(), acme.wish(&whale()).await.status), (12, 429), "all places are taken, and none twice");

    world.turn_clock(Duration::from_secs(120));
    eventually("all are made", || world.jobs_in("completed") == 12).await;
    counted().await;
    let served = [acme.ordered(&whale()).await, acme.ordered(&whale()).await];
    assert_eq!([server(&served[0]), server(&served[1])], ["large", "small"], "none of 8 each, and then one of 8 against none of 4");
    world.end().await;
}
