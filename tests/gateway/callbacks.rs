//! Providers' callbacks: a doorbell that makes us look, and nothing that is believed.

use std::time::{Duration, Instant, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use filmgate::simulator::{Faults, Webhook};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::world::{World, eventually, id, openai, tenant};

const SECRET: &str = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=";

/// A provider that is asked once in a minute and calls back.
async fn world() -> World {
    let route = format!("poll = {{ early = \"60s\", late = \"60s\" }}\nwebhook_secret = [\"another\", \"{SECRET}\"]");
    World::at_speed(200, &[openai("studio", &route), openai("mute", ""), tenant("acme", "")]).await
}

fn call_at(world: &World, route: &str, secret: &str) {
    let url = format!("http://{}/hooks/{route}", world.gateway().address);
    world.simulator.set_webhook(Some(Webhook { url, secret: secret.to_owned() }));
}

#[tokio::test]
async fn a_callback_has_its_job_asked_about_at_once() {
    let world = world().await;
    call_at(&world, "studio", SECRET);
    let (begun, acme) = (Instant::now(), world.tenant("acme"));
    let video = acme.made(&json!({ "prompt": "a whale" })).await;
    assert_eq!(video["status"], "completed");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    world.end().await;
}

#[tokio::test]
async fn whoever_cannot_sign_is_not_heard() {
    let world = world().await;
    let stranger = world.stranger();
    let body = json!({ "type": "video.completed", "data": { "id": "video_1" } });
    assert_eq!(stranger.post("/hooks/studio", &body).await.refusal(), "401 invalid_api_key -");
    assert_eq!(stranger.post("/hooks/mute", &body).await.refusal(), "404 unknown_url -", "without a secret nobody is heard");
    assert_eq!(stranger.post("/hooks/nobody", &body).await.refusal(), "404 unknown_url -");
    assert_eq!(stranger.get("/hooks/studio").await.refusal(), "404 unknown_url -");
    world.end().await;
}

/// A callback that whoever has the secret could send.
#[derive(Clone)]
struct Callback {
    id: String,
    secret: &'static str,
    /// How much older than now it says it is, seconds.
    age: i64,
    /// What was signed.
    signed: String,
    /// What is sent.
    sent: String,
}

impl Callback {
    fn about(id: &str, event: &str, upstream_id: &str) -> Self {
        let body = json!({ "type": event, "data": { "id": upstream_id, "status": "completed", "progress": 100 } }).to_string();
        Self { id: id.to_owned(), secret: SECRET, age: 0, signed: body.clone(), sent: body }
    }

    fn from(&self, client: &Client) -> Client {
        let at = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap() - self.age;
        let key = self.secret.strip_prefix("whsec_").map(|key| BASE64_STANDARD.decode(key).unwrap());
        let mut mac = Hmac::<Sha256>::new_from_slice(&key.unwrap_or_else(|| self.secret.into())).unwrap();
        mac.update(format!("{}.{at}.{}", self.id, self.signed).as_bytes());
        let signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        client.with("webhook-id", &self.id).with("webhook-timestamp", &at.to_string()).with("webhook-signature", &signature)
    }

    /// Sends it; the status that comes back.
    async fn send(&self, world: &World) -> u16 {
        let client = self.from(&world.stranger());
        client.ask("POST", "/hooks/studio", Some("application/json"), self.sent.clone()).await.unwrap().status
    }
}

/// A provider that makes nothing before the clock is turned, and is asked only if it calls back.
async fn quiet_world() -> World {
    let route = format!("poll = {{ early = \"1h\", late = \"1h\" }}\nwebhook_secret = [\"another\", \"{SECRET}\"]");
    World::at_speed(1, &[openai("studio", &route), tenant("acme", "")]).await
}

fn asked(world: &World) -> u64 {
    ["retrieve", "list"].iter().map(|operation| world.simulator.stats().count(operation)).sum()
}

/// Orders a clip: its id, and the provider's.
async fn ordered(world: &World) -> (String, String) {
    let video = world.tenant("acme").ordered(&json!({ "prompt": "a whale" })).await;
    (id(&video).to_owned(), world.simulator.bill().jobs.last().unwrap().upstream_id.clone())
}

/// What is done with it, what is answered to each callback, and how often the provider is asked because of them.
type Case = (&'static str, fn(&str) -> Vec<Callback>, u16, u64);

const CASES: [Case; 11] = [
    ("ten times over", |job| vec![Callback::about("ten", "video.completed", job); 10], 200, 1),
    (
        "out of order",
        |job| vec![Callback::about("end", "video.completed", job), Callback::about("start", "video.in_progress", job)],
        200,
        2,
    ),
    ("of nobody's", |_| vec![Callback::about("nobody's", "video.completed", "video_unknown")], 200, 0),
    ("forged", |job| vec![Callback { secret: "guessed", ..Callback::about("forged", "video.completed", job) }], 401, 0),
    ("with no id", |job| vec![Callback::about("", "video.completed", job)], 401, 0),
    ("301 s old", |job| vec![Callback { age: 301, ..Callback::about("old", "video.completed", job) }], 401, 0),
    // Two seconds more than are too many: they may pass on the way. The second itself is tested beside the code.
    ("301 s ahead", |job| vec![Callback { age: -330, ..Callback::about("ahead", "video.completed", job) }], 401, 0),
    (
        "serialized anew",
        |job| {
            let callback = Callback::about("anew", "video.completed", job);
            vec![Callback { sent: callback.signed.replace(':', ": "), ..callback }]
        },
        401,
        0,
    ),
    ("by the old secret", |job| vec![Callback { secret: "another", ..Callback::about("by-old", "video.completed", job) }], 200, 1),
    ("by the new secret", |job| vec![Callback::about("by-new", "video.completed", job)], 200, 1),
    ("of no JSON", |_| vec![Callback { signed: "{".to_owned(), sent: "{".to_owned(), ..Callback::about("none", "", "") }], 400, 0),
];

#[tokio::test]
async fn a_callback_has_the_provider_asked_once_and_decides_nothing() {
    let world = quiet_world().await;
    let mut looks = 0;
    for (how, callbacks, status, more) in CASES {
        let (video, upstream_id) = ordered(&world).await;
        for callback in callbacks(&upstream_id) {
            assert_eq!(callback.send(&world).await, status, "{how}");
        }
        looks += more;
        eventually(how, || asked(&world) >= looks).await;
        let video = world.tenant("acme").video(&video).await;
        assert!(["queued", "in_progress"].contains(&video["status"].as_str().unwrap()), "{how}: {video}");
    }
    // Longer than a look may be put off.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(asked(&world), looks, "nobody asked without a reason");
    world.turn_clock(Duration::from_secs(7_200));
    world.end().await;
}

#[tokio::test]
async fn a_callback_that_comes_before_the_reply_is_heeded_once_that_is_there() {
    let world = quiet_world().await;
    world.misbehave(Faults { delay_ms: 1_000, ..Faults::default() });
    let (acme, wish) = (world.tenant("acme"), json!({ "prompt": "a whale" }));
    let ring = async {
        eventually("the provider has taken it", || !world.simulator.bill().jobs.is_empty()).await;
        let upstream_id = world.simulator.bill().jobs[0].upstream_id.clone();
        assert_eq!(Callback::about("early", "video.completed", &upstream_id).send(&world).await, 200);
    };
    tokio::join!(acme.ordered(&wish), ring);
    eventually("the provider is asked", || asked(&world) == 1).await;
    world.turn_clock(Duration::from_secs(7_200));
    world.end().await;
}

#[tokio::test]
async fn a_job_that_rings_all_the_time_is_asked_about_once_a_second() {
    let world = quiet_world().await;
    let (_, upstream_id) = ordered(&world).await;
    let begun = Instant::now();
    for n in 0..50 {
        assert_eq!(Callback::about(&format!("msg_{n}"), "video.completed", &upstream_id).send(&world).await, 200);
    }
    let seconds = begun.elapsed().as_secs();
    assert!((1..=seconds + 1).contains(&asked(&world)), "{} in {seconds} s", asked(&world));
    eventually("the last of them is heeded, too", || asked(&world) >= 2).await;
    world.turn_clock(Duration::from_secs(7_200));
    world.end().await;
}

#[tokio::test]
async fn a_storm_of_callbacks_is_sent_away_and_polls_go_on() {
    const STORM: usize = 300;
    const UNDER_WAY: usize = 64;
    let route = format!("webhook_secret = \"{SECRET}\"");
    let world = World::start(&[openai("studio", &route), tenant("acme", "")]).await;
    let callback = Callback::about("msg", "video.completed", "video_1");
    let whole = callback.from(&world.stranger()).spelled_out("POST", "/hooks/studio", "application/json", &callback.sent);
    // All but the last byte: what is let in stays in.
    let (most, last) = whole.split_at(whole.len() - 1);
    let (end, ended) = watch::channel(false);
    let (told, mut answers) = mpsc::unbounded_channel();
    let mut callers = JoinSet::new();
    for _ in 0..STORM {
        let (client, most, last) = (world.stranger(), most.to_owned(), last.to_owned());
        let (mut ended, told) = (ended.clone(), told.clone());
        callers.spawn(async move {
            let mut line = client.send_only(most).await;
            let mut answer = vec![0; 4_096];
            let refused = tokio::select! {
                length = line.read(&mut answer) => Some(length.unwrap()),
                () = async { drop(ended.wait_for(|ended| *ended).await) } => None,
            };
            let length = match refused {
                Some(length) => length,
                None => {
                    line.write_all(last.as_bytes()).await.unwrap();
                    line.read(&mut answer).await.unwrap()
                }
            };
            told.send(String::from_utf8_lossy(&answer[..length]).into_owned()).unwrap();
        });
    }
    for _ in UNDER_WAY..STORM {
        let answer = answers.recv().await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
    }
    world.tenant("acme").made(&json!({ "prompt": "a whale" })).await;
    end.send(true).unwrap();
    for _ in 0..UNDER_WAY {
        let answer = answers.recv().await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    while callers.join_next().await.is_some() {}
    assert_eq!(callback.send(&world).await, 200, "there is room again");
    world.end().await;
}

#[tokio::test]
async fn a_callback_that_lies_changes_nothing() {
    let world = quiet_world().await;
    for lie in ["video.completed", "video.failed"] {
        let (video, upstream_id) = ordered(&world).await;
        let before = asked(&world);
        assert_eq!(Callback::about(lie, lie, &upstream_id).send(&world).await, 200);
        eventually("the provider itself is asked", || asked(&world) > before).await;
        let status = world.tenant("acme").video(&video).await["status"].as_str().unwrap().to_owned();
        assert!(["queued", "in_progress"].contains(&status.as_str()), "{lie}: {status}");
    }
    world.turn_clock(Duration::from_secs(7_200));
    world.end().await;
}
