//! Guards: refusals ahead of any provider. They cost nothing, and nobody learns of the prompt.
//!
//! First what can be told here (length, patterns), then, for a wish that would otherwise be sent, what a
//! moderation service says. A wish is asked about once: not again for a resend, whose job was let pass before. A wish
//! that is bound to a region is asked about in that region only; where there is no moderation, that is the same
//! as one that cannot be reached.

use std::time::Instant;

use tracing::{info, warn};

use super::intake::Caller;
use crate::dispatch::{Order, Subject};
use crate::gateway::Gateway;
use crate::metrics::ModerationOutcome;
use crate::moderation::Verdict;
use crate::policy::{Guard, Moderation, OnError};
use crate::refusal::Refusal;
use crate::video::{Extra, Wish};

/// What can be told from the wish alone.
pub fn allows(guard: &Guard, wish: &Wish) -> Result<(), Refusal> {
    if wish.prompt.chars().count() > guard.prompt_chars_max {
        return Err(Refusal::PromptTooLong { chars_max: guard.prompt_chars_max });
    }
    let extras = wish.extras.values().map(Extra::plain);
    if extras.chain([wish.prompt.as_str()]).any(|text| guard.deny.is_match(text)) {
        return Err(Refusal::Denied);
    }
    Ok(())
}

/// What the moderation service says, if there is one, of an order that nobody has seen before. The time it
/// takes is not counted as ours.
pub async fn moderate(gw: &Gateway, caller: &Caller, order: &mut Order) -> Result<(), Refusal> {
    let Some(moderation) = caller.policy.guard.moderation.as_ref().filter(|_| matches!(order.subject, Subject::New(_))) else {
        return Ok(());
    };
    let asked = Instant::now();
    let verdict = verdict(gw, moderation, order).await;
    let outcome = match (&verdict, moderation.on_error) {
        (Ok(Verdict::Passed), _) => ModerationOutcome::Passed,
        (Ok(Verdict::Flagged(_)), _) => ModerationOutcome::Flagged,
        (Err(_), OnError::Refuse) => ModerationOutcome::Refused,
        (Err(_), OnError::Allow) => ModerationOutcome::LetThrough,
    };
    gw.metrics.moderation(outcome, asked.elapsed());
    order.begun += asked.elapsed();
    match (verdict, moderation.on_error) {
        (Ok(Verdict::Passed), _) => Ok(()),
        (Ok(Verdict::Flagged(categories)), _) => {
            info!(?categories, "a wish is blocked by moderation");
            Err(Refusal::Flagged)
        }
        (Err(unasked), OnError::Refuse) => {
            warn!(tenant.name = %caller.tenant.name, "a wish is refused without moderation, as the policy says: {}", unasked.why);
            Err(Refusal::Unmoderated { why: unasked.why, cured_by_retry: unasked.may_be_asked_later })
        }
        (Err(unasked), OnError::Allow) => {
            warn!(tenant.name = %caller.tenant.name, "a wish passes without moderation, as the policy says: {}", unasked.why);
            Ok(())
        }
    }
}

/// Why there is no verdict.
struct Unasked {
    why: String,
    may_be_asked_later: bool,
}

async fn verdict(gw: &Gateway, moderation: &Moderation, order: &Order) -> Result<Verdict, Unasked> {
    let residency = order.plan.residency.as_ref();
    if let Some(bound) = residency.filter(|_| moderation.region.as_ref() != residency) {
        return Err(Unasked { why: format!("there is no moderation in the region {bound}"), may_be_asked_later: false });
    }
    gw.upstream.moderate(moderation, &order.parts.wish).await.map_err(|why| Unasked { why, may_be_asked_later: true })
}
