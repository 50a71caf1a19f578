//! Spine one: take a tenant's wish for a video and hand it to a provider.
//!
//! The order is the promise. Limits come before money, so a request that is turned away never touches
//! the books; money before sending; and nothing that may have been sent is ever forgotten, whether or not
//! the client is still there to hear of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use jiff::civil::Date;
use tokio::sync::oneshot;
use tracing::{Instrument as _, info};

use super::caps;
use super::doorstep;
use super::guarding;
use super::intake::{self, Caller};
use super::pinning;
use super::resend::{Earlier, Sending};
use super::view;
use crate::clock::Timestamp;
use crate::dispatch::{Order, Subject, dispatch};
use crate::gateway::Gateway;
use crate::id::{Home, JobId};
use crate::job::State;
use crate::limits::Passed;
use crate::money::MicroUsd;
use crate::order::{Parts, Ties};
use crate::plan::{InOrder, Moment, Plan, Reasons, may_process, offered, plan};
use crate::policy::Queue;
use crate::price;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::store::{Job, NewJob};
use crate::video::{Origin, Reference, Wish};
use crate::{estimate, wire};

/// Which of the operations that make a clip.
#[derive(Clone, Copy, Debug)]
pub enum Making {
    /// `POST /videos`
    Create,
    /// `POST /videos/{id}/remix`
    Remix(JobId),
    /// `POST /videos/edits`
    Edit,
    /// `POST /videos/extensions`
    Extend,
}

/// Names the end user, for code that stands between clients and the gateway.
const END_USER: HeaderName = HeaderName::from_static("x-filmgate-user");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// By what a wish is known again.
struct Known {
    fingerprint: [u8; 32],
    idempotency_key: Option<String>,
}

/// Makes a clip.
pub async fn create(gw: &Arc<Gateway>, caller: Caller, making: Making, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let sending = Sending::of(request.headers())?;
    if sending.key.is_none() && caller.tenant.require_idempotency_key {
        return Err(Refusal::KeyRequired);
    }
    let mut fingerprint = None;
    let made = make(gw, &caller, making, request, &sending, &mut fingerprint).await;
    if let Err(why) = &made
        && why.invites_again()
    {
        sending.refused(gw, &caller.tenant.name, fingerprint, why);
    }
    made
}

/// The spine itself. `fingerprint` is filled in once the wish is read.
async fn make(
    gw: &Arc<Gateway>,
    caller: &Caller,
    making: Making,
    request: Request<Incoming>,
    sending: &Sending,
    fingerprint: &mut Option<[u8; 32]>,
) -> Result<Reply, Refusal> {
    if gw.stop.is_cancelled() {
        return Err(Refusal::Stopping);
    }
    let begun = Instant::now();
    let passed = gw.limits.admit(&caller.tenant).map_err(|limited| Refusal::RateLimited { wait: limited.wait })?;
    doorstep::room(gw, caller, request.headers()).await?;
    let end_user = end_user(request.headers())?;
    let form = intake::form(gw, &caller.policy, request).await?;
    let wish = wish(caller, making, form, end_user, gw.clock.now().utc_date())?;
    caps::names_its_user(&caller.tenant, wish.end_user.as_deref())?;
    guarding::allows(&caller.policy.guard, &wish)?;
    let fingerprint = *fingerprint.insert(wire::fingerprint(&wish));
    let reserved = match sending.earlier(gw, caller, &fingerprint).await? {
        // Whoever was sending it is gone, and nothing of it is at any provider: this sending goes on with it.
        Some(Earlier { job, .. }) if job.state == State::Reserved => Some(job),
        Some(earlier) => return Ok(answer(gw, caller, &earlier.job, passed, Some(earlier.how)).await),
        None => None,
    };

    if gw.reconciling.since().is_some() {
        return Err(Refusal::Reconciling);
    }
    if let Some(why) = gw.halting.why_now(&*gw.store).await {
        return Err(why.into());
    }
    let known = Known { fingerprint, idempotency_key: sending.key.clone() };
    let mut order = order(gw, caller, wish, begun, known, reserved).await?;
    guarding::moderate(gw, caller, &mut order).await?;
    let answering = gw.sendings.answering(&caller.tenant.name, fingerprint, order.subject.id());
    let made = detached(gw, order, caller.policy.defaults.answer_after).await;
    answering.answered();
    match made {
        Ok(job) => Ok(answer(gw, caller, &job, passed, None).await),
        // Another sending with this key was a moment faster.
        Err(Refusal::KeyInUse) => match sending.earlier(gw, caller, &fingerprint).await? {
            Some(earlier) => Ok(answer(gw, caller, &earlier.job, passed, Some(earlier.how)).await),
            None => Err(Refusal::KeyInUse),
        },
        Err(refusal) => Err(refusal),
    }
}

