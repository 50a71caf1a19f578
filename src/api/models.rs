//! The models a tenant may ask for.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::intake::Caller;
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::id::ModelName;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::wire;

/// What the list says of when a model was made: the day the protocol was published, as nobody keeps the true one.
const CREATED: Timestamp = Timestamp::from_secs(1_759_708_800);

/// `GET /models`
pub fn list(gw: &Gateway, caller: &Caller) -> Reply {
    let names = offered(gw, caller);
    reply::json(wire::models(names.iter(), CREATED))
}

/// `GET /models/{model}`
pub fn retrieve(gw: &Gateway, caller: &Caller, name: &str) -> Result<Reply, Refusal> {
    let known = offered(gw, caller);
    match known.iter().find(|model| model.as_str() == name) {
        Some(model) => Ok(reply::json(wire::model(model, CREATED))),
        None => {
            let (model, known) = (ModelName::new(name), known.into_iter().collect());
            Err(Refusal::NoPlan(crate::plan::NoPlan::UnknownModel { model, known }))
        }
    }
}

/// What at least one route still offers and the tenant may ask for.
fn offered(gw: &Gateway, caller: &Caller) -> BTreeSet<ModelName> {
    let today: Date = gw.clock.now().utc_date();
    let routes = caller.policy.routes.values().filter(|route| route.enabled);
    let models = routes.flat_map(|route| route.models.iter()).filter(|(_, offer)| offer.sunset.is_none_or(|last| today <= last));
    let allowed = |name: &ModelName| caller.tenant.models.is_empty() || caller.tenant.models.contains(name);
    models.map(|(name, _)| name.clone()).filter(allowed).collect()
}
