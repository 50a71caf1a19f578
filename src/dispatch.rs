//! Dispatch: asks a plan's routes in order until one takes the job, or until none may be asked.
//!
//! The rule that keeps anybody from paying twice: the next route is asked only after evidence that this
//! one did not take the job. Whatever might have been taken stays where it is, held, as `unknown`.
//!
//! Runs in a task of its own, because the client may hang up and the money may not.

pub mod keyed;
mod line;
mod turned;
mod written;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::budget::{Account, Booking};
use crate::crash;
use crate::gateway::Gateway;
use crate::health::Question;
use crate::id::{AttemptId, JobId, RouteName, TenantName};
use crate::job::{Event, State};
use crate::metrics::{AttemptOutcome, QueueOutcome, UpstreamCall};
use crate::money::MicroUsd;
use crate::order::{Parts, Ties};
use crate::owing;
use crate::plan::{Candidate, Plan, submission};
use crate::policy::{Queue, Route};
use crate::provider::{Accepted, Phase, RefusedReason, Submission, SubmissionOrigin, SubmitError};
use crate::refusal::Refusal;
use crate::store::{Facts, Job, JobError, NewAttempt, NewJob, OpenError};
use turned::{FULL_WAIT, Turned};
use written::write_down;

/// A wish that was planned and may now cost money.
#[derive(Debug)]
pub struct Order {
    /// What is made of it, or was.
    pub subject: Subject,
    /// Whom to ask.
    pub plan: Plan,
    /// What to ask for.
    pub parts: Parts,
    /// What ties it to a route, whatever is planned.
    pub ties: Ties,
    /// Whether it may wait while everybody is full. One that comes out of the line goes back there in any case.
    pub queue: Option<Queue>,
    /// A route that has counted it among its creates of this minute already.
    pub admitted: Option<RouteName>,
    /// How many jobs its tenant may have in flight.
    pub tenant_in_flight_max: Option<u32>,
    /// When the request came in, or the job out of the line.
    pub begun: Instant,
}

/// What an order is for.
#[derive(Debug)]
pub enum Subject {
    /// A job that is still to be written down.
    New(Box<NewJob>),
    /// One that is `reserved`, because an earlier sending's process died between two routes, or that stands in line.
    Known(Arc<Job>),
}

impl Subject {
    /// The job's id.
    pub fn id(&self) -> JobId {
        match self {
            Self::New(job) => job.id,
            Self::Known(job) => job.id,
        }
    }

    /// Whose.
    pub fn tenant(&self) -> &TenantName {
        match self {
            Self::New(job) => &job.tenant,
            Self::Known(job) => &job.tenant,
        }
    }

    fn ceiling(&self) -> MicroUsd {
        match self {
            Self::New(job) => job.ceiling,
            Self::Known(job) => job.ceiling,
        }
    }

    fn known(&self) -> Option<&Arc<Job>> {
        match self {
            Self::New(_) => None,
            Self::Known(job) => Some(job),
        }
    }
}

