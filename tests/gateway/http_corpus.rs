//! What is written in `tests/fixtures/http`, sent to both listeners, in the open and over TLS: requests that
//! two readers would read differently, and clients who take their time. All are refused or bounded, nothing
//! that was hidden is ever answered, and everybody else is served.
//!
//! A file says what it is, what must come of it, and then what is sent: lines end where they say so, `\xNN`
//! is a byte, `{host}`, `{key}` and `{hidden}` (a request that would be answered) are filled in, and
//! `{20*text}` is said twenty times. In `slow/`, `{pause 500ms}` waits.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use regex::{Captures, Regex};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::tls::{Made, Pair, made};
use crate::world::{World, key_of, openai, tenant};

/// After which nobody says any more.
const SILENCE: Duration = Duration::from_millis(1_500);
const HIDDEN: &str = r"GET /v1/models HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\r\n";

/// What a file says.
#[derive(Clone)]
struct Case {
    name: String,
    then: String,
    text: String,
}

fn corpus(folder: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/http").join(folder);
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let mut lines = text.lines();
        assert!(lines.next().is_some_and(|line| line.starts_with("# ")), "{}: it says what it is", path.display());
        let then = lines.next().and_then(|line| line.strip_prefix("# then: ")).unwrap_or_else(|| panic!("{}", path.display()));
        Case { name: path.file_stem().unwrap().to_string_lossy().into_owned(), then: then.to_owned(), text: lines.collect() }
    };
    fs::read_dir(folder).unwrap().map(|entry| read(&entry.unwrap().path())).collect()
}

