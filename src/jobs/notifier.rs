//! The notifier: sends what is owed to webhooks, until it is taken or has been tried often enough.
//!
//! A bounded number at a time, and few to each addressee, so that an endpoint that hangs holds up nobody
//! else's. What is claimed here and not told is due again when its claim lapses: an event may come twice,
//! by the same id, and is not lost. Who is told, where and by which secret is looked up at each sending.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Request, StatusCode};
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use crate::clock::Timestamp;
use crate::crash;
use crate::gateway::Gateway;
use crate::metrics::NoticeOutcome;
use crate::notice::{Addressee, next_try};
use crate::policy::{Policy, Webhook};
use crate::signature;
use crate::store::{Delivery, Notice};

/// Events under way at a time.
const SEATS: usize = 128;
/// Events under way at a time to one addressee.
const EACH: u32 = 4;
/// Claimed at a time.
const BATCH: u32 = 32;
/// A claim is good for this long: longer than a sending can take.
const LEASE: Duration = Duration::from_secs(60);
/// How often the books are asked what is due, when nothing rings.
const TICK: Duration = Duration::from_millis(500);
/// How often what was told is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(600);
/// How long what was told of videos is kept.
const KEEP_VIDEOS: Duration = Duration::from_secs(30 * 86_400);
/// How long what was told of other things is: it keeps them from being told again.
const KEEP_OTHERS: Duration = Duration::from_secs(400 * 86_400);

/// Runs until the gateway stops.
pub async fn run(gw: Arc<Gateway>) {
    let seats = Arc::new(Semaphore::new(SEATS));
    let mut forget_at = gw.clock.now();
    while !gw.stop.is_cancelled() {
        if gw.clock.now() >= forget_at {
            forget_at = gw.clock.now().after(FORGET_EVERY);
            forget(&gw).await;
        }
        let free = u32::try_from(seats.available_permits()).unwrap_or(BATCH).min(BATCH);
        let claimed = if free == 0 { Ok(Vec::new()) } else { gw.store.lease_notices(gw.clock.now(), LEASE, free, EACH).await };
        let claimed = claimed.unwrap_or_else(|why| {
            warn!(%why, "nobody can be told of anything, for now");
            Vec::new()
        });
        if claimed.is_empty() {
            tokio::select! {
                () = gw.stop.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
                () = gw.outbox.rung() => {}
            }
        }
        for notice in claimed {
            let Ok(seat) = seats.clone().acquire_owned().await else { return };
            let gw = gw.clone();
            gw.clone().tasks.spawn(async move {
                tokio::select! {
                    () = gw.stop.cancelled() => {}
                    () = tell(&gw, &notice) => {}
                }
                drop(seat);
                gw.outbox.ring();
            });
        }
    }
}

/// Sends one notice, and writes down how that went.
async fn tell(gw: &Gateway, notice: &Notice) {
    let policy = gw.policy.snapshot();
    let delivery = match webhook(&policy, &notice.to) {
        Some(hook) => {
            let answer = gw.upstream.tell(hook, |url| event(url, notice, hook, gw.clock.now())).await;
            crash::point("after_told");
            read(notice, answer, gw.clock.now())
        }
        None => Delivery::Dead { why: "the policy names no webhook for it any more".to_owned() },
    };
    let (to, kind) = (&notice.to, notice.kind.as_str());
    match gw.store.note_delivery(notice.id, delivery.clone(), gw.clock.now()).await {
        Ok(true) => {}
        // Somebody else, whose claim this was before or after, knows already.
        Ok(false) => return,
        Err(why) => {
            warn!(notice.id = %notice.id, notice.to = %to, notice.kind = kind, %why, "how an event was taken cannot be written down: it is sent again");
            return;
        }
    }
    gw.metrics.notice(notice.kind, NoticeOutcome::of(&delivery));
    match &delivery {
        Delivery::Taken => info!(notice.id = %notice.id, notice.to = %to, notice.kind = kind, "told"),
        Delivery::Failed { why, .. } => {
            warn!(notice.id = %notice.id, notice.to = %to, notice.kind = kind, tries = notice.tries + 1, why, "not told yet");
        }
        Delivery::Dead { why } => {
            error!(notice.id = %notice.id, notice.to = %to, notice.kind = kind, tries = notice.tries + 1, why, "not told, and given up");
        }
    }
}

/// Where an addressee's events go by the policy in force.
fn webhook<'a>(policy: &'a Policy, to: &Addressee) -> Option<&'a Webhook> {
    match to {
        Addressee::Operator => policy.alerts.webhook.as_ref(),
        Addressee::Tenant(name) => policy.tenants.get(name)?.webhook.as_ref(),
    }
}

/// The event as it is sent: its text is that of the books, its signature of this moment.
fn event(request: http::request::Builder, notice: &Notice, hook: &Webhook, now: Timestamp) -> http::Result<Request<Bytes>> {
    let id = notice.id.to_string();
    let signature = signature::sign(&id, now, notice.body.as_bytes(), &hook.secrets);
    request
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("filmgate/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", id)
        .header("webhook-timestamp", now.as_secs())
        .header("webhook-signature", signature)
        .body(Bytes::from(notice.body.clone()))
}

/// What an answer means: taken, gone for good, or to be tried again as long as the schedule goes.
fn read(notice: &Notice, answer: Result<StatusCode, String>, now: Timestamp) -> Delivery {
    let why = match answer {
        Ok(status) if status.is_success() => return Delivery::Taken,
        Ok(StatusCode::GONE) => return Delivery::Dead { why: "answered 410: it wants no more events".to_owned() },
        Ok(status) if status.is_redirection() => format!("answered {}: redirects are not followed", status.as_u16()),
        Ok(status) => format!("answered {}", status.as_u16()),
        Err(why) => why,
    };
    match next_try(notice.id, notice.tries + 1, now) {
        Some(due_at) => Delivery::Failed { why, due_at },
        None => Delivery::Dead { why },
    }
}

async fn forget(gw: &Gateway) {
    let now = gw.clock.now();
    if let Err(why) = gw.store.forget_notices(now.before(KEEP_VIDEOS), now.before(KEEP_OTHERS)).await {
        warn!(%why, "old notices are not forgotten yet");
    }
}
