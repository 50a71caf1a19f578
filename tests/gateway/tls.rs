//! Listeners that speak TLS: to whom, in what, and what a renewal, a mistake in one, and the end of a
//! certificate do to those who are connected.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::client::{Client, trusting};
use crate::process::run_in;
use crate::world::{Folder, Tenant, World, eventually, openai, tenant};

/// Where a certificate and its key lie.
pub struct Pair {
    folder: Folder,
}

/// A certificate for the address that tests ask at, and its key, both as PEM.
pub struct Made {
    der: CertificateDer<'static>,
    cert: String,
    key: String,
}

pub fn made(until: i32) -> Made {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_after = date_time_ymd(until, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    Made { der: certificate.der().clone(), cert: certificate.pem(), key: key.serialize_pem() }
}

impl Made {
    /// What whoever trusts this one alone trusts.
    pub fn trusted(&self) -> &[CertificateDer<'static>] {
        std::slice::from_ref(&self.der)
    }
}

impl Pair {
    pub fn of(made: &Made) -> Self {
        let pair = Self { folder: Folder::new() };
        pair.write(&made.cert, &made.key);
        pair
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    fn write(&self, cert: &str, key: &str) {
        std::fs::write(self.path("tls.crt"), cert).unwrap();
        std::fs::write(self.path("tls.key"), key).unwrap();
    }

    /// `[server]` with this pair for both listeners.
    fn for_both(&self) -> String {
        let pair = format!("{{ cert = {:?}, key = {:?} }}", self.path("tls.crt"), self.path("tls.key"));
        format!("[server]\ntls = {pair}\nadmin_tls = {pair}\n")
    }

    pub fn policy(&self) -> [String; 3] {
        [self.for_both(), openai("openai", ""), tenant("acme", "")]
    }
}

fn wish() -> Value {
    json!({ "prompt": "a whale" })
}

/// The certificate that a new connection is shown.
async fn shown_at(address: SocketAddr, trusted: &[&Made]) -> CertificateDer<'static> {
    let trusted: Vec<_> = trusted.iter().map(|made| made.der.clone()).collect();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::from(address.ip());
    let stream = TlsConnector::from(Arc::new(trusting(&trusted))).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// Waits until new connections are shown this one; how long that took.
async fn until_shown(address: SocketAddr, expected: &Made, before: &Made) -> Duration {
    let began = Instant::now();
    while shown_at(address, &[expected, before]).await != expected.der {
        assert!(began.elapsed() < Duration::from_secs(5), "it is never shown");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn clients_and_operators_speak_tls_in_both_versions_of_http() {
    let made = made(2090);
    let pair = Pair::of(&made);
    let world = World::start(&pair.policy()).await;
    for h2 in [false, true] {
        let acme = Tenant { client: world.tenant("acme").client.secured(made.trusted(), h2) };
        let video = acme.made(&wish()).await;
        let link = video["output"][0]["url"].as_str().unwrap();
        assert!(link.starts_with(&format!("https://{}/", world.gateway().address)), "{link}");
        let path = &link[link.find("/v1/").unwrap()..];
        let clip = world.stranger().secured(made.trusted(), h2).get(path).await.ok();
        assert!(clip.body.len() > 1_000);

        let operator = world.operator().secured(made.trusted(), h2);
        assert!(operator.get("/metrics").await.ok().text().contains("filmgate_certificate_load_success{listener=\"admin\"} 1"));
    }
    let somebody = self::made(2090);
    let told = world.stranger().secured(somebody.trusted(), false).ask("GET", "/v1/models", None, "").await;
    assert!(
        told.is_err_and(|why| why.contains("UnknownIssuer") || why.contains("BadSignature")),
        "who does not know us does not talk to us"
    );
    world.end().await;
}

#[tokio::test]
async fn who_speaks_plainly_to_a_listener_that_speaks_tls_is_told_so() {
    let pair = Pair::of(&made(2090));
    let world = World::start(&pair.policy()).await;
    for client in [world.tenant("acme").client, world.operator()] {
        let heard = client.raw(client.spelled_out("GET", "/v1/videos", "", "")).await;
        assert!(heard.starts_with("HTTP/1.1 400 ") && heard.contains("speaks TLS"), "{heard}");
        let heard = client.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        assert!(heard.starts_with("HTTP/1.1 400 "), "{heard}");
        let heard = client.raw([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]).await;
        assert!(!heard.contains("HTTP"), "half a handshake gets an alert: {heard:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_renewal_is_shown_within_a_second_and_fails_no_request() {
    let mut old = made(2090);
    let pair = Pair::of(&old);
    let world = World::start(&pair.policy()).await;
    let renewed: Vec<Made> = (0..5).map(|n| made(2091 + n)).collect();
    let trusted: Vec<_> = renewed.iter().map(|made| made.der.clone()).chain([old.der.clone()]).collect();

    // Somebody who stays, and some who come anew for every request.
    let stays = world.tenant("acme").client.secured(&trusted, true);
    stays.get("/v1/models").await.ok();
    let stop = Arc::new(AtomicBool::new(false));
    let mut guests = JoinSet::new();
    for h2 in [false, true, false, true] {
        let (acme, stop, trusted) = (world.tenant("acme").client, stop.clone(), trusted.clone());
        guests.spawn(async move {
            let mut asked = 0;
            while !stop.load(Ordering::Relaxed) {
                acme.secured(&trusted, h2).get("/v1/models").await.ok();
                asked += 1;
            }
            asked
        });
    }
    for made in renewed {
        pair.write(&made.cert, &made.key);
        let took = until_shown(world.gateway().address, &made, &old).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        until_shown(world.gateway().admin, &made, &old).await;
        stays.get("/v1/models").await.ok();
        old = made;
    }
    stop.store(true, Ordering::Relaxed);
    let asked: usize = guests.join_all().await.iter().sum();
    assert!(asked > 20, "only {asked} came");
    world.end().await;
}

#[tokio::test]
async fn a_pair_behind_a_swapped_link_is_followed() {
    let (old, new) = (made(2090), made(2091));
    let pair = Pair { folder: Folder::new() };
    let secret = |name: &str, made: &Made| {
        let at = pair.path(name);
        std::fs::create_dir(&at).unwrap();
        std::fs::write(at.join("tls.crt"), &made.cert).unwrap();
        std::fs::write(at.join("tls.key"), &made.key).unwrap();
    };
    let swap = |to: &str| {
        let beside = pair.path("..data_tmp");
        std::os::unix::fs::symlink(to, &beside).unwrap();
        std::fs::rename(beside, pair.path("..data")).unwrap();
    };
    secret("..2026_11_30", &old);
    swap("..2026_11_30");
    for file in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{file}"), pair.path(file)).unwrap();
    }
    let world = World::start(&pair.policy()).await;
    secret("..2026_12_30", &new);
    swap("..2026_12_30");
    std::fs::remove_dir_all(pair.path("..2026_11_30")).unwrap();
    assert!(until_shown(world.gateway().address, &new, &old).await < Duration::from_secs(1));
    world.end().await;
}

#[tokio::test]
async fn a_pair_that_cannot_be_shown_changes_nothing_and_is_told_everywhere() {
    let (good, other, expired) = (made(2090), made(2091), made(2020));
    let pair = Pair::of(&good);
    let mut world = World::start(&pair.policy()).await;
    world.expect_error("the certificate is refused");
    let operator = world.operator().secured(good.trusted(), false).with("x-filmgate-admin", "1");
    let reload = async || operator.ask("POST", "/api/reload", None, "").await.unwrap();
    let metric = async |line: &str| operator.get("/metrics").await.ok().text().lines().any(|other| other == line);
    let warnings = async || operator.get("/api/status").await.ok().json()["warnings"].to_string();
    assert_eq!(reload().await.status, 200);

    for (cert, key, told) in [
        (good.cert.as_str(), other.key.as_str(), "not this certificate's"),
        (&good.cert[..good.cert.len() / 2], &good.key, "not PEM"),
        ("", &good.key, "no certificate"),
        (&good.cert, "", "no private key"),
        (&expired.cert, &expired.key, "expired"),
    ] {
        pair.write(cert, key);
        let refused = reload().await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert!(refused.message().contains(told) && refused.message().contains("server.tls"), "{}", refused.message());
        assert!(metric("filmgate_certificate_load_success{listener=\"public\"} 0").await);
        assert!(warnings().await.contains(told), "{}", warnings().await);
        assert_eq!(shown_at(world.gateway().address, &[&good, &other]).await, good.der);
    }
    let refusals = world.log().matches("the certificate is refused").count();
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(world.log().matches("the certificate is refused").count(), refusals, "what was told is not told again at every look");

    // A broken pair holds up no edit of the policy.
    let policy = [&pair.policy()[..], &[tenant("rival", "")]].concat();
    world.edit_policy(&policy).await;
    let rival = world.tenant("rival").client.secured(good.trusted(), false);
    rival.get("/v1/models").await.ok();

    pair.write(&other.cert, &other.key);
    assert!(until_shown(world.gateway().address, &other, &good).await < Duration::from_secs(1));
    until_shown(world.gateway().admin, &other, &good).await;
    let operator = world.operator().secured(other.trusted(), false).with("x-filmgate-admin", "1");
    assert_eq!(operator.ask("POST", "/api/reload", None, "").await.unwrap().status, 200);
    assert!(!operator.get("/api/status").await.ok().json()["warnings"].to_string().contains("certificate"));
    world.end().await;
}

#[tokio::test]
async fn the_end_of_a_certificate_is_told_ahead_and_does_not_end_the_gateway() {
    let made = made(2027);
    let pair = Pair::of(&made);
    let world = World::start(&pair.policy()).await;
    let operator = world.operator().secured(made.trusted(), false);
    let warnings = async || operator.get("/api/status").await.ok().json()["warnings"].to_string();
    assert!(!warnings().await.contains("certificate"));
    let expires = async || {
        let metrics = operator.get("/metrics").await.ok();
        let line = metrics.text().lines().find_map(|line| line.strip_prefix("filmgate_certificate_expires_seconds{listener=\"public\"} "));
        line.unwrap().parse::<i64>().unwrap()
    };
    let left = Duration::from_secs(expires().await.unsigned_abs());
    world.turn_clock(left - Duration::from_secs(3 * 86_400 + 600));
    assert!(warnings().await.contains("the certificate of `server.tls` expires in 3 days"), "{}", warnings().await);
    world.turn_clock(Duration::from_secs(4 * 86_400));
    assert!(warnings().await.contains("expired 0 days ago"), "{}", warnings().await);
    assert!(expires().await < -80_000);
    let acme = Tenant { client: world.tenant("acme").client.secured(made.trusted(), false) };
    acme.made(&wish()).await;
    world.end().await;
}

#[tokio::test]
async fn an_edit_that_names_a_broken_pair_is_refused_and_turning_tls_on_waits_for_a_restart() {
    let made = made(2090);
    let pair = Pair::of(&made);
    let plain = [openai("openai", ""), tenant("acme", "")];
    let mut world = World::start(&plain).await;
    world.expect_error("the policy file is refused");
    std::fs::write(pair.path("tls.key"), "").unwrap();
    world.edit_policy(&pair.policy()).await;
    assert!(world.log().contains("there is no private key in this file") && world.log().contains("server.tls.key"));

    pair.write(&made.cert, &made.key);
    world.gateway().reload().await;
    eventually("it is said that a restart is needed", || {
        world.log().contains("server.tls came or went: that takes effect at the next restart")
    })
    .await;
    world.tenant("acme").get("/v1/models").await.ok();
    world.restart().await;
    let acme = Tenant { client: world.tenant("acme").client.secured(made.trusted(), true) };
    acme.made(&wish()).await;
    world.end().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_ends_and_keeps_nobody_waiting() {
    let made = made(2090);
    let pair = Pair::of(&made);
    let world = World::start(&pair.policy()).await;
    let address = world.gateway().address;
    let mut waiting = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Some say nothing, some begin a handshake and do not go on.
        if n % 2 == 0 {
            stream.write_all(&[0x16, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3]).await.unwrap();
        }
        waiting.push(stream);
    }
    let began = Instant::now();
    let client: Client = world.tenant("acme").client.secured(made.trusted(), false);
    client.get("/v1/models").await.ok();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for mut stream in waiting {
        let mut heard = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(25).saturating_sub(began.elapsed()), stream.read_to_end(&mut heard)).await;
        assert!(ended.is_ok(), "a handshake is waited for in vain for {:?}", began.elapsed());
    }
    world.end().await;
}

#[tokio::test]
async fn operators_commands_speak_tls_with_the_gateway_that_they_mean_and_no_other() {
    let (other, made) = (made(2090), made(2090));
    let (pair, elsewhere) = (Pair::of(&made), Pair::of(&other));
    let world = World::start(&pair.policy()).await;
    let policy = std::fs::read_to_string(world.policy_file()).unwrap();
    let of_another = policy.replace(pair.folder.0.to_str().unwrap(), elsewhere.folder.0.to_str().unwrap());
    std::fs::write(elsewhere.path("gateway.toml"), of_another).unwrap();
    let admin = world.gateway().admin.to_string();
    let run = async |folder: PathBuf, args: &[&str]| {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let run = move || run_in(&folder, &args.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    let ours = world.policy_file().parent().unwrap().to_owned();
    let well = run(ours.clone(), &["healthcheck", "--admin", &admin]).await;
    assert!(well.status.success(), "{well:?}");
    let explained = run(ours, &["reconcile", "--admin", &admin]).await;
    assert!(explained.status.success(), "{explained:?}");
    let refused = run(elsewhere.folder.0.clone(), &["reconcile", "--admin", &admin]).await;
    assert!(!refused.status.success(), "{refused:?}");
    world.end().await;
}
