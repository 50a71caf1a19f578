//! Rules: who is served by what. The first rule that is for a wish decides, and nothing else does.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Part;
use crate::things::png;
use crate::world::{World, openai, tenant};

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
