//! Paid requests to upstreams that know a request again by its key.
//!
//! Where the operator has written that a route honours `Idempotency-Key`, each attempt's own id is sent as one,
//! and a request whose outcome is unclear may be sent again: the same bytes, the same key, the same route. The
//! first sending may have been accepted whatever is said of a later one, so of those only an acceptance counts.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::gateway::Gateway;
use crate::id::AttemptId;
use crate::policy::Route;
use crate::provider::{Accepted, Submission, SubmitError};

/// The pauses before further sendings.
const PAUSES: [Duration; 5] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];
/// How much longer than for one reply all sendings together may take.
const LONGER: Duration = Duration::from_secs(20);
/// How often the books are looked at for a halt before one sending.
const LOOKS: u32 = 3;

/// Submits an attempt; where that is safe, until its outcome is clear or for as long as is reasonable.
pub async fn submit(gw: &Gateway, route: &Route, attempt: AttemptId, submission: &Submission<'_>) -> Result<Accepted, SubmitError> {
    let until = Instant::now() + route.submit_timeout + LONGER;
    let first = send(gw, route, attempt, submission).await;
    let unclear = matches!(first, Err(SubmitError::Unclear(_)));
    if !unclear || !route.idempotency_key {
        return first;
    }
    for pause in PAUSES {
        if Instant::now() + pause > until {
            break;
        }
        tokio::time::sleep(pause).await;
        match send(gw, route, attempt, submission).await {
            Ok(accepted) => {
                info!(%attempt, route.name = %route.name, "sent again under its key, and known");
                return Ok(accepted);
            }
            Err(SubmitError::Withheld(_)) => break,
            Err(why) => warn!(%attempt, route.name = %route.name, ?why, "sent again under its key, and no clearer"),
        }
    }
    first
}

/// Sends an attempt once, under its key if the route honours keys.
///
/// What the books said of a halt may be too old by the time that there is a connection. Then nothing has left, and the
/// books are looked at again.
pub async fn send(gw: &Gateway, route: &Route, attempt: AttemptId, submission: &Submission<'_>) -> Result<Accepted, SubmitError> {
    let key = route.idempotency_key.then_some(attempt);
    for _ in 0..LOOKS {
        if gw.halting.why_now(&*gw.store).await.is_some() {
            break;
        }
        match gw.upstream.pay(route, key, |endpoint, proof| route.provider.submit(endpoint, proof, submission)).await {
            Err(SubmitError::Withheld(_)) => {}
            answer => return answer,
        }
    }
    Err(SubmitError::Withheld("buying is halted"))
}
