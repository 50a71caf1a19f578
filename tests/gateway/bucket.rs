//! Somebody's object store: a bucket that is spoken to in S3, opens only to what is signed, and misbehaves
//! when it is told to. The signature is worked out here anew, from the published rules.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// No log may have it: its beginning is what every world looks for.
const SECRET: &str = "sk-test-of-the-bucket";
const BUCKET: &str = "/clips/";

/// What it does wrong from now on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    /// Answers everything with it.
    pub status: Option<u16>,
    /// Takes what is put and has lost it.
    pub loses: bool,
    /// Never answers a part.
    pub stalls_parts: bool,
    /// Cuts the next so many whole answers after half of their bytes.
    pub cuts: u32,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    uploads: BTreeMap<String, BTreeMap<u32, Bytes>>,
    begun: u32,
    refused: Vec<String>,
    trouble: Trouble,
}

/// It listens until it is dropped.
pub struct Bucket {
    url: String,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl Bucket {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, state.clone()));
        Self { url, state, _tasks: tasks }
    }

    /// The keys of `[archive]` for a gateway that keeps clips here.
    pub fn archive(&self) -> String {
        let url = &self.url;
        format!("url = \"s3://clips/made/here\"\nendpoint = \"{url}\"\nregion = \"eu-1\"\naccess_key = \"AK1\"\nsecret_key = \"{SECRET}\"")
    }

    pub fn misbehave(&self, trouble: Trouble) {
        lock(&self.state).trouble = trouble;
    }

    /// What can be fetched.
    pub fn names(&self) -> Vec<String> {
        lock(&self.state).objects.keys().cloned().collect()
    }

    pub fn object(&self, name: &str) -> Bytes {
        lock(&self.state).objects[name].clone()
    }

    pub fn put(&self, name: &str, bytes: Bytes) {
        lock(&self.state).objects.insert(name.to_owned(), bytes);
    }

    /// Files of which parts are there and which were neither completed nor aborted, and how many were ever begun.
    pub fn unfinished(&self) -> (usize, u32) {
        let state = lock(&self.state);
        (state.uploads.len(), state.begun)
    }

    /// Requests that were not signed as they should be.
    pub fn refused(&self) -> Vec<String> {
        lock(&self.state).refused.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

type Reply = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        let take = service_fn(move |request| take(request, state.clone()));
        connections.spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), take).await });
    }
}

async fn take(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Reply, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(plain(400, "")) };
    let stalls = lock(&state).trouble.stalls_parts && head.uri.query().is_some_and(|query| query.contains("partNumber"));
    if stalls {
        std::future::pending::<()>().await;
    }
    Ok(answer(&head, body.to_bytes(), &mut lock(&state)))
}

