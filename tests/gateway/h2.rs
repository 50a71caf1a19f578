//! HTTP/2 as nobody's library speaks it: floods, streams that starve, and requests that would mean something
//! else once they were written down as HTTP/1.1. Frames are written by hand.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use crate::client::{Client, Line};
use crate::tls::{Pair, made};
use crate::world::{World, id, key_of, openai, tenant};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame's bytes.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A number with so many bits of its first byte to itself.
fn number(bits: u32, mut value: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if value < most {
        return vec![u8::try_from(value).unwrap()];
    }
    value -= most;
    let mut bytes = vec![u8::try_from(most).unwrap()];
    while value >= 128 {
        bytes.push(u8::try_from(value % 128 + 128).unwrap());
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// Fields, literally, in nobody's table.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [number(7, text.len()), text.as_bytes().to_vec()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// Somebody who speaks for himself.
struct Peer {
    ours: ReadHalf<Line>,
    theirs: WriteHalf<Line>,
    heard: Vec<u8>,
}

/// A frame as it was heard: kind, flags, stream, payload.
type Heard = (u8, u8, u32, Vec<u8>);

impl Peer {
    async fn new(client: &Client, settings: &[u8]) -> Self {
        let (ours, theirs) = tokio::io::split(client.line(true).await);
        let mut peer = Self { ours, theirs, heard: Vec::new() };
        peer.say(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(SETTINGS, 0, 0, settings)].concat()).await;
        peer
    }

    /// It may have been hung up on.
    async fn say(&mut self, bytes: &[u8]) -> bool {
        self.theirs.write_all(bytes).await.is_ok() && self.theirs.flush().await.is_ok()
    }

    /// The next frame that is about more than the connection's upkeep; `None` once it has ended.
    async fn hear(&mut self) -> Option<Heard> {
        loop {
            let length = |heard: &[u8]| heard.get(..3).map(|l| 9 + (usize::from(l[0]) << 16 | usize::from(l[1]) << 8 | usize::from(l[2])));
            while length(&self.heard).is_none_or(|length| self.heard.len() < length) {
                if self.ours.read_buf(&mut self.heard).await.unwrap_or(0) == 0 {
                    return None;
                }
            }
            let rest = self.heard.split_off(length(&self.heard).unwrap());
            let frame = std::mem::replace(&mut self.heard, rest);
            let stream = u32::from_be_bytes(frame[5..9].try_into().unwrap());
            match (frame[3], frame[4]) {
                (PING, 0) => _ = self.say(&self::frame(PING, ACK, 0, &frame[9..])).await,
                (SETTINGS, 0) => _ = self.say(&self::frame(SETTINGS, ACK, 0, &[])).await,
                (SETTINGS | PING | WINDOW_UPDATE, _) => {}
                (kind, flags) => return Some((kind, flags, stream, frame[9..].to_vec())),
            }
        }
    }

    /// How the first stream ends: a status, a reset, or the connection's end.
    async fn outcome(&mut self) -> String {
        let heard = tokio::time::timeout(Duration::from_secs(20), self.hear()).await;
        match heard {
            Err(_) => "nothing".to_owned(),
            Ok(None | Some((GOAWAY, ..))) => "ended".to_owned(),
            Ok(Some((RST_STREAM, ..))) => "reset".to_owned(),
            Ok(Some((HEADERS, _, _, block))) => match block.iter().find(|byte| **byte & 0xf0 != 0x20) {
                Some(0x88) => "200".to_owned(),
                Some(0x8c) => "400".to_owned(),
                Some(0x8d) => "404".to_owned(),
                _ => "another status".to_owned(),
            },
            Ok(Some(other)) => format!("{other:?}"),
        }
    }

    /// Listens until the connection has ended; whether it does in that time.
    async fn ends_within(&mut self, patience: Duration) -> bool {
        tokio::time::timeout(patience, async { while self.hear().await.is_some() {} }).await.is_ok()
    }
}

/// A wish as its fields, its own first.
fn wish<'a>(host: &'a str, bearer: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/v1/videos"),
        (":authority", host),
        ("authorization", bearer),
        ("content-type", "application/json"),
    ]
}