/// Asks the routes. `on_disk` is told once the job is durable; the result comes when its outcome is known.
pub async fn dispatch(gw: &Gateway, order: Order, on_disk: oneshot::Sender<Arc<Job>>) -> Result<Arc<Job>, Refusal> {
    let mut on_disk = Some(on_disk);
    let mut job = order.subject.known().cloned();
    let in_line = job.as_ref().is_some_and(|job| job.state == State::Waiting);
    let mut turned = Turned::default();
    let mut waited = Duration::ZERO;
    let mut before = None;

    for candidate in in_order(gw, &order.plan) {
        if gw.halting.why_now(&*gw.store).await.is_some() {
            break;
        }
        if !may_be_asked(gw, &order, in_line, candidate, &mut turned).await {
            continue;
        }
        crash::point("before_hold");
        let submitting = match open(gw, &order, job.as_ref(), candidate).await {
            Ok(job) => job,
            Err(OpenError::RouteFull { .. }) => {
                no_room(gw, &order, in_line, candidate, FULL_WAIT, &mut turned).await;
                continue;
            }
            Err(OpenError::TenantFull { in_flight }) if in_line || order.queue.is_some() => {
                turned.tenant_full(in_flight);
                break;
            }
            Err(OpenError::OverBudget { booking, .. }) if matches!(booking.account, Account::Route(_)) => {
                owing::refused(gw, &booking).await;
                turned.capped(candidate);
                continue;
            }
            // Between two routes another sending of the same wish took it on: what it finds out is the answer.
            Err(OpenError::Moved) if let Some(job) = &job => return taken_on(gw, job).await,
            Err(error) => return Err(turn_down(gw, error, order.subject.ceiling()).await),
        };
        crash::point("after_hold");
        gw.traffic.sent(&candidate.route.name);
        if let Some(on_disk) = on_disk.take() {
            // The client may be gone; the job is not.
            let _ = on_disk.send(submitting.clone());
        }

        let sent = Instant::now();
        let answer = submit(gw, &order, candidate, submitting.attempt).await;
        waited += sent.elapsed();
        gw.metrics.upstream(&candidate.route.name, UpstreamCall::Submit, sent.elapsed());
        crash::point("after_reply");
        let (event, facts) = read(gw, candidate, &answer);
        note(gw, &submitting, candidate, event, &answer);
        turn_out(gw, &submitting, candidate, &answer);
        if let Some(cause) = before.replace(AttemptOutcome::of(&answer)) {
            gw.metrics.retry(&candidate.route.name, &submitting.model, cause);
        }
        let after = write_down(gw, submitting, event, facts).await?;
        crash::point("after_id");
        line::heed(gw, candidate, &answer, in_line);
        match answer {
            Err(SubmitError::Rejected(rejection)) => return Err(Refusal::Rejected(rejection)),
            Err(SubmitError::NotSent(_) | SubmitError::Withheld(_) | SubmitError::Refused { .. }) => turned.asked(candidate, &answer),
            Ok(_) | Err(SubmitError::Unclear(_)) => {
                gw.metrics.overhead(order.begun.elapsed().saturating_sub(waited));
                return Ok(after);
            }
        }
        job = Some(after);
    }

    turned.halted(gw.halting.why_now(&*gw.store).await);
    taken_by_nobody(gw, &order, in_line, job, turned).await
}

async fn open(gw: &Gateway, order: &Order, job: Option<&Arc<Job>>, candidate: &Candidate) -> Result<Arc<Job>, OpenError> {
    let attempt = new_attempt(gw, candidate, order.tenant_in_flight_max);
    match (job, &order.subject) {
        (None, Subject::New(new)) => gw.store.open_job(NewJob::clone(new), attempt).await,
        (Some(job), _) | (None, Subject::Known(job)) => gw.store.open_attempt(job, attempt).await,
    }
}

/// What becomes of an order that none of its routes took: it stands in line if it may, and is refused if not.
async fn taken_by_nobody(
    gw: &Gateway,
    order: &Order,
    in_line: bool,
    job: Option<Arc<Job>>,
    mut turned: Turned,
) -> Result<Arc<Job>, Refusal> {
    // Who stands in line waits for whatever passes; a cap does not.
    let waits = if in_line { !turned.is_only_capped() } else { order.queue.is_some() && turned.is_worth_waiting() };
    if waits {
        match line::stand(gw, order, job.as_ref()).await {
            Ok(job) => return Ok(job),
            Err(OpenError::LineFull { waiting }) => {
                let first = gw.hall.first_of(order.subject.tenant());
                turned.line_full(waiting, first.map_or(FULL_WAIT, |place| place.starts_in));
            }
            Err(OpenError::Moved) if let Some(job) = &job => return taken_on(gw, job).await,
            Err(error) => return Err(turn_down(gw, error, order.subject.ceiling()).await),
        }
    }
    if let Some(job) = job {
        let error = Some(turned.error());
        let ended = write_down(gw, job, Event::Exhausted, Facts { error: error.clone(), ..Facts::default() }).await?;
        if in_line && ended.error == error {
            gw.metrics.left_line(&ended, QueueOutcome::Capped, Duration::ZERO);
        }
    }
    Err(turned.refusal(&order.plan.model, order.subject.ceiling()))
}

/// The job as whoever goes on with it has it.
async fn taken_on(gw: &Gateway, job: &Job) -> Result<Arc<Job>, Refusal> {
    let now = gw.store.job(&job.tenant, job.id).await?.filter(|now| now.state != State::Released);
    now.ok_or(Refusal::NoRoute { why: "another sending asked everybody else".to_owned(), wait: FULL_WAIT })
}