/// The answer to a creation: the same bytes whenever it is asked for again.
async fn answer(gw: &Gateway, caller: &Caller, job: &Job, passed: Option<Passed>, replayed: Option<&'static str>) -> Reply {
    let mut reply = reply::json(view::as_created(gw, caller, job));
    if let Some(how) = replayed {
        reply.headers_mut().insert(REPLAYED, HeaderValue::from_static(how));
    }
    headers(gw, caller, job, passed, &mut reply).await;
    reply
}

/// What a wish would cost, without making it.
pub async fn price_only(gw: &Arc<Gateway>, caller: Caller, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let end_user = end_user(request.headers())?;
    let form = intake::form(gw, &caller.policy, request).await?;
    let at = gw.clock.now();
    let wish = wish(&caller, Making::Create, form, end_user, at.utc_date())?;
    let estimate = estimate::wish_estimate(&caller.policy, &caller.tenant, &wish, Moment::of(at).seeing(&gw.seen()))?;
    if let Some(Reference::Upload(upload)) = &wish.reference {
        wire::check_reference_size(upload, estimate.size())?;
    }
    Ok(reply::json(estimate.to_json().to_string()))
}

/// The end user that the headers name.
fn end_user(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    Ok(wire::end_user(END_USER.as_str(), headers.get_all(&END_USER).iter())?)
}

/// Reads a wish out of its form, for an end user that may be named beside it.
fn wish(caller: &Caller, making: Making, form: wire::Form, end_user: Option<String>, today: Date) -> Result<Wish, Refusal> {
    let extras = &caller.policy.extras;
    let read = match making {
        Making::Create => wire::create(form, extras),
        Making::Remix(source) => wire::remix(source, form, extras),
        Making::Edit => wire::edit(form, extras),
        Making::Extend => wire::extend(form, extras),
    };
    let mut wish = read.map_err(|error| Refusal::from(error).naming(offered(&caller.policy, &caller.tenant, today)))?;
    wire::name_end_user(&mut wish, END_USER.as_str(), end_user)?;
    Ok(wish)
}

/// Plans a wish and prices it: everything that can be decided before money is touched.
async fn order(
    gw: &Gateway,
    caller: &Caller,
    wish: Wish,
    begun: Instant,
    known: Known,
    reserved: Option<Arc<Job>>,
) -> Result<Order, Refusal> {
    let (id, at) = (reserved.as_ref().map_or_else(JobId::mint, |job| job.id), gw.clock.now());
    let source = source(gw, caller, &wish).await?;
    let (characters, lives_on) = characters(gw, caller, &wish).await?;
    let pin = match source.as_deref() {
        Some(job) => Some(pinning::pin(gw, &caller.policy, job).await),
        None => None,
    };
    let mut plan = plan(&caller.policy, &caller.tenant, &wish, pin.as_ref(), Moment::of(at).drawing(id.seed()).seeing(&gw.seen()))?;
    if let Some(home) = &lives_on {
        let why = || format!("has none of the characters, which are on {}", home.route);
        plan.pass_over(|candidate| (!candidate.route.is_at(home)).then(why));
    }
    let parts = Parts { source: source.and_then(|job| job.upstream_id.clone()), characters, wish };
    if let Some(job) = &reserved {
        // What it holds was counted when it was opened, by the prices of then.
        plan.pass_over(|candidate| (candidate.price > job.ceiling).then(|| format!("costs more than the {} held", job.ceiling)));
        // And what it was bound to then, it is bound to for life.
        let residency = job.residency.as_deref();
        plan.pass_over(|candidate| (!may_process(&candidate.route, residency)).then(|| "is not where the job is bound to".to_owned()));
    }
    let Some(first) = plan.candidates.first() else {
        return Err(Refusal::Unsupported("Nobody who may make this video for you can use these inputs."));
    };
    if let Some(Reference::Upload(upload)) = &parts.wish.reference {
        wire::check_reference_size(upload, first.size)?;
    }
    let (revision, routes, passed_over) = (&caller.policy.revision, InOrder(&plan), Reasons(&plan));
    info!(job.id = %id, revision, rule = plan.rule, %routes, %passed_over, "planned");
    let charge = caller.tenant.charge.and_then(|charge| price::charge(charge, first.seconds));
    let subject = match reserved {
        Some(job) => Subject::Known(job),
        None => Subject::New(new_job(caller, id, at, &plan, &parts, known, charge).into()),
    };
    let queue = Queue::of(plan.rule.and_then(|index| caller.policy.rules.get(index)), &caller.tenant);
    let tenant_in_flight_max = caller.tenant.limits.in_flight;
    Ok(Order { subject, plan, parts, ties: Ties { pin, lives_on }, queue, admitted: None, tenant_in_flight_max, begun })
}