const BODY: &[u8] = br#"{"prompt":"a whale"}"#;

#[tokio::test]
async fn what_would_mean_something_else_in_http_1_is_never_a_request() {
    let made = made(2090);
    let pair = Pair::of(&made);
    let plain = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let secured = World::start(&pair.policy()).await;
    let bearer = format!("Bearer {}", key_of("acme"));
    let mut faults = Vec::new();
    for client in [plain.stranger(), secured.stranger().secured(made.trusted(), true)] {
        let host = client.host();
        let good = wish(&host, &bearer);
        let with = |extra: (&'static str, &'static str)| [good.clone(), vec![extra]].concat();
        let instead = |name: &str, value: &'static str| -> Vec<(&str, &str)> {
            good.iter().map(|(n, v)| if *n == name { (*n, value) } else { (*n, *v) }).collect()
        };
        let without = |name: &str| -> Vec<(&str, &str)> { good.iter().filter(|(n, _)| *n != name).copied().collect() };
        let ahead = |extra: (&'static str, &'static str)| [vec![extra], good.clone()].concat();
        let cases = [
            ("a coding of HTTP/1.1", with(("transfer-encoding", "chunked"))),
            ("a connection's own field", with(("connection", "close"))),
            ("another", with(("keep-alive", "timeout=5"))),
            ("another", with(("proxy-connection", "keep-alive"))),
            ("another", with(("upgrade", "websocket"))),
            ("a coding that is asked for", with(("te", "gzip"))),
            ("a line break in a value", with(("x", "a\r\nhost: other.example"))),
            ("a line feed in a value", with(("x", "a\nhost: other.example"))),
            ("a carriage return in a value", with(("x", "a\rb"))),
            ("NUL in a value", with(("x", "a\0b"))),
            ("a name in capitals", with(("X-A", "b"))),
            ("a colon in a name", with(("x:y", "b"))),
            ("a space in a name", with(("x y", "b"))),
            ("a line break in a name", with(("x\r\nhost", "b"))),
            ("no name", with(("", "b"))),
            ("a length beyond the body", with(("content-length", "200"))),
            ("a length within the body", with(("content-length", "5"))),
            ("a length of nothing", with(("content-length", "0"))),
            ("a signed length", with(("content-length", "+20"))),
            ("a list of lengths", with(("content-length", "20, 20"))),
            ("two lengths", [with(("content-length", "20")), vec![("content-length", "5")]].concat()),
            ("no method", without(":method")),
            ("no scheme", without(":scheme")),
            ("no path", without(":path")),
            ("no host", without(":authority")),
            ("two methods", ahead((":method", "GET"))),
            ("two paths", ahead((":path", "/v1/models"))),
            ("a status in a request", ahead((":status", "200"))),
            ("a field of the protocol that there is not", ahead((":other", "a"))),
            ("a field of the protocol behind others", with((":path", "/v1/models"))),
            ("an empty path", instead(":path", "")),
            ("a path that is not one", instead(":path", "v1/videos")),
            ("a path with a line break", instead(":path", "/v1/videos HTTP/1.1\r\nhost: other.example")),
            ("a path with a space", instead(":path", "/v1/videos /x")),
            ("a method with a line break", instead(":method", "POST / HTTP/1.1\r\nx: ")),
            ("a method with a space", instead(":method", "POST /v1/models")),
            ("a method in small letters", instead(":method", "post")),
            ("a host with a line break", instead(":authority", "a\r\nx: y")),
            ("another host beside it", with(("host", "other.example"))),
            ("a tunnel", instead(":method", "CONNECT")),
            ("a tunnel for a protocol", ahead((":protocol", "websocket"))),
            ("an expectation that nobody meets", with(("expect", "a-miracle"))),
        ];
        for (what, case) in cases {
            let mut peer = Peer::new(&client, &[]).await;
            peer.say(&[frame(HEADERS, END_HEADERS, 1, &fields(&case)), frame(DATA, END_STREAM, 1, BODY)].concat()).await;
            let outcome = peer.outcome().await;
            if !["ended", "reset", "400", "404", "another status"].contains(&outcome.as_str()) {
                faults.push(format!("{what}: {outcome}"));
            }
        }
        let broken = [
            ("a field block that is cut short", frame(HEADERS, END_HEADERS, 1, &fields(&good)[..50])),
            ("a table entry that there is not", frame(HEADERS, END_HEADERS, 1, &[0xff, 0xff, 0x7f])),
            ("a table that is too large", frame(HEADERS, END_HEADERS, 1, &[0x3f, 0xff, 0xff, 0xff, 0x7f])),
            ("a stream of the other side's", frame(HEADERS, END_HEADERS, 2, &fields(&good))),
            ("a request on no stream", frame(HEADERS, END_HEADERS, 0, &fields(&good))),
            ("a body without a head", frame(DATA, END_STREAM, 1, BODY)),
            ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &fields(&good))),
            ("a push by a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
            ("a frame that is too large", frame(DATA, 0, 1, &[0; 16_385])),
            ("settings of no length", frame(SETTINGS, 0, 0, &[0; 5])),
            ("a window that is too large", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
            ("a window of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
            ("another frame between a head's", [frame(HEADERS, 0, 1, &fields(&good)), frame(PING, 0, 0, &[0; 8])].concat()),
            ("padding beyond the frame", frame(HEADERS, END_HEADERS | 8, 1, &[200, 0])),
            ("HTTP/1.1", b"GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
        ];
        for (what, bytes) in broken {
            let mut peer = Peer::new(&client, &[]).await;
            peer.say(&bytes).await;
            let outcome = peer.outcome().await;
            if !["ended", "reset"].contains(&outcome.as_str()) {
                faults.push(format!("{what}: {outcome}"));
            }
        }
        // The fields themselves are a request that is served.
        let mut peer = Peer::new(&client, &[]).await;
        let fair: Vec<(&str, &str)> =
            good.iter().map(|(n, v)| if *n == ":path" { (*n, "/v1/videos/estimate") } else { (*n, *v) }).collect();
        peer.say(&[frame(HEADERS, END_HEADERS, 1, &fields(&fair)), frame(DATA, END_STREAM, 1, BODY)].concat()).await;
        assert_eq!(peer.outcome().await, "200");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for world in [plain, secured] {
        assert_eq!(world.orders(), 0, "nothing was ordered");
        world.end().await;
    }
}

/// Says the same over and over, and has the connection ended; how much it said.
async fn flood(client: &Client, mut nth: impl FnMut(u32) -> Vec<u8>) -> (u32, bool) {
    let mut peer = Peer::new(client, &[]).await;
    let mut said = 0;
    for burst in 0..1_000 {
        let bytes: Vec<u8> = (0..100).flat_map(|n| nth(burst * 100 + n)).collect();
        let Ok(true) = tokio::time::timeout(Duration::from_secs(2), peer.say(&bytes)).await else { break };
        said += 100;
    }
    (said, peer.ends_within(Duration::from_secs(4)).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_end_their_own_connection_or_cost_little_and_order_nothing() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let client = world.stranger();
    let (host, bearer) = (client.host(), format!("Bearer {}", key_of("acme")));
    let head = fields(&wish(&host, &bearer));
    let stream = |n: u32| 2 * n + 1;
    let reset = |n: u32| frame(RST_STREAM, 0, stream(n), &8_u32.to_be_bytes());

    let (said, has_ended) = flood(&client, |n| [frame(HEADERS, END_HEADERS, stream(n), &head), reset(n)].concat()).await;
    assert!(has_ended, "requests that are taken back at once: {said}");
    // Each makes us reset the stream: a window of nothing is an error of that stream alone.
    let (said, has_ended) =
        flood(&client, |n| [frame(HEADERS, END_HEADERS, stream(n), &head), frame(WINDOW_UPDATE, 0, stream(n), &[0; 4])].concat()).await;
    assert!(has_ended, "streams that we are made to reset: {said}");
    let begun = frame(HEADERS, 0, 1, &head);
    let (said, has_ended) =
        flood(&client, |n| if n == 0 { begun.clone() } else { frame(CONTINUATION, 0, 1, &fields(&[("x", "y")])) }).await;
    assert!(has_ended, "a head without end: {said}");
    let large = fields(&[("x", &"y".repeat(8_000))]);
    let (_, has_ended) = flood(&client, |n| if n == 0 { begun.clone() } else { frame(CONTINUATION, 0, 1, &large) }).await;
    assert!(has_ended, "a large head without end");

    let began = Instant::now();
    for (what, bytes) in [
        ("settings", frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])),
        ("pings", frame(PING, 0, 0, &[7; 8])),
        ("priorities", frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 16])),
        ("windows", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("empty bodies", frame(DATA, 0, 1, &[])),
    ] {
        let open = frame(HEADERS, END_HEADERS, 1, &head);
        let (said, _) = flood(&client, |n| if n == 0 { open.clone() } else { bytes.clone() }).await;
        assert!(said > 0, "{what}");
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    Client::over_h2(world.gateway().address).bearer(&key_of("acme")).get("/v1/models").await.ok();
    world.tenant("acme").get("/v1/models").await.ok();
    assert_eq!(world.orders(), 0, "what was taken back was not ordered");
    world.end().await;
}

#[tokio::test]
async fn more_streams_than_are_allowed_are_refused_and_a_table_is_no_bomb() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let client = world.stranger();
    let (host, bearer) = (client.host(), format!("Bearer {}", key_of("acme")));
    let head = fields(&wish(&host, &bearer));
    let mut peer = Peer::new(&client, &[]).await;
    let opened: Vec<u8> = (0..150).flat_map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &head)).collect();
    peer.say(&opened).await;
    assert_eq!(peer.outcome().await, "reset", "the hundred and first");
    drop(peer);

    // A field of 4 kB goes into the table once, and is then said a thousand times in one byte each.
    let mut bomb = fields(&wish(&host, &bearer));
    bomb.extend([vec![0x40], number(7, 1), b"x".to_vec(), number(7, 3_900), vec![b'y'; 3_900]].concat());
    bomb.extend([0xbe; 1_000]);
    let mut peer = Peer::new(&client, &[]).await;
    peer.say(&[frame(HEADERS, END_HEADERS, 1, &bomb), frame(DATA, END_STREAM, 1, BODY)].concat()).await;
    assert_ne!(peer.outcome().await, "200");
    assert_eq!(world.orders(), 0);
    world.end().await;
}

