//! Admin: the operator's side, on a listener of its own: metrics, health, the page and its JSON.
//!
//! No tenant's key means anything here, and no tenant's path leads here. Prompts do not appear.
//! [`door`] keeps pages of other origins out; [`acts`] is what changes something.

mod acts;
mod door;
mod explain;
mod notices;
pub mod page;
mod purses;
mod queue;
pub mod views;

use std::sync::Arc;

use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::json;

use crate::accounts::of_left_behind;
use crate::gateway::Gateway;
use crate::id::ModelName;
use crate::metrics;
use crate::policy::{Policy, Route};
use crate::reply::{self, Reply};
use crate::standing::{self, LeftBehind};
use crate::store::Overview;
use page::page_files;
use views::{Process, Reload};

/// Jobs on the page.
const JOBS_SHOWN: u32 = 50;

/// Answers one request of an operator or of a scraper.
pub async fn answer(gw: Arc<Gateway>, request: Request<Incoming>) -> Reply {
    if let Some(why) = door::turned_away(&request, &gw.policy.snapshot().server.admin_hosts) {
        return error(StatusCode::FORBIDDEN, &why);
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => reply::with(StatusCode::OK, "text/plain", "ok\n"),
        (&Method::GET, "/readyz") => ready(&gw).await,
        (&Method::GET, "/metrics") => scrape(&gw).await,
        (&Method::GET, "/api/status") => status(&gw).await,
        (&Method::GET, "/api/jobs") => jobs(&gw).await,
        (&Method::GET, "/api/reconcile") => acts::reconciled(&gw, request.uri().query()).await,
        (&Method::GET, "/api/halt") => acts::halts(&gw).await,
        (&Method::GET, "/api/explain") => explain::answer(&gw, request.uri().query()).await,
        (&Method::GET, "/api/purses") => purses::answer(&gw, request.uri().query()).await,
        (&Method::GET, "/api/queue") => queue::answer(&gw, request.uri().query()).await,
        (&Method::GET, "/api/notices") => notices::list(&gw).await,
        (&Method::GET, path) if path.starts_with("/api/probe/") => acts::probed(&gw, &path["/api/probe/".len()..]),
        (&Method::GET, "/api/series") => as_json(&metrics::catalogue()),
        (&Method::POST, path) if path.starts_with("/api/") => acts::act(&gw, request).await,
        (_, "/api/reload") => reply::with(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "POST reloads\n"),
        (&Method::GET, path) => file(path),
        _ => reply::with(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n"),
    }
}

/// Ready is: not stopping, and the books can be read.
async fn ready(gw: &Gateway) -> Reply {
    if gw.leaving.is_cancelled() {
        return reply::with(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "stopping\n");
    }
    match gw.store.latest_jobs(None, None, 1).await {
        Ok(_) if gw.reconciling.since().is_some() => {
            reply::with(StatusCode::OK, "text/plain", "reconciling: what is known can be read, nothing new is taken\n")
        }
        Ok(_) if gw.halting.why().is_some() => {
            reply::with(StatusCode::OK, "text/plain", "halted: what is known can be read, nothing new is taken\n")
        }
        Ok(_) => reply::with(StatusCode::OK, "text/plain", "ready\n"),
        Err(why) => reply::with(StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("{why}\n")),
    }
}

async fn scrape(gw: &Gateway) -> Reply {
    gw.metrics.reconciling(gw.reconciling.since().is_some());
    gw.metrics.halted(gw.halting.why().is_some());
    let (policy, now) = (gw.policy.snapshot(), gw.clock.now());
    gw.metrics.clock_gap(gw.clock.gap_ms());
    gw.metrics.outgoing_policies(gw.policy.outgoing());
    for route in policy.routes.values() {
        for model in route.models.keys() {
            gw.metrics.route_health(&route.name, model, gw.health.standing(route, model, now).state());
        }
    }
    for shown in gw.certificates.all() {
        let standing = shown.standing();
        gw.metrics.certificate(shown.listener, standing.validity.until, standing.refused.is_none(), now);
    }
    gw.metrics.archive_load(gw.archive.copies.count());
    match gw.store.overview().await {
        Ok(overview) => {
            let left_behind = left_behind(gw, &policy, &overview);
            gw.metrics.observe(&overview, &left_behind, gw.store.takes_writes(now).await.is_ok(), &policy, now);
        }
        Err(_) => gw.metrics.store_unavailable(&policy, now),
    }
    reply::with(StatusCode::OK, metrics::CONTENT_TYPE, gw.metrics.render())
}

fn left_behind(gw: &Gateway, policy: &Policy, overview: &Overview) -> LeftBehind {
    standing::left_behind(&overview.open, |home| gw.accounts.way(policy, home).is_some())
}

async fn status(gw: &Gateway) -> Reply {
    let (policy, now) = (gw.policy.snapshot(), gw.clock.now());
    let overview = gw.store.overview().await.map_err(|why| why.to_string());
    let standing = |route: &Route, model: &ModelName| gw.health.standing(route, model, now);
    let loaded = gw.reloader.state();
    let reload = Reload { at: loaded.looked_at.as_secs(), fault: loaded.refused, changes: loaded.changes };
    let mut warnings = gw.certificates.warnings(now);
    if let Ok(overview) = &overview {
        let left_behind = left_behind(gw, &policy, overview);
        warnings.extend(left_behind.iter().map(|(route, jobs)| of_left_behind(&policy, route, *jobs)));
    }
    let process = Process { started_at: gw.started_at, reload, halted: gw.halting.why(), warnings };
    as_json(&views::status(&policy, overview.as_ref().map_err(Clone::clone), &standing, &process, now))
}

async fn jobs(gw: &Gateway) -> Reply {
    match gw.store.latest_jobs(None, None, JOBS_SHOWN).await {
        Ok(jobs) => as_json(&views::jobs(&jobs, &|id| gw.hall.place(id), gw.clock.now())),
        Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
    }
}

fn file(path: &str) -> Reply {
    let Some(file) = page_files().iter().find(|file| file.path == path) else {
        return reply::with(StatusCode::NOT_FOUND, "text/plain", "no such page\n");
    };
    let mut reply = reply::with(StatusCode::OK, file.content_type, file.bytes);
    reply.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::CONTENT_SECURITY_POLICY));
    reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

fn as_json(value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => reply::json(body),
        Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
    }
}

fn error(status: StatusCode, why: &str) -> Reply {
    reply::with(status, "application/json", json!({ "error": { "message": why } }).to_string())
}
