//! Asking a moderation service about a wish, in little time and little memory.
//!
//! The service is the operator's choice, so its address is not looked at again. What it does not say in
//! time it has not said; nothing is asked twice.

use std::time::Duration;

use http_body_util::Full;

use super::{Upstream, chain, collect};
use crate::moderation::{self, Verdict};
use crate::policy::Moderation;
use crate::video::Wish;

/// Largest answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How many kibibytes of questions may be in memory at a time: half a dozen of the largest pictures.
pub(super) const QUESTIONS_KIB: usize = 96 << 10;
/// What a question counts for at least: so many are asked at a time at most, 384.
const QUESTION_KIB_MIN: usize = 256;

impl Upstream {
    /// What the service says of a wish, or why it says nothing; never with the prompt.
    pub async fn moderate(&self, moderation: &Moderation, wish: &Wish) -> Result<Verdict, String> {
        let asked = async {
            let kib = moderation::size_bytes(moderation, wish).div_ceil(1024).clamp(QUESTION_KIB_MIN, QUESTIONS_KIB);
            let permits = u32::try_from(kib).unwrap_or(u32::MAX);
            let _room = self.questions.acquire_many(permits).await.map_err(|_| "nothing is asked any more".to_owned())?;
            let call = moderation::call(moderation, wish);
            let reply = self.content.request(call.request.map(Full::new)).await.map_err(|error| chain(&error))?;
            (call.read)(collect(reply, ANSWER_BYTES_MAX).await?)
        };
        tokio::time::timeout(moderation.timeout, asked).await.unwrap_or_else(|_| Err(late(moderation.timeout)))
    }
}

fn late(timeout: Duration) -> String {
    format!("no answer within {timeout:?}")
}
