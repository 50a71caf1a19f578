//! Bodies over a socket, at every pace.

use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Pace, collect};
use crate::reply;
use crate::server::{Timeouts, bind, rim, serve};

const PACE: Pace = Pace { whole: Duration::from_millis(1_500), window: Duration::from_millis(200), bytes_per_window: 64 };

/// Sends a head and then so many pieces of so many bytes, a pause before each; what comes back.
async fn answer(length: usize, pieces: usize, piece: usize, pause: Duration) -> String {
    let stop = CancellationToken::new();
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let path = |request: Request<Incoming>| async {
        let body = collect(request.into_body(), 1_000, PACE).await;
        body.map_or_else(|refusal| reply::refused(&refusal), |bytes| reply::json(format!("{} bytes", bytes.len())))
    };
    let tasks = TaskTracker::new();
    tasks.spawn(serve(listener, rim(path), None, Timeouts::default(), tasks.clone(), stop.clone()));
    let _stop = stop.drop_guard();

    let (mut ours, mut theirs) = TcpStream::connect(address).await.unwrap().into_split();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    theirs.write_all(head.as_bytes()).await.unwrap();
    let sending = tasks.spawn(async move {
        for _ in 0..pieces {
            tokio::time::sleep(pause).await;
            if theirs.write_all(&vec![b'x'; piece]).await.is_err() {
                break;
            }
        }
        theirs
    });
    let mut said = Vec::new();
    // A reset after the answer is an end like any other.
    let _ = tokio::time::timeout(Duration::from_secs(10), ours.read_to_end(&mut said)).await.expect("an answer in time");
    drop(sending.await.unwrap());
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_body_may_take_its_time_and_must_keep_coming() {
    let ms = Duration::from_millis;
    let steady = answer(500, 5, 100, ms(100)).await;
    assert!(steady.ends_with("500 bytes"), "{steady}");
    let stopped = answer(500, 1, 100, ms(1)).await;
    assert!(stopped.starts_with("HTTP/1.1 408") && stopped.contains("connection: close"), "{stopped}");
    let trickling = answer(500, 20, 10, ms(50)).await;
    assert!(trickling.starts_with("HTTP/1.1 408"), "{trickling}");
    let endless = answer(900, 18, 50, ms(120)).await;
    assert!(endless.starts_with("HTTP/1.1 408"), "{endless}");
    let large = answer(1_001, 1, 1_001, ms(1)).await;
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
}