/// The text as bytes.
fn spelled(text: &str, host: &str) -> Vec<u8> {
    let fill = |text: &str| text.replace("{hidden}", HIDDEN).replace("{host}", host).replace("{key}", &key_of("acme"));
    let length = bytes(&fill("{hidden}")).len();
    let text = fill(text).replace("{length of hidden}", &length.to_string());
    let times = Regex::new(r"\{(\d+)\*([^}]*)\}").unwrap();
    bytes(&times.replace_all(&text, |said: &Captures<'_>| said[2].repeat(said[1].parse().unwrap())))
}

fn bytes(text: &str) -> Vec<u8> {
    let escape = regex::bytes::Regex::new(r"\\(r|n|t|x[0-9a-f]{2})").unwrap();
    let byte = |said: &regex::bytes::Captures<'_>| match &said[1] {
        b"r" => vec![b'\r'],
        b"n" => vec![b'\n'],
        b"t" => vec![b'\t'],
        hex => vec![u8::from_str_radix(std::str::from_utf8(&hex[1..]).unwrap(), 16).unwrap()],
    };
    escape.replace_all(text.as_bytes(), byte).into_owned()
}

/// What is heard, and whether the other side ended it; the rest is not waited for.
async fn heard(client: &Client, sent: &[u8]) -> (String, bool) {
    let mut line = client.line(false).await;
    // It may be hung up on in mid-sentence.
    let _ = line.write_all(sent).await;
    let mut heard = Vec::new();
    loop {
        let mut some = [0; 4096];
        match tokio::time::timeout(SILENCE, line.read(&mut some)).await {
            Err(_) => return (String::from_utf8_lossy(&heard).into_owned(), false),
            Ok(Ok(0) | Err(_)) => return (String::from_utf8_lossy(&heard).into_owned(), true),
            Ok(Ok(n)) => heard.extend_from_slice(&some[..n]),
        }
    }
}

/// The statuses of what was answered, in order.
fn statuses(heard: &str) -> Vec<&str> {
    heard.match_indices("HTTP/1.1 ").map(|(at, start)| heard[at + start.len()..].get(..3).unwrap_or("")).collect()
}

/// Whether that came of it which the case says.
fn judge(case: &Case, heard: &str, has_ended: bool) -> Result<(), String> {
    let statuses = statuses(heard);
    let (answered, is_refused) = match case.then.as_str() {
        "refused" => (0, true),
        then => (then.split(' ').nth(1).and_then(|n| n.parse().ok()).ok_or("says nothing")?, then.ends_with("refused")),
    };
    let rest = statuses.get(answered..).ok_or_else(|| format!("{} answers", statuses.len()))?;
    let no_more = match rest {
        [] => true,
        // Operators' listener turns away before it reads.
        [refusal] => is_refused && ["400", "403", "404", "405", "413", "417", "431"].contains(refusal),
        _ => false,
    };
    if !no_more {
        return Err(format!("answers {statuses:?}"));
    }
    if is_refused && !has_ended {
        return Err("it goes on".to_owned());
    }
    Ok(())
}

/// Both listeners of two worlds, one of which speaks TLS.
async fn everywhere(made: &Made, pair: &Pair) -> (Vec<World>, Vec<Client>) {
    let plain = World::start(&[openai("openai", ""), tenant("acme", "")]).await;
    let secured = World::start(&pair.policy()).await;
    let clients = vec![
        plain.stranger(),
        plain.operator(),
        secured.stranger().secured(made.trusted(), false),
        secured.operator().secured(made.trusted(), false),
    ];
    (vec![plain, secured], clients)
}

async fn end(worlds: Vec<World>, made: &Made) {
    for (n, world) in worlds.into_iter().enumerate() {
        let acme = world.tenant("acme").client;
        let acme = if n == 0 { acme } else { acme.secured(made.trusted(), false) };
        acme.post("/v1/videos/estimate", &json!({ "prompt": "a whale" })).await.ok();
        assert_eq!(world.orders(), 0, "nothing was ordered");
        world.end().await;
    }
}

#[tokio::test]
async fn what_two_readers_would_read_differently_is_refused_and_what_is_hidden_is_never_answered() {
    let made = made(2090);
    let pair = Pair::of(&made);
    let (worlds, clients) = everywhere(&made, &pair).await;
    let corpus = corpus("smuggling");
    assert!(corpus.len() >= 80, "only {} cases", corpus.len());
    let mut faults = Vec::new();
    for (n, client) in clients.into_iter().enumerate() {
        let mut exchanges = JoinSet::new();
        for case in corpus.clone() {
            let client = client.clone();
            exchanges.spawn(async move {
                let sent = spelled(&case.text, &client.host());
                let (heard, has_ended) = heard(&client, &sent).await;
                judge(&case, &heard, has_ended).map_err(|why| format!("{} at listener {n}: {why}: {heard:.200}", case.name))
            });
        }
        faults.extend(exchanges.join_all().await.into_iter().filter_map(Result::err));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    end(worlds, &made).await;
}

/// Sends piece by piece; what is heard until the other side ends it.
async fn heard_slowly(client: &Client, text: &str, patience: Duration) -> (String, bool) {
    let (mut ours, mut theirs) = tokio::io::split(client.line(false).await);
    let text = text.replace("{host}", &client.host()).replace("{key}", &key_of("acme"));
    let times = Regex::new(r"\{(\d+)\*\[([^\]]*)\]\}").unwrap();
    let text = times.replace_all(&text, |said: &Captures<'_>| said[2].repeat(said[1].parse().unwrap())).into_owned();
    let saying = async {
        for piece in text.split("{pause 500ms}") {
            if theirs.write_all(&bytes(piece)).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut heard = Vec::new();
    let has_ended = tokio::select! {
        () = saying => false,
        read = tokio::time::timeout(patience, ours.read_to_end(&mut heard)) => read.is_ok(),
    };
    (String::from_utf8_lossy(&heard).into_owned(), has_ended)
}

#[tokio::test]
async fn who_takes_too_long_is_hung_up_on_however_it_dawdles() {
    let made = made(2090);
    let pair = Pair::of(&made);
    let (worlds, clients) = everywhere(&made, &pair).await;
    let corpus = corpus("slow");
    assert!(corpus.len() >= 10, "only {} cases", corpus.len());
    let mut exchanges = JoinSet::new();
    for (n, client) in clients.into_iter().enumerate() {
        for case in corpus.clone() {
            let client = client.clone();
            exchanges.spawn(async move {
                let mut then = case.then.split(", ");
                let (within, expected) = (then.next().unwrap_or_default(), then.collect::<Vec<_>>());
                let secs: u64 = within.trim_start_matches("ended within ").trim_end_matches(" s").parse().unwrap();
                let began = Instant::now();
                let (heard, has_ended) = heard_slowly(&client, &case.text, Duration::from_secs(secs)).await;
                let is_expected = expected.is_empty() || n % 2 == 1 || statuses(&heard) == expected;
                (has_ended && is_expected)
                    .then_some(())
                    .ok_or_else(|| format!("{} at listener {n}: {:?}: {heard:.200}", case.name, began.elapsed()))
            });
        }
    }
    let faults: Vec<String> = exchanges.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    end(worlds, &made).await;
}
