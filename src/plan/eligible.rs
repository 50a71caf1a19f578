//! Eligibility: whether one route may serve one wish, and what it would make.
//!
//! Knows a route and a wish, nothing of rules or of other routes. A fault of the route comes
//! before a misfit of the wish, so that a misfit means: this route would serve if the wish were
//! another one.

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;

use super::{Candidate, PassedOver, Pin, saying};
use crate::id::{ModelName, RouteName, TenantName};
use crate::policy::{Offer, Policy, Route, Tenant, fit};
use crate::price;
use crate::provider::Unsupported;
use crate::video::{Seconds, Size, Wish};

/// What a wish comes to once defaults and its source are applied.
pub struct Asked<'a> {
    /// The wish itself.
    pub wish: &'a Wish,
    /// The public model.
    pub model: ModelName,
    /// Its length.
    pub seconds: Want<Seconds>,
    /// Its size.
    pub size: Want<Size>,
    /// Whether it is made from an earlier clip, and so where that is.
    pub is_pinned: bool,
}

/// How firmly something is wanted.
#[derive(Clone, Copy)]
pub enum Want<T> {
    /// Nobody said: each route gives its usual.
    Unsaid,
    /// The client said so: a route's fit applies.
    Said(T),
    /// The source is like that, and so is what is made from it, on a route's list or not.
    Inherited(T),
}

impl<T> Want<T> {
    fn of(said: Option<T>, inherited: Option<T>) -> Self {
        match (said, inherited) {
            (Some(value), _) => Self::Said(value),
            (None, Some(value)) => Self::Inherited(value),
            (None, None) => Self::Unsaid,
        }
    }

    /// What the client said, if it did.
    pub fn said(self) -> Option<T> {
        if let Self::Said(value) = self { Some(value) } else { None }
    }

    /// What is wanted, or what the protocol assumes.
    pub fn or(self, default: T) -> T {
        match self {
            Self::Said(value) | Self::Inherited(value) => value,
            Self::Unsaid => default,
        }
    }

    /// What a route makes of it: its usual, its fit, or the very thing.
    fn met(self, usual: impl FnOnce() -> Option<T>, fitted: impl FnOnce(T) -> Option<T>) -> Option<T> {
        match self {
            Self::Unsaid => usual(),
            Self::Said(value) => fitted(value),
            Self::Inherited(value) => Some(value),
        }
    }
}

impl<'a> Asked<'a> {
    /// A source decides the model, whatever the wish says: no other could continue it.
    pub fn of(policy: &Policy, wish: &'a Wish, pin: Option<&Pin>) -> Self {
        let model = pin.map(|p| &p.model).or(wish.model.as_ref()).unwrap_or(&policy.defaults.model);
        Self {
            wish,
            model: model.clone(),
            seconds: Want::of(wish.seconds, pin.map(|p| p.seconds)),
            size: Want::of(wish.size, pin.map(|p| p.size)),
            is_pinned: pin.is_some(),
        }
    }
}

/// Why a route may not serve a wish.
pub enum Unfit<'a> {
    /// It could not serve any such wish: the reason, as a sentence without its subject.
    Fault(String),
    /// It has such clips and makes none for now, because its operator says so: likewise.
    Out(&'static str),
    /// It would, were the wish another one.
    Misfit {
        /// What the route has instead.
        offer: &'a Offer,
        /// It has no such length.
        seconds: bool,
        /// It has no such size.
        size: bool,
        /// A parameter beyond the protocol that it does not take.
        extra: Option<&'a str>,
    },
    /// Its dialect has no way to say it: what is lacking.
    Unsayable(&'static str),
}

impl Unfit<'_> {
    /// The reason in the operator's words.
    pub fn of_route(&self, route: &RouteName) -> PassedOver {
        let why = match self {
            Self::Fault(why) => why.clone(),
            Self::Out(why) => (*why).to_owned(),
            Self::Unsayable(lacks) => format!("speaks a dialect that cannot say it: {lacks}"),
            Self::Misfit { offer, seconds, size, extra } => {
                let lengths = seconds.then(|| format!("makes clips of {} s only", list(&offer.seconds)));
                let sizes = size.then(|| format!("makes {} only", list(&offer.sizes)));
                let extra = extra.map(|name| format!("is not allowed the parameter {name} (`extras`)"));
                lengths.into_iter().chain(sizes).chain(extra).collect::<Vec<_>>().join(" and ")
            }
        };
        PassedOver { route: route.clone(), why }
    }
}

