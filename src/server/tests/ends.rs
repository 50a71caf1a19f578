//! Where a connection's stay ends, over either version of the protocol: at its last request, at its age, and when
//! nothing of what it asked for is taken.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::Timeouts;
use super::super::stay::REQUESTS_MAX;
use super::Listener;

const ASKED: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Somebody who speaks HTTP/2 by a library.
async fn over_h2(listener: &Listener) -> SendRequest<Empty<Bytes>> {
    let stream = TokioIo::new(TcpStream::connect(listener.address).await.unwrap());
    let (sender, connection) = http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), stream).await.unwrap();
    listener.tasks.spawn(connection);
    sender
}

/// Whether a request over HTTP/2 was answered in full.
async fn is_answered(sender: &mut SendRequest<Empty<Bytes>>) -> bool {
    let request = Request::get("http://a/").body(Empty::new()).unwrap();
    let Ok(reply) = sender.send_request(request).await else { return false };
    reply.status() == 200 && reply.into_body().collect().await.is_ok_and(|body| !body.to_bytes().is_empty())
}

#[tokio::test]
async fn a_connection_ends_with_its_ten_thousandth_answer() {
    let listener = Listener::start(Timeouts::default()).await;
    let (mut ours, mut theirs) = TcpStream::connect(listener.address).await.unwrap().into_split();
    let asking = async {
        for _ in 0..REQUESTS_MAX + 1 {
            // It may end before the last one has been sent.
            if theirs.write_all(ASKED).await.is_err() {
                break;
            }
        }
        Ok::<_, Infallible>(theirs)
    };
    let hearing = async {
        let mut heard = Vec::new();
        // A reset behind the last answer is an end as well.
        let _ = ours.read_to_end(&mut heard).await;
        Ok(String::from_utf8_lossy(&heard).into_owned())
    };
    let both = async { tokio::try_join!(asking, hearing) };
    let Ok((_, heard)) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("it ends");
    assert_eq!(u64::try_from(heard.matches("HTTP/1.1 200").count()).unwrap(), REQUESTS_MAX);
    assert_eq!(heard.matches("connection: close").count(), 1, "the last one says so");
    assert_eq!(u64::try_from(listener.handled()).unwrap(), REQUESTS_MAX);
}

#[tokio::test]
async fn over_http_2_it_ends_soon_after_as_many_and_none_is_cut_off() {
    let listener = Listener::start(Timeouts { head: ms(80), ..Timeouts::default() }).await;
    let mut sender = over_h2(&listener).await;
    let mut answered = 0;
    while is_answered(&mut sender).await {
        answered += 1;
        assert!(answered < 2 * REQUESTS_MAX, "it goes on for ever");
    }
    assert!(answered >= REQUESTS_MAX, "it ended after {answered}");
    assert_eq!(u64::try_from(listener.handled()).unwrap(), answered, "whatever was begun was answered");
    assert!(is_answered(&mut over_h2(&listener).await).await, "another connection is another stay");
}

#[tokio::test]
async fn a_connection_that_has_reached_its_age_ends_with_what_is_under_way() {
    let listener = Listener::start(Timeouts { age: ms(600), head: ms(80), ..Timeouts::default() }).await;
    let (mut first, mut stream) = (over_h2(&listener).await, TcpStream::connect(listener.address).await.unwrap());
    let began = Instant::now();
    let mut heard = String::new();
    while !heard.contains("connection: close") {
        assert!(began.elapsed() < ms(5_000), "it goes on for ever");
        stream.write_all(ASKED).await.unwrap();
        let mut bytes = [0; 4_096];
        let n = stream.read(&mut bytes).await.unwrap();
        heard = String::from_utf8_lossy(&bytes[..n]).into_owned();
        assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
        tokio::time::sleep(ms(10)).await;
    }
    assert!(began.elapsed() >= ms(500), "{:?}", began.elapsed());
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    while is_answered(&mut first).await {
        assert!(began.elapsed() < ms(5_000), "it goes on for ever");
        tokio::time::sleep(ms(10)).await;
    }
}

/// Frames by hand: a window of nothing, one request, and every ping answered.
#[tokio::test]
async fn who_takes_nothing_of_an_answer_over_http_2_is_hung_up_on() {
    let listener = Listener::start(Timeouts { write: ms(400), ..Timeouts::default() }).await;
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, /* a stream's window */ 0, 4, 0, 0, 0, 0];
    // GET, http, / by their places in the table, and the host.
    let headers = [0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, b'a'];
    stream.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings, &headers].concat()).await.unwrap();
    let began = Instant::now();
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut heard)).await;
    assert!(ended.is_ok(), "it may starve us for ever");
    assert!(began.elapsed() >= ms(380) && began.elapsed() < ms(3_000), "{:?}", began.elapsed());
    assert_eq!(listener.handled(), 1);
    assert!(!heard.windows(5).any(|bytes| bytes == b"<GET "), "its window was nothing");
}
