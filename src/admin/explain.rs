//! `GET /api/explain`: what would become of a wish, by the policy in force and by how things are at the moment.
//!
//! The policy's part is [`why::explain`]'s; here is added what only the running gateway knows. Looking takes
//! nothing: no request is counted and no money is held.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;

use super::{as_json, error};
use crate::budget::{self, Account, Booking};
use crate::clock::Timestamp;
use crate::dispatch::in_order;
use crate::gateway::Gateway;
use crate::id::RouteName;
use crate::limits::Room;
use crate::money::MicroUsd;
use crate::plan::Plan;
use crate::policy::{Budget, Limits, Policy, Tenant};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::store::StoreError;
use crate::why::{self, Explanation, PurseLine, Question};

/// The answer: an explanation, and how things are.
#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    explanation: Explanation,
    /// What the client would be told, if nobody would be asked.
    told: Option<Told>,
    live: Live,
}

/// A refusal as a client sees it.
#[derive(Serialize)]
struct Told {
    status: u16,
    code: Option<String>,
    param: Option<String>,
    message: String,
}

/// How things are at the moment.
#[derive(Serialize)]
struct Live {
    /// The routes in the order in which they would be asked now, by how they are.
    order: Vec<String>,
    /// Whose cap would refuse it: the first that it does not fit under.
    refused_by: Option<String>,
    /// Whether it would be refused, as things are at the moment: `notes` say why.
    refuses: bool,
    gateway: Used,
    tenant: Used,
    /// Those that would be asked.
    routes: BTreeMap<String, Used>,
    /// The same in sentences, and whatever else stands in the way.
    notes: Vec<String>,
}

/// How much of what it may have somebody has used; what has no limit has no number.
#[derive(Clone, Debug, Serialize)]
struct Used {
    in_flight: Option<u32>,
    in_flight_max: Option<u32>,
    requests_per_minute_max: Option<u32>,
    requests_left: Option<u32>,
    cap: Option<String>,
    left: Option<String>,
    /// Why it is asked later than planned, or not at all.
    unwell: Option<String>,
}

impl Used {
    fn has_no_place(&self) -> bool {
        self.in_flight.zip(self.in_flight_max).is_some_and(|(taken, max)| taken >= max)
    }
}

/// Answers the question in a query.
pub async fn answer(gw: &Gateway, query: Option<&str>) -> Reply {
    let (policy, now) = (gw.policy.snapshot(), gw.clock.now());
    let asked = Question::of_query(query).and_then(|question| {
        let explained = why::explain(&policy, &question, now, &gw.seen())?;
        let tenant = policy.tenants.get(&question.tenant).ok_or("there is no such tenant")?;
        Ok((explained, tenant))
    });
    let ((mut explanation, outcome), tenant) = match asked {
        Ok(asked) => asked,
        Err(why) => return error(StatusCode::UNPROCESSABLE_ENTITY, &why),
    };
    let lived = async {
        fill(gw, &mut explanation.purses).await?;
        live(gw, &policy, tenant, outcome.as_ref().ok(), &explanation, now).await
    };
    match lived.await {
        Ok(live) => {
            for line in &mut explanation.routes {
                line.now = live.routes.get(&line.route).map(sentence);
            }
            let told = outcome.err().map(|why| Refusal::from(why).told());
            let told = told.map(|told| Told { status: told.status.as_u16(), code: told.code, param: told.param, message: told.message });
            as_json(&Explained { explanation, told, live })
        }
        Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
    }
}

/// Puts what the books say into the purses.
async fn fill(gw: &Gateway, purses: &mut [PurseLine]) -> Result<(), StoreError> {
    for purse in purses {
        let booking = purse.booking();
        let balance = gw.store.prospect(booking).await?;
        purse.fill(balance.spent, balance.held);
    }
    Ok(())
}