#[tokio::test]
async fn an_upload_that_trickles_over_http_2_is_too_slow_and_a_stream_that_starves_holds_little() {
    let world = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let client = world.stranger();
    let (host, bearer) = (client.host(), format!("Bearer {}", key_of("acme")));
    let video = world.tenant("acme").made(&json!({ "prompt": "a whale" })).await;

    // A window of nothing: the answer cannot be sent, and others are answered all the same.
    let path = format!("/v1/videos/{}/content", id(&video));
    let ask = fields(&[(":method", "GET"), (":scheme", "http"), (":path", &path), (":authority", &host), ("authorization", &bearer)]);
    let mut starving = Peer::new(&client, &[0, 4, 0, 0, 0, 0]).await;
    starving.say(&(0..100).flat_map(|n| frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &ask)).collect::<Vec<u8>>()).await;
    assert_eq!(starving.outcome().await, "200", "the head is not held back by a window");
    world.tenant("acme").get("/v1/models").await.ok();

    let mut slow = Peer::new(&client, &[]).await;
    slow.say(&frame(HEADERS, END_HEADERS, 1, &fields(&wish(&host, &bearer)))).await;
    let began = Instant::now();
    let outcome = loop {
        tokio::select! {
            outcome = slow.hear() => break outcome,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        if !slow.say(&frame(DATA, 0, 1, b" ")).await {
            break None;
        }
    };
    assert!(matches!(outcome, Some((HEADERS, ..))), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(16), "{:?}", began.elapsed());
    drop((starving, slow));
    world.end().await;
}
