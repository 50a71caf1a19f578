//! Explaining a wish before it is made: what is said is what then happens, by the file and by the gateway that runs.

use std::process::Output;

use filmgate::simulator::{Fault, Faults};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::process::run_in;
use crate::world::{World, cometapi, eventually, id, key_of, openai, route, tenant};

fn policy() -> Vec<String> {
    let retired = openai("retired", "").replace("as = \"sora-2\"", "as = \"sora-2\"\nsunset = 2020-01-01");
    let relay = route("relay", "openai_compatible", "openai/v1", "region = \"eu\"", ["sora-2-pro", "sora-2-pro"]);
    let relay = relay.replacen("price = \"0.10\"", "price = \"0.30\"\nextras = [\"seed\"]", 1);
    vec![
        openai("main", "region = \"us\"\nlimits = { rpm = 50, in_flight = 5 }\nbudget = { cap = \"20.00\", per = \"day\" }"),
        cometapi("comet", ""),
        openai("off", "enabled = false"),
        retired,
        relay,
        "[[rules]]\nwhen = { model = \"sora-2-pro\" }\nroutes = [\"main\"]".to_owned(),
        "[[rules]]\nroutes = [\"main\", \"off\", \"retired\", \"relay\"]".to_owned(),
        tenant("acme", "show_route = true\nlimits = { rpm = 60, in_flight = 10 }"),
        tenant("bound", "show_route = true\nresidency = \"eu\""),
        tenant("short", "max_seconds = 4\nmodels = [\"sora-2\"]"),
    ]
}

async fn explained(world: &World, query: &str) -> Value {
    world.operator().get(&format!("/api/explain?{query}")).await.ok().json()
}