fn answer(head: &Parts, body: Bytes, state: &mut State) -> Reply {
    if let Some(status) = state.trouble.status {
        return plain(status, "<Error><Code>Trouble</Code></Error>");
    }
    if let Err(why) = signed(head, &body) {
        state.refused.push(format!("{} {}: {why}", head.method, head.uri));
        return plain(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>");
    }
    let query: BTreeMap<String, String> = query(head).into_iter().map(|(name, value)| (name, value.replace("%2F", "/"))).collect();
    let Some(name) = head.uri.path().strip_prefix(BUCKET).filter(|name| !name.is_empty()) else {
        return plain(200, &listing(state, &query["prefix"], query.contains_key("delimiter")));
    };
    let name = name.to_owned();
    match (&head.method, query.get("uploadId")) {
        (&Method::POST, None) => {
            state.begun += 1;
            let id = format!("upload-{}", state.begun);
            state.uploads.insert(id.clone(), BTreeMap::new());
            plain(200, &format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"))
        }
        (&Method::PUT, Some(id)) => {
            let Some(parts) = state.uploads.get_mut(id) else { return plain(404, "<Error><Code>NoSuchUpload</Code></Error>") };
            parts.insert(query["partNumber"].parse().unwrap(), body);
            plain(200, "")
        }
        (&Method::POST, Some(id)) => {
            let Some(parts) = state.uploads.remove(id) else { return plain(404, "<Error><Code>NoSuchUpload</Code></Error>") };
            keep(state, name, parts.values().flatten().copied().collect());
            plain(200, "<CompleteMultipartUploadResult><ETag>\"1\"</ETag></CompleteMultipartUploadResult>")
        }
        (&Method::DELETE, Some(id)) => {
            state.uploads.remove(id);
            plain(204, "")
        }
        (&Method::PUT, None) => {
            keep(state, name, body);
            plain(200, "")
        }
        (&Method::DELETE, None) => {
            state.objects.remove(&name);
            plain(204, "")
        }
        _ => fetched(head, state, &name),
    }
}

fn keep(state: &mut State, name: String, bytes: Bytes) {
    if !state.trouble.loses {
        state.objects.insert(name, bytes);
    }
}

fn fetched(head: &Parts, state: &mut State, name: &str) -> Reply {
    let Some(object) = state.objects.get(name) else { return plain(404, "<Error><Code>NoSuchKey</Code></Error>") };
    let range = head.headers.get("range").map(|range| part(range.to_str().unwrap(), object.len()));
    let shown = object.slice(range.clone().unwrap_or(0..object.len()));
    let modified = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut reply = Response::builder().header("content-length", shown.len()).header("etag", "\"1\"").header("last-modified", modified);
    if let Some(range) = range {
        let told = format!("bytes {}-{}/{}", range.start, range.end - 1, object.len());
        reply = reply.status(StatusCode::PARTIAL_CONTENT).header("content-range", told);
    }
    if head.method == Method::HEAD {
        return reply.body(Full::default().map_err(|never| match never {}).boxed_unsync()).unwrap();
    }
    let cut = state.trouble.cuts > 0;
    state.trouble.cuts = state.trouble.cuts.saturating_sub(1);
    let half = shown.slice(..shown.len() / 2);
    let frames = match cut {
        true => vec![Ok(Frame::data(half)), Err(std::io::Error::other("cut"))],
        false => vec![Ok(Frame::data(shown))],
    };
    reply.body(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()).unwrap()
}

fn part(range: &str, length: usize) -> Range<usize> {
    let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    from.parse().unwrap()..to.parse::<usize>().map_or(length, |to| to + 1).min(length)
}

fn listing(state: &State, prefix: &str, has_folders: bool) -> String {
    let mut text = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
    let mut latest = String::new();
    for (name, object) in state.objects.iter().filter(|(name, _)| name.starts_with(prefix)) {
        let folder = name[prefix.len()..].split_once('/').filter(|_| has_folders).map(|(folder, _)| format!("{prefix}{folder}/"));
        match folder {
            Some(folder) if folder == latest => {}
            Some(folder) => {
                write!(text, "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>").unwrap();
                latest = folder;
            }
            None => {
                let (length, now) = (object.len(), jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.000Z"));
                write!(text, "<Contents><Key>{name}</Key><LastModified>{now}</LastModified><ETag>1</ETag><Size>{length}</Size></Contents>")
                    .unwrap();
            }
        }
    }
    text + "</ListBucketResult>"
}

fn plain(status: u16, text: &str) -> Reply {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).header("etag", "\"1\"").body(body).unwrap()
}

/// Name and value, as they were sent.
fn query(head: &Parts) -> Vec<(String, String)> {
    let each = head.uri.query().unwrap_or_default().split('&').filter(|each| !each.is_empty());
    let mut all: Vec<(String, String)> =
        each.map(|each| each.split_once('=').unwrap_or((each, ""))).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    all.sort();
    all
}

/// AWS Signature Version 4.
fn signed(head: &Parts, body: &[u8]) -> Result<(), String> {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let field = |name: &str| header("authorization").split([' ', ',']).find_map(|each| each.strip_prefix(name)).unwrap_or_default();
    let (credential, names, signature) = (field("Credential="), field("SignedHeaders="), field("Signature="));
    let told = header("x-amz-content-sha256");
    if told != hex(&Sha256::digest(body)) {
        return Err(format!("the bytes are not those that were signed: {told}"));
    }
    let scope = credential.strip_prefix("AK1/").ok_or("another key")?;
    let [day, region @ "eu-1", "s3", "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else { return Err(scope.to_owned()) };
    let asked: Vec<String> = query(head).iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers: String = names.split(';').map(|name| format!("{name}:{}\n", header(name))).collect();
    if !["host", "x-amz-date"].iter().all(|needed| names.split(';').any(|name| name == *needed)) {
        return Err(format!("too little is signed: {names}"));
    }
    let canonical = format!("{}\n{}\n{}\n{headers}\n{names}\n{told}", head.method, head.uri.path(), asked.join("&"));
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", header("x-amz-date"), hex(&Sha256::digest(&canonical)));
    let key = [day, region, "s3", "aws4_request"].iter().fold(format!("AWS4{SECRET}").into_bytes(), |key, part| mac(&key, part));
    (hex(&mac(&key, &text)) == signature).then_some(()).ok_or_else(|| format!("another signature for {canonical:?}"))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
