//! Addresses that came out of an upstream's reply: which of them we are willing to connect to.
//!
//! The filter stands behind name resolution, in the connector itself, so that the address that was
//! checked is the address that is used; a name that points to both public and private addresses is
//! refused whole.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

/// Resolves names, and refuses those that lead to an address that is not public.
#[derive(Clone, Debug)]
pub struct PublicOnly;

impl Service<Name> for PublicOnly {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found: Vec<SocketAddr> = GaiResolver::new().call(name).await?.collect();
            match found.iter().find(|address| !is_public(address.ip())) {
                Some(address) => Err(io::Error::other(format!("{} is not a public address", address.ip()))),
                None => Ok(found.into_iter()),
            }
        })
    }
}

/// Whether a foreign address may be asked for a clip: `https`, the usual port, no address literal that
/// is not public, and on one of `hosts` if the route names any.
pub fn allowed(uri: &Uri, hosts: &[String]) -> Result<(), String> {
    let host = uri.host().unwrap_or_default();
    if uri.scheme_str() != Some("https") || uri.port_u16().is_some_and(|port| port != 443) {
        return Err("a result's address must be https on port 443".to_owned());
    }
    // A literal is never resolved, so the filter behind resolution would not see it.
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if literal.parse::<IpAddr>().is_ok_and(|address| !is_public(address)) {
        return Err(format!("{host} is not a public address"));
    }
    let on_list = |pattern: &String| match pattern.strip_prefix("*.") {
        Some(domain) => host.len() > domain.len() && host.ends_with(domain) && host[..host.len() - domain.len()].ends_with('.'),
        None => host.eq_ignore_ascii_case(pattern),
    };
    if hosts.is_empty() || hosts.iter().any(on_list) { Ok(()) } else { Err(format!("{host} is not among the route's content_hosts")) }
}

/// Whether an address is one that anybody on the internet could have.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// The ranges are those of the IANA registry of special-purpose IPv4 addresses.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

/// Global unicast only, and none of the ranges in it that embed or stand for something else.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let special = (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    a & 0xe000 == 0x2000 && !special
}

#[cfg(test)]
mod tests {
    use tower::Service as _;

    use super::{PublicOnly, allowed, is_public};

    #[test]
    fn addresses_that_are_not_everybodys_are_refused() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.1.2.3",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "192.88.99.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "64:ff9b::1",
            "64:ff9b:1::1",
            "2002::1",
            "100::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001::1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_where_it_leads() {
        let home = PublicOnly.call("localhost".parse().unwrap()).await;
        assert!(home.is_err_and(|why| why.to_string().contains("not a public address")));
    }

    #[test]
    fn a_foreign_address_is_https_and_on_the_list() {
        let check = |uri: &str, hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
            allowed(&uri.parse().unwrap(), &hosts).is_ok()
        };
        assert!(check("https://cdn.example.com/a.mp4", &[]));
        assert!(check("https://cdn.example.com/a.mp4", &["*.example.com"]));
        assert!(!check("https://example.com/a.mp4", &["*.example.com"]));
        assert!(!check("https://evilexample.com/a.mp4", &["*.example.com"]));
        assert!(!check("http://cdn.example.com/a.mp4", &[]));
        assert!(!check("https://cdn.example.com:8443/a.mp4", &[]));
        assert!(!check("https://169.254.169.254/latest", &[]));
        assert!(!check("https://[::1]/latest", &[]));
    }
}
