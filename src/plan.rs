//! Plans: the routes a job may use, in the order they will be tried.
//!
//! Knows the policy and the wish; not which routes are well or busy, or what the tenant has left to
//! spend. The invariants: every candidate processes where each residency allows (the tenant's, and the
//! rule's or the source's), is priced, and is within the tenant's limits for one clip; a wish that cannot
//! be planned is answered with what would help most to whoever can mend it.

mod cheapest;
mod eligible;
mod moment;
mod order;
mod saying;
mod seen;
mod told;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;

use crate::clock::Timestamp;
use crate::id::{Home, ModelName, RouteName};
use crate::money::MicroUsd;
use crate::policy::rules::Traits;
use crate::policy::{Choose, Offer, Policy, Route, Tenant};
use crate::video::{Seconds, Size, Wish};
use eligible::{Asked, Bound, Unfit, Whose};

pub use cheapest::cheapest;
pub use eligible::may_process;
pub use moment::Moment;
pub use saying::submission;
pub use seen::{Nothing, Seen};
pub use told::{InOrder, Reasons};

/// The routes a job may use, in the order they will be tried.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The public model, defaults applied.
    pub model: ModelName,
    /// Which rule decided, counted from 0; `None` if the job is pinned to where its source is.
    pub rule: Option<usize>,
    /// The one region where the job may be processed, now and later; `None` if that is nobody's concern.
    pub residency: Option<String>,
    /// Never empty as planned.
    pub candidates: Vec<Candidate>,
    /// Routes of the rule that may not serve this wish, and why.
    pub passed_over: Vec<PassedOver>,
}

impl Plan {
    /// Leaves only the candidates for which `unfit` has no reason why they may not serve after all.
    pub fn pass_over(&mut self, mut unfit: impl FnMut(&Candidate) -> Option<String>) {
        let passed_over = &mut self.passed_over;
        self.candidates.retain(|candidate| {
            let why = unfit(candidate);
            passed_over.extend(why.iter().map(|why| PassedOver { route: candidate.route.name.clone(), why: why.clone() }));
            why.is_none()
        });
    }

    /// The dearest price over the candidates: what is held.
    pub fn ceiling(&self) -> MicroUsd {
        self.candidates.iter().map(|c| c.price).max().unwrap_or(MicroUsd::ZERO)
    }
}

/// One route that may serve a wish, and what it would make at what price.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The route.
    pub route: Arc<Route>,
    /// What it calls the model.
    pub upstream_model: String,
    /// The length it would make.
    pub seconds: Seconds,
    /// The size it would make.
    pub size: Size,
    /// What that costs there.
    pub price: MicroUsd,
}

/// A route that may not serve a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Which one.
    pub route: RouteName,
    /// Why, for the operator.
    pub why: String,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.route, self.why)
    }
}

/// Where a job's source is: what is made from it has to be made there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The route of the account that has the source, or what that was if no route is of it any more.
    pub home: Home,
    /// The source's public model.
    pub model: ModelName,
    /// The source's length.
    pub seconds: Seconds,
    /// The source's size.
    pub size: Size,
    /// Where the source was bound to.
    pub residency: Option<String>,
}

