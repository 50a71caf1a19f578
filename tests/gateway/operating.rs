//! What an operator does by hand: adopt, write off, explain; and who may do it.

use std::process::Output;
use std::time::Duration;

use filmgate::simulator::{Fault, Faults};
use serde_json::{Value, json};

use crate::client::{Answer, Client, Part};
use crate::process::Site;
use crate::things::png;
use crate::world::{World, eventually, id, openai, tenant};

fn whale() -> Value {
    json!({ "prompt": "a whale" })
}

/// An operator whose acts are taken for their own.
fn operator(world: &World) -> Client {
    world.operator().with("x-filmgate-admin", "1")
}

async fn adopt(world: &World, video: &Value, upstream_id: &str, force: bool) -> Answer {
    let path = format!("/api/jobs/{}/adopt", id(video));
    operator(world).post(&path, &json!({ "upstream_id": upstream_id, "note": "seen on their page", "force": force })).await
}

async fn write_off(world: &World, video: &Value, counts_as: &str) -> Answer {
    let path = format!("/api/jobs/{}/write-off", id(video));
    operator(world).post(&path, &json!({ "as": counts_as, "note": "asked their support" })).await
}

/// What happens to a job's money, as the ledger has it.
fn ledger(world: &World, video: &Value) -> Vec<(String, i64, Option<String>)> {
    let rows =
        world.books().rows(&format!("SELECT kind, amount_microusd, note FROM ledger WHERE job_id = '{}' ORDER BY number", id(video)));
    let noted = |note: &String| Some(note.clone()).filter(|note| !note.is_empty());
    rows.iter().map(|row| (row[0].clone(), row[1].parse().unwrap(), noted(&row[2]))).collect()
}

/// Three tenants wish the same, and all answers are lost: nobody can tell whose is which but by hand, nor once the first
/// is told apart.
async fn mixed_up(script: [Fault; 3]) -> (World, Value, Value) {
    let world = World::start(&[openai("openai", ""), tenant("acme", ""), tenant("rival", ""), tenant("guest", "")]).await;
    // Until all are there nobody reads the list, which would show whose the first is.
    world.misbehave(Faults { script: script.into(), list_500: 1_000, ..Faults::default() });
    let first = world.tenant("acme").ordered(&whale()).await;
    let second = world.tenant("rival").ordered(&whale()).await;
    world.tenant("guest").ordered(&whale()).await;
    eventually("all are unknown", || world.jobs_in("unknown") == 3).await;
    world.misbehave(Faults::default());
    (world, first, second)
}

#[tokio::test]
async fn an_unknown_job_is_adopted_by_hand_if_it_is_what_the_provider_has() {
    let (world, first, second) = mixed_up([const { Fault::AcceptThenCut }; 3]).await;
    let made = world.tenant("acme").made(&json!({ "prompt": "a whale", "seconds": "8" })).await;
    let ids: Vec<String> = world.simulator.bill().jobs.iter().map(|job| job.upstream_id.clone()).collect();

    for (upstream_id, why) in
        [("video_nobody", "does not know video_nobody"), (ids[3].as_str(), "another job already is"), ("", "visible characters")]
    {
        let told = adopt(&world, &first, upstream_id, false).await;
        assert!([400, 409].contains(&told.status) && told.message().contains(why), "{upstream_id}: {told:?}");
    }
    let adopted = adopt(&world, &first, &ids[0], false).await.ok().json();
    assert_eq!((&adopted["state"], &adopted["overruled"], &adopted["corrected"]), (&json!("accepted"), &json!([]), &Value::Null));
    assert!(adopt(&world, &second, &ids[0], true).await.message().contains("another job already is"), "not even by force");
    adopt(&world, &second, &ids[1], false).await.ok();
    for (who, video) in [("acme", &first), ("rival", &second)] {
        assert_eq!(world.tenant(who).ended(id(video)).await["status"], "completed");
        let note = format!("adopted by the operator as {}: seen on their page", ids[usize::from(who == "rival")]);
        let expected = [("hold", 400_000, None), ("adjust", 0, Some(note)), ("settle", 400_000, None)];
        assert_eq!(ledger(&world, video), expected.map(|(kind, amount, note)| (kind.to_owned(), amount, note)));
    }
    assert!(adopt(&world, &made, &ids[0], true).await.message().contains("is completed"));
    assert!(world.log().contains("audit=\"adopt\""), "what was done by hand is told to the log");
    world.end().await;
}

