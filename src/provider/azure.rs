//! Azure OpenAI, the v1 surface: OpenAI's dialect with a deployment's name for the model, keys in a
//! header of its own, and bearer tokens of Microsoft Entra.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response};

use super::codec::request::{bare, escape};
use super::codec::{KeyHeader, Object, Operations, Profile, Variants, call, unanswered};
use super::{AskError, Call, Entra, Token};
use crate::secret::Secret;

/// Azure OpenAI.
pub(super) const PROFILE: Profile = Profile {
    name: "azure",
    default_base_url: None,
    key_header: KeyHeader::ApiKey,
    operations: Operations {
        remix: true,
        edit: false,
        extend: false,
        characters: false,
        list: true,
        delete: true,
        reference_objects: true,
    },
    id_fields: &["id"],
    envelope: None,
    names_result_urls: false,
    variants: Variants::All,
    reports_cost: false,
    fails_polls_of_failed_jobs: false,
    refuses_for_want_of_channel: false,
    complains_in_success: false,
};

/// The longest we believe a token to be good for.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Trades Microsoft Entra client credentials for a bearer token.
pub fn entra_token(entra: &Entra) -> Call<Result<Token, AskError>> {
    let address = format!("{}/{}/oauth2/v2.0/token", entra.authority, escape(&entra.tenant));
    let mut request = bare(Method::POST, &address, "application/json");
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
        escape(&entra.client_id),
        escape(entra.client_secret.reveal()),
        escape(&entra.scope)
    );
    *request.body_mut() = form.into();
    call(request, |reply| token(&reply))
}

/// Reads the token, or why there is none. A 400 is about what we showed: the directory, the application or its secret.
fn token(reply: &Response<Bytes>) -> Result<Token, AskError> {
    match reply.status().as_u16() {
        200 => {}
        400 => return Err(AskError::Credential),
        _ => return Err(unanswered(reply)),
    }
    let readable = || {
        let object = Object::parse(reply.body())?;
        let value = object.text("access_token").filter(|token| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()))?;
        let secs: u64 = object.word("expires_in")?.parse().ok()?;
        Some(Token { value: Secret::new(value), expires_in_secs: secs.min(TOKEN_AGE_MAX.as_secs()) })
    };
    readable().ok_or_else(|| AskError::Transient("Microsoft Entra answered 200 without a token that can be used".to_owned()))
}
