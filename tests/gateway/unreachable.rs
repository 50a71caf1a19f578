//! Providers that cannot be reached, each in its own way: nothing was sent, so the next one is asked at once
//! and nobody pays. And providers that hang up on idle connections, which must cost nobody an answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::world::{World, id, openai, tenant};

/// Two routes, of which the first is at that address instead.
fn first_at(base_url: &str) -> [String; 3] {
    [openai("first", "").replace("{simulator}/openai/v1", base_url), openai("second", ""), tenant("acme", "show_route = true")]
}

/// The first route cannot be reached, for a reason that the log gives in these words; the second is asked.
async fn is_passed_over(base_url: &str, why: &str) {
    let world = World::start(&first_at(base_url)).await;
    let acme = world.tenant("acme");
    let video = acme.ended(id(&acme.ordered(&json!({ "prompt": "a whale" })).await)).await;
    assert_eq!((&video["status"], &video["route"]), (&json!("completed"), &json!("second")), "{base_url}");
    assert_eq!(world.number("SELECT count(*) FROM attempts WHERE route = 'first' AND outcome = 'not_sent'"), 1, "{base_url}");
    assert_eq!((world.spent("tenant:acme"), world.spent("route:first"), world.held("route:first")), (400_000, 0, 0));
    let log = world.log();
    let told = log.lines().find(|line| line.contains("not accepted")).unwrap_or_default();
    assert!(told.contains(why), "{base_url}: {told}");
    world.end().await;
}

#[tokio::test]
async fn a_name_that_nobody_has_is_passed_over() {
    is_passed_over("http://nobody.invalid/v1", "dns error").await;
}

#[tokio::test]
async fn an_address_that_swallows_everything_is_passed_over_within_seconds() {
    // Once its queue is full, the kernel drops who wants to connect.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let silent = socket.listen(1).unwrap();
    let address = silent.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(stream);
        assert!(waiting.len() < 64, "the queue never fills");
    }
    is_passed_over(&format!("http://{address}/v1"), "deadline has elapsed").await;
}

/// Serves TLS with a certificate of these names and dates that its own key signed, and nothing behind it.
async fn shows_certificate(change: impl FnOnce(&mut CertificateParams)) -> (SocketAddr, JoinSet<()>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut read = Vec::new();
                let _ = stream.read_buf(&mut read).await;
                assert_eq!(read, b"", "a credential was told to somebody who proved nothing");
            }
        }
    });
    (address, tasks)
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_told_nothing() {
    let expired = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let elsewhere = |params: &mut CertificateParams| *params = CertificateParams::new(vec!["elsewhere.example".to_owned()]).unwrap();
    let changes: [fn(&mut CertificateParams); 3] = [|_| {}, expired, elsewhere];
    for change in changes {
        let (address, _server) = shows_certificate(change).await;
        is_passed_over(&format!("https://localhost:{}/v1", address.port()), "invalid peer certificate").await;
    }
}

#[tokio::test]
async fn who_does_not_speak_tls_is_told_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    is_passed_over(&format!("https://{address}/v1"), "corrupt message").await;
}

/// Passes bytes on to `provider`, and hangs up on whoever is idle after an answer.
async fn impatient(provider: SocketAddr) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            connections.spawn(pass_on(client, provider));
        }
    });
    (address, tasks)
}

async fn pass_on(mut client: TcpStream, provider: SocketAddr) {
    let mut provider = TcpStream::connect(provider).await.unwrap();
    let (mut asked, mut told, mut answered) = (vec![0; 16_384], vec![0; 16_384], false);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(n) if n > 0 => provider.write_all(&asked[..n]).await.unwrap(),
                _ => return,
            },
            read = provider.read(&mut told) => match read {
                Ok(n) if n > 0 => { let _ = client.write_all(&told[..n]).await; answered = true; }
                _ => return,
            },
            () = tokio::time::sleep(Duration::from_millis(1)), if answered => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_orders_to_a_provider_that_hangs_up_on_the_idle_none_is_in_doubt() {
    const ORDERS: usize = 400;
    let unlimited = tenant("acme", "budget = { cap = \"unlimited\" }");
    let world = World::start(&[openai("openai", ""), unlimited.clone()]).await;
    let (front, _tasks) = impatient(world.simulator.addr()).await;
    world.edit_policy(&[openai("openai", "").replace("{simulator}", &format!("http://{front}")), unlimited]).await;
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let acme = world.tenant("acme");
        clients.spawn(async move {
            for number in 0..ORDERS / 8 {
                acme.ordered(&json!({ "prompt": format!("whale {number} of {client}") })).await;
            }
        });
    }
    clients.join_all().await;
    assert_eq!(world.number("SELECT count(*) FROM attempts WHERE outcome <> 'accepted' AND outcome <> 'completed'"), 0);
    assert_eq!(world.orders(), ORDERS as u64);
    world.end().await;
}