/// On a thread of its own: the gateway that it may ask is on this one.
async fn command(world: &World, args: &[&str]) -> (Option<i32>, String, String) {
    let (folder, args) = (world.path(""), [&["explain"], args].concat().join(" "));
    let run = move || run_in(&folder, &args.split(' ').collect::<Vec<_>>());
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(run).await.unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The routes that would be asked, in order, and why each other one would not.
fn lines(explanation: &Value) -> (Vec<String>, Vec<String>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let routes = explanation["routes"].as_array().unwrap();
    let asked = routes.iter().filter(|line| !line["place"].is_null()).map(|line| text(&line["route"])).collect();
    let others = routes.iter().filter(|line| line["place"].is_null());
    (asked, others.map(|line| format!("{} {}", text(&line["route"]), text(&line["why_not"]))).collect())
}

#[tokio::test]
async fn what_is_explained_is_what_a_wish_then_meets() {
    let world = World::start(&policy()).await;
    for (tenant, query, wish) in [
        ("acme", "tenant=acme&seconds=8", json!({ "prompt": "a whale", "seconds": "8" })),
        ("acme", "tenant=acme&model=sora-2-pro&seconds=10", json!({ "prompt": "a whale", "model": "sora-2-pro", "seconds": "10" })),
        ("acme", "tenant=acme&extras=seed", json!({ "prompt": "a whale", "seed": 1 })),
        ("bound", "tenant=bound", json!({ "prompt": "a whale" })),
    ] {
        let explanation = explained(&world, query).await;
        let answer = world.tenant(tenant).wish(&wish).await.ok();
        assert_eq!(explanation["routes"][0]["route"], json!(answer.header("filmgate-route")), "{query}: {explanation}");
        let held = world.number(&format!("SELECT ceiling_microusd FROM jobs WHERE id = '{}'", id(&answer.json())));
        assert_eq!(explanation["held_microusd"], json!(held), "{query}");
        let estimate = world.tenant(tenant).client.post("/v1/videos/estimate", &wish).await.ok().json();
        assert_eq!(estimate["ceiling_microusd"], json!(held), "{query}");
        world.tenant(tenant).ended(id(&answer.json())).await;
    }
    let (asked, others) = lines(&explained(&world, "tenant=acme").await);
    assert_eq!(asked, ["main", "relay"]);
    let expected =
        ["off is disabled", "retired offered sora-2 until 2020-01-01 and no longer", "comet is not among the routes of rules[1]"];
    assert_eq!(others, expected);
    let bound = explained(&world, "tenant=bound").await;
    assert_eq!((&bound["rule"], &bound["residency"]), (&json!("rules[1]"), &json!("eu")));
    assert!(lines(&bound).1.contains(&"main is in region us, and bound is bound to eu".to_owned()), "{bound}");
    world.end().await;
}

#[tokio::test]
async fn a_wish_that_would_be_refused_is_explained_with_what_its_client_would_hear() {
    let world = World::start(&policy()).await;
    for (query, wish, why) in [
        ("tenant=acme&seconds=7", json!({ "prompt": "a whale", "seconds": "7" }), "main makes clips of 4, 8, 12 s only"),
        ("tenant=acme&extras=style", json!({ "prompt": "a whale", "style": "noir" }), "main is not allowed the parameter style (`extras`)"),
        ("tenant=short&seconds=8", json!({ "prompt": "a whale", "seconds": "8" }), "main would make 8 s, and short may have 4 s"),
        (
            "tenant=short&model=sora-2-pro&seconds=10",
            json!({ "prompt": "a whale", "model": "sora-2-pro", "seconds": "10" }),
            "main may not be asked for sora-2-pro by short (`models`)",
        ),
    ] {
        let explanation = explained(&world, query).await;
        let tenant = &query["tenant=".len()..query.find('&').unwrap()];
        let refused = world.tenant(tenant).wish(&wish).await;
        let told = &explanation["told"];
        let told = format!("{} {} {}", told["status"], told["code"].as_str().unwrap(), told["param"].as_str().unwrap_or("-"));
        assert_eq!(refused.refusal(), told, "{query}");
        let (asked, others) = lines(&explanation);
        assert!(asked.is_empty() && others.iter().any(|line| line == why), "{query}: {others:?}");
        assert!(explanation["held"].is_null() && explanation["refusal"].is_string());
    }
    for (query, why) in [
        ("seconds=8", "tenant"),
        ("tenant=nobody", "there is no tenant nobody; there are acme, bound, short"),
        ("tenant=acme&model=sora-9", "no route has a model sora-9"),
        ("tenant=acme&seconds=0", "seconds"),
        ("tenant=acme&at=noon", "2027-05-01T09:00:00Z"),
        ("tenant=acme&job=video_1", "job"),
    ] {
        let answer = world.operator().get(&format!("/api/explain?{query}")).await;
        assert_eq!(answer.status, 422, "{query}");
        assert!(answer.text().contains(why), "{query}: {}", answer.text());
    }
    world.end().await;
}

#[tokio::test]
async fn the_running_gateway_says_how_routes_and_purses_are() {
    let world = World::at_speed(1, &policy()).await;
    let acme = world.tenant("acme");
    acme.ordered(&json!({ "prompt": "a whale", "seconds": "8" })).await;
    let explanation = explained(&world, "tenant=acme&seconds=8").await;
    let live = &explanation["live"];
    let main = &live["routes"]["main"];
    assert_eq!((&main["in_flight"], &main["in_flight_max"], &main["requests_left"]), (&json!(1), &json!(5), &json!(49)));
    assert_eq!((&main["cap"], &main["left"]), (&json!("20.00"), &json!("19.20")));
    let whole = &live["tenant"];
    assert_eq!(
        (&whole["in_flight"], &whole["requests_left"], &whole["left"]),
        (&json!(1), &json!(59), &json!("97.60")),
        "what is held counts"
    );
    assert_eq!(explanation["routes"][0]["now"], "1 of 5 in flight, 49 of 50 requests left this minute, 19.20 of 20.00 USD left");
    assert_eq!(live["order"], json!(["main", "relay"]));

    // Asking takes nothing.
    assert_eq!(explained(&world, "tenant=acme&seconds=8").await["live"]["routes"]["main"]["requests_left"], 49);

    world.misbehave(Faults { script: [Fault::Refuse(410)].into(), ..Faults::default() });
    assert_eq!(acme.wish(&json!({ "prompt": "a whale" })).await.ok().header("filmgate-route"), "relay");
    let explanation = explained(&world, "tenant=acme&seconds=8").await;
    assert_eq!(explanation["live"]["order"], json!(["relay"]));
    let (asked, others) = lines(&explanation);
    assert_eq!(asked, ["relay"]);
    assert!(others.contains(&"main does not have the model any more".to_owned()), "{others:?}");
    world.end().await;
}

#[tokio::test]
async fn a_wish_that_does_not_fit_under_a_cap_is_said_not_to() {
    let world = World::start(&[openai("main", ""), tenant("poor", "budget = { cap = \"0.50\", per = \"month\" }")]).await;
    let notes = explained(&world, "tenant=poor&seconds=8").await["live"]["notes"].to_string();
    assert!(notes.contains("0.80 USD do not fit under the cap of poor"), "{notes}");
    assert_eq!(world.tenant("poor").wish(&json!({ "prompt": "a whale", "seconds": "8" })).await.status, 429);
    let notes = explained(&world, "tenant=poor&seconds=4").await["live"]["notes"].to_string();
    assert!(!notes.contains("do not fit"), "{notes}");
    world.end().await;
}

/// Two keys, of which `ci` has a cap; each end user has one.
fn capped(ci: &str, user: &str) -> Vec<String> {
    let hash = |key: &str| Sha256::digest(key_of(key)).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (ci_hash, web_hash) = (hash("acme-ci"), hash("acme-web"));
    let main = openai("main", "budget = { cap = \"9.00\" }");
    let keys = format!(
        "keys = [{{ hash = \"sha256:{ci_hash}\", name = \"ci\", budget = {{ cap = \"{ci}\", per = \"total\" }} }}, \
         {{ hash = \"sha256:{web_hash}\", name = \"web\" }}]"
    );
    let acme = format!(
        "[tenants.acme]\nbudget = {{ cap = \"50.00\", per = \"total\" }}\nuser_budget = {{ cap = \"{user}\", per = \"total\" }}\n{keys}"
    );
    vec!["[budget]\ncap = \"60.00\"\nper = \"total\"".to_owned(), main, acme]
}

#[tokio::test]
async fn every_purse_that_a_wish_would_be_held_against_is_shown_and_the_one_that_would_refuse_it() {
    let world = World::at_speed(1, &capped("2.00", "1.20")).await;
    let wish = async |user: &str| {
        let client = world.stranger().bearer(&key_of("acme-ci")).with("x-filmgate-user", user);
        client.post("/v1/videos", &json!({ "prompt": "a whale", "seconds": "8" })).await
    };
    let shown = async |query: &str| explained(&world, &format!("tenant=acme&seconds=8&{query}")).await;
    let purses = |said: &Value| {
        let word = |purse: &Value, name: &str| purse[name].as_str().unwrap_or("-").to_owned();
        let names = ["whose", "cap", "spent", "held", "left", "needs"];
        let line = |purse: &Value| names.map(|name| word(purse, name)).join(" ");
        said["purses"].as_array().unwrap().iter().map(line).collect::<Vec<_>>()
    };

    wish("u-1").await.ok();
    let said = shown("key=ci&user=u-2").await;
    let expected = [
        "the gateway 60.00 0.00 0.80 59.20 0.80",
        "acme 50.00 0.00 0.80 49.20 0.80",
        "acme's key ci 2.00 0.00 0.80 1.20 0.80",
        "acme's end user u-2 1.20 0.00 0.00 1.20 0.80",
        "route main 9.00 0.00 0.80 8.20 0.80",
    ];
    assert_eq!(purses(&said), expected);
    assert!(said["live"]["refused_by"].is_null() && said["unsaid"] == json!([]), "{said}");
    let said = shown("key=web&user=u-1").await;
    assert_eq!(purses(&said)[2], "acme's end user u-1 1.20 0.00 0.80 0.40 0.80");
    assert_eq!(said["live"]["refused_by"], "acme's end user u-1");
    assert!(said["live"]["notes"].to_string().contains("0.80 USD do not fit under the cap of acme's end user u-1, which has 0.40 left"));
    assert!(wish("u-1").await.message().contains("your end user's budget"));

    wish("u-2").await.ok();
    let said = shown("key=ci&user=u-3").await;
    assert_eq!(
        (purses(&said)[2].as_str(), &said["live"]["refused_by"]),
        ("acme's key ci 2.00 0.00 1.60 0.40 0.80", &json!("acme's key ci"))
    );
    assert!(wish("u-3").await.message().contains("the budget of your key"));

    // Who names nobody shares a purse, and which key has a cap is said if none is named.
    let said = shown("").await;
    assert_eq!(purses(&said)[2], "acme's requests that name no end user 1.20 0.00 0.00 1.20 0.80");
    assert_eq!(said["unsaid"], json!(["no key is said: those of acme with a cap of their own are ci"]));
    let answer = world.operator().get("/api/explain?tenant=acme&key=other").await;
    assert!(answer.status == 422 && answer.text().contains("acme has no key other; there are ci, web"), "{answer:?}");

    world.turn_clock(std::time::Duration::from_secs(600));
    eventually("both are settled", || world.spent("user:acme/u-1") == 800_000 && world.spent("user:acme/u-2") == 800_000).await;
    let admin = world.gateway().admin.to_string();
    let (code, told, _) = command(&world, &["--tenant", "acme", "--seconds", "8", "--key", "ci", "--user", "u-1", "--admin", &admin]).await;
    assert_eq!(code, Some(1));
    let line = told.lines().find(|line| line.starts_with("acme's key ci")).unwrap();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>().join(" "),
        "acme's key ci total 2.00 1.60 0.00 0.40 0.80 does not fit",
        "{told}"
    );
    let (_, told, _) = command(&world, &["--tenant", "acme", "--seconds", "8", "--key", "ci"]).await;
    let line = told.lines().find(|line| line.starts_with("acme's key ci")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>().join(" "), "acme's key ci total 2.00 0.80", "{told}");
    world.end().await;
}