/// Why nobody may serve a wish. All but the last are the client's to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlan {
    /// No route has such a model, or the tenant may not ask for it.
    UnknownModel {
        /// What was asked for.
        model: ModelName,
        /// What the tenant may ask for.
        known: Vec<ModelName>,
    },
    /// Everybody who may serve it has said that the model is not to be had any more.
    Gone {
        /// Which.
        model: ModelName,
    },
    /// Everybody who made it has ended that, by the policy's own dates.
    Ended {
        /// Which.
        model: ModelName,
        /// The last day on which it was offered.
        last_day: Date,
    },
    /// Nobody eligible takes that parameter, which is beyond the protocol.
    Extra {
        /// Its name.
        name: String,
    },
    /// The dialects of those eligible have no way to say it.
    Unsayable {
        /// What is lacking, for the client.
        lacks: &'static str,
    },
    /// Nobody eligible makes that length.
    Seconds {
        /// What was asked for.
        asked: Seconds,
        /// What could be had, ascending.
        offered: Vec<Seconds>,
    },
    /// Nobody eligible makes that size.
    Size {
        /// What was asked for.
        asked: Size,
        /// What could be had.
        offered: Vec<Size>,
    },
    /// Longer than the tenant may ask for.
    TooLong {
        /// What was asked for, if it was said.
        asked: Option<Seconds>,
        /// The shortest that somebody eligible would make of it; `None` if nobody would make any.
        made: Option<Seconds>,
        /// What it may ask for.
        max: Seconds,
    },
    /// Dearer than the tenant may ask for.
    TooDear {
        /// What would be made at that price, if it is not what was asked for.
        made: Option<(Seconds, Size)>,
        /// The dearest price over the plan.
        price: MicroUsd,
        /// What it may ask for.
        max: MicroUsd,
    },
    /// No rule matches, or every route of the one that does is passed over: the operator's to mend.
    NoRoute {
        /// Which rule matched, if one did.
        rule: Option<usize>,
        /// Why each of its routes is passed over.
        passed_over: Vec<PassedOver>,
        /// Whether one is only disabled or drained, and may be back.
        may_return: bool,
    },
}

/// Plans a wish: first matching rule, eligible routes, in the order of its `choose`.
///
/// `pin` is given for a wish made from an earlier job.
///
/// Of several reasons why nobody may serve, one that the client can mend is told before one that
/// only the operator can, because somebody would serve if it were mended.
pub fn plan(policy: &Policy, tenant: &Tenant, wish: &Wish, pin: Option<&Pin>, moment: Moment<'_>) -> Result<Plan, NoPlan> {
    survey(policy, tenant, wish, pin, moment).outcome
}

/// A plan, and beside it what is known of each route when there is none.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The public model, defaults applied.
    pub model: ModelName,
    /// Which rule decided, counted from 0, if one matched.
    pub rule: Option<usize>,
    /// The one region where it may be processed; `None` if that is nobody's concern.
    pub residency: Option<String>,
    /// Why each of its routes may not serve, if none may; otherwise that is the plan's to say.
    pub passed_over: Vec<PassedOver>,
    /// The plan, or why there is none.
    pub outcome: Result<Plan, NoPlan>,
}

/// Plans a wish as [`plan`] does, and goes on looking where that could stop.
pub fn survey(policy: &Policy, tenant: &Tenant, wish: &Wish, pin: Option<&Pin>, moment: Moment<'_>) -> Survey {
    let (asked, today) = (Asked::of(policy, wish, pin), moment.today());
    let is_offered = pin.is_some() || policy.routes.values().any(|r| r.models.contains_key(&asked.model));
    let unknown = || NoPlan::UnknownModel { model: asked.model.clone(), known: models(policy, tenant, today) };
    let is_known = is_offered && may_ask(tenant, &asked.model);
    let model = asked.model.clone();
    let lane = match pin {
        Some(pin) => Lane::pinned(policy, pin),
        None => Lane::ruled(policy, tenant, wish, &asked, moment.at),
    };
    let lane = match lane {
        Ok(lane) => lane,
        Err(why) => {
            let outcome = Err(if is_known { why } else { unknown() });
            return Survey { model, rule: None, residency: tenant.residency.clone(), passed_over: Vec::new(), outcome };
        }
    };

    let bounds: Vec<Bound<'_>> = Bound::of(tenant).into_iter().chain(lane.bound).collect();
    let mut able = Vec::new();
    let mut unable = Vec::new();
    for (route, weight) in lane.routes {
        match eligible::serve(route, &bounds, &asked, today) {
            Ok(candidate) => able.push((candidate, weight)),
            Err(unfit) => unable.push((&route.name, unfit)),
        }
    }
    let mut passed_over: Vec<PassedOver> = unable.iter().map(|(route, unfit)| unfit.of_route(route)).collect();
    let able = if !is_known {
        pass_over(able, &mut passed_over, |_| format!("may not be asked for {} by {} (`models`)", asked.model, tenant.name));
        Err(unknown())
    } else if able.is_empty() {
        let ended = if pin.is_none() { ended(policy, &asked.model, today) } else { None };
        Err(ended
            .map_or_else(|| nobody(lane.rule, tenant, &asked, &unable), |last_day| NoPlan::Ended { model: asked.model.clone(), last_day }))
    } else {
        within_length(tenant, &asked, able, &mut passed_over)
            .and_then(|able| within_cost(tenant, &asked, able, &mut passed_over))
            .and_then(|able| in_rotation(&model, able, &mut passed_over, moment))
    };
    let residency = bounds.first().map(|bound| bound.region.to_owned());
    match able {
        Ok(able) => {
            let candidates = order::order(lane.choose, able, &model, moment);
            let plan = Plan { model: model.clone(), rule: lane.rule, residency: residency.clone(), candidates, passed_over };
            Survey { model, rule: lane.rule, residency, passed_over: Vec::new(), outcome: Ok(plan) }
        }
        Err(why) => Survey { model, rule: lane.rule, residency, passed_over, outcome: Err(why) },
    }
}

