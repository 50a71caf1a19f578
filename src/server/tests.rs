//! The listener through raw sockets: what no client library would send, and nobody may be harmed by.

mod ends;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{ProptestConfig, Strategy as _, any, prop_assert, prop_assert_eq, proptest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::framing::tests::{ILLEGAL, Legal, legal};
use super::{Timeouts, bind, rim, serve};
use crate::reply;

/// After it, nothing comes.
const LAST: &str = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A listener whose path says what it was asked, and counts.
struct Listener {
    address: SocketAddr,
    handled: Arc<AtomicUsize>,
    tasks: TaskTracker,
    _stop: DropGuard,
}

impl Listener {
    async fn start(timeouts: Timeouts) -> Self {
        let handled = Arc::new(AtomicUsize::new(0));
        let path = {
            let handled = handled.clone();
            move |request: Request<Incoming>| {
                let handled = handled.clone();
                async move {
                    handled.fetch_add(1, Ordering::SeqCst);
                    let line = format!("{} {}", request.method(), request.uri());
                    let body = request.into_body().collect().await.map(|body| body.to_bytes().len());
                    reply::json(format!("<{line} {body:?}>"))
                }
            }
        };
        let stop = CancellationToken::new();
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = TaskTracker::new();
        tasks.spawn(serve(listener, rim(path), None, timeouts, tasks.clone(), stop.clone()));
        Self { address, handled, tasks, _stop: stop.drop_guard() }
    }

    fn handled(&self) -> usize {
        self.handled.load(Ordering::SeqCst)
    }

    /// Sends bytes and reads until the connection ends or nothing comes any more.
    async fn says(&self, sent: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The other end may have hung up on us already.
        let _ = stream.write_all(sent.as_ref()).await;
        let mut said = Vec::new();
        let ended = tokio::time::timeout(Duration::from_millis(400), stream.read_to_end(&mut said)).await;
        let said = String::from_utf8_lossy(&said).into_owned();
        if ended.is_ok() { format!("{said}[closed]") } else { said }
    }
}

fn is_refused(said: &str) -> bool {
    let is_error = ["HTTP/1.1 400", "HTTP/1.1 431", "[closed]"].iter().any(|start| said.starts_with(start));
    is_error && said.ends_with("[closed]")
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_reaches_no_handler_and_ends_the_connection() {
    let corpus = [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n12345",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\n12345",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n12345",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n12345",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.32\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
    ];
    let listener = Listener::start(Timeouts::default()).await;
    for sent in corpus {
        let said = listener.says(sent).await;
        assert!(is_refused(&said), "{sent:?}: {said}");
        assert_eq!(listener.handled(), 0, "{sent:?}");
    }
    let said = listener.says("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    assert!(said.contains("connection: close") && said.contains("malformed_request"), "{said}");
}

#[tokio::test]
async fn good_requests_ahead_of_a_bad_one_are_answered() {
    let listener = Listener::start(Timeouts::default()).await;
    let said = listener
        .says(
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
             GET /3 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /4 HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
    assert!(said.contains("<GET /1 Ok(0)>") && said.contains("<POST /2 Ok(3)>"), "{said}");
    assert!(said.contains("HTTP/1.1 400") && said.ends_with("[closed]"), "{said}");
    assert!(!said.contains("/3") && !said.contains("/4"), "{said}");
    assert_eq!(listener.handled(), 2);
}

#[tokio::test]
async fn a_smuggled_request_is_body_or_nothing() {
    let listener = Listener::start(Timeouts::default()).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = smuggled.len();
    let both = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}");
    let said = listener.says(both).await;
    assert!(is_refused(&said) && !said.contains("/smuggled"), "{said}");
    let said = listener.says(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{smuggled}")).await;
    assert!(said.contains(&format!("<POST / Ok({length})>")) && !said.contains("/smuggled"), "{said}");
    let chunk = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naX0\r\n\r\n";
    let said = listener.says(format!("{chunk}{smuggled}")).await;
    assert!(!said.contains("/smuggled") && said.ends_with("[closed]"), "{said}");
}

#[tokio::test]
async fn what_is_legal_and_odd_is_served() {
    let listener = Listener::start(Timeouts::default()).await;
    for (sent, answered) in [
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "<GET / Ok(0)>"),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", "<get / Ok(0)>"),
        ("GET http://A:1/x HTTP/1.1\r\nHost: a:1\r\n\r\n", "<GET http://A:1/x Ok(0)>"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
            "<GET / Ok(0)>",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n",
            "<POST / Ok(3)>",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "<POST / Ok(3)>"),
    ] {
        let said = listener.says(sent).await;
        assert!(said.contains(answered) && !said.contains("HTTP/1.1 101"), "{sent:?}: {said}");
    }
}

#[tokio::test]
async fn too_large_heads_are_refused() {
    let listener = Listener::start(Timeouts::default()).await;
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "b".repeat(100 * 1024));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: b\r\n".repeat(200));
    for sent in [large, many] {
        let said = listener.says(sent).await;
        assert!(said.starts_with("HTTP/1.1 431") || said.starts_with("HTTP/1.1 400") || said == "[closed]", "{said}");
        assert!(said.ends_with("[closed]"), "{said}");
    }
    assert_eq!(listener.handled(), 0);
}

/// The guard's count of requests and the parser's are the same count: all that is legal is handled, and
/// nothing from the first request on that is not.
#[test]
fn both_readers_agree_on_where_requests_begin_and_end() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(Listener::start(Timeouts::default()));
    let cases = (vec(legal().prop_map(Legal::kept_alive), 0..5), of(0..ILLEGAL.len()), any::<bool>());
    proptest!(ProptestConfig::with_cases(100), |((requests, bad, behind) in cases)| {
        let mut sent: Vec<u8> = requests.iter().flat_map(Legal::bytes).collect();
        let expected = requests.len() + usize::from(bad.is_none());
        sent.extend_from_slice(bad.map_or(LAST, |bad| ILLEGAL[bad]).as_bytes());
        sent.extend_from_slice(if behind { b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n" } else { b"" });
        let before = listener.handled();
        let said = runtime.block_on(exchange(listener.address, &sent));
        prop_assert_eq!(listener.handled() - before, expected, "{}", said);
        prop_assert_eq!(said.matches("HTTP/1.1 200").count(), expected, "{}", said);
        prop_assert!(!said.contains("/behind"));
    });
}

/// Sends, and reads until the other side ends it.
async fn exchange(address: SocketAddr, sent: &[u8]) -> String {
    let (mut ours, mut theirs) = TcpStream::connect(address).await.unwrap().into_split();
    let mut said = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(5), ours.read_to_end(&mut said));
    let (_, read) = tokio::join!(theirs.write_all(sent), reading);
    // A reset after the answers is an end like any other.
    let _ = read.expect("the connection ends");
    String::from_utf8_lossy(&said).into_owned()
}

/// How long the other end keeps a connection after these bytes.
async fn closed_after(address: SocketAddr, sent: &[u8]) -> Duration {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let since = Instant::now();
    let mut said = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut said)).await.expect("closed");
    since.elapsed()
}