#[tokio::test]
async fn a_wish_is_said_to_be_refused_where_no_route_has_room_or_nobody_is_named() {
    let needs_name = tenant("acme", "require_user = true");
    let world = World::start(&[openai("main", "budget = { cap = \"0.50\" }"), needs_name, tenant("rival", "")]).await;
    let said = explained(&world, "tenant=rival&seconds=8").await;
    assert_eq!(said["live"]["refused_by"], "the routes");
    assert!(said["live"]["notes"].to_string().contains("the caps of all routes that would be asked are used up"), "{said}");
    assert_eq!(world.tenant("rival").wish(&json!({ "prompt": "a whale", "seconds": "8" })).await.refusal(), "429 insufficient_quota -");
    let notes = |said: &Value| said["live"]["notes"].to_string();
    assert!(notes(&explained(&world, "tenant=acme").await).contains("has to name an end user"));
    assert!(!notes(&explained(&world, "tenant=acme&user=u-1").await).contains("has to name an end user"));
    world.end().await;
}

#[tokio::test]
async fn the_command_says_the_same_from_the_file_alone_and_says_what_it_cannot_know() {
    let world = World::start(&policy()).await;
    let (code, told, _) = command(&world, &["--tenant", "acme", "--seconds", "8", "--at", "2027-05-01T09:00:00Z"]).await;
    assert_eq!(code, Some(0));
    for part in [
        "acme wishes for sora-2, 8 s, at 2027-05-01T09:00:00Z",
        "rules[1] matches; its routes are asked in the order of the rule",
        "2.40 USD would be held",
        "retired offered sora-2 until 2020-01-01 and no longer",
        "Not in the file",
    ] {
        assert!(told.contains(part) || part.split_once(' ').is_some_and(|(_, why)| told.contains(why)), "{part}: {told}");
    }
    let (code, by_file, _) = command(&world, &["--tenant", "acme", "--seconds", "8", "--json"]).await;
    let by_file: Value = serde_json::from_str(&by_file).unwrap();
    let admin = world.gateway().admin.to_string();
    let (_, by_gateway, _) = command(&world, &["--tenant", "acme", "--seconds", "8", "--json", "--admin", &admin]).await;
    let by_gateway: Value = serde_json::from_str(&by_gateway).unwrap();
    assert_eq!((code, lines(&by_file)), (Some(0), lines(&by_gateway)));
    assert_eq!((&by_file["held"], &by_file["revision"]), (&by_gateway["held"], &by_gateway["revision"]));
    let (_, live, _) = command(&world, &["--tenant", "acme", "--seconds", "8", "--admin", &admin]).await;
    assert!(live.contains("0 of 5 in flight, 50 of 50 requests left this minute") && !live.contains("Not in the file"), "{live}");

    let (code, refused, _) = command(&world, &["--tenant", "acme", "--seconds", "7"]).await;
    assert_eq!(code, Some(1));
    assert!(refused.contains("Nobody would be asked: 7 s cannot be ordered; these can: 4, 8, 12 s"), "{refused}");
    let (code, nothing, why) = command(&world, &["--tenant", "nobody"]).await;
    assert_eq!((code, nothing.as_str()), (Some(1), ""));
    assert!(why.contains("there is no tenant nobody; there are acme, bound, short"), "{why}");
    let (code, _, why) = command(&world, &["--tenant", "acme", "--seconds", "no"]).await;
    assert_eq!(code, Some(2));
    assert!(why.contains("whole seconds"), "{why}");
    world.end().await;
}

