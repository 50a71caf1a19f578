//! Acts: what an operator changes, as `POST` with JSON. The door has looked at who asks.
//!
//! Reads what is asked for, hands it to `operator`, and says how it went in a status and a sentence.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::views::HaltView;
use super::{as_json, error, notices};
use crate::gateway::Gateway;
use crate::id::{JobId, ModelName, RouteName};
use crate::money::MicroUsd;
use crate::operator::probe;
use crate::operator::reconcile::{Asked, BillLine};
use crate::operator::{self, Adoption, Declined, WriteOff};
use crate::ops;
use crate::reload::Looked;
use crate::reply::Reply;

/// Largest body, bytes.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Halts that are told of at once.
const HALTS_SHOWN: u32 = 100;
/// For a whole body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// `POST /api/jobs/{id}/adopt`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Adopt {
    upstream_id: String,
    note: Option<String>,
    #[serde(default)]
    force: bool,
}

/// `POST /api/jobs/{id}/write-off`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteOffAs {
    r#as: CountsAs,
    note: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CountsAs {
    Spent,
    Free,
}

/// `POST /api/suspense/explain`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Explain {
    route: String,
    upstream_id: String,
    note: String,
}

/// `POST /api/readmit`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Readmit {
    route: String,
    model: String,
}

/// `POST /api/reconcile`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reconcile {
    #[serde(default = "a_day")]
    since_secs: u64,
    route: Option<String>,
    #[serde(default)]
    write: bool,
    bill: Option<Vec<BillLine>>,
    #[serde(default)]
    done: bool,
}

/// `POST /api/halt`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HaltFor {
    reason: String,
    by: String,
}

/// `POST /api/resume`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    by: String,
}

/// `POST /api/probe/{route}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Probe {
    model: Option<String>,
    /// Only say what it would cost.
    #[serde(default)]
    dry: bool,
    /// What was agreed to.
    price_microusd: Option<i64>,
}

const fn a_day() -> u64 {
    86_400
}

/// Does what is asked for.
pub async fn act(gw: &Arc<Gateway>, request: Request<Incoming>) -> Reply {
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let done = match segments.as_slice() {
        ["api", "reload"] => return reload(gw).await,
        ["api", "notices", which, "resend"] => return notices::resend(gw, which).await,
        ["api", "jobs", id, "adopt"] => adopt(gw, id, request).await,
        ["api", "jobs", id, "write-off"] => write_off(gw, id, request).await,
        ["api", "reconcile"] => reconcile(gw, request).await,
        ["api", "halt"] => halt(gw, request).await,
        ["api", "resume"] => resume(gw, request).await,
        ["api", "readmit"] => readmit(gw, request).await,
        ["api", "suspense", "explain"] => explain(gw, request).await,
        ["api", "probe", route] => probe(gw, route, request).await,
        _ => return error(StatusCode::NOT_FOUND, "nothing here is done by POST"),
    };
    done.map_or_else(|why| declined(&why), |done| as_json(&done))
}

async fn reload(gw: &Arc<Gateway>) -> Reply {
    let ops::Reloaded { policy, certificates } = ops::reload(gw).await;
    match policy {
        Looked::Refused(why) => error(StatusCode::UNPROCESSABLE_ENTITY, &[vec![why], certificates].concat().join("\n")),
        _ if !certificates.is_empty() => {
            error(StatusCode::UNPROCESSABLE_ENTITY, &format!("the policy is in force; refused are {}", certificates.join("\n")))
        }
        Looked::Same => as_json(&json!({ "loaded": true, "changes": [] })),
        Looked::Swapped(changes) => as_json(&json!({ "loaded": true, "changes": changes })),
    }
}

async fn adopt(gw: &Gateway, id: &str, request: Request<Incoming>) -> Result<Value, Declined> {
    let id = job_id(id)?;
    let Adopt { upstream_id, note, force } = body(request).await?;
    let adopted = operator::adopt(gw, &Adoption { id, upstream_id, note, force }).await?;
    Ok(json!({
        "id": id.to_string(),
        "state": adopted.job.state.as_str(),
        "route": adopted.job.route.as_str(),
        "upstream_status": adopted.upstream_status,
        "corrected": adopted.corrected.map(|amount| amount.to_string()),
        "overruled": adopted.overruled,
    }))
}

