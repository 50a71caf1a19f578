//! The models a tenant may ask for.

use super::intake::Caller;
use crate::clock::Timestamp;
use crate::gateway::Gateway;
use crate::id::ModelName;
use crate::plan;
use crate::policy::Route;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::wire;

/// What the list says of when a model was made: the day the protocol was published, as nobody keeps the true one.
const CREATED: Timestamp = Timestamp::from_secs(1_759_708_800);

/// `GET /models`
pub fn list(gw: &Gateway, caller: &Caller) -> Reply {
    let names = served(gw, caller);
    reply::json(wire::models(&names, CREATED))
}

/// `GET /models/{model}`
pub fn retrieve(gw: &Gateway, caller: &Caller, name: &str) -> Result<Reply, Refusal> {
    let known = served(gw, caller);
    match known.iter().find(|model| model.as_str() == name) {
        Some(model) => Ok(reply::json(wire::model(model, CREATED))),
        None => {
            let (model, known) = (ModelName::new(name), known);
            Err(Refusal::NoPlan(plan::NoPlan::UnknownModel { model, known }))
        }
    }
}

/// What somebody serves, as far as the providers have not said otherwise.
fn served(gw: &Gateway, caller: &Caller) -> Vec<ModelName> {
    let has = |route: &Route, model: &ModelName| !gw.health.is_gone(route, model);
    plan::models_of(&caller.policy, &caller.tenant, gw.clock.now().utc_date(), has)
}