/// The plan's order, with those asked last that did not answer lately: none is left out, so the last is never lost.
pub fn in_order<'a>(gw: &Gateway, plan: &'a Plan) -> impl Iterator<Item = &'a Candidate> {
    let now = gw.clock.now();
    let (resting, well): (Vec<_>, Vec<_>) = plan.candidates.iter().partition(|c| gw.health.is_asked_last(&c.route, &plan.model, now));
    well.into_iter().chain(resting)
}

/// Whether a candidate has the model, and it is the order's turn there, with one more request this minute, which is then taken.
async fn may_be_asked(gw: &Gateway, order: &Order, in_line: bool, candidate: &Candidate, turned: &mut Turned) -> bool {
    if gw.health.is_gone(&candidate.route, &order.plan.model) {
        turned.gone(candidate);
        return false;
    }
    match line::admits(gw, order, in_line, &candidate.route) {
        Ok(()) => true,
        Err(wait) => {
            no_room(gw, order, in_line, candidate, wait, turned).await;
            false
        }
    }
}

/// A candidate has no room. If its cap leaves too little as well, that is no reason for an order to wait for it.
async fn no_room(gw: &Gateway, order: &Order, in_line: bool, candidate: &Candidate, wait: Duration, turned: &mut Turned) {
    let capped = if in_line || order.queue.is_some() { line::capped(gw, candidate).await } else { None };
    match capped {
        Some(booking) => {
            owing::refused(gw, &booking).await;
            turned.capped(candidate);
        }
        None => turned.full(candidate, wait),
    }
}

fn new_attempt(gw: &Gateway, candidate: &Candidate, tenant_in_flight_max: Option<u32>) -> NewAttempt {
    let (route, at) = (&candidate.route, gw.clock.now());
    NewAttempt {
        id: AttemptId::mint(),
        route: route.name.clone(),
        account: route.account.clone(),
        upstream_model: candidate.upstream_model.clone(),
        seconds: candidate.seconds,
        size: candidate.size,
        price: candidate.price,
        booking: Booking::at(Account::Route(route.name.clone()), route.budget.as_ref(), at),
        in_flight_max: route.limits.in_flight,
        tenant_in_flight_max,
        at,
        due_at: at.after(route.submit_timeout).after(route.poll.late),
    }
}

async fn submit(gw: &Gateway, order: &Order, candidate: &Candidate, attempt: AttemptId) -> Result<Accepted, SubmitError> {
    gw.health.asking(&candidate.route, &order.plan.model, gw.clock.now());
    let callback = callback(gw, &candidate.route, attempt);
    let source = order.parts.source.as_deref().unwrap_or_default();
    let submission = submission(candidate, &order.parts.wish, source, &order.parts.characters);
    let submission = Submission { callback_url: callback.as_deref(), ..submission };
    keyed::submit(gw, &candidate.route, attempt, &submission).await
}

/// Where the route's provider shall tell of an attempt, if it is asked to.
pub fn callback(gw: &Gateway, route: &Route, attempt: AttemptId) -> Option<String> {
    route.callback_url.as_ref().map(|base| gw.callbacks.address(base, &route.name, attempt))
}

/// The submission of an attempt as far as the job's row tells it: all of it, if it was made from a prompt alone.
pub fn row_submission<'a>(job: &'a Job, callback_url: Option<&'a str>) -> Submission<'a> {
    Submission {
        model: &job.upstream_model,
        prompt: &job.prompt,
        seconds: job.seconds,
        size: job.size,
        reference: None,
        characters: &[],
        origin: SubmissionOrigin::Create,
        extras: &job.extras,
        callback_url,
    }
}

/// What an answer means for the job.
fn read(gw: &Gateway, candidate: &Candidate, answer: &Result<Accepted, SubmitError>) -> (Event, Facts) {
    let (now, route) = (gw.clock.now(), &candidate.route);
    let due_at = Some(now.after(route.poll.early));
    match answer {
        Ok(accepted) => {
            let progress = accepted.progress.as_ref();
            // Its callback may have overtaken its reply.
            let due_at = if gw.doorbells.came_early(&route.name, &accepted.upstream_id) { Some(now) } else { due_at };
            let facts = Facts {
                upstream_id: Some(accepted.upstream_id.clone()),
                progress: progress.and_then(|p| p.percent),
                outcome: Some("accepted"),
                due_at,
                ..Facts::default()
            };
            // A reply that says more than "queued" is left to the first poll: one place reads ends.
            (Event::Accepted, facts)
        }
        Err(SubmitError::NotSent(_)) => (Event::TurnedAway, outcome("not_sent")),
        Err(SubmitError::Withheld(_)) => (Event::TurnedAway, outcome("withheld")),
        Err(SubmitError::Refused { reason, .. }) => (Event::TurnedAway, outcome(reason.as_str())),
        Err(SubmitError::Rejected(rejection)) => {
            let code = rejection.code.clone().unwrap_or_else(|| "invalid_request".to_owned());
            let error = Some(JobError { code, message: rejection.message.clone() });
            (Event::Rejected, Facts { error, ..outcome("rejected") })
        }
        Err(SubmitError::Unclear(_)) => (Event::Unclear, Facts { due_at, ..outcome("unclear") }),
    }
}

