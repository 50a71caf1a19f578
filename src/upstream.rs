//! The upstreams' side of the network: the one place that opens outgoing connections.
//!
//! Performs the exchanges that `provider` describes, with time-outs and caps on everything. Knows no
//! jobs and no money. Three ways out, kept apart on purpose:
//!
//! * **paid** requests go out on a connection of their own, made for them and closed after them. A
//!   pooled connection may be dead already, and a POST that fails on one cannot be told from a POST that
//!   was read; a fresh one tells exactly whether a byte was sent;
//! * **free** requests (polls, lists) share pooled connections;
//! * **content** has a pool of HTTP/1.1 connections, because slow downloads that share an HTTP/2
//!   connection with polls use up its window and freeze them. Events to webhooks and questions to a moderation
//!   service go there too.
//!
//! Redirects are never followed: a credential must not travel to where a reply points.

mod address;
mod moderate;
mod paid;
mod tell;
mod token;

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;

use crate::accounts::Accounts;
use crate::halting::Halting;
use crate::id::AttemptId;
use crate::policy::Route;
use crate::provider::{
    AskError, Call, Credential, Download, Endpoint, Handle, Listing, Looks, Progress, Proof, RefusedReason, SubmitError, Unsupported,
    Variant,
};
use crate::reconciling::Reconciling;
use crate::secret::Secret;
use address::PublicOnly;
use token::Tokens;

/// Largest JSON reply that is read, bytes.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// Largest page of a list that is read, bytes: a hundred jobs with their prompts.
const LIST_BYTES_MAX: usize = 8 << 20;
/// To connect, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole free exchange.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);
/// To the head of a content reply.
const CONTENT_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle connections are closed before most servers close them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Idle connections kept per host.
const IDLE_PER_HOST_MAX: usize = 16;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

type Pool<C> = Client<HttpsConnector<C>, Full<Bytes>>;

/// The outgoing side of the gateway.
#[derive(Debug)]
pub struct Upstream {
    free: Pool<HttpConnector>,
    content: Pool<HttpConnector>,
    foreign: Pool<HttpConnector<PublicOnly>>,
    paid: HttpsConnector<HttpConnector>,
    tokens: Tokens,
    questions: Semaphore,
    simulator: OnceLock<Endpoint>,
    reconciling: Reconciling,
    halting: Halting,
    accounts: Accounts,
}

/// Why there are no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownloadError {
    /// The dialect has no such file.
    Unsupported(&'static str),
    /// The upstream did not answer, or not with bytes.
    Failed(String),
}

impl Upstream {
    /// Builds the pools. Nothing is paid for while the books are being reconciled, or while buying is halted.
    pub fn new(reconciling: Reconciling, halting: Halting, accounts: Accounts) -> Self {
        Self {
            free: pool(tls().enable_all_versions().wrap_connector(plain(HttpConnector::new()))),
            content: pool(tls().enable_http1().wrap_connector(plain(HttpConnector::new()))),
            foreign: pool(tls().enable_http1().wrap_connector(plain(HttpConnector::new_with_resolver(PublicOnly)))),
            paid: tls().enable_http1().wrap_connector(plain(HttpConnector::new())),
            tokens: Tokens::default(),
            questions: Semaphore::new(moderate::QUESTIONS_KIB),
            simulator: OnceLock::new(),
            reconciling,
            halting,
            accounts,
        }
    }

    /// Tells where the simulator inside this process listens, once; routes to it have no address in the policy.
    pub fn simulator_is_at(&self, address: SocketAddr) {
        let endpoint = Endpoint { base_url: format!("http://{address}/openai/v1"), credential: Credential::Key(Secret::new("in-process")) };
        // A second telling is of the same simulator.
        let _ = self.simulator.set(endpoint);
    }

    fn endpoint<'a>(&'a self, route: &'a Route) -> &'a Endpoint {
        self.simulator.get().filter(|_| route.simulated).unwrap_or(&route.endpoint)
    }