async fn write_off(gw: &Gateway, id: &str, request: Request<Incoming>) -> Result<Value, Declined> {
    let id = job_id(id)?;
    let WriteOffAs { r#as: counts_as, note } = body(request).await?;
    let counts_as = match counts_as {
        CountsAs::Spent => WriteOff::Spent,
        CountsAs::Free => WriteOff::Free,
    };
    let job = operator::write_off(gw, id, counts_as, &note).await?;
    Ok(json!({ "id": id.to_string(), "state": job.state.as_str(), "cost": job.cost.map(|cost| cost.to_string()) }))
}

async fn explain(gw: &Gateway, request: Request<Incoming>) -> Result<Value, Declined> {
    let Explain { route, upstream_id, note } = body(request).await?;
    operator::explain(gw, &RouteName::new(route), &upstream_id, &note).await?;
    Ok(json!({ "explained": true }))
}

async fn readmit(gw: &Gateway, request: Request<Incoming>) -> Result<Value, Declined> {
    let Readmit { route, model } = body(request).await?;
    operator::readmit(gw, &RouteName::new(route), &ModelName::new(model))?;
    Ok(json!({ "readmitted": true }))
}

async fn reconcile(gw: &Gateway, request: Request<Incoming>) -> Result<Value, Declined> {
    let Reconcile { since_secs, route, write, bill, done } = body(request).await?;
    if done {
        return Ok(json!({ "was_on": operator::reconcile::done(gw).await? }));
    }
    report(gw, Duration::from_secs(since_secs), route.as_deref(), write, bill).await
}

/// `GET /api/reconcile`: a day back, or as many seconds as `since_secs` says; nothing is written.
pub async fn reconciled(gw: &Gateway, query: Option<&str>) -> Reply {
    let since = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("since_secs=")?.parse().ok()));
    let report = report(gw, Duration::from_secs(since.unwrap_or_else(a_day)), None, false, None).await;
    report.map_or_else(|why| declined(&why), |report| as_json(&report))
}

async fn halt(gw: &Gateway, request: Request<Incoming>) -> Result<Value, Declined> {
    let HaltFor { reason, by } = body(request).await?;
    let new = operator::halt(gw, &by, &reason).await?;
    Ok(json!({ "new": new, "halted": HaltView::of(gw.halting.why().as_ref()) }))
}

async fn resume(gw: &Gateway, request: Request<Incoming>) -> Result<Value, Declined> {
    let Resume { by } = body(request).await?;
    let was_halted = operator::resume(gw, &by).await?;
    Ok(json!({ "was_halted": was_halted, "halted": HaltView::of(gw.halting.why().as_ref()) }))
}

/// `GET /api/halt`: whether nothing is bought, and who said so lately.
pub async fn halts(gw: &Gateway) -> Reply {
    match gw.store.halts(HALTS_SHOWN).await {
        Ok(halts) => as_json(&json!({
            "halted": HaltView::of(gw.halting.why().as_ref()),
            "halts": halts.iter().map(HaltView::of_books).collect::<Vec<_>>(),
        })),
        Err(why) => declined(&Declined::Store(why)),
    }
}

async fn probe(gw: &Arc<Gateway>, route: &str, request: Request<Incoming>) -> Result<Value, Declined> {
    let Probe { model, dry, price_microusd } = body(request).await?;
    let price = price_microusd.map(MicroUsd::new);
    let asked = probe::Asked { route: RouteName::new(route), model: model.map(ModelName::new), price };
    if !dry {
        let findings = probe::probe(gw, &asked).await?;
        return serde_json::to_value(findings).map_err(|why| Declined::Invalid(why.to_string()));
    }
    let (model, candidate) = probe::quote(gw, &asked)?;
    Ok(json!({
        "route": route,
        "model": model.as_str(),
        "seconds": candidate.seconds.get(),
        "size": candidate.size.to_string(),
        "price": candidate.price.to_string(),
        "price_microusd": candidate.price.get(),
    }))
}

/// `GET /api/probe/{job}`: what is known of it so far.
pub fn probed(gw: &Gateway, id: &str) -> Reply {
    match id.parse().ok().and_then(|id| gw.probes.of(id)) {
        Some(findings) => as_json(&findings),
        None => error(StatusCode::NOT_FOUND, "no such probe is remembered; its job is in `filmgate jobs show`"),
    }
}

async fn report(gw: &Gateway, span: Duration, route: Option<&str>, write: bool, bill: Option<Vec<BillLine>>) -> Result<Value, Declined> {
    let route = route.map(RouteName::new);
    let bill = match (bill, &route) {
        (None, _) => None,
        (Some(lines), Some(route)) => Some((route.clone(), lines)),
        (Some(_), None) => return Err(Declined::Invalid("a bill is one route's: say which".to_owned())),
    };
    let asked = Asked { since: gw.clock.now().before(span), route, write, bill };
    let report = operator::reconcile::reconcile(gw, &asked).await?;
    serde_json::to_value(report).map_err(|why| Declined::Invalid(why.to_string()))
}

fn job_id(text: &str) -> Result<JobId, Declined> {
    text.parse().map_err(|_| Declined::Unknown("no job has such an id".to_owned()))
}

/// Reads a body of JSON.
async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Declined> {
    let read = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let body = tokio::time::timeout(BODY_TIMEOUT, read).await.map_err(|_| Declined::Invalid("the body did not come in time".to_owned()))?;
    let body = body.map_err(|why| Declined::Invalid(format!("the body could not be read: {why}")))?.to_bytes();
    serde_json::from_slice(&body).map_err(|why| Declined::Invalid(format!("this is not what is done here: {why}")))
}

fn declined(why: &Declined) -> Reply {
    let status = match why {
        Declined::Invalid(_) => StatusCode::BAD_REQUEST,
        Declined::Unknown(_) => StatusCode::NOT_FOUND,
        Declined::Unfit(_) => StatusCode::CONFLICT,
        Declined::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    error(status, &why.to_string())
}
