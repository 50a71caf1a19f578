//! Webhooks: somebody's address for events, and what signs them.
//!
//! What can be told from its text is told here; where its name leads is looked at again at every sending.

use std::fmt;

use http::Uri;

use super::Pass;
use crate::address::open_to_all;
use crate::policy::file::forms::Placed;
use crate::policy::terms::Wrong;
use crate::policy::{Webhook, file};
use crate::signature;

/// The longest address, bytes.
const URL_BYTES_MAX: usize = 2_048;
/// The most secrets of one webhook.
const SECRETS_MAX: usize = 4;

/// `base` is the path of the table.
pub(super) fn webhook(base: &dyn fmt::Display, hook: &Placed<file::Webhook>, pass: &mut Pass<'_>) -> Option<Webhook> {
    let allow_private = hook.value.allow_private.unwrap_or(false);
    let url = match &hook.value.url {
        Some(url) => pass.keep(&url.at, format_args!("{base}.url"), address(&url.value, allow_private)),
        None => {
            pass.faults.add_missing(&hook.at, format_args!("{base}.url"), "this webhook has no address", "add url = \"https://…\"");
            None
        }
    };
    let Some(written) = &hook.value.secret else {
        let remedy = "add secret = \"env:NAME\": it signs what is sent";
        pass.faults.add_missing(&hook.at, format_args!("{base}.secret"), "this webhook has no secret", remedy);
        return None;
    };
    let path = format_args!("{base}.secret");
    let values = written.each();
    if values.is_empty() || values.len() > SECRETS_MAX {
        let message = format!("these are {} secrets", values.len());
        pass.faults.add(&written.at, path, message, format!("write one, or up to {SECRETS_MAX} while one is being replaced"));
        return None;
    }
    let mut secrets = Vec::with_capacity(values.len());
    for (value, at) in values {
        let Some(secret) = pass.secret(path, &Placed { at: at.clone(), value: value.clone() }) else { continue };
        let wrong =
            || Wrong::new("what follows `whsec_` in this secret is not base64", "copy the secret whole, or use one without `whsec_`");
        secrets.extend(pass.keep(at, path, signature::is_key(&secret).then_some(secret).ok_or_else(wrong)));
    }
    Some(Webhook { url: url?, secrets, allow_private })
}

fn address(text: &str, allow_private: bool) -> Result<Uri, Wrong> {
    let wrong = |what: String| Wrong::new(format!("this address {what}"), "write it like \"https://example.com/hooks\"");
    if text.len() > URL_BYTES_MAX {
        return Err(wrong(format!("is longer than {URL_BYTES_MAX} bytes")));
    }
    if !text.is_ascii() {
        return Err(Wrong::new("this address has letters outside ASCII", "write its host as `xn--…` and the rest percent-encoded"));
    }
    let uri: Uri = text.parse().map_err(|_| wrong("cannot be read".to_owned()))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("begins with neither https:// nor http://".to_owned()));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("has no host".to_owned()));
    }
    if text.contains('#') {
        return Err(wrong("has a fragment".to_owned()));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Wrong::new("this address has a login in it", "take the login out: what is sent is signed with `secret`"));
    }
    if !allow_private && let Err(why) = open_to_all(&uri) {
        return Err(Wrong::new(
            format!("this address cannot be a webhook's: {why}"),
            "write an https address on port 443; for one in a network of your own add allow_private = true",
        ));
    }
    Ok(uri)
}
