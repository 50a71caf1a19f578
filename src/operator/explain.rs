//! Explaining suspense: a person says what a charge was that no job explains.

use tracing::warn;

use super::{Declined, reason};
use crate::gateway::Gateway;
use crate::id::RouteName;

/// Takes a charge out of suspense, for a reason.
pub async fn explain(gw: &Gateway, route: &RouteName, upstream_id: &str, note: &str) -> Result<(), Declined> {
    let note = reason(note)?;
    if !gw.store.explain(route, upstream_id, &format!("explained by the operator: {note}"), gw.clock.now()).await? {
        return Err(Declined::Unknown(format!("there is nothing in suspense for {upstream_id} on {route}")));
    }
    warn!(audit = "explain", route.name = %route, upstream.id = upstream_id, note, "by hand");
    Ok(())
}
