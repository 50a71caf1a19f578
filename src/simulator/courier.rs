//! The courier: tells a webhook when a job of the OpenAI dialect has ended.
//!
//! Says which job and that it ended, signed as Standard Webhooks are, and nothing else. It does
//! not try again and does not remember across a restart: a client that relies on it alone is wrong,
//! and the [`Faults`](super::Faults) let it call twice or never to prove that.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use sha2::Sha256;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::faults::Webhook;
use super::job::{Job, Stage};
use super::studio::Studio;

/// How often to look whose time has come.
const TICK: Duration = Duration::from_millis(20);
/// How long a receiver may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

type Post = Client<HttpConnector, Full<Bytes>>;

/// Tells of every job that ends, one after the other, until `stop`.
pub async fn run(studio: Arc<Studio>, stop: CancellationToken) {
    let post = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = stop.cancelled() => return,
        }
        let (ended, webhook, copies) = {
            let mut books = studio.books();
            let ended = books.take_ended(studio.clock.now());
            (ended, books.webhook.clone(), books.faults.in_force().webhook_copies.unwrap_or(1))
        };
        for job in ended {
            let rounds = async {
                for webhook in webhook.iter().cloned().chain(own_callback(&job)) {
                    deliver(&post, &studio, &webhook, &job, copies).await;
                }
            };
            tokio::select! {
                () = rounds => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// The address that the order itself named. Nobody shares a secret with us there, and so nothing is proven.
fn own_callback(job: &Job) -> Option<Webhook> {
    Some(Webhook { url: job.callback_url.clone()?, secret: String::new() })
}

/// Sends the same notice `copies` times.
async fn deliver(post: &Post, studio: &Studio, webhook: &Webhook, job: &Job, copies: u8) {
    let now = studio.clock.now();
    let event = if job.stage(now) == Stage::Completed { "video.completed" } else { "video.failed" };
    let id = format!("evt_{}", Uuid::new_v4().simple());
    let at = now.as_secs();
    let body = json!({"id": id, "object": "event", "created_at": at, "type": event, "data": {"id": job.id}}).to_string();
    let signature = signature(&webhook.secret, &id, at, &body);
    for _ in 0..copies {
        let request = Request::post(&webhook.url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", &signature)
            .body(Full::new(Bytes::from(body.clone())));
        // A receiver that is away or answers badly has missed it.
        if let Ok(request) = request {
            tokio::time::timeout(ANSWER_TIMEOUT, post.request(request)).await.ok();
        }
    }
}

/// `v1,` and the base64 of an HMAC-SHA256 over id, time and body.
fn signature(secret: &str, id: &str, at: i64, body: &str) -> String {
    let key = secret.strip_prefix("whsec_").and_then(|encoded| STANDARD.decode(encoded).ok());
    let key = key.unwrap_or_else(|| secret.as_bytes().to_vec());
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::signature;

    /// Computed with `openssl dgst -sha256 -hmac`.
    #[test]
    fn notices_are_signed_over_id_time_and_body() {
        let expected = "v1,oSFZnNr4DsuPjnKVemnWH9FAGmUYBWjnv3zv3I3KkT8=";
        assert_eq!(signature("secret", "evt_1", 1_750_861_210, "{}"), expected);
        assert_eq!(signature("whsec_c2VjcmV0", "evt_1", 1_750_861_210, "{}"), expected);
    }
}
