//! Telling somebody's webhook of an event, and hearing no more than whether it was taken.
//!
//! The address is somebody else's: unless the policy says otherwise it must be anybody's on the
//! internet, which is looked at behind name resolution, and what it answers is not read beyond a few bytes.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};

use super::{Upstream, chain};
use crate::address::open_to_all;
use crate::policy::Webhook;

/// For a whole telling.
const TELL_TIMEOUT: Duration = Duration::from_secs(20);
/// For what follows the head of the answer, which says everything.
const REST_TIMEOUT: Duration = Duration::from_secs(1);
/// What is read of that, so that the connection can be used again.
const REST_BYTES_MAX: usize = 4 * 1024;

impl Upstream {
    /// Posts to a webhook what `event` makes of a request to it; answers the status, whatever it is.
    pub async fn tell(
        &self,
        hook: &Webhook,
        event: impl FnOnce(http::request::Builder) -> http::Result<Request<Bytes>>,
    ) -> Result<StatusCode, String> {
        let request = event(Request::builder().method(Method::POST).uri(&hook.url)).map_err(|error| chain(&error))?;
        let request = request.map(Full::new);
        let sent = if hook.allow_private {
            self.content.request(request)
        } else {
            open_to_all(&hook.url)?;
            self.foreign.request(request)
        };
        let told = async {
            let (head, rest) = sent.await.map_err(|error| chain(&error))?.into_parts();
            // Taken or not: what is said beyond the status, or not said, changes nothing.
            let _ = tokio::time::timeout(REST_TIMEOUT, Limited::new(rest, REST_BYTES_MAX).collect()).await;
            Ok(head.status)
        };
        tokio::time::timeout(TELL_TIMEOUT, told).await.unwrap_or_else(|_| Err(format!("no answer within {} s", TELL_TIMEOUT.as_secs())))
    }
}