/// What `route` would make for `asked`, or why it may not.
pub fn serve<'a>(route: &'a Arc<Route>, bounds: &[Bound<'_>], asked: &Asked<'a>, today: Date) -> Result<Candidate, Unfit<'a>> {
    let Some(offer) = route.models.get(&asked.model) else {
        return Err(Unfit::Fault(format!("does not offer {}", asked.model)));
    };
    if let Some(sunset) = offer.sunset.filter(|_| is_past_sunset(offer, today)) {
        return Err(Unfit::Fault(format!("offered {} until {sunset} and no longer", asked.model)));
    }
    if let Some(fault) = region_fault(route, bounds) {
        return Err(Unfit::Fault(fault));
    }
    if !route.enabled {
        return Err(Unfit::Out("is disabled"));
    }
    if route.drain && !asked.is_pinned {
        return Err(Unfit::Out("is drained and takes nothing new"));
    }
    let seconds = asked.seconds.met(|| fit::default_seconds(&offer.seconds), |s| fit::seconds(offer.fit, &offer.seconds, s));
    let size = asked.size.met(|| fit::default_size(&offer.sizes), |s| fit::size(offer.fit, &offer.sizes, s));
    let extra = asked.wish.extras.keys().map(String::as_str).find(|name| !offer.extras.contains(*name));
    let (Some(seconds), Some(size), None) = (seconds, size, extra) else {
        return Err(Unfit::Misfit { offer, seconds: seconds.is_none(), size: size.is_none(), extra });
    };
    let Some(price) = price::of(offer, seconds, size) else {
        return Err(Unfit::Fault(format!("has no price for {seconds} s of {}", size.class())));
    };
    let candidate = Candidate { route: Arc::clone(route), upstream_model: offer.upstream_model.clone(), seconds, size, price };
    saying::can_say(&candidate, asked.wish).map_err(|Unsupported(lacks)| Unfit::Unsayable(lacks))?;
    Ok(candidate)
}

/// Whether its last day is over.
pub fn is_past_sunset(offer: &Offer, today: Date) -> bool {
    offer.sunset.is_some_and(|last_day| today > last_day)
}

/// A region, and whose word it is that nothing may be processed anywhere else.
#[derive(Clone, Copy)]
pub struct Bound<'a> {
    /// The region.
    pub region: &'a str,
    /// Whose word.
    pub whose: Whose<'a>,
}

/// Who binds a job to a region.
#[derive(Clone, Copy)]
pub enum Whose<'a> {
    /// Its tenant.
    Tenant(&'a TenantName),
    /// The rule that serves it, counted from 0.
    Rule(usize),
    /// The job that it is made from.
    Source,
}

impl<'a> Bound<'a> {
    /// What a tenant is bound to, if it is.
    pub fn of(tenant: &'a Tenant) -> Option<Self> {
        tenant.residency.as_deref().map(|region| Self { region, whose: Whose::Tenant(&tenant.name) })
    }
}

impl fmt::Display for Whose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(name) => name.fmt(f),
            Self::Rule(index) => write!(f, "rules[{index}]"),
            Self::Source => f.write_str("the clip that this one is made from"),
        }
    }
}

/// Why a job that is bound to all of these may not be processed where `route` is, if it may not.
pub fn region_fault(route: &Route, bounds: &[Bound<'_>]) -> Option<String> {
    let Bound { region, whose } = bounds.iter().find(|bound| !may_process(route, Some(bound.region)))?;
    Some(match route.region.as_deref() {
        Some(other) => format!("is in region {other}, and {whose} is bound to {region}"),
        None => format!("has no region, and {whose} is bound to {region}"),
    })
}

/// Whether a job with that residency, if it has one, may be processed where `route` is: the one answer for plans,
/// fallbacks and whatever is sent later.
///
/// Where a route does not say where it is, it could be anywhere, so it satisfies no residency.
pub fn may_process(route: &Route, residency: Option<&str>) -> bool {
    residency.is_none_or(|residency| route.region.as_deref() == Some(residency))
}

/// The values with commas between them.
fn list<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
