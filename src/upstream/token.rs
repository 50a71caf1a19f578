//! Bearer tokens that are traded for client credentials, kept until shortly before they expire.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::provider::azure::entra_token;
use crate::provider::{AskError, Call, Entra, Token};
use crate::secret::Secret;

/// A token is renewed this long before it expires.
const MARGIN: Duration = Duration::from_secs(120);
/// More client credentials than this cannot be in one policy's use; the oldest are forgotten.
const TOKENS_MAX: usize = 1_000;

/// The tokens we have, by everything that they were traded for: another secret is another token.
#[derive(Debug, Default)]
pub struct Tokens(Mutex<HashMap<Entra, (Secret, Instant)>>);

impl Tokens {
    /// A token that is still good, traded for with `exchange` if there is none.
    ///
    /// The lock is held while trading, so that a burst of creates asks once.
    pub async fn get<F>(&self, entra: &Entra, exchange: impl FnOnce(Call<Result<Token, AskError>>) -> F) -> Result<Secret, AskError>
    where
        F: Future<Output = Result<Token, AskError>>,
    {
        let mut tokens = self.0.lock().await;
        if let Some((token, until)) = tokens.get(entra)
            && *until > Instant::now()
        {
            return Ok(token.clone());
        }
        let token = exchange(entra_token(entra)).await?;
        if tokens.len() >= TOKENS_MAX {
            tokens.clear();
        }
        let life = Duration::from_secs(token.expires_in_secs).saturating_sub(MARGIN);
        tokens.insert(entra.clone(), (token.value.clone(), Instant::now() + life));
        Ok(token.value)
    }

    /// Forgets a token that was refused.
    pub async fn forget(&self, entra: &Entra) {
        self.0.lock().await.remove(entra);
    }
}