/// The tenant's own finished job that a clip is made from.
async fn source(gw: &Gateway, caller: &Caller, wish: &Wish) -> Result<Option<Arc<Job>>, Refusal> {
    let Some(id) = wish.origin.source_job() else { return Ok(None) };
    let job = gw.store.job(&caller.tenant.name, id).await?.ok_or(Refusal::NoSuchVideo)?;
    if job.state == State::Completed { Ok(Some(job)) } else { Err(Refusal::NotReady) }
}

/// The upstream's ids of a wish's characters, and the one account they all live in.
async fn characters(gw: &Gateway, caller: &Caller, wish: &Wish) -> Result<(Vec<String>, Option<Home>), Refusal> {
    let (mut ids, mut lives_on) = (Vec::new(), None);
    for id in &wish.characters {
        let character = gw.store.character(&caller.tenant.name, *id).await?.ok_or(Refusal::NoSuchCharacter)?;
        let home = pinning::lives_on(gw, &caller.policy, &character).await;
        if lives_on.replace(home.clone()).is_some_and(|other| other != home) {
            return Err(Refusal::Unsupported("These characters were made by different providers and cannot meet in one video."));
        }
        ids.push(character.upstream_id);
    }
    Ok((ids, lives_on))
}

fn new_job(caller: &Caller, id: JobId, at: Timestamp, plan: &Plan, parts: &Parts, known: Known, charge: Option<MicroUsd>) -> NewJob {
    let (tenant, wish) = (&caller.tenant, &parts.wish);
    NewJob {
        id,
        tenant: tenant.name.clone(),
        operation: wish.origin.operation(),
        model: plan.model.clone(),
        prompt: wish.prompt.clone(),
        source: wish.origin.source_job(),
        hidden_inputs: wish.reference.is_some() || !wish.characters.is_empty() || !matches!(wish.origin, Origin::Create),
        extras: wish.extras.clone(),
        end_user: wish.end_user.clone(),
        key_name: caller.key().map(|key| key.name.clone()),
        residency: plan.residency.clone(),
        ceiling: plan.ceiling(),
        bookings: caps::bookings(caller, wish.end_user.as_deref(), at),
        tenant_in_flight_max: tenant.limits.in_flight,
        charge,
        fingerprint: known.fingerprint,
        idempotency_key: known.idempotency_key,
        at,
    }
}

/// From here on the client may hang up: the money runs in a task that a stop waits for.
///
/// Answers when the outcome is known, or after `answer_after` with the job as it is on disk.
async fn detached(gw: &Arc<Gateway>, order: Order, answer_after: Duration) -> Result<Arc<Job>, Refusal> {
    let (tell, on_disk) = oneshot::channel();
    let mut task = gw.tasks.spawn({
        let gw = gw.clone();
        async move { dispatch(&gw, order, tell).await }.in_current_span()
    });
    let known = tokio::time::timeout(answer_after, &mut task).await;
    match known {
        Ok(outcome) => outcome.map_err(|_| Refusal::Internal)?,
        Err(_) => match on_disk.await {
            Ok(job) => Ok(job),
            // It ended before anything was written: what it says is a refusal.
            Err(_) => task.await.map_err(|_| Refusal::Internal)?,
        },
    }
}

/// What the answer says of money and limits.
async fn headers(gw: &Gateway, caller: &Caller, job: &Job, passed: Option<Passed>, reply: &mut Reply) {
    let headers = reply.headers_mut();
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("filmgate-cost", job.price.to_string());
    if let Ok(Some(left)) = caps::left_for(gw, caller, job.end_user.as_deref(), job.created_at).await {
        put("filmgate-budget-remaining", left.to_string());
    }
    if let Some(passed) = passed {
        put("x-ratelimit-limit-requests", passed.rpm.to_string());
        put("x-ratelimit-remaining-requests", passed.left.to_string());
        put("x-ratelimit-reset-requests", format!("{}ms", 60_000 / passed.rpm.max(1)));
    }
    if caller.tenant.show_route {
        put("filmgate-route", job.route.to_string());
    }
}
