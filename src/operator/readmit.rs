//! Readmitting: a person says that a route has a model again that its provider had denied.

use tracing::warn;

use super::Declined;
use crate::gateway::Gateway;
use crate::id::{ModelName, RouteName};

/// Puts a model back in rotation on a route. If its provider still denies it, that costs one refused submission.
pub fn readmit(gw: &Gateway, route: &RouteName, model: &ModelName) -> Result<(), Declined> {
    let policy = gw.policy.snapshot();
    let Some(known) = policy.routes.get(route) else { return Err(Declined::Unknown(format!("there is no route {route}"))) };
    if !known.models.contains_key(model) {
        return Err(Declined::Unknown(format!("{route} does not offer {model}")));
    }
    if !gw.health.readmit(known, model) {
        return Err(Declined::Unfit(format!("{model} is in rotation on {route}")));
    }
    warn!(audit = "readmit", route.name = %route, %model, "by hand");
    Ok(())
}