#[tokio::test]
async fn what_looks_otherwise_is_adopted_only_by_force() {
    let (world, first, second) = mixed_up([Fault::AcceptThenCut, Fault::CutBeforeRead, Fault::CutBeforeRead]).await;
    world.misbehave(Faults { script: [Fault::AcceptThenCut].into(), ..Faults::default() });
    let picture = png(720, 1280);
    let form = [Part::Text("prompt", "a whale"), Part::Text("seconds", "8"), Part::File("input_reference", "image/png", &picture)];
    let third = world.tenant("acme").client.post_form("/v1/videos", &form).await.ok().json();
    eventually("it is unknown", || world.jobs_in("unknown") == 4).await;
    let ids: Vec<String> = world.simulator.bill().jobs.iter().map(|job| job.upstream_id.clone()).collect();

    let told = adopt(&world, &second, &ids[1], false).await;
    assert_eq!(told.status, 409);
    assert!(told.message().contains("its length is 8 and not 4") && told.message().contains("force"), "{}", told.message());
    let told = adopt(&world, &third, &ids[1], false).await;
    assert!(told.message().contains("no list shows"), "{}", told.message());
    let adopted = adopt(&world, &third, &ids[1], true).await.ok().json();
    assert_eq!(adopted["overruled"].as_array().unwrap().len(), 1, "{adopted}");
    world.tenant("acme").ended(id(&third)).await;
    adopt(&world, &first, &ids[0], false).await.ok();
    write_off(&world, &second, "free").await.ok();
    world.end().await;
}

