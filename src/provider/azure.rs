//! Azure OpenAI, the v1 surface.

use crate::provider::codec::Profile;
use crate::provider::{AskError, Call, Entra, Token};

/// Azure OpenAI.
pub(super) const PROFILE: Profile = Profile { name: "azure", default_base_url: None };

/// Trades Microsoft Entra client credentials for a bearer token.
pub fn entra_token(_entra: &Entra) -> Call<Result<Token, AskError>> {
    todo!()
}