/// The last day on which anybody offered a model, if that has passed.
fn ended(policy: &Policy, model: &ModelName, today: Date) -> Option<Date> {
    let offers = policy.routes.values().filter_map(|route| route.models.get(model));
    let last_days = offers.map(|offer| offer.sunset.filter(|_| eligible::is_past_sunset(offer, today)));
    last_days.collect::<Option<Vec<Date>>>()?.into_iter().max()
}

/// Those that may serve, each with its weight.
type Able = Vec<(Candidate, u32)>;

/// Those that have the model: who has it no more is neither asked nor held for.
fn in_rotation(model: &ModelName, able: Able, passed_over: &mut Vec<PassedOver>, moment: Moment<'_>) -> Result<Able, NoPlan> {
    let (there, gone): (Vec<_>, Vec<_>) = able.into_iter().partition(|(candidate, _)| moment.seen.has(&candidate.route, model));
    pass_over(gone, passed_over, |_| "does not have the model any more".to_owned());
    if there.is_empty() { Err(NoPlan::Gone { model: model.clone() }) } else { Ok(there) }
}

/// Passes over all of these, for a reason that each has.
fn pass_over(unable: Able, passed_over: &mut Vec<PassedOver>, why: impl Fn(&Candidate) -> String) {
    passed_over.extend(unable.into_iter().map(|(candidate, _)| PassedOver { why: why(&candidate), route: candidate.route.name.clone() }));
}

/// The lengths and the sizes that a tenant could have of some model today, ascending: what to name to a
/// client whose own value was none at all.
pub fn offered(policy: &Policy, tenant: &Tenant, today: Date) -> (BTreeSet<Seconds>, BTreeSet<Size>) {
    let offers = || reachable(policy, tenant, today).filter(|(_, model, _)| may_ask(tenant, model)).map(|(_, _, offer)| offer);
    (offers().flat_map(|offer| offer.seconds.iter().copied()).collect(), offers().flat_map(|offer| offer.sizes.iter().copied()).collect())
}

/// What routes that may serve a tenant offer today.
fn reachable<'a>(policy: &'a Policy, tenant: &'a Tenant, today: Date) -> impl Iterator<Item = (&'a Route, &'a ModelName, &'a Offer)> {
    let bound = Bound::of(tenant);
    let routes = policy.routes.values().filter(move |route| route.takes_new() && eligible::region_fault(route, bound.as_slice()).is_none());
    let offers = routes.flat_map(|route| route.models.iter().map(|(model, offer)| (&**route, model, offer)));
    offers.filter(move |(_, _, offer)| !eligible::is_past_sunset(offer, today))
}