#[tokio::test]
async fn what_a_provider_has_that_is_gone_for_good_is_written_off_and_what_it_still_tells_of_is_not() {
    let mut world = World::at_speed(1, &[openai("openai", "limits = { in_flight = 3 }"), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    // The second will fail there, which costs nothing, and nobody will hear of it.
    let doomed = json!({ "prompt": "a whale [fail]" });
    let videos = [acme.ordered(&whale()).await, acme.ordered(&doomed).await, acme.ordered(&whale()).await];
    let told = write_off(&world, &videos[0], "free").await;
    assert!(told.status == 409 && told.message().contains("openai says that it is"), "{told:?}");
    world.misbehave(Faults { poll_500: 1_000, ..Faults::default() });
    let spent = write_off(&world, &videos[0], "spent").await.ok().json();
    assert_eq!((&spent["state"], &spent["cost"]), (&json!("failed"), &json!("0.40")));

    // Its address is gone from the policy, and the gateway was started since.
    world.expect_error("is not in the policy");
    world.write_policy(&[openai("other", ""), tenant("acme", "")]);
    world.restart().await;
    world.turn_clock(Duration::from_secs(60));
    eventually("it is said of the jobs left there", || world.log().contains("2 jobs are on route openai, which is not in the policy"))
        .await;
    let free = write_off(&world, &videos[1], "free").await.ok().json();
    assert_eq!((&free["state"], &free["cost"]), (&json!("failed"), &json!("0.00")));
    let video = world.tenant("acme").video(id(&videos[1])).await;
    assert_eq!((&video["status"], &video["error"]["code"]), (&json!("failed"), &json!("upstream_job_lost")));
    let account = |of: &str| (world.spent(of), world.held(of));
    assert_eq!([account("tenant:acme"), account("route:openai")], [(400_000, 400_000); 2]);
    assert_eq!(world.number("SELECT jobs FROM in_flight WHERE account = 'route:openai'"), 1);
    // Support was wrong: the last was made and charged for. The provider is back, and says so.
    write_off(&world, &videos[2], "free").await.ok();
    world.misbehave(Faults::default());
    world.turn_clock(Duration::from_secs(600));
    world.edit_policy(&[openai("openai", ""), tenant("acme", "")]).await;
    let upstream_id = world.simulator.bill().jobs[2].upstream_id.clone();
    for corrected in ["0.40", "0.00"] {
        let adopted = adopt(&world, &videos[2], &upstream_id, false).await.ok().json();
        assert_eq!((&adopted["state"], &adopted["corrected"]), (&json!("failed"), &json!(corrected)), "once");
    }
    assert_eq!([account("tenant:acme"), account("route:openai")], [(800_000, 0); 2]);
    world.end().await;
}

#[tokio::test]
async fn what_has_no_evidence_is_written_off_and_corrected_when_it_turns_up() {
    let (world, first, second) = mixed_up([const { Fault::AcceptThenCut }; 3]).await;
    let made = world.tenant("acme").made(&json!({ "prompt": "a whale", "seconds": "8" })).await;
    let told = write_off(&world, &made, "spent").await;
    assert!(told.status == 409 && told.message().contains("it has ended and cost 0.80"), "{told:?}");
    let unnamed = json!({ "as": "spent", "note": " " });
    assert_eq!(operator(&world).post(&format!("/api/jobs/{}/write-off", id(&first)), &unnamed).await.status, 400);
    assert_eq!(operator(&world).post(&format!("/api/jobs/{}/write-off", id(&first)), &json!({ "as": "maybe" })).await.status, 400);
    let nobody = json!({ "id": "video_00000000000000000000000000000000" });
    assert_eq!(write_off(&world, &nobody, "spent").await.status, 404);

    let spent = write_off(&world, &first, "spent").await.ok().json();
    assert_eq!((&spent["state"], &spent["cost"]), (&json!("failed"), &json!("0.40")));
    let free = write_off(&world, &second, "free").await.ok().json();
    assert_eq!((&free["state"], &free["cost"]), (&json!("released"), &json!("0.00")));
    let video = world.tenant("rival").video(id(&second)).await;
    assert_eq!((&video["status"], &video["error"]["code"]), (&json!("failed"), &json!("upstream_outcome_unknown")));
    let note = Some("written off by the operator: asked their support".to_owned());
    assert_eq!(ledger(&world, &second)[1], ("release".to_owned(), 400_000, note));
    assert_eq!((world.spent("tenant:acme"), world.spent("tenant:rival")), (1_200_000, 0));

    // The provider charged for both, as it turns out.
    let ids: Vec<String> = world.simulator.bill().jobs.iter().map(|job| job.upstream_id.clone()).collect();
    let adopted = adopt(&world, &second, &ids[1], false).await.ok().json();
    assert_eq!((&adopted["state"], &adopted["corrected"]), (&json!("released"), &json!("0.40")));
    assert_eq!(adopt(&world, &first, &ids[0], false).await.ok().json()["corrected"], "0.00");
    assert_eq!((world.spent("tenant:acme"), world.spent("tenant:rival")), (1_200_000, 400_000));
    assert_eq!(adopt(&world, &second, &ids[1], true).await.status, 409, "once");
    world.end().await;
}

#[tokio::test]
async fn pages_of_other_origins_can_neither_read_nor_act() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let evil = world.operator().with("host", "evil.example:9090");
    for path in ["/api/jobs", "/api/status", "/metrics", "/"] {
        let told = evil.get(path).await;
        assert!(told.status == 403 && told.message().contains("admin_hosts"), "{path}: {told:?}");
    }
    assert_eq!(evil.get("/healthz").await.status, 200);
    assert_eq!(evil.with("x-filmgate-admin", "1").post("/api/reload", &json!({})).await.status, 403);
    assert_eq!(world.operator().post("/api/reload", &json!({})).await.status, 403, "without the header");
    let crossed = operator(&world).with("origin", "http://evil.example");
    assert_eq!(crossed.post("/api/reload", &json!({})).await.status, 403);
    let form = operator(&world).ask("POST", "/api/reload", Some("text/plain"), "{}").await.unwrap();
    assert_eq!(form.status, 403);
    operator(&world).post("/api/reload", &json!({})).await.ok();
    world.end().await;
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// On several threads: the provider has to answer while a command runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_write_through_the_gateway_that_runs_and_say_so_where_none_does() {
    let site = Site::new(1_000, 0, &[openai("openai", ""), tenant("acme", ""), tenant("rival", ""), tenant("guest", "")]).await;
    let gateway = site.gateway().await;
    let script = [const { Fault::AcceptThenCut }; 3].into();
    site.simulator.set_faults(Faults { script, list_500: 1_000, ..Faults::default() });
    let mut videos = Vec::new();
    for who in ["acme", "rival", "guest"] {
        videos.push(gateway.tenant(who).post("/v1/videos", &whale()).await.ok().json());
    }
    site.simulator.set_faults(Faults::default());
    let upstream_id = site.simulator.bill().jobs[0].upstream_id.clone();
    let (admin, config) = (gateway.admin.to_string(), site.policy_file().display().to_string());
    let jobs = |args: &[&str]| {
        let all: Vec<&str> = ["jobs", "--config", &config, "--admin", &admin].into_iter().chain(args.iter().copied()).collect();
        site.run(&all)
    };

    let told = jobs(&["adopt", id(&videos[0]), "video_nobody"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(err(&told).contains("openai does not know video_nobody"), "{}", err(&told));
    let told = jobs(&["adopt", id(&videos[0]), &upstream_id, "--json"]);
    assert_eq!(told.status.code(), Some(0), "{}", err(&told));
    assert_eq!(serde_json::from_slice::<Value>(&told.stdout).unwrap()["state"], "accepted");
    let told = jobs(&["write-off", id(&videos[1]), "--as", "spent", "--note", "on the bill"]);
    assert_eq!(String::from_utf8_lossy(&told.stdout), format!("{} is failed and cost 0.40.\n", id(&videos[1])), "{}", err(&told));
    assert_eq!(jobs(&["write-off", id(&videos[1]), "--as", "spent"]).status.code(), Some(2), "a reason is needed");
    assert_eq!(jobs(&["write-off", id(&videos[2]), "--as", "spent", "--note", "on the bill"]).status.code(), Some(0));
    site.until_quiet().await;
    assert!(gateway.process.log().contains("audit=\"write_off\""), "{}", gateway.process.log());
    assert!(!gateway.process.log().contains("whale"));

    gateway.process.kill();
    let told = jobs(&["write-off", id(&videos[1]), "--as", "free", "--note", "not on the bill"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(err(&told).contains(&admin) && err(&told).contains("filmgate serve"), "{}", err(&told));
}
