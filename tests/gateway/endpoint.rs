//! Somebody's webhook: takes what is posted to it, remembers it, and answers as it is told to.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::world::eventually;

/// What came.
#[derive(Clone, Debug)]
pub struct Told {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Told {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_str().unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// How the next one is answered.
#[derive(Clone, Debug)]
pub enum Answers {
    Status(u16),
    /// With a body.
    Says(u16, String),
    /// Elsewhere, where it is not to be looked for.
    Redirect(String),
    /// A mebibyte after the mebibyte.
    Endlessly,
    /// Not at all.
    Hangs,
}

#[derive(Debug, Default)]
struct State {
    told: Vec<Told>,
    script: VecDeque<Answers>,
    usual: Option<Answers>,
}

/// It listens until it is dropped.
pub struct Endpoint {
    pub url: String,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl Endpoint {
    /// One that takes everything.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks?team=video", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, state.clone()));
        Self { url, state, _tasks: tasks }
    }

    /// The `webhook` of a tenant who wants its events here.
    pub fn webhook(&self, secret: &str) -> String {
        format!("webhook = {{ url = \"{}\", secret = \"{secret}\", allow_private = true }}", self.url)
    }

    /// The address that its paths begin with.
    pub fn origin(&self) -> &str {
        self.url.split("/hooks").next().unwrap()
    }

    /// From now on, when the script has ended.
    pub fn usually(&self, answer: Answers) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).usual = Some(answer);
    }

    /// Only the next ones.
    pub fn next(&self, answers: &[Answers]) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).script.extend(answers.iter().cloned());
    }

    pub fn told(&self) -> Vec<Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).told.clone()
    }

    /// Everything that came, once it is that many.
    pub async fn heard(&self, count: usize) -> Vec<Told> {
        eventually("the endpoint hears", || self.told().len() >= count).await;
        let told = self.told();
        assert_eq!(told.len(), count, "{told:?}");
        told
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        let take = service_fn(move |request| take(request, state.clone()));
        connections.spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), take).await });
    }
}

async fn take(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let answer = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.told.push(Told { headers: head.headers, body });
        state.script.pop_front().or(state.usual.clone()).unwrap_or(Answers::Status(200))
    };
    let reply = Response::builder();
    let reply = match answer {
        Answers::Status(status) => reply.status(status).body(Full::default()),
        Answers::Says(status, body) => reply.status(status).body(Full::new(body.into())),
        Answers::Redirect(to) => reply.status(302).header("location", to).body(Full::default()),
        Answers::Endlessly => reply.status(200).body(Full::new(Bytes::from(vec![b'x'; 64 << 20]))),
        Answers::Hangs => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            reply.body(Full::default())
        }
    };
    Ok(reply.unwrap())
}