/// The models a tenant may ask for today, in alphabetical order.
pub fn models(policy: &Policy, tenant: &Tenant, today: Date) -> Vec<ModelName> {
    models_of(policy, tenant, today, |_, _| true)
}

/// Likewise, of those routes alone that have the model.
pub fn models_of(policy: &Policy, tenant: &Tenant, today: Date, has: impl Fn(&Route, &ModelName) -> bool) -> Vec<ModelName> {
    let offers = reachable(policy, tenant, today).filter(|(route, model, _)| may_ask(tenant, model) && has(route, model));
    let names: BTreeSet<&ModelName> = offers.map(|(_, model, _)| model).collect();
    names.into_iter().cloned().collect()
}

/// Whether a tenant may ask for `model` at all.
fn may_ask(tenant: &Tenant, model: &ModelName) -> bool {
    tenant.models.is_empty() || tenant.models.contains(model)
}

/// The routes in question, and how to choose among those that may serve.
struct Lane<'a> {
    rule: Option<usize>,
    routes: Vec<(&'a Arc<Route>, u32)>,
    choose: Choose,
    /// Where the rule or the source binds it to, beside the tenant.
    bound: Option<Bound<'a>>,
}

impl<'a> Lane<'a> {
    /// The routes of the first rule that matches.
    fn ruled(policy: &'a Policy, tenant: &Tenant, wish: &Wish, asked: &Asked, at: Timestamp) -> Result<Self, NoPlan> {
        let traits = Traits {
            tenant,
            model: &asked.model,
            size: asked.size.or(Size::DEFAULT),
            seconds: asked.seconds.or(Seconds::DEFAULT),
            user: wish.end_user.as_deref(),
            has_reference: wish.reference.is_some(),
            at,
        };
        let Some((index, rule)) = policy.rules.first(&traits) else {
            return Err(NoPlan::NoRoute { rule: None, passed_over: Vec::new(), may_return: false });
        };
        let routes = rule.routes.iter().map(|(route, weight)| (route, *weight)).collect();
        let bound = rule.residency.as_deref().map(|region| Bound { region, whose: Whose::Rule(index) });
        Ok(Self { rule: Some(index), routes, choose: rule.choose, bound })
    }

    /// The one route where the source is. Rules say where work starts; this one has started.
    fn pinned(policy: &'a Policy, pin: &'a Pin) -> Result<Self, NoPlan> {
        let present = policy.routes.get(&pin.home.route);
        let of_that_account = |route: &&Arc<Route>| pin.home.account.as_ref().is_none_or(|account| *account == route.account);
        let Some(route) = present.filter(of_that_account) else {
            let why = match present {
                Some(_) => "has another account than the one that made the clip which this one is made from",
                None => "has the clip that this one is made from, and is no longer in the policy",
            };
            let passed_over = vec![PassedOver { route: pin.home.route.clone(), why: why.into() }];
            return Err(NoPlan::NoRoute { rule: None, passed_over, may_return: false });
        };
        let bound = pin.residency.as_deref().map(|region| Bound { region, whose: Whose::Source });
        Ok(Self { rule: None, routes: vec![(route, 1)], choose: Choose::Ordered, bound })
    }
}