#[tokio::test]
async fn whether_a_wish_may_wait_in_line_is_said_and_who_is_there_already() {
    let full = openai("main", "limits = { in_flight = 1 }");
    let world = World::at_speed(1, &[full, tenant("acme", "queue = { max = 3, wait = \"10m\" }"), tenant("rival", "")]).await;
    let (told, notes) = (|said: &Value| said["queue"].clone(), |said: &Value| said["live"]["notes"].to_string());
    let before = explained(&world, "tenant=acme").await;
    assert_eq!(told(&before), "may wait while all of them are full, for 600 s and with 3 jobs of its tenant in line at the most");
    assert!(told(&explained(&world, "tenant=rival").await).is_null() && !notes(&before).contains("others wait for main"));
    for _ in 0..2 {
        world.tenant("acme").ordered(&json!({ "prompt": "a whale" })).await;
    }
    assert!(notes(&explained(&world, "tenant=acme").await).contains("others wait for main"));
    world.turn_clock(std::time::Duration::from_secs(600));
    eventually("the line is empty", || world.jobs_in("waiting") == 0).await;
    world.end().await;
}

#[tokio::test]
async fn the_lot_of_a_job_is_drawn_as_it_was_drawn_for_it() {
    let weighted = "[[rules]]\nroutes = { a = 50, b = 50 }".to_owned();
    let world = World::start(&[openai("a", ""), openai("b", ""), weighted, tenant("acme", "show_route = true")]).await;
    let acme = world.tenant("acme");
    for _ in 0..12 {
        let answer = acme.wish(&json!({ "prompt": "a whale" })).await.ok();
        let explanation = explained(&world, &format!("tenant=acme&job={}", id(&answer.json()))).await;
        assert_eq!(explanation["routes"][0]["route"], json!(answer.header("filmgate-route")));
        assert_eq!((&explanation["choose"], &explanation["routes"][0]["weight"]), (&json!("weighted"), &json!(50)));
    }
    world.end().await;
}

