//! Says where a finished job's bytes are.
//!
//! The invariant: our credential goes to the endpoint's own addresses and nowhere else.

use bytes::Bytes;
use http::header::RANGE;
use http::{HeaderValue, Method, Request, Uri};

use super::{Profile, Variants, request};
use crate::provider::{Download, Endpoint, Handle, Proof, Unsupported, Variant};

/// The request for one of a finished job's files.
pub(super) fn download(
    profile: &Profile,
    endpoint: &Endpoint,
    proof: &Proof<'_>,
    job: Handle<'_>,
    variant: Variant,
    range: Option<&str>,
) -> Result<Download, Unsupported> {
    let mut download = match (variant, job.result_url) {
        (Variant::Video, Some(url)) => at_address(profile, endpoint, proof, url)?,
        _ => {
            let path = format!("{}{}/content{}", endpoint.base_url, request::job_path(job.upstream_id), query(profile, variant)?);
            let mut request = fetch(&path);
            request::prove(profile, proof, request.headers_mut());
            Download { request, foreign: false }
        }
    };
    if let Some(range) = range.and_then(|range| HeaderValue::from_str(range).ok()) {
        download.request.headers_mut().insert(RANGE, range);
    }
    Ok(download)
}

/// The query that chooses a file.
fn query(profile: &Profile, variant: Variant) -> Result<String, Unsupported> {
    match (profile.variants, variant) {
        (Variants::All, variant) => Ok(format!("?variant={}", variant.as_str())),
        (Variants::VideoOnly, Variant::Video) => Ok(String::new()),
        (Variants::VideoOnly, _) => Err(Unsupported("this provider makes no stills of its clips")),
    }
}

/// The bytes at an address that a reply gave.
fn at_address(profile: &Profile, endpoint: &Endpoint, proof: &Proof<'_>, url: &str) -> Result<Download, Unsupported> {
    const NO_ADDRESS: Unsupported = Unsupported("the provider named an address for the bytes that is none");

    let address: Uri = url.parse().map_err(|_| NO_ADDRESS)?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (address.scheme_str(), address.authority()) else {
        return Err(NO_ADDRESS);
    };
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(NO_ADDRESS);
    }
    let base: Uri = endpoint.base_url.parse().unwrap_or_default();
    let at = |uri: &Uri, scheme: &str| (scheme.to_owned(), uri.host().unwrap_or_default().to_ascii_lowercase(), port(uri));
    let is_own = base.scheme_str().is_some_and(|base_scheme| at(&base, base_scheme) == at(&address, scheme));
    let mut request = fetch(url);
    if is_own && is_below(base.path(), address.path()) {
        request::prove(profile, proof, request.headers_mut());
    }
    Ok(Download { request, foreign: !is_own })
}

fn port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or(match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    })
}

/// Whether `path` stands below `base`, beyond doubt: no way back up, however it is written.
fn is_below(base: &str, path: &str) -> bool {
    let climbs = path.contains("..") || path.contains('\\') || path.contains("//") || path.to_ascii_lowercase().contains("%2");
    let rest = path.strip_prefix(base.trim_end_matches('/'));
    !climbs && rest.is_some_and(|rest| rest.starts_with('/'))
}

fn fetch(address: &str) -> Request<Bytes> {
    request::bare(Method::GET, address, "*/*")
}

#[cfg(test)]
mod tests;