/// Why nobody serves: if only an extra, only what a dialect lacks, only the length or only the size stands in
/// the way somewhere, that; if several do everywhere, the extra and then the size first; otherwise what is
/// wrong with each route.
fn nobody(rule: Option<usize>, tenant: &Tenant, asked: &Asked, unable: &[(&RouteName, Unfit<'_>)]) -> NoPlan {
    let extra = |alone: bool| {
        unable.iter().find_map(move |(_, unfit)| match unfit {
            Unfit::Misfit { seconds, size, extra, .. } if !(alone && (*seconds || *size)) => extra.map(str::to_owned),
            _ => None,
        })
    };
    if let Some(name) = extra(true) {
        return NoPlan::Extra { name };
    }
    let lacks = unable.iter().find_map(|(_, unfit)| if let Unfit::Unsayable(lacks) = unfit { Some(*lacks) } else { None });
    if let Some(lacks) = lacks {
        return NoPlan::Unsayable { lacks };
    }
    let offers = |wrong_seconds: bool, wrong_size: bool| {
        unable.iter().filter_map(move |(_, unfit)| match unfit {
            Unfit::Misfit { offer, seconds, size, extra: None } if (*seconds, *size) == (wrong_seconds, wrong_size) => Some(*offer),
            _ => None,
        })
    };
    let lengths: BTreeSet<Seconds> = offers(true, false).flat_map(|offer| offer.seconds.iter().copied()).collect();
    if let Some(shortest) = lengths.first() {
        return match tenant.seconds_max {
            Some(max) if *shortest > max => NoPlan::TooLong { asked: asked.seconds.said(), made: None, max },
            max => {
                let offered = lengths.into_iter().filter(|s| max.is_none_or(|max| *s <= max)).collect();
                NoPlan::Seconds { asked: asked.seconds.or(Seconds::DEFAULT), offered }
            }
        };
    }
    let mut offered: Vec<Size> = Vec::new();
    let by_size = if offers(false, true).next().is_some() { offers(false, true) } else { offers(true, true) };
    for size in by_size.flat_map(|offer| &offer.sizes) {
        if !offered.contains(size) {
            offered.push(*size);
        }
    }
    if !offered.is_empty() {
        return NoPlan::Size { asked: asked.size.or(Size::DEFAULT), offered };
    }
    if let Some(name) = extra(false) {
        return NoPlan::Extra { name };
    }
    let may_return = unable.iter().any(|(_, unfit)| matches!(unfit, Unfit::Out(_)));
    NoPlan::NoRoute { rule, may_return, passed_over: unable.iter().map(|(route, unfit)| unfit.of_route(route)).collect() }
}

/// Passes over what is longer than the tenant may ask for; what counts is what would be made.
fn within_length(tenant: &Tenant, asked: &Asked, able: Able, passed_over: &mut Vec<PassedOver>) -> Result<Able, NoPlan> {
    let Some(max) = tenant.seconds_max else { return Ok(able) };
    let (within, beyond): (Vec<_>, Vec<_>) = able.into_iter().partition(|(candidate, _)| candidate.seconds <= max);
    let made = beyond.iter().map(|(candidate, _)| candidate.seconds).min();
    pass_over(beyond, passed_over, |candidate| format!("would make {} s, and {} may have {max} s", candidate.seconds, tenant.name));
    if within.is_empty() { Err(NoPlan::TooLong { asked: asked.seconds.said(), made, max }) } else { Ok(within) }
}

/// Passes over what is dearer than the tenant may ask for, so that the ceiling never is.
fn within_cost(tenant: &Tenant, asked: &Asked, able: Able, passed_over: &mut Vec<PassedOver>) -> Result<Able, NoPlan> {
    let Some(max) = tenant.cost_max else { return Ok(able) };
    let (within, beyond): (Vec<_>, Vec<_>) = able.into_iter().partition(|(candidate, _)| candidate.price <= max);
    let dearest = beyond.iter().map(|(candidate, _)| candidate).max_by_key(|candidate| candidate.price);
    let price = dearest.map_or(MicroUsd::ZERO, |candidate| candidate.price);
    let is_other = |made: &Candidate| made.seconds != asked.seconds.or(made.seconds) || made.size != asked.size.or(made.size);
    let made = dearest.filter(|made| is_other(made)).map(|made| (made.seconds, made.size));
    pass_over(beyond, passed_over, |candidate| format!("would cost {}, and {} may spend {max} on a clip", candidate.price, tenant.name));
    if within.is_empty() { Err(NoPlan::TooDear { made, price, max }) } else { Ok(within) }
}

#[cfg(test)]
mod tests;
