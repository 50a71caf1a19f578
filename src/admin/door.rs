//! The door: who may ask here at all, before it is looked at what they ask.
//!
//! The listener has no passwords, and a browser on an operator's machine reaches it. So a page of
//! another origin must not be able to use that browser: not by a name of its own that it makes point
//! here (the `Host` must be one of ours), and not by a form or a script that changes something (the
//! `Origin`, a header that no form sends, and JSON where there is a body).

use std::net::IpAddr;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, ORIGIN, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, Method, Request};

use super::page::CSRF_HEADER;

/// What says nothing but whether we are well, to a load balancer that may call us by any name.
const OPEN_TO_ALL: [&str; 2] = ["/healthz", "/readyz"];

/// Why a request is turned away, for whoever sent it.
pub fn turned_away<B>(request: &Request<B>, hosts: &[String]) -> Option<String> {
    if OPEN_TO_ALL.contains(&request.uri().path()) {
        return None;
    }
    let Some(ours) = authority(request) else {
        return Some("say by a Host header whom you mean".to_owned());
    };
    if !is_ours(&ours, hosts) {
        let name = ours.host();
        return Some(format!(
            "this listener does not answer to the name {name:?}: use its address, or put the name into [server] admin_hosts in the policy"
        ));
    }
    // Nothing is done by any other method.
    if request.method() == Method::POST { changes(request.headers(), &ours, hosts) } else { None }
}

/// Why a request that changes something is turned away.
fn changes(headers: &HeaderMap, ours: &Authority, hosts: &[String]) -> Option<String> {
    if let Some(origin) = headers.get(ORIGIN) {
        let theirs = origin.to_str().ok().and_then(|origin| origin.split_once("://")?.1.parse::<Authority>().ok());
        let is_known = |theirs: &Authority| theirs == ours || hosts.iter().any(|host| host.eq_ignore_ascii_case(theirs.host()));
        if !theirs.is_some_and(|theirs| is_known(&theirs)) {
            return Some("a page of another origin may not change anything here".to_owned());
        }
    }
    let (name, value) = CSRF_HEADER;
    if headers.get(HeaderName::from_static(name)).is_none_or(|given| given != value) {
        return Some(format!("send the header '{name}: {value}', which shows that no other page sent you"));
    }
    let has_body = headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = media_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    (has_body && !is_json).then(|| "send JSON, as 'content-type: application/json'".to_owned())
}

/// Whom the request is for, by its own words.
fn authority<B>(request: &Request<B>) -> Option<Authority> {
    let header = || request.headers().get(HOST)?.to_str().ok()?.parse().ok();
    request.uri().authority().cloned().or_else(header)
}

fn is_ours(authority: &Authority, hosts: &[String]) -> bool {
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok() || host == "localhost" || host.ends_with(".localhost") || hosts.contains(&host)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::turned_away;

    fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let builder =
            headers.iter().fold(Request::builder().method(method).uri(path), |builder, (name, value)| builder.header(*name, *value));
        builder.body(()).unwrap()
    }

    fn says(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        turned_away(&request(method, path, headers), &["filmgate".to_owned()]).unwrap_or_default()
    }

    #[test]
    fn a_name_that_is_not_ours_is_turned_away() {
        for host in
            ["127.0.0.1:9090", "[::1]:9090", "10.1.2.3", "localhost:9090", "LOCALHOST", "page.localhost", "filmgate:9090", "filmgate."]
        {
            assert_eq!(says("GET", "/api/jobs", &[("host", host)]), "", "{host}");
        }
        for host in
            ["evil.example:9090", "127.0.0.1.evil.example", "localhost.evil.example", "notfilmgate", "filmgate.evil.example", "0x7f.1"]
        {
            let said = says("GET", "/api/jobs", &[("host", host)]);
            assert!(said.contains("admin_hosts"), "{host}: {said:?}");
        }
        assert!(says("GET", "/metrics", &[]).contains("Host"));
        assert!(says("GET", "http://evil.example/metrics", &[("host", "127.0.0.1")]).contains("evil.example"), "the request line counts");
        assert_eq!(says("GET", "/readyz", &[("host", "evil.example")]), "", "load balancers call us as they like");
    }

    #[test]
    fn no_other_page_changes_anything() {
        let ours = ("host", "127.0.0.1:9090");
        let sure = ("x-filmgate-admin", "1");
        let json = [("content-type", "application/json; charset=utf-8"), ("content-length", "2")];
        assert_eq!(says("POST", "/api/reload", &[ours, sure]), "");
        assert_eq!(says("POST", "/api/reload", &[ours, sure, json[0], json[1]]), "");
        assert_eq!(says("POST", "/api/reload", &[ours, sure, ("origin", "http://127.0.0.1:9090")]), "");
        assert_eq!(says("POST", "/api/reload", &[ours, sure, ("origin", "https://filmgate")]), "", "a proxy in front, by a name of ours");
        for (headers, part) in [
            (vec![ours], "x-filmgate-admin"),
            (vec![ours, ("x-filmgate-admin", "0")], "x-filmgate-admin"),
            (vec![ours, sure, ("origin", "http://127.0.0.1:3000")], "another origin"),
            (vec![ours, sure, ("origin", "http://evil.example")], "another origin"),
            (vec![ours, sure, ("origin", "null")], "another origin"),
            (vec![ours, sure, ("content-type", "text/plain"), ("content-length", "2")], "application/json"),
            (vec![ours, sure, ("transfer-encoding", "chunked")], "application/json"),
        ] {
            let said = says("POST", "/api/reload", &headers);
            assert!(said.contains(part), "{headers:?}: {said:?}");
        }
    }
}
