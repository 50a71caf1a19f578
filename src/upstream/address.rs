//! Addresses that somebody else named, an upstream in a reply or a tenant for its events: which of them we are
//! willing to connect to.
//!
//! The filter stands behind name resolution, in the connector itself, so that the address that was
//! checked is the address that is used; a name that points to both public and private addresses is
//! refused whole.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

use crate::address::{is_public, open_to_all};

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

/// Whether a foreign address may be asked for a clip: one that is open to all, and on one of `hosts` if the
/// route names any.
pub fn allowed(uri: &Uri, hosts: &[String]) -> Result<(), String> {
    open_to_all(uri).map_err(|why| format!("the result's address: {why}"))?;
    let host = uri.host().unwrap_or_default();
    let on_list = |pattern: &String| match pattern.strip_prefix("*.") {
        Some(domain) => host.len() > domain.len() && host.ends_with(domain) && host[..host.len() - domain.len()].ends_with('.'),
        None => host.eq_ignore_ascii_case(pattern),
    };
    if hosts.is_empty() || hosts.iter().any(on_list) { Ok(()) } else { Err(format!("{host} is not among the route's content_hosts")) }
}

#[cfg(test)]
mod tests {
    use tower::Service as _;

    use super::{PublicOnly, allowed};

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