#[tokio::test]
async fn what_would_be_refused_for_now_is_said_and_told_by_the_exit_code() {
    let one = "limits = { in_flight = 1 }";
    let acme = |more: &str| tenant("acme", &format!("{one}\n{more}"));
    let world = World::at_speed(1, &[openai("main", ""), acme(""), tenant("rival", "")]).await;
    let admin = world.gateway().admin.to_string();
    let told = async |args: &str| command(&world, &["--admin", &admin, args]).await;
    let refuses = async |query: &str| explained(&world, query).await["live"]["refuses"] == true;
    assert_eq!((told("--tenant acme --seconds 4").await.0, refuses("tenant=acme").await), (Some(0), false));

    world.tenant("acme").ordered(&json!({ "prompt": "a whale", "seconds": "4" })).await;
    let (code, said, _) = told("--tenant acme --seconds 4").await;
    assert!(code == Some(1) && said.contains("acme has as many videos in flight as it may: it would be refused"), "{code:?} {said}");
    assert_eq!(world.tenant("acme").wish(&json!({ "prompt": "a whale" })).await.status, 429);
    assert_eq!(told("--tenant rival --seconds 4").await.0, Some(0), "others may");
    world.edit_policy(&[openai("main", one), acme("queue = { max = 1, wait = \"1h\" }"), tenant("rival", "")]).await;
    let (code, said, _) = told("--tenant acme --seconds 4").await;
    assert!(code == Some(0) && said.contains("it would wait in line"), "{code:?} {said}");
    let (code, said, _) = told("--tenant rival --seconds 4").await;
    assert!(code == Some(1) && said.contains("all routes that would be asked are full: it would be refused"), "{code:?} {said}");
    assert_eq!(world.tenant("rival").wish(&json!({ "prompt": "a whale" })).await.status, 429);

    world.edit_policy(&[openai("main", ""), tenant("acme", "budget = { cap = \"0.50\" }"), tenant("rival", "")]).await;
    assert_eq!((told("--tenant acme --seconds 4").await.0, refuses("tenant=rival").await), (Some(1), false), "a cap");
    let desk = world.operator().with("x-filmgate-admin", "1");
    desk.post("/api/halt", &json!({ "by": "ann", "reason": "a drill" })).await.ok();
    assert_eq!((told("--tenant rival --seconds 4").await.0, refuses("tenant=rival").await), (Some(1), true), "a halt");
    desk.post("/api/resume", &json!({ "by": "ann" })).await.ok();
    assert_eq!(told("--tenant rival --seconds 4").await.0, Some(0));
    world.end().await;
}
