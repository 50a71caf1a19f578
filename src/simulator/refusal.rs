//! Refusals: what is wrong with a request, and how each dialect says so.
//!
//! Messages are those that the real services answer with, so that a client which reads them finds
//! what it knows.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::content::Payload;
use super::dialect::Dialect;

/// Why there is no answer of the expected kind.
#[derive(Debug)]
pub enum Failure {
    /// It is refused, in the dialect's words.
    Refused(Refusal),
    /// There is no answer at all.
    Cut,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A request that is not granted; without effect on the bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
    retry_after: Option<String>,
}

impl Refusal {
    /// A refusal that names no field.
    pub fn new(status: u16, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, kind, code, param: None, message: message.into(), retry_after: None }
    }

    /// 400: a field is not as it must be.
    pub fn field(param: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(param.to_owned()), ..Self::new(400, "invalid_request_error", Some(code), message) }
    }

    /// 400: a field is missing.
    pub fn missing(param: &str) -> Self {
        Self::field(param, "missing_required_parameter", format!("Missing required parameter: '{param}'."))
    }

    /// 400: the body as a whole is not acceptable.
    pub fn body(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", None, message)
    }

    /// 401: the credential, shown as the real service shows it, with its middle left out.
    pub fn bad_key(shown: &str) -> Self {
        let start: String = shown.chars().take(3).collect();
        let message =
            format!("Incorrect API key provided: {start}***. You can find your API key at https://platform.openai.com/account/api-keys.");
        Self::new(401, "invalid_request_error", Some("invalid_api_key"), message)
    }

    /// 404: no such video of this account.
    pub fn no_such_video(id: &str) -> Self {
        Self::new(404, "invalid_request_error", None, format!("Video with id '{id}' not found."))
    }

    /// 404: nothing is served at this address.
    pub fn no_such_path(method: &http::Method, path: &str) -> Self {
        Self::new(404, "invalid_request_error", None, format!("Invalid URL ({method} {path})"))
    }

    /// A model that is not, or no longer, served.
    pub fn no_such_model(dialect: Dialect, model: &str) -> Self {
        match dialect {
            Dialect::Openai => {
                let message = format!("The model '{model}' does not exist or you do not have access to it.");
                Self::new(404, "invalid_request_error", Some("model_not_found"), message)
            }
            Dialect::Azure => Self::new(
                410,
                "invalid_request_error",
                Some("ModelDeprecated"),
                format!("The model behind deployment '{model}' has been retired."),
            ),
            Dialect::Cometapi => {
                let message = format!("no available channel for group default and model {model} (distributor)");
                Self::new(503, "comet_api_error", Some("model_not_found"), message)
            }
        }
    }

    /// Whatever model was asked for: all are withdrawn.
    pub fn withdrawn(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Openai => Self::new(410, "invalid_request_error", None, "The Videos API has been shut down."),
            Dialect::Azure | Dialect::Cometapi => Self::no_such_model(dialect, "of this order"),
        }
    }

    /// One job more than the account may have running.
    pub fn too_many_running(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Azure => Self::new(429, "video_generation_user_error", None, "Too many running tasks"),
            Dialect::Openai | Dialect::Cometapi => Self::of_status(429, None),
        }
    }

    /// What a service says with a bare status: overload, throttling, an outage.
    pub fn of_status(status: u16, retry_after: Option<String>) -> Self {
        let (kind, code, message) = match status {
            401 => return Self::bad_key("revoked"),
            404 => return Self::no_such_video("video_unknown"),
            429 => ("rate_limit_error", Some("rate_limit_exceeded"), "Rate limit reached. Please slow down and try again later."),
            503 => {
                ("service_unavailable_error", Some("server_is_overloaded"), "The server is currently overloaded. Please try again later.")
            }
            400..500 => ("invalid_request_error", None, "The request was refused."),
            _ => ("server_error", None, "The server had an error while processing your request."),
        };
        Self { retry_after, ..Self::new(status, kind, code, message) }
    }

    /// The refusal as the dialect puts it.
    pub fn reply(self, dialect: Dialect) -> Response<Payload> {
        let body = self.body_in(dialect);
        let payload = Payload::whole(Bytes::from(body.to_string()));
        let mut reply = Response::new(payload);
        *reply.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = self.retry_after.and_then(|wait| HeaderValue::from_str(&wait).ok()) {
            reply.headers_mut().insert(RETRY_AFTER, wait);
        }
        if (300..400).contains(&self.status) {
            reply.headers_mut().insert(LOCATION, HeaderValue::from_static("/_simulator/stats"));
        }
        reply
    }

    fn body_in(&self, dialect: Dialect) -> Value {
        let Self { kind, code, param, message, .. } = self;
        match (dialect, self.status) {
            // Azure's front answers these before the video service sees the request.
            (Dialect::Azure, 401 | 404 | 410 | 500..) => json!({"error": {"code": self.status.to_string(), "message": message}}),
            (Dialect::Azure | Dialect::Openai, _) => json!({"error": {"message": message, "type": kind, "param": param, "code": code}}),
            (Dialect::Cometapi, _) => {
                let message = format!("{message} (request id: simulator)");
                json!({"error": {"message": message, "type": "comet_api_error", "param": param.clone().unwrap_or_default(), "code": code}})
            }
        }
    }
}
