//! Editing the policy of a gateway that runs: what is good is in force within a second, and what is not
//! changes nothing and is explained.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{World, eventually, id, openai, tenant};

fn whale() -> Value {
    json!({ "prompt": "a whale" })
}

/// Asks until the status is this, and answers how long that took.
async fn until_status(world: &World, name: &str, status: u16) -> Duration {
    let (began, tenant) = (Instant::now(), world.tenant(name));
    while tenant.get("/v1/videos").await.status != status {
        assert!(began.elapsed() < Duration::from_secs(5), "{name} never gets a {status}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn a_key_works_within_a_second_of_being_written_down_and_not_a_second_longer() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    assert_eq!(world.tenant("rival").get("/v1/videos").await.status, 401);

    world.write_policy(&[openai("openai", ""), tenant("acme", ""), tenant("rival", "")]);
    assert!(until_status(&world, "rival", 200).await < Duration::from_secs(1));
    let video = world.tenant("acme").ordered(&whale()).await;

    world.write_policy(&[openai("openai", ""), tenant("rival", "")]);
    assert!(until_status(&world, "acme", 401).await < Duration::from_secs(1));
    eventually("what the revoked key had ordered is made and paid for", || world.spent("tenant:acme") == 400_000).await;
    assert_eq!(world.tenant("rival").get(&format!("/v1/videos/{}", id(&video))).await.status, 404);
    world.end().await;
}

/// How often a policy was put in force so far.
fn swaps(world: &World) -> usize {
    world.log().matches("policy in force").count()
}

#[tokio::test]
async fn a_file_may_be_written_in_place_swapped_by_a_link_or_be_away_for_a_while() {
    let mut world = World::start(&[openai("openai", ""), tenant("guest0", "")]).await;
    world.expect_error("the policy file is refused");
    let file = world.policy_file();
    let first = std::fs::read_to_string(&file).unwrap();
    let text = |n: u32| first.replace("tenants.guest0", &format!("tenants.guest{n}"));
    let names = async |n: u32| {
        let name = format!("guest{n}");
        let began = Instant::now();
        eventually("the file is followed", || world.log().contains(&format!("changed: tenants.{name}: added"))).await;
        assert!(began.elapsed() < Duration::from_millis(1_500), "{name} took {:?}", began.elapsed());
    };
    std::fs::write(&file, text(1)).unwrap();
    names(1).await;

    // As Kubernetes mounts a ConfigMap: the file is a link into a folder that is a link to the version of now.
    let mount = world.path("mount");
    let version = |n: u32| {
        let folder = mount.join(format!("..version-{n}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("gateway.toml"), text(n)).unwrap();
        std::os::unix::fs::symlink(&folder, mount.join("..data_tmp")).unwrap();
        std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    version(2);
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(mount.join("..data/gateway.toml"), &file).unwrap();
    names(2).await;
    version(3);
    std::fs::remove_dir_all(mount.join("..version-2")).unwrap();
    names(3).await;

    std::fs::remove_file(mount.join("..version-3/gateway.toml")).unwrap();
    eventually("it is missed", || world.log().contains("the policy file is refused")).await;
    assert_eq!(world.operator().get("/readyz").await.status, 200);
    std::fs::write(mount.join("..version-3/gateway.toml"), text(3)).unwrap();
    eventually("what came back is in force", || swaps(&world) == 5).await;
    std::fs::write(mount.join("..version-3/gateway.toml"), text(4)).unwrap();
    names(4).await;
    assert_eq!(swaps(&world), 6);
    world.end().await;
}

#[tokio::test]
async fn what_changed_is_told_key_by_key_and_without_secrets() {
    let policy = |key: &str, places: u32| {
        let more = format!("api_key = \"{key}\"\nlimits = {{ in_flight = {places} }}");
        [openai("openai", &more), tenant("acme", "")]
    };
    let world = World::start(&policy("sk-test-one", 5)).await;
    world.edit_policy(&policy("sk-test-two", 8)).await;
    let told = ["changed: routes.openai.limits.in_flight: 5 → 8", "changed: routes.openai.api_key: *** → ***"];
    assert!(told.iter().all(|line| world.log().contains(line)), "{}", world.log());
    let shown = world.operator().get("/api/status").await.ok().json()["reload"]["changes"].clone();
    let moved = "routes.openai: account changed; 0 open jobs stay with the former";
    assert_eq!(shown, json!(["routes.openai.api_key: *** → ***", "routes.openai.limits.in_flight: 5 → 8", moved]));

    // The same file with other secrets in files beside it.
    std::fs::write(world.path("key"), "sk-test-three").unwrap();
    let reload = async || world.operator().with("x-filmgate-admin", "1").ask("POST", "/api/reload", None, "").await.unwrap().ok().json();
    world.edit_policy(&policy("file:key", 8)).await;
    assert_eq!(reload().await["changes"], json!([]));
    std::fs::write(world.path("key"), "sk-test-four").unwrap();
    assert_eq!(reload().await["changes"], json!(["secrets that the file names are others now", moved]));
    world.end().await;
}

#[tokio::test]
async fn a_limit_that_did_not_change_keeps_its_state() {
    let policy = |rpm: u32, places: u32, cap: &str| {
        let limits = format!("limits = {{ rpm = {rpm}, in_flight = {places} }}\nbudget = {{ cap = \"{cap}\" }}");
        [openai("openai", ""), tenant("acme", &limits)]
    };
    let world = World::at_speed(1, &policy(3, 2, "100.00")).await;
    let acme = world.tenant("acme");
    acme.ordered(&whale()).await;
    acme.ordered(&whale()).await;
    world.edit_policy(&policy(3, 2, "200.00")).await;
    assert_eq!(acme.wish(&whale()).await.refusal(), "429 concurrency_limit_exceeded -", "its places are taken");
    assert_eq!(acme.wish(&whale()).await.refusal(), "429 rate_limit_exceeded -", "the three of this minute are used");

    world.edit_policy(&policy(60, 3, "200.00")).await;
    acme.wish(&whale()).await.ok();
    assert_eq!(acme.wish(&whale()).await.refusal(), "429 concurrency_limit_exceeded -");
    world.end().await;
}

#[tokio::test]
async fn a_job_outlives_its_route() {
    let policy = [openai("first", ""), openai("second", ""), tenant("acme", "show_route = true")];
    let world = World::at_speed(1, &policy).await;
    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;
    assert_eq!(video["route"], "first");

    world.edit_policy(&policy[1..]).await;
    assert_eq!(acme.ordered(&whale()).await["route"], "second");
    let remix = acme.client.post(&format!("/v1/videos/{}/remix", id(&video)), &whale()).await;
    assert_eq!(remix.refusal(), "404 video_not_ready -");
    world.turn_clock(Duration::from_secs(60));
    assert_eq!(acme.ended(id(&video)).await["status"], "completed");
    acme.get(&format!("/v1/videos/{}/content", id(&video))).await.ok();
    assert_eq!(world.spent("route:first"), 400_000);

    let remix = acme.client.post(&format!("/v1/videos/{}/remix", id(&video)), &whale()).await;
    assert_eq!(remix.refusal(), "503 no_route_available -", "what is new does not go where it was");
    world.end().await;
}

#[tokio::test]
async fn a_route_that_is_disabled_gets_nothing_new_and_keeps_what_it_has() {
    let policy = |more: &str| [openai("first", more), openai("second", ""), tenant("acme", "show_route = true")];
    let world = World::at_speed(1, &policy("")).await;
    let acme = world.tenant("acme");
    let video = acme.ordered(&whale()).await;

    world.edit_policy(&policy("enabled = false")).await;
    assert_eq!(acme.ordered(&whale()).await["route"], "second");
    world.turn_clock(Duration::from_secs(60));
    assert_eq!((acme.ended(id(&video)).await["route"].clone(), world.spent("route:first")), (json!("first"), 400_000));

    world.edit_policy(&policy("")).await;
    assert_eq!(acme.ordered(&whale()).await["route"], "first");
    world.end().await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_says_where_it_is_broken() {
    let policy = [openai("openai", ""), tenant("acme", "")];
    let mut world = World::start(&policy).await;
    world.expect_error("the policy file is refused");
    let (acme, operator) = (world.tenant("acme"), world.operator());
    let status = async || operator.get("/api/status").await.ok().json();
    let metric = async |line: &str| operator.get("/metrics").await.ok().text().lines().any(|other| other == line);
    let good = std::fs::read_to_string(world.policy_file()).unwrap();
    let revision = status().await["revision"].clone();
    assert_eq!(status().await["reload"]["fault"], Value::Null);

    for (broken, told) in [
        (good.replace("provider = \"openai\"", "provider = \"opnai\""), "openai"),
        (good.replace("price = \"0.10\"", "price = 0.10"), "price"),
        (format!("{good}\n[tenants.acme.budgets]\ncap = \"1\"\n"), "budgets"),
        ("this is no TOML".to_owned(), "gateway.toml"),
        (String::new(), "route"),
    ] {
        world.write_file(&broken);
        let refused = operator.with("x-filmgate-admin", "1").ask("POST", "/api/reload", None, "").await.unwrap();
        assert_eq!(refused.status, 422, "{refused:?}");
        assert!(refused.message().contains(told), "{}", refused.message());
        let seen = status().await;
        assert_eq!(seen["revision"], revision);
        assert!(seen["reload"]["fault"].as_str().is_some_and(|fault| fault.contains(told)), "{seen}");
        assert!(metric("filmgate_policy_load_success 0").await);
        acme.made(&whale()).await;
    }
    assert!(metric("filmgate_policy_loads_total{outcome=\"loaded\"} 1").await);

    // A file that is away is no reason to forget what it said.
    std::fs::remove_file(world.policy_file()).unwrap();
    world.gateway().reload().await;
    acme.made(&whale()).await;

    world.write_file(&good);
    eventually("the good file is in force again", || world.log().matches("policy in force").count() == 2).await;
    assert_eq!(status().await["reload"]["fault"], Value::Null);
    assert!(metric("filmgate_policy_load_success 1").await);
    world.end().await;
}

#[tokio::test]
async fn only_somebody_who_can_send_a_header_may_ask_for_a_reload() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let operator = world.operator();
    world.write_policy(&[openai("openai", ""), openai("spare", ""), tenant("acme", "")]);

    let refused = operator.ask("POST", "/api/reload", Some("text/plain"), "").await.unwrap();
    assert_eq!(refused.status, 403);
    assert!(refused.message().contains("x-filmgate-admin"), "{}", refused.message());
    assert_eq!(operator.with("x-filmgate-admin", "0").ask("POST", "/api/reload", None, "").await.unwrap().status, 403);
    assert_eq!(operator.with("x-filmgate-admin", "1").get("/api/reload").await.status, 405);
    let reloaded = operator.with("x-filmgate-admin", "1").ask("POST", "/api/reload", None, "").await.unwrap().ok().json();
    assert_eq!(reloaded["loaded"], true);
    world.end().await;
}

#[tokio::test]
async fn reloads_under_load_fail_no_request() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let mut wishes = JoinSet::new();
    for _ in 0..4 {
        let acme = acme.clone();
        wishes.spawn(async move {
            let mut statuses = Vec::new();
            for _ in 0..10 {
                statuses.push(acme.wish(&whale()).await.status);
            }
            statuses
        });
    }
    for n in 0..20 {
        let spare = openai("spare", &format!("limits = {{ in_flight = {} }}", n + 1));
        let rules = "[[rules]]\nroutes = [\"openai\"]".to_owned();
        world.edit_policy(&[openai("openai", ""), spare, tenant("acme", ""), rules]).await;
    }
    assert_eq!(wishes.join_all().await.concat(), [200; 40]);
    world.end().await;
}