#[tokio::test]
async fn who_keeps_us_waiting_is_hung_up_on() {
    let ms = Duration::from_millis;
    let listener =
        Listener::start(Timeouts { first_byte: ms(200), head: ms(300), idle: ms(900), write: ms(900), ..Timeouts::default() }).await;
    let is_about = |took: Duration, expected: Duration| took + ms(20) >= expected && took < expected + ms(500);

    let silent = closed_after(listener.address, b"").await;
    assert!(is_about(silent, ms(200)), "{silent:?}");
    let head = closed_after(listener.address, b"GET / HTTP/1.1\r\nHost: a\r\n").await;
    assert!(is_about(head, ms(300)), "{head:?}");
    let idle = closed_after(listener.address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(is_about(idle, ms(900)), "{idle:?}");
    let second_head = closed_after(listener.address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT").await;
    assert!(is_about(second_head, ms(300)), "{second_head:?}");
}

#[tokio::test]
async fn a_head_that_trickles_is_too_slow_however_steadily_it_comes() {
    let ms = Duration::from_millis;
    let listener = Listener::start(Timeouts { head: ms(400), ..Timeouts::default() }).await;
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    let since = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: ".iter().chain(std::iter::repeat_n(&b'b', 200)) {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(ms(20)).await;
    }
    assert!(since.elapsed() < ms(2_000), "it was let trickle for {:?}", since.elapsed());
    assert_eq!(listener.handled(), 0);
}

#[tokio::test]
async fn a_panic_is_one_failed_request_and_not_more() {
    let path = |request: Request<Incoming>| async move {
        assert_ne!(request.uri().path(), "/panic", "told to");
        reply::json("<fine>".to_owned())
    };
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(serve(listener, rim(path), None, Timeouts::default(), tasks.clone(), stop.clone()));
    let _stop = stop.drop_guard();
    let asked = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let said = exchange(address, format!("{}{}{}", asked("/a"), asked("/panic"), LAST).as_bytes()).await;
    assert_eq!(said.matches("<fine>").count(), 2, "the connection and the process go on: {said}");
    assert!(said.contains("HTTP/1.1 500") && said.contains("internal_error") && !said.contains("told to"), "{said}");
}
