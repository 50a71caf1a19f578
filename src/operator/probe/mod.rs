//! Probes: one cheapest paid job through a route, to learn how that route behaves.
//!
//! The job is held, sent, asked about and settled like any other, by the same code, under a tenant whose name no
//! policy can have and to whom no key belongs. What a probe adds is looking, which is free. The invariants: a
//! route has one probe at a time; a probe is looked at for a bounded time, and its job goes on without it.

mod watch;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use tracing::warn;

use super::Declined;
use crate::budget::{Account, Booking};
use crate::dispatch::{Order, Subject, dispatch};
use crate::gateway::Gateway;
use crate::id::{JobId, ModelName, RouteName, TenantName};
use crate::money::MicroUsd;
use crate::order::{Parts, Ties};
use crate::plan::{Candidate, Plan, cheapest, submission};
use crate::probes::Findings;
use crate::provider::Unsupported;
use crate::refusal::Refusal;
use crate::store::{Job, NewJob};
use crate::video::{Extras, Origin, Wish};
use crate::wire;

/// Who pays for probes. Names in the policy begin with a letter or a digit.
const TENANT: &str = "_probe";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Through which route.
    pub route: RouteName,
    /// Which of its models; the cheapest if it does not matter.
    pub model: Option<ModelName>,
    /// What was agreed to; a probe that would cost anything else is not ordered.
    pub price: Option<MicroUsd>,
}

/// A route's turn to be probed; over when it is dropped.
struct Turn {
    gw: Arc<Gateway>,
    route: RouteName,
}

impl Turn {
    fn take(gw: &Arc<Gateway>, route: &RouteName) -> Result<Self, Declined> {
        let began = gw.probes.begin(route);
        began
            .then(|| Self { gw: gw.clone(), route: route.clone() })
            .ok_or_else(|| Declined::Unfit(format!("{route} is being probed already; wait until that has ended")))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.gw.probes.end(&self.route);
    }
}

/// What a probe would be, without ordering it.
pub fn quote(gw: &Gateway, asked: &Asked) -> Result<(ModelName, Candidate), Declined> {
    if gw.reconciling.since().is_some() {
        return Err(Declined::Unfit("nothing is bought while the books are being reconciled (`filmgate reconcile`)".to_owned()));
    }
    if gw.halting.why().is_some() {
        return Err(Declined::Unfit("nothing is bought while the gateway is halted (`filmgate resume`)".to_owned()));
    }
    let policy = gw.policy.snapshot();
    let route = policy.routes.get(&asked.route).ok_or_else(|| {
        let known: Vec<&str> = policy.routes.keys().map(RouteName::as_str).collect();
        Declined::Unknown(format!("there is no route {} in the policy; it has {}", asked.route, known.join(", ")))
    })?;
    cheapest(route, asked.model.as_ref(), gw.clock.now().utc_date()).ok_or_else(|| {
        let what = asked.model.as_ref().map_or("anything".to_owned(), ToString::to_string);
        Declined::Unfit(format!("{} does not sell {what} today", asked.route))
    })
}

/// Orders a probe. Answers once the route has, and goes on looking in a task that a stop waits for.
pub async fn probe(gw: &Arc<Gateway>, asked: &Asked) -> Result<Findings, Declined> {
    let (model, candidate) = quote(gw, asked)?;
    if let Some(agreed) = asked.price.filter(|agreed| *agreed != candidate.price) {
        return Err(Declined::Unfit(format!("it costs {} and not {agreed}: the policy was changed meanwhile", candidate.price)));
    }
    let turn = Turn::take(gw, &asked.route)?;
    let order = order(gw, model, candidate.clone())?;
    let id = order.subject.id();
    warn!(audit = "probe", job.id = %id, route.name = %asked.route, price_microusd = candidate.price.get(), "a paid job to learn how the route behaves");
    // From here on whoever asks may hang up.
    let task = gw.tasks.spawn(ordered(gw.clone(), turn, order, candidate));
    task.await.map_err(|_| Declined::Unfit(Refusal::Internal.told().message))?
}

