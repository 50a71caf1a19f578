//! The kill switch: an operator stops all buying, everywhere and at once, and everything else goes on.

use std::time::Duration;

use filmgate::simulator::{Fault, Faults};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{Answer, Client};
use crate::process::Site;
use crate::world::{World, eventually, id, openai, tenant};

fn whale() -> Value {
    json!({ "prompt": "a whale", "seconds": "4" })
}

fn operator(world: &World) -> Client {
    world.operator().with("x-filmgate-admin", "1")
}

async fn halt(world: &World, reason: &str) -> Value {
    operator(world).post("/api/halt", &json!({ "by": "ann", "reason": reason })).await.ok().json()
}

async fn resume(world: &World) -> Value {
    operator(world).post("/api/resume", &json!({ "by": "bob" })).await.ok().json()
}

/// Somebody wishes while the test goes on.
fn meanwhile(wish: impl Future<Output = Answer> + Send + 'static) -> JoinSet<Answer> {
    let mut wishing = JoinSet::new();
    wishing.spawn(wish);
    wishing
}

async fn answered(wishing: JoinSet<Answer>) -> Answer {
    wishing.join_all().await.remove(0)
}

fn is_halted(answer: &Answer) -> bool {
    answer.refusal() == "503 halted -"
        && (answer.header("x-should-retry"), answer.header("retry-after")) == ("false", "60")
        && !answer.text().contains("overspent")
}

