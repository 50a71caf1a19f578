//! What is owed to webhooks, as the operator sees it: who was not told of what, and why.
//!
//! Events are shown by their ids and subjects; where they go and what signs them is not.

use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::{as_json, error};
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::id::NoticeId;
use crate::notice::Addressee;
use crate::reply::Reply;
use crate::store::{Notice, NoticesIn, StoreError};

/// Notices shown of each standing.
const SHOWN: u32 = 100;

/// `/api/notices`
#[derive(Debug, Serialize)]
struct NoticesView {
    now: i64,
    pending: Vec<NoticeView>,
    failing: Vec<NoticeView>,
    dead: Vec<NoticeView>,
}

#[derive(Debug, Serialize)]
struct NoticeView {
    id: String,
    to: String,
    kind: &'static str,
    subject: String,
    tries: u32,
    created_at: i64,
    due_at: i64,
    dead_at: Option<i64>,
    last_error: Option<String>,
}

impl NoticeView {
    fn of(notice: Notice) -> Self {
        Self {
            id: notice.id.to_string(),
            to: notice.to.to_string(),
            kind: notice.kind.as_str(),
            subject: notice.subject,
            tries: notice.tries,
            created_at: notice.created_at.as_secs(),
            due_at: notice.due_at.as_secs(),
            dead_at: notice.dead_at.map(Timestamp::as_secs),
            last_error: notice.last_error,
        }
    }
}

/// `GET /api/notices`
pub async fn list(gw: &Gateway) -> Reply {
    match view(gw).await {
        Ok(view) => as_json(&view),
        Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
    }
}

async fn view(gw: &Gateway) -> Result<NoticesView, StoreError> {
    let views = |notices: Vec<Notice>| notices.into_iter().map(NoticeView::of).collect();
    Ok(NoticesView {
        now: gw.clock.now().as_secs(),
        pending: views(gw.store.notices(NoticesIn::Pending, SHOWN).await?),
        failing: views(gw.store.notices(NoticesIn::Failing, SHOWN).await?),
        dead: views(gw.store.notices(NoticesIn::Dead, SHOWN).await?),
    })
}

/// `POST /api/notices/{which}/resend`: an event by its id, or whatever a `tenant:NAME` or the `operator`
/// was not told and is dead.
pub async fn resend(gw: &Gateway, which: &str) -> Reply {
    let now = gw.clock.now();
    let sent = match (which.parse::<NoticeId>(), which.parse::<Addressee>()) {
        (Ok(id), _) => gw.store.revive_notice(id, now).await.map(u64::from),
        (_, Ok(to)) => gw.store.revive_notices(&to, now).await,
        _ => Ok(0),
    };
    match sent {
        Ok(0) => error(StatusCode::NOT_FOUND, "there is no such event to send again"),
        Ok(count) => {
            gw.outbox.ring();
            as_json(&json!({ "resent": count }))
        }
        Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
    }
}
