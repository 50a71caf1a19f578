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
        extras_everywhere: false,
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{Response, StatusCode};

    use super::{entra_token, token};
    use crate::provider::{AskError, Entra};
    use crate::secret::Secret;

    fn reply(status: u16, body: &'static str) -> Response<Bytes> {
        let mut reply = Response::new(Bytes::from_static(body.as_bytes()));
        *reply.status_mut() = StatusCode::from_u16(status).unwrap();
        reply
    }

    #[test]
    fn a_token_is_asked_for_with_a_form() {
        let call = entra_token(&Entra {
            authority: "https://login.microsoftonline.com".to_owned(),
            tenant: "../contoso".to_owned(),
            client_id: "app".to_owned(),
            client_secret: Secret::new("p&ss=w+rd ü"),
            scope: "https://cognitiveservices.azure.com/.default".to_owned(),
        });
        let request = &call.request;
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "https://login.microsoftonline.com/%2E%2E%2Fcontoso/oauth2/v2.0/token");
        assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
        assert_eq!(
            request.body(),
            "grant_type=client_credentials&client_id=app&client_secret=p%26ss%3Dw%2Brd%20%C3%BC\
             &scope=https%3A%2F%2Fcognitiveservices%2Eazure%2Ecom%2F%2Edefault"
        );
        assert_eq!(format!("{call:?}"), "Call(POST https://login.microsoftonline.com/%2E%2E%2Fcontoso/oauth2/v2.0/token)");
    }

    #[test]
    fn a_token_comes_with_its_age() {
        for (body, secs) in [
            (r#"{"token_type":"Bearer","expires_in":3599,"access_token":"ey.J"}"#, 3_599),
            (r#"{"expires_in":"3599","access_token":"ey.J"}"#, 3_599),
            (r#"{"expires_in":999999999,"access_token":"ey.J"}"#, 86_400),
        ] {
            let token = token(&reply(200, body)).unwrap();
            assert_eq!((token.value.reveal(), token.expires_in_secs), ("ey.J", secs), "{body}");
        }
    }

    #[test]
    fn without_a_token_we_know_whether_to_try_again() {
        for status in [400, 401, 403] {
            let refused = token(&reply(status, r#"{"error":"invalid_client","error_description":"AADSTS7000215"}"#));
            assert_eq!(refused.err(), Some(AskError::Credential), "{status}");
        }
        assert_eq!(token(&reply(429, "")).err(), Some(AskError::RateLimited { retry_after_secs: None }));
        for (status, body) in [(500, ""), (200, "{}"), (200, r#"{"access_token":"a\nb","expires_in":1}"#), (200, r#"{"access_token":"a"}"#)]
        {
            assert!(matches!(token(&reply(status, body)), Err(AskError::Transient(_))), "{status} {body}");
        }
    }
}
