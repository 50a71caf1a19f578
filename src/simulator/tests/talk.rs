//! A client of one simulator: speaks HTTP and nothing else.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::simulator::{Settings, Simulator, start};

/// A hundred thousand times faster than life: a clip of 4 s takes less than half a millisecond.
pub const AT_ONCE: u32 = 100_000;

/// A simulator at that speed, or slower.
pub async fn simulator(speed: u32) -> Simulator {
    start(Settings { speed, ..Settings::default() }).await.unwrap()
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    pub fn id(&self) -> String {
        let json = self.json();
        let id = if json["id"].is_string() { &json["id"] } else { &json["task_id"] };
        id.as_str().unwrap_or_else(|| panic!("no id in {json}")).to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `status code param`, enough to tell refusals apart.
    pub fn refusal(&self) -> String {
        let error = &self.json()["error"];
        let text = |name: &str| error[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", self.status, text("code"), text("param"))
    }
}

/// One account in one dialect.
#[derive(Clone)]
pub struct Talk {
    addr: SocketAddr,
    prefix: &'static str,
    auth: (HeaderName, String),
    extra: Option<(&'static str, &'static str)>,
}

impl Talk {
    /// With a bearer key, below `prefix`.
    pub fn new(addr: SocketAddr, prefix: &'static str, key: &str) -> Self {
        Self { addr, prefix, auth: (AUTHORIZATION, format!("Bearer {key}")), extra: None }
    }

    pub fn openai(simulator: &Simulator, key: &str) -> Self {
        Self::new(simulator.addr(), "/openai/v1", key)
    }

    pub fn comet(simulator: &Simulator) -> Self {
        Self::new(simulator.addr(), "/cometapi/v1", "sk-comet")
    }

    pub fn azure(simulator: &Simulator, key: &str) -> Self {
        let auth = (HeaderName::from_static("api-key"), key.to_owned());
        Self { auth, ..Self::new(simulator.addr(), "/azure/openai/v1", "") }
    }

    /// Likewise, with one more header.
    pub fn with(&self, name: &'static str, value: &'static str) -> Self {
        Self { extra: Some((name, value)), ..self.clone() }
    }

    /// One exchange; an error is a cut line.
    pub async fn try_ask(&self, method: &str, path: &str, media_type: &str, body: impl Into<Bytes>) -> Result<Answer, String> {
        // A path that begins with two slashes is meant from the root.
        let path = path.strip_prefix('/').filter(|rest| rest.starts_with('/')).map_or(format!("{}{path}", self.prefix), str::to_owned);
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.addr));
        request = request.header(&self.auth.0, &self.auth.1).header(CONTENT_TYPE, media_type);
        if let Some((name, value)) = self.extra {
            request = request.header(name, value);
        }
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let reply = client.request(request.body(Full::new(body.into())).unwrap()).await.map_err(|error| format!("{error:?}"))?;
        let (head, body) = reply.into_parts();
        let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.try_ask("GET", path, "text/plain", "").await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.try_ask("DELETE", path, "text/plain", "").await.unwrap()
    }

    pub async fn post(&self, path: &str, json: Value) -> Answer {
        self.try_ask("POST", path, "application/json", json.to_string()).await.unwrap()
    }

    pub async fn put(&self, path: &str, json: Value) -> Answer {
        self.try_ask("PUT", path, "application/json", json.to_string()).await.unwrap()
    }

    /// Posts a form; a part with a media type is a file.
    pub async fn post_form(&self, path: &str, parts: &[(&str, Option<&str>, &[u8])]) -> Answer {
        let mut body = Vec::new();
        for (name, media_type, bytes) in parts {
            let file = media_type.map_or(String::new(), |media_type| format!("; filename=\"upload\"\r\nContent-Type: {media_type}"));
            body.extend(format!("--fence\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").into_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--fence--\r\n");
        self.try_ask("POST", path, "multipart/form-data; boundary=fence", body).await.unwrap()
    }

    /// Asks for the job until it has ended, and returns the last answer.
    pub async fn finished(&self, id: &str) -> Value {
        for _ in 0..2_000 {
            let json = self.get(&format!("/videos/{id}")).await.json();
            let status = json.pointer("/data/status").or(json.get("status")).and_then(Value::as_str).unwrap_or_default();
            if ["completed", "failed", "SUCCESS", "FAILURE", "succeeded"].contains(&status) {
                return json;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("{id} never ends");
    }
}
