//! The kill switch, pulled and let go by a person; and following what others did with it on the same books.

use std::sync::Arc;

use tracing::warn;

use super::{Declined, NOTE_CHARS_MAX, reason};
use crate::gateway::Gateway;
use crate::halting::{EVERY, Halted};

/// Stops all buying on these books. Whether that is new: a halt that goes on keeps its reason.
pub async fn halt(gw: &Gateway, by: &str, note: &str) -> Result<bool, Declined> {
    let (by, why) = (name(by)?, reason(note)?);
    let new = gw.store.halt(&by, &why, gw.clock.now()).await?;
    gw.halting.look(&*gw.store).await?;
    warn!(audit = "halt", by, why, new, "nothing is bought until somebody says `filmgate resume`");
    Ok(new)
}

/// Lets buying go on, as far as the books are concerned. Whether they had stopped it.
pub async fn resume(gw: &Gateway, by: &str) -> Result<bool, Declined> {
    let by = name(by)?;
    let was = gw.store.resume(&by, gw.clock.now()).await?;
    gw.halting.look(&*gw.store).await?;
    let still = gw.halting.why().is_some();
    if was {
        warn!(audit = "resume", by, still, "the halt in the books has ended");
    }
    Ok(was)
}

/// Keeps this gateway's copy of the switch in step with the books, if others may pull it there.
pub async fn follow(gw: Arc<Gateway>) {
    let mut before = gw.halting.why();
    if let Some(why) = &before {
        warn!(?why, "nothing is bought: the gateway is halted");
    }
    if !gw.store.is_shared() {
        return;
    }
    loop {
        tokio::select! {
            () = gw.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(why) = gw.halting.look(&*gw.store).await {
            warn!(%why, "whether buying is halted is not known, so nothing is bought");
        }
        let now = gw.halting.why();
        if now != before {
            match &now {
                Some(Halted::ByOperator(halt)) => warn!(by = halt.by, why = halt.reason, "buying is halted"),
                Some(Halted::ByFile | Halted::NotKnown) => {}
                None => warn!("buying goes on"),
            }
            before = now;
        }
    }
}

/// Who says so, fit to be kept.
fn name(by: &str) -> Result<String, Declined> {
    let by = by.trim();
    if by.is_empty() || by.chars().count() > NOTE_CHARS_MAX {
        return Err(Declined::Invalid(format!("say who you are, in 1 to {NOTE_CHARS_MAX} characters")));
    }
    Ok(by.replace(char::is_control, " "))
}