    /// Performs a paid exchange, described by `call` once the credential is settled; under that attempt's
    /// key, if the route honours keys.
    pub async fn pay<T>(
        &self,
        route: &Route,
        key: Option<AttemptId>,
        call: impl FnOnce(&Endpoint, &Proof<'_>) -> Result<Call<Result<T, SubmitError>>, Unsupported>,
    ) -> Result<T, SubmitError> {
        self.may_pay()?;
        let endpoint = self.endpoint(route);
        let token = self.token(endpoint).await.map_err(|why| SubmitError::NotSent(format!("no credential: {why:?}")))?;
        let call = call(endpoint, &proof(&endpoint.credential, token.as_ref()));
        let Call { mut request, read } = call.map_err(|why| SubmitError::NotSent(why.to_string()))?;
        if let Some(key) = key.and_then(|key| HeaderValue::try_from(key.to_string()).ok()) {
            request.headers_mut().insert(IDEMPOTENCY_KEY, key);
        }
        let answer = read(paid::send(&self.paid, request, route.submit_timeout, || self.may_pay()).await?);
        if matches!(answer, Err(SubmitError::Refused { reason: RefusedReason::Credential, .. })) {
            self.distrust(endpoint).await;
        }
        answer
    }

    fn may_pay(&self) -> Result<(), SubmitError> {
        if self.reconciling.since().is_some() {
            return Err(SubmitError::Withheld("the books are being reconciled"));
        }
        self.halting.why().map_or(Ok(()), |_| Err(SubmitError::Withheld("buying is halted")))
    }

    /// Performs a free exchange; `None` if the dialect has no such call.
    pub async fn ask<T>(
        &self,
        route: &Route,
        call: impl FnOnce(&Endpoint, &Proof<'_>) -> Option<Call<Result<T, AskError>>>,
    ) -> Option<Result<T, AskError>> {
        self.ask_for(route, REPLY_BYTES_MAX, call).await
    }

    /// Likewise, for a reply of at most so many bytes.
    async fn ask_for<T>(
        &self,
        route: &Route,
        bytes_max: usize,
        call: impl FnOnce(&Endpoint, &Proof<'_>) -> Option<Call<Result<T, AskError>>>,
    ) -> Option<Result<T, AskError>> {
        let endpoint = self.endpoint(route);
        let token = match self.token(endpoint).await {
            Ok(token) => token,
            Err(why) => return Some(Err(why)),
        };
        let answer = self.exchange(call(endpoint, &proof(&endpoint.credential, token.as_ref()))?, bytes_max).await;
        if matches!(answer, Err(AskError::Credential)) {
            self.distrust(endpoint).await;
        }
        match &answer {
            Err(AskError::Credential) => self.accounts.heard(&route.account, true),
            Ok(_) | Err(AskError::NotFound) => self.accounts.heard(&route.account, false),
            Err(_) => {}
        }
        Some(answer)
    }

    /// How a job is doing.
    pub async fn progress(&self, route: &Route, job: Handle<'_>) -> Result<Progress, AskError> {
        let asked = self.ask(route, |endpoint, proof| Some(route.provider.progress(endpoint, proof, job))).await;
        asked.unwrap_or_else(|| Err(AskError::Refused("no way to ask".to_owned())))
    }

    /// What a job looks like there.
    pub async fn looks(&self, route: &Route, job: Handle<'_>) -> Result<Looks, AskError> {
        let asked = self.ask(route, |endpoint, proof| Some(route.provider.looks(endpoint, proof, job))).await;
        asked.unwrap_or_else(|| Err(AskError::Refused("no way to ask".to_owned())))
    }

    /// One page of the account's newest jobs; `None` if the dialect has no list.
    pub async fn list(&self, route: &Route, after: Option<&str>) -> Option<Result<Listing, AskError>> {
        self.ask_for(route, LIST_BYTES_MAX, |endpoint, proof| route.provider.list(endpoint, proof, after)).await
    }

    /// Deletes a finished job there; `None` if the dialect cannot.
    pub async fn delete(&self, route: &Route, job: Handle<'_>) -> Option<Result<(), AskError>> {
        self.ask(route, |endpoint, proof| route.provider.delete(endpoint, proof, job)).await
    }

    /// Whether it answers something free, and which models it names, if it has a list of them.
    pub async fn ping(&self, route: &Route) -> Result<Option<Vec<String>>, AskError> {
        let asked = self.ask_for(route, LIST_BYTES_MAX, |endpoint, proof| Some(route.provider.ping(endpoint, proof))).await;
        asked.unwrap_or(Ok(None))
    }

    /// The bytes of a finished job: the reply's head, its body still on the wire.
    pub async fn download(
        &self,
        route: &Route,
        job: Handle<'_>,
        variant: Variant,
        range: Option<&str>,
    ) -> Result<Response<Incoming>, DownloadError> {
        let failed = |why: String| DownloadError::Failed(why);
        let endpoint = self.endpoint(route);
        let token = self.token(endpoint).await.map_err(|why| failed(format!("no credential: {why:?}")))?;
        let proof = proof(&endpoint.credential, token.as_ref());
        let Download { request, foreign } =
            route.provider.content(endpoint, &proof, job, variant, range).map_err(|why| DownloadError::Unsupported(why.0))?;
        let request = request.map(Full::new);
        let is_shown = !foreign;
        let sent = if foreign {
            address::allowed(request.uri(), &route.content_hosts).map_err(failed)?;
            self.foreign.request(request)
        } else {
            self.content.request(request)
        };
        match tokio::time::timeout(CONTENT_HEAD_TIMEOUT, sent).await {
            Ok(Ok(reply)) => {
                if is_shown && matches!(reply.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                    self.accounts.heard(&route.account, true);
                }
                Ok(reply)
            }
            Ok(Err(error)) => Err(failed(chain(&error))),
            Err(_) => Err(failed("no answer in time".to_owned())),
        }
    }

    async fn exchange<T>(&self, call: Call<Result<T, AskError>>, bytes_max: usize) -> Result<T, AskError> {
        let exchange = async {
            let reply = self.free.request(call.request.map(Full::new)).await.map_err(|error| chain(&error))?;
            collect(reply, bytes_max).await
        };
        match tokio::time::timeout(ASK_TIMEOUT, exchange).await {
            Ok(Ok(reply)) => (call.read)(reply),
            Ok(Err(why)) => Err(AskError::Transient(why)),
            Err(_) => Err(AskError::Transient("no answer in time".to_owned())),
        }
    }

    /// Trades for another token the next time: this one was refused.
    async fn distrust(&self, endpoint: &Endpoint) {
        if let Credential::Entra(entra) = &endpoint.credential {
            self.tokens.forget(entra).await;
        }
    }

    /// The bearer token of an endpoint whose credential has to be traded for one.
    async fn token(&self, endpoint: &Endpoint) -> Result<Option<Secret>, AskError> {
        let Credential::Entra(entra) = &endpoint.credential else { return Ok(None) };
        self.tokens.get(entra, |call| self.exchange(call, REPLY_BYTES_MAX)).await.map(Some)
    }
}

/// What to show, given a token if the credential was traded for one.
fn proof<'a>(credential: &'a Credential, token: Option<&'a Secret>) -> Proof<'a> {
    match (credential, token) {
        (_, Some(token)) => Proof::Bearer(token),
        (Credential::Key(key), None) => Proof::Key(key),
        (Credential::None | Credential::Entra(_), None) => Proof::None,
    }
}

/// Reads a reply's body to its end, within the cap.
async fn collect(reply: Response<Incoming>, bytes_max: usize) -> Result<Response<Bytes>, String> {
    let (head, body) = reply.into_parts();
    let body = Limited::new(body, bytes_max).collect().await.map_err(|error| error.to_string())?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

/// The `host` header of an address.
fn host(uri: &Uri) -> Option<HeaderValue> {
    HeaderValue::from_str(uri.authority()?.as_str()).ok()
}

fn tls() -> HttpsConnectorBuilder<hyper_rustls::builderstates::WantsProtocols1> {
    let provider = rustls::crypto::ring::default_provider();
    let roots = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider);
    #[expect(clippy::expect_used, reason = "the protocol versions are the provider's own")]
    roots.expect("ring offers TLS 1.2 and 1.3").https_or_http()
}

fn plain<R>(mut connector: HttpConnector<R>) -> HttpConnector<R> {
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector
}

fn pool<C>(connector: C) -> Client<C, Full<Bytes>>
where
    C: hyper_util::client::legacy::connect::Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .build(connector)
}

/// An error with its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