async fn live(
    gw: &Gateway,
    policy: &Policy,
    tenant: &Tenant,
    plan: Option<&Plan>,
    explanation: &Explanation,
    now: Timestamp,
) -> Result<Live, StoreError> {
    let gateway = used(gw, Account::Gateway, policy.budget.as_ref(), Limits::default(), None, now).await?;
    let account = Account::Tenant(tenant.name.clone());
    let wisher = used(gw, account, Some(&tenant.budget), tenant.limits, gw.limits.room_of_tenant(tenant), now).await?;
    let mut routes = BTreeMap::new();
    for candidate in plan.iter().flat_map(|plan| &plan.candidates) {
        let route = &candidate.route;
        let account = Account::Route(route.name.clone());
        let mut used = used(gw, account, route.budget.as_ref(), route.limits, gw.limits.room_of_route(route), now).await?;
        used.unwell = plan.and_then(|plan| gw.health.standing(route, &plan.model, now).why(route));
        routes.insert(route.name.to_string(), used);
    }
    let mut notes = vec![format!("{}: {}", tenant.name, sentence(&wisher))];
    if gateway.cap.is_some() {
        notes.push(format!("the gateway: {}", sentence(&gateway)));
    }
    notes.extend(explanation.purses.iter().filter_map(PurseLine::objection));
    let mut routes_purses = explanation.purses.iter().filter(|purse| purse.is_routes()).peekable();
    let no_route_fits = routes_purses.peek().is_some() && routes_purses.all(|purse| purse.objection().is_some());
    if no_route_fits {
        notes.push("the caps of all routes that would be asked are used up: it would be refused".to_owned());
    }
    let refused_by = explanation.purses.iter().find(|purse| purse.refuses()).map(|purse| purse.whose.clone());
    let refused_by = refused_by.or_else(|| no_route_fits.then(|| "the routes".to_owned()));
    let mut against = Vec::new();
    if tenant.require_user && !explanation.names_its_user() {
        against.push(format!("{} has to name an end user with every wish (`require_user`): it would be refused", tenant.name));
    }
    if wisher.requests_left == Some(0) {
        against.push(format!("{} has made as many requests this minute as it may: it would be refused", tenant.name));
    }
    let full = if wisher.has_no_place() {
        Some(format!("{} has as many videos in flight as it may", tenant.name))
    } else if !routes.is_empty() && routes.values().all(|route| route.has_no_place() || route.requests_left == Some(0)) {
        Some("all routes that would be asked are full".to_owned())
    } else {
        None
    };
    match full {
        Some(full) if explanation.queue.is_some() => notes.push(format!("{full}: it would wait in line, if there is room there")),
        Some(full) => against.push(format!("{full}: it would be refused")),
        None => {}
    }
    let asked = |plan| in_order(gw, plan).map(|candidate| candidate.route.name.to_string());
    let order: Vec<String> = plan.into_iter().flat_map(asked).collect();
    for route in order.iter().filter(|route| gw.hall.is_busy(&RouteName::new(route.as_str()))) {
        notes.push(format!("others wait for {route}, or it said that it is full: whoever may wait waits behind them"));
    }
    if gw.halting.why().is_some() {
        against.push("buying is halted: every wish is refused until it is resumed".to_owned());
    }
    if gw.reconciling.since().is_some() {
        against.push("the books come from a backup, and nothing is ordered until `filmgate reconcile --done`".to_owned());
    }
    if gw.stop.is_cancelled() {
        against.push("the gateway is stopping".to_owned());
    }
    let refuses = refused_by.is_some() || !against.is_empty();
    notes.append(&mut against);
    Ok(Live { order, refused_by, refuses, gateway, tenant: wisher, routes, notes })
}

async fn used(
    gw: &Gateway,
    account: Account,
    budget: Option<&Budget>,
    limits: Limits,
    room: Option<Room>,
    now: Timestamp,
) -> Result<Used, StoreError> {
    let booking = Booking::at(account, budget, now);
    let balance = gw.store.balance(&booking.account, &booking.period.key).await?;
    let left = budget::left(booking.cap, balance.map_or(MicroUsd::ZERO, |balance| balance.used()));
    let in_flight = match booking.account {
        Account::Gateway => None,
        // What is in an account that the route had before takes none of its places.
        Account::Route(ref name) if let Some(route) = gw.policy.snapshot().routes.get(name) => {
            Some(gw.store.places_taken_in(&route.home()).await?)
        }
        _ => Some(gw.store.places_taken(&booking.account).await?),
    };
    Ok(Used {
        in_flight,
        in_flight_max: limits.in_flight,
        requests_per_minute_max: room.map(|room| room.rpm),
        requests_left: room.map(|room| room.left),
        cap: booking.cap.map(|cap| cap.to_string()),
        left: left.map(|left| left.to_string()),
        unwell: None,
    })
}

/// `2 of 5 in flight, 48 of 50 requests left this minute, 12.00 of 500.00 USD left`
fn sentence(used: &Used) -> String {
    let of = |max: Option<u32>| max.map_or_else(String::new, |max| format!(" of {max}"));
    let flight = used.in_flight.map(|count| format!("{count}{} in flight", of(used.in_flight_max)));
    let requests = used.requests_left.map(|left| format!("{left}{} requests left this minute", of(used.requests_per_minute_max)));
    let money = used.left.as_ref().zip(used.cap.as_ref()).map(|(left, cap)| format!("{left} of {cap} USD left"));
    [flight, requests, money, used.unwell.clone()].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