fn outcome(word: &'static str) -> Facts {
    Facts { outcome: Some(word), ..Facts::default() }
}

/// Tells health, metrics and the log how an attempt went.
fn note(gw: &Gateway, job: &Job, candidate: &Candidate, event: Event, answer: &Result<Accepted, SubmitError>) {
    let route = &candidate.route.name;
    gw.metrics.attempt(route, &job.model, AttemptOutcome::of(answer));
    match answer {
        Ok(accepted) => {
            info!(job.id = %job.id, route.name = %route, upstream.id = %accepted.upstream_id, "accepted");
            if matches!(accepted.progress.as_ref().map(|p| &p.phase), Some(Phase::Failed { .. })) {
                info!(job.id = %job.id, "accepted and already failed; the first poll will say why");
            }
        }
        // What was said of a wish that was refused may repeat the wish.
        Err(SubmitError::Rejected(rejection)) => info!(job.id = %job.id, route.name = %route, code = rejection.code, "rejected"),
        Err(error) => warn!(job.id = %job.id, route.name = %route, ?event, ?error, "not accepted"),
    }
}

/// Has an answer count for whom to ask next.
fn turn_out(gw: &Gateway, job: &Job, candidate: &Candidate, answer: &Result<Accepted, SubmitError>) {
    let (health, route, model, now) = (&gw.health, &*candidate.route, &job.model, gw.clock.now());
    let (status, reason, retry_after_secs) = match answer {
        Ok(_) | Err(SubmitError::Rejected(_) | SubmitError::Refused { reason: RefusedReason::InputGone, .. }) => {
            return health.answered(route, model, Question::Submit, now);
        }
        Err(SubmitError::NotSent(_) | SubmitError::Unclear(_)) => return health.failed(route, model, Question::Submit, now),
        // That says nothing of the route.
        Err(SubmitError::Withheld(_)) => return,
        Err(SubmitError::Refused { status, reason, retry_after_secs, .. }) => (status, reason, retry_after_secs),
    };
    match reason {
        // Of a clip that is made from another one, what is gone may be that one.
        RefusedReason::ModelGone if job.operation == "create" => health.gone(route, model, status.as_u16(), now),
        RefusedReason::Credential => {
            health.refused_key(route, Question::Submit, Some(status.as_u16()), now);
            health.failed(route, model, Question::Submit, now);
        }
        RefusedReason::Quota | RefusedReason::Unavailable => health.failed(route, model, Question::Submit, now),
        RefusedReason::ModelGone | RefusedReason::InputGone | RefusedReason::RateLimited | RefusedReason::TooManyJobs => {}
    }
    if let Some(secs) = retry_after_secs {
        health.asks_for_rest(route, model, Duration::from_secs(*secs), now);
    }
}

/// Why nothing was opened, and whoever has to know of it is owed a notice.
async fn turn_down(gw: &Gateway, error: OpenError, ceiling: MicroUsd) -> Refusal {
    if let OpenError::OverBudget { booking, .. } = &error {
        owing::refused(gw, booking).await;
    }
    match error {
        OpenError::TenantFull { in_flight } => Refusal::TenantFull { in_flight },
        OpenError::RouteFull { .. } => Refusal::RoutesFull { wait: FULL_WAIT },
        OpenError::LineFull { waiting } => Refusal::LineFull { waiting, wait: FULL_WAIT },
        OpenError::OverBudget { booking, left } => Refusal::over_budget(&booking.account, ceiling, left),
        OpenError::KeyTaken => Refusal::KeyInUse,
        OpenError::Moved => Refusal::Internal,
        OpenError::Store(why) => Refusal::Unavailable(why),
    }
}