/// Sends it, and leaves looking to a task of its own.
async fn ordered(gw: Arc<Gateway>, turn: Turn, order: Order, candidate: Candidate) -> Result<Findings, Declined> {
    let (tell, on_disk) = oneshot::channel();
    let sent = async { on_disk.await.map(|_| Instant::now()).ok() };
    let (taken, sent) = tokio::join!(dispatch(&gw, order, tell), sent);
    let job = taken.map_err(declined)?;
    let answered = Instant::now();
    let sent = sent.unwrap_or(answered);
    let findings = Findings::of(&job, &candidate.route, answered.duration_since(sent));
    gw.probes.remember(job.id, findings.clone());
    gw.tasks.spawn(watch::watch(gw.clone(), turn, job, candidate.route, answered));
    Ok(findings)
}

fn order(gw: &Gateway, model: ModelName, candidate: Candidate) -> Result<Order, Declined> {
    let (id, at, tenant, policy) = (JobId::mint(), gw.clock.now(), TenantName::new(TENANT), gw.policy.snapshot());
    // Its own words, so that no list shows another job that looks the same.
    let prompt = format!("A calm sea at dawn, seen from a lighthouse. ({})", &id.to_string()[30..]);
    let wish = Wish {
        origin: Origin::Create,
        prompt: prompt.clone(),
        model: Some(model.clone()),
        seconds: Some(candidate.seconds),
        size: Some(candidate.size),
        reference: None,
        characters: Vec::new(),
        end_user: None,
        extras: Extras::new(),
    };
    let job = NewJob {
        id,
        tenant: tenant.clone(),
        operation: wish.origin.operation(),
        model: model.clone(),
        prompt,
        source: None,
        hidden_inputs: false,
        extras: Extras::new(),
        end_user: None,
        residency: None,
        key_name: None,
        ceiling: candidate.price,
        bookings: vec![Booking::at(Account::Gateway, policy.budget.as_ref(), at), Booking::at(Account::Tenant(tenant), None, at)],
        tenant_in_flight_max: None,
        charge: None,
        fingerprint: wire::fingerprint(&wish),
        idempotency_key: None,
        at,
    };
    let can = candidate.route.provider.can_submit(&submission(&candidate, &wish, "", &[]));
    can.map_err(|Unsupported(lacks)| Declined::Unfit(lacks.to_owned()))?;
    let plan = Plan { model, rule: None, residency: None, candidates: vec![candidate], passed_over: Vec::new() };
    let parts = Parts { wish, source: None, characters: Vec::new() };
    Ok(Order {
        subject: Subject::New(job.into()),
        plan,
        parts,
        ties: Ties::default(),
        queue: None,
        admitted: None,
        tenant_in_flight_max: None,
        begun: Instant::now(),
    })
}

/// Why there is no job, in the operator's words.
fn declined(refusal: Refusal) -> Declined {
    match refusal {
        Refusal::RoutesFull { wait } => Declined::Unfit(format!(
            "the route has as many jobs or requests as it may (`limits`), or says so itself; try again in {} s",
            wait.as_secs().max(1)
        )),
        Refusal::OverBudget { ceiling, .. } => {
            Declined::Unfit(format!("{ceiling} does not fit under the cap of the route or of the gateway"))
        }
        Refusal::NoRoute { why, .. } => Declined::Unfit(format!("it was not taken: {why}")),
        Refusal::ModelGone { .. } => {
            Declined::Unfit("the provider says that it does not have this model; `filmgate readmit` has it asked again".to_owned())
        }
        Refusal::Rejected(rejection) => Declined::Unfit(format!("the route refused it: {}", rejection.message)),
        Refusal::Unavailable(why) => Declined::Store(why),
        other => Declined::Unfit(other.told().message),
    }
}

/// The job as the books have it now.
async fn now(gw: &Gateway, job: &Job) -> Option<Arc<Job>> {
    gw.store.job(&job.tenant, job.id).await.ok().flatten()
}
