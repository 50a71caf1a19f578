//! A gateway that may open only so many files, and clients who take all they can get.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::process::{Gateway, Site};
use crate::world::{openai, tenant};

const IDLE: usize = 300;

/// Processor time that the process has used.
fn worked(gateway: &Gateway) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.process.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Somebody of another address who says nothing.
async fn connected_from(address: &str, gateway: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(address.parse().unwrap(), 0))?;
    socket.connect(gateway).await
}

/// What somebody of another address hears at once.
async fn asked_from(address: &str, gateway: SocketAddr) -> String {
    let asking = async {
        let mut stream = connected_from(address, gateway).await?;
        stream.write_all(b"GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.map(|_| heard)
    };
    tokio::time::timeout(Duration::from_secs(5), asking).await.expect("it is let in").unwrap_or_default()
}

#[tokio::test]
async fn with_few_files_those_who_are_inside_are_served_and_the_others_wait_their_turn() {
    let site = Site::new(1_000, 0, &[openai("openai", ""), tenant("acme", "")]).await;
    let limited = ["prlimit", "--nofile=128"].map(str::to_owned).into_iter().chain(site.serve()).collect::<Vec<_>>();
    let gateway = site.gateway_of(&limited).await;
    let wish = json!({ "prompt": "a kite", "seconds": "4" });
    let inside = gateway.tenant("acme");
    inside.post("/v1/videos", &wish).await.ok();

    let idle: Vec<TcpStream> = (0..IDLE).map(|_| TcpStream::connect(gateway.address).unwrap()).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = worked(&gateway);
    let began = Instant::now();
    for _ in 0..5 {
        inside.post("/v1/videos", &wish).await.ok();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let worked = worked(&gateway).saturating_sub(before);
    assert!(worked < began.elapsed() / 2, "it worked for {worked:?} out of {:?}", began.elapsed());
    assert_eq!(gateway.operator().get("/readyz").await.status, 200);

    let newcomer = asked_from("127.0.0.2", gateway.address).await;
    assert!(newcomer.starts_with("HTTP/1.1 401"), "one address does not take the seats of another: {newcomer:?}");

    // All seats are taken now, and what is asked of the provider needs files too.
    let mut crowd = Vec::new();
    for host in 3..11 {
        for _ in 0..IDLE / 10 {
            crowd.push(connected_from(&format!("127.0.0.{host}"), gateway.address).await);
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..5 {
        inside.post("/v1/videos", &wish).await.ok();
    }
    assert_eq!(gateway.operator().get("/readyz").await.status, 200);

    drop((idle, crowd));
    // A seat is free once the gateway has seen that they are gone.
    let (late, began) = (gateway.tenant("acme"), Instant::now());
    while late.ask("GET", "/v1/videos", None, "").await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody is let in");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    late.post("/v1/videos", &wish).await.ok();
    let log = gateway.process.log();
    assert!(!log.contains("Too many open files"), "{log}");
    site.until_quiet().await;
    site.settle_up();
}