#[tokio::test]
async fn while_an_operator_has_halted_it_nothing_is_bought_and_everything_else_goes_on() {
    let world = World::at_speed(1, &[openai("openai", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let (first, second) = (acme.ordered(&whale()).await, acme.ordered(&whale()).await);
    let told = halt(&world, "we overspent\u{7} badly").await;
    assert_eq!(
        (&told["new"], &told["halted"]["by"], &told["halted"]["reason"]),
        (&json!(true), &json!("ann"), &json!("we overspent  badly"))
    );
    assert_eq!(halt(&world, "again").await["new"], json!(false));

    let remix = format!("/v1/videos/{}/remix", id(&first));
    assert!(is_halted(&acme.wish(&whale()).await));
    world.turn_clock(Duration::from_secs(600));
    for video in [&first, &second] {
        assert_eq!(acme.ended(id(video)).await["status"], "completed", "what was ordered before is made");
    }
    assert!(is_halted(&acme.client.post(&remix, &json!({ "prompt": "a whale by night" })).await));
    assert_eq!(&acme.get(&format!("/v1/videos/{}/content", id(&first))).await.ok().body[4..8], b"ftyp");
    assert_eq!(acme.get("/v1/videos").await.ok().json()["data"].as_array().unwrap().len(), 2);
    assert_eq!(acme.get("/v1/models").await.status, 200);
    assert_eq!(acme.client.post("/v1/videos/estimate", &whale()).await.status, 200);
    assert_eq!(acme.client.delete(&format!("/v1/videos/{}", id(&second))).await.status, 200);
    assert_eq!((world.orders(), world.held("tenant:acme"), world.spent("tenant:acme")), (2, 0, 800_000));
    assert_eq!(operator(&world).post("/api/probe/openai", &json!({})).await.status, 409);

    assert_eq!(world.operator().get("/readyz").await.ok().text(), "halted: what is known can be read, nothing new is taken\n");
    assert!(world.operator().get("/metrics").await.text().contains("\nfilmgate_halted 1\n"));
    assert_eq!(world.operator().get("/api/status").await.json()["halted"]["by"], "ann");

    let ended = resume(&world).await;
    assert_eq!((&ended["was_halted"], &ended["halted"]), (&json!(true), &Value::Null));
    assert_eq!(resume(&world).await["was_halted"], json!(false));
    assert_eq!(world.log().matches("the halt in the books has ended").count(), 1, "the second ended nothing");
    acme.ordered(&whale()).await;
    let past = world.operator().get("/api/halt").await.json();
    assert_eq!((past["halts"].as_array().unwrap().len(), &past["halts"][0]["ended_by"]), (1, &json!("bob")));
    assert!(world.operator().get("/metrics").await.text().contains("\nfilmgate_halted 0\n"));
    world.end().await;
}

#[tokio::test]
async fn the_policy_file_pulls_the_switch_too_and_the_other_one_does_not_let_it_go() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let (acme, text) = (world.tenant("acme"), std::fs::read_to_string(world.policy_file()).unwrap());
    world.write_file(&text.replace("drain = \"10s\"", "drain = \"10s\"\nhalt = true"));
    world.gateway().reload().await;
    assert!(is_halted(&acme.wish(&whale()).await));
    let told = resume(&world).await;
    assert_eq!(told["halted"]["reason"], "the policy file says `halt = true`", "it is said what still stops it");
    assert!(is_halted(&acme.wish(&whale()).await));

    world.write_file(&text);
    world.gateway().reload().await;
    acme.made(&whale()).await;
    world.end().await;
}

#[tokio::test]
async fn a_restart_does_not_end_a_halt() {
    let mut world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    halt(&world, "for the night").await;
    world.restart().await;
    assert!(is_halted(&world.tenant("acme").wish(&whale()).await));
    resume(&world).await;
    world.tenant("acme").made(&whale()).await;
    world.end().await;
}

#[tokio::test]
async fn a_wish_that_was_made_before_is_answered_under_its_key_during_a_halt() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let keyed = world.tenant("acme").client.with("idempotency-key", "one");
    let video = keyed.post("/v1/videos", &whale()).await.ok().json();
    halt(&world, "now").await;
    let again = keyed.post("/v1/videos", &whale()).await.ok();
    assert_eq!((again.header("idempotent-replayed"), &again.json()["id"]), ("true", &video["id"]));
    world.end().await;
}

#[tokio::test]
async fn a_wish_between_two_routes_is_given_up_when_the_halt_comes_and_costs_nothing() {
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let first = openai("first", "").replace("{simulator}", &format!("http://{}", slow.local_addr().unwrap()));
    let world = World::start(&[first, openai("second", ""), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let wish = meanwhile(async move { acme.wish(&whale()).await });
    let (mut line, _) = slow.accept().await.unwrap();
    halt(&world, "now").await;
    assert!(line.read(&mut [0; 4_096]).await.unwrap() > 0);
    line.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert!(is_halted(&answered(wish).await));
    assert_eq!((world.orders(), world.jobs_in("released"), world.held("tenant:acme")), (0, 1, 0));
    world.end().await;
}

#[tokio::test]
async fn what_waits_for_a_connection_when_the_halt_comes_is_not_sent_over_it() {
    // A listener that takes no more until it is asked to: whoever comes next knocks again and again.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let crowded = socket.listen(1).unwrap();
    let address = crowded.local_addr().unwrap();
    let mut before = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        before.push(stream);
    }
    let route = openai("openai", "").replace("{simulator}", &format!("http://{address}"));
    let world = World::start(&[route, tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let wish = meanwhile(async move { acme.wish(&whale()).await });
    eventually("it is being sent", || world.jobs_in("submitting") == 1).await;
    halt(&world, "now").await;

    let mut taken = Vec::new();
    while taken.len() <= before.len() {
        // It knocks after one second and after three, and gives up after five.
        let next = timeout(Duration::from_secs(60), crowded.accept()).await.expect("it has not given up before the halt");
        taken.push(next.unwrap().0);
    }
    assert!(is_halted(&answered(wish).await));
    let mut read = [0; 16];
    for stream in &mut taken {
        assert!(!matches!(timeout(Duration::from_millis(100), stream.read(&mut read)).await, Ok(Ok(1..))), "it was sent");
    }
    assert_eq!((world.jobs_in("released"), world.held("tenant:acme")), (1, 0));
    world.end().await;
}

#[tokio::test]
async fn what_is_unclear_is_not_sent_again_under_its_key_before_the_halt_is_over() {
    let world = World::start(&[openai("own", "idempotency_key = true"), tenant("acme", "")]).await;
    // Lists show nothing, so that nothing is found there.
    let faults = |script: Vec<Fault>| Faults { script: script.into(), honour_keys: true, list_lag_ms: 3_600_000, ..Faults::default() };
    world.misbehave(faults(vec![Fault::AcceptThenCut; 50]));
    let acme = world.tenant("acme");
    let wish = meanwhile(async move { acme.wish(&whale()).await });
    eventually("it was sent", || world.orders() >= 1).await;
    halt(&world, "now").await;
    let before = world.orders();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(world.orders() <= before + 1, "one may have been leaving");
    answered(wish).await.ok();

    world.misbehave(faults(Vec::new()));
    resume(&world).await;
    eventually("it is sent again, and known", || world.jobs_in("completed") == 1).await;
    assert_eq!(world.simulator.bill().jobs.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn who_halts_says_who_they_are_and_why() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    for (path, body) in [
        ("/api/halt", json!({ "by": "ann", "reason": " " })),
        ("/api/halt", json!({ "by": "", "reason": "now" })),
        ("/api/halt", json!({ "reason": "now" })),
        ("/api/resume", json!({})),
    ] {
        assert_eq!(operator(&world).post(path, &body).await.status, 400, "{path} {body}");
    }
    assert_eq!(world.operator().post("/api/halt", &json!({ "by": "a page", "reason": "now" })).await.status, 403);
    world.tenant("acme").made(&whale()).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_halt_and_resume() {
    let site = Site::new(1_000, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    let gateway = site.gateway().await;
    let admin = gateway.admin.to_string();
    let run = |args: &[&str]| {
        let output = site.run(&[args, &["--admin", &admin]].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, told) = run(&["halt", "--reason", "a drill", "--by", "ann"]);
    assert!(code == Some(0) && told.starts_with("Nothing is bought any more"), "{told}");
    assert_eq!(run(&["halt"]), (Some(0), "It was halted already, by ann: a drill\n".to_owned()));
    assert!(is_halted(&gateway.tenant("acme").post("/v1/videos", &json!({ "prompt": "a kite" })).await));
    assert_eq!(run(&["resume"]), (Some(0), "The halt has ended: videos are bought.\n".to_owned()));
    assert_eq!(run(&["resume"]).1, "Nobody had halted it: videos are bought.\n");
    gateway.tenant("acme").post("/v1/videos", &json!({ "prompt": "a kite #intent:one" })).await.ok();
    site.until_quiet().await;
    site.settle_up();
}

/// Twelve clients wish at three replicas as fast as they can, and one replica is told to halt. A second later
/// the provider's bill stands still, whoever asks; and it goes on once the halt is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_three_replicas_under_load_nothing_is_bought_a_second_after_a_halt() {
    const REPLICAS: usize = 3;
    let policy = [openai("openai", ""), tenant("acme", "budget = { cap = \"unlimited\" }")];
    let site = Site::on_postgres(1_000, 0, &policy).await;
    let replicas = site.replicas(REPLICAS, &policy).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut wishes = JoinSet::new();
    for who in 0..12 {
        let (acme, stopped) = (replicas[who % REPLICAS].tenant("acme"), stopped.clone());
        wishes.spawn(async move {
            let mut number = 0;
            while !*stopped.borrow() {
                number += 1;
                let wish = json!({ "prompt": format!("a kite #intent:{who}-{number}"), "seconds": "4" });
                let answer = acme.post("/v1/videos", &wish).await;
                assert!(answer.status == 200 || is_halted(&answer), "{answer:?}");
            }
        });
    }
    let paid = || site.simulator.bill().jobs.len();
    for round in 0..4 {
        let before = paid();
        eventually("videos are bought", || paid() > before + 30).await;
        let desk = |number: usize| replicas[number % REPLICAS].operator().with("x-filmgate-admin", "1");
        desk(round).post("/api/halt", &json!({ "by": "ann", "reason": "a drill" })).await.ok();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let at_halt = paid();
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(paid(), at_halt, "round {round}: somebody paid more than a second after the halt");
        for replica in &replicas {
            assert_eq!(replica.tenant("acme").get("/v1/videos?limit=1").await.status, 200);
            assert!(replica.operator().get("/api/status").await.json()["halted"].is_object());
        }
        desk(round + 1).post("/api/resume", &json!({ "by": "bob" })).await.ok();
    }
    stop.send_replace(true);
    while let Some(ended) = wishes.join_next().await {
        ended.unwrap();
    }
    site.until_quiet().await;
    site.settle_up();
}

/// A replica that cannot read the books does not know whether it is halted, and so buys nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stood_still_over_a_halt_buys_nothing_when_it_goes_on() {
    let policy = [openai("openai", ""), tenant("acme", "budget = { cap = \"unlimited\" }")];
    let site = Site::on_postgres(1_000, 0, &policy).await;
    let replicas = site.replicas(2, &policy).await;
    let acme = replicas[0].tenant("acme");
    acme.post("/v1/videos", &json!({ "prompt": "a kite #intent:one" })).await.ok();
    for _ in 0..5 {
        replicas[0].process.signal("STOP");
        let desk = replicas[1].operator().with("x-filmgate-admin", "1");
        desk.post("/api/halt", &json!({ "by": "ann", "reason": "a drill" })).await.ok();
        let acme = acme.clone();
        let wish = meanwhile(async move { acme.post("/v1/videos", &json!({ "prompt": "a kite #intent:two" })).await });
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        replicas[0].process.signal("CONT");
        assert!(is_halted(&answered(wish).await));
        assert_eq!(site.simulator.bill().jobs.len(), 1);
        desk.post("/api/resume", &json!({ "by": "ann" })).await.ok();
    }
    site.until_quiet().await;
    site.settle_up();
}
