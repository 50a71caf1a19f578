//! `GET /api/queue`: who waits for whom, how long already and how long yet; with `job`, where that one stands.
//!
//! As this process's board has it, which may be a second or so old. Bounded: the longest lines are told, and how many
//! others there are.

use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::{as_json, error};
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::hall::{Place, Waiting};
use crate::id::JobId;
use crate::policy::{Policy, Queue};
use crate::reply::Reply;
use crate::store::StoreError;
use crate::wire;

/// Lines that are told.
const LINES_MAX: usize = 50;

/// The answer.
#[derive(Serialize)]
struct Queued {
    now: i64,
    /// Jobs that wait, in all lines.
    waiting: u64,
    lines: Vec<LineView>,
    /// Lines that are not told.
    left_out: usize,
}

/// A tenant's jobs that wait for the same routes as each other.
#[derive(Serialize)]
struct LineView {
    tenant: String,
    /// Whoever of these has room takes one.
    routes: Vec<String>,
    waiting: u32,
    /// How many of the tenant's may wait by its own `queue`, in all its lines; rules may say otherwise.
    waiting_max: Option<u32>,
    /// How long the oldest has waited.
    oldest_seconds: Option<u64>,
    head: Option<Head>,
    /// What the routes may have at a time and take in a minute, together.
    in_flight_max: Option<u32>,
    requests_per_minute_max: Option<u32>,
}

/// Who is next of a line.
#[derive(Serialize)]
struct Head {
    id: String,
    #[serde(flatten)]
    place: PlaceView,
}

/// A place in line.
#[derive(Debug, Serialize)]
pub struct PlaceView {
    /// Among all who wait for the same routes; the next to be sent is 1.
    position: u32,
    starts_in_seconds: u64,
}

impl From<Place> for PlaceView {
    fn from(place: Place) -> Self {
        Self { position: place.position, starts_in_seconds: place.starts_in.as_secs() }
    }
}

/// Answers who waits.
pub async fn answer(gw: &Gateway, query: Option<&str>) -> Reply {
    match wire::query_value(query, "job") {
        Ok(None) => {}
        Ok(Some(id)) => match id.parse::<JobId>() {
            Ok(id) => return as_json(&json!({ "id": id.to_string(), "queue": gw.hall.place(id).map(PlaceView::from) })),
            Err(_) => return error(StatusCode::UNPROCESSABLE_ENTITY, "'job' is the id of a video"),
        },
        Err(fault) => return error(StatusCode::UNPROCESSABLE_ENTITY, &fault.message),
    }
    let (policy, now) = (gw.policy.snapshot(), gw.clock.now());
    let (waiting, count) = gw.hall.waiting(LINES_MAX);
    let left_out = count - waiting.len();
    let mut lines = Vec::with_capacity(waiting.len());
    for each in waiting {
        match line(gw, &policy, each, now).await {
            Ok(line) => lines.push(line),
            Err(why) => return error(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
        }
    }
    as_json(&Queued { now: now.as_secs(), waiting: gw.hall.waiting_in_all(), lines, left_out })
}

async fn line(gw: &Gateway, policy: &Policy, waiting: Waiting, now: Timestamp) -> Result<LineView, StoreError> {
    let oldest = match waiting.head {
        Some((id, _)) => gw.store.job(&waiting.tenant, id).await?,
        None => None,
    };
    let tenant = policy.tenants.get(&waiting.tenant);
    Ok(LineView {
        tenant: waiting.tenant.to_string(),
        routes: waiting.routes.iter().map(ToString::to_string).collect(),
        waiting: waiting.jobs,
        waiting_max: tenant.and_then(|tenant| Queue::of(None, tenant)).map(|queue| queue.max),
        oldest_seconds: oldest.map(|job| now.since(job.created_at).as_secs()),
        head: waiting.head.map(|(id, place)| Head { id: id.to_string(), place: place.into() }),
        in_flight_max: waiting.room.places,
        requests_per_minute_max: waiting.room.rpm,
    })
}
