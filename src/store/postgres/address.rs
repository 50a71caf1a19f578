//! Where the database is, and how a connection to it is kept private.
//!
//! Reads the URL as libpq does, but for its idea of safety: across a network a connection is encrypted
//! and the server's name is checked, unless the URL says `sslmode=disable`. What would fall back to plain
//! text by itself, or encrypt without knowing for whom, is not offered.

use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore, crypto};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::StoreError;

/// What a connection is made with.
pub(super) struct Address {
    /// Where, as whom, to which database.
    pub config: Config,
    /// How it is encrypted, if the configuration says that it is.
    pub tls: MakeRustlsConnect,
}

/// What to write in place of a faulty URL.
const REMEDY: &str = "write \"postgres://user@host/database\"";
/// A server that does not take a connection within this time is tried again later.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Reads a URL.
pub(super) fn read(url: &str) -> Result<Address, StoreError> {
    let (url, asked) = without_ssl(url)?;
    let mut config = Config::from_str(&url).map_err(|error| {
        // The crate's message may quote a value; it names the key first.
        wrong(&format!("it cannot be read ({}); {REMEDY}", error.to_string().split(':').next().unwrap_or_default()))
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(wrong(&format!("it names no host; {REMEDY}")));
    }
    let is_near = config.get_hosts().iter().all(is_near) && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
    let encrypted = asked.encrypted.unwrap_or(!is_near);
    config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
    config.connect_timeout(CONNECT_WITHIN).keepalives_idle(Duration::from_secs(30));
    if config.get_application_name().is_none() {
        config.application_name("filmgate");
    }
    config.tcp_user_timeout(Duration::from_secs(10));
    Ok(Address { config, tls: MakeRustlsConnect::new(client(asked.roots.as_deref())?) })
}

/// A Unix socket, or this machine by another way.
fn is_near(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    }
}

/// What a URL asks for of TLS.
#[derive(Default)]
struct Asked {
    encrypted: Option<bool>,
    roots: Option<String>,
}

/// Takes what is said of TLS out of a URL: the crate knows only some of it.
fn without_ssl(url: &str) -> Result<(String, Asked), StoreError> {
    let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), Asked::default())) };
    let mut asked = Asked::default();
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", "disable")) => asked.encrypted = Some(false),
            Some(("sslmode", "require" | "verify-ca" | "verify-full")) => asked.encrypted = Some(true),
            Some(("sslmode", other)) => {
                let why = format!("sslmode={other} would fall back to plain text; write sslmode=verify-full, or disable to mean it");
                return Err(wrong(&why));
            }
            Some(("sslrootcert", "system")) => {}
            Some(("sslrootcert", path)) => asked.roots = Some(path.replace("%2F", "/").replace("%2f", "/").replace("%20", " ")),
            _ => rest.push(pair),
        }
    }
    let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    Ok((format!("{base}{query}"), asked))
}

/// A TLS client that checks the server's name against these authorities, or against those the world trusts.
fn client(roots: Option<&str>) -> Result<ClientConfig, StoreError> {
    let mut trusted = RootCertStore::empty();
    match roots {
        Some(path) => {
            let unreadable = |why: &dyn std::fmt::Display| wrong(&format!("its sslrootcert {path} cannot be read: {why}"));
            let certificates = CertificateDer::pem_file_iter(Path::new(path)).map_err(|error| unreadable(&error))?;
            for certificate in certificates {
                trusted.add(certificate.map_err(|error| unreadable(&error))?).map_err(|error| unreadable(&error))?;
            }
            if trusted.is_empty() {
                return Err(unreadable(&"there is no certificate in it"));
            }
        }
        None => trusted.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| wrong(&format!("TLS cannot be used: {error}")))?;
    Ok(builder.with_root_certificates(trusted).with_no_client_auth())
}

fn wrong(why: &str) -> StoreError {
    StoreError::Unavailable(format!("[store].url: {why}"))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::read;

    fn mode(url: &str) -> Result<SslMode, String> {
        read(url).map(|address| address.config.get_ssl_mode()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_network_is_not_trusted() {
        for near in ["postgres://u@localhost/d", "postgres://u@127.0.0.1/d", "postgres://u@[::1]/d", "postgres://u@%2Frun%2Fpg/d"] {
            assert_eq!(mode(near), Ok(SslMode::Disable), "{near}");
            assert_eq!(mode(&format!("{near}?sslmode=require")), Ok(SslMode::Require), "{near}");
        }
        for far in ["postgres://u@db.example/d", "postgres://u@10.0.0.7/d", "postgres://u@localhost,db.example/d"] {
            assert_eq!(mode(far), Ok(SslMode::Require), "{far}");
            assert_eq!(mode(&format!("{far}?sslmode=disable&application_name=x")), Ok(SslMode::Disable), "{far}");
        }
        for loose in ["prefer", "allow"] {
            assert!(mode(&format!("postgres://u@db.example/d?sslmode={loose}")).unwrap_err().contains("verify-full"));
        }
        assert!(mode("postgres://u@db.example/d?sslrootcert=no-such.pem").unwrap_err().contains("no-such.pem"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for url in ["postgres://u:hunter2@h/d?nonsense=1", "postgres://u:hunter2@h:port/d", "postgres:///d?password=hunter2"] {
            let said = mode(url).unwrap_err();
            assert!(said.contains("[store].url") && !said.contains("hunter2"), "{said}");
        }
    }
}
