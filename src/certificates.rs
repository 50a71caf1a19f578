//! Certificates: what the listeners that speak TLS show, kept in step with its files.
//!
//! A certificate is looked at as the policy's file is: by content, and taken once two looks in a row found
//! the same. A pair that cannot be shown, or that clients would refuse now while they take the one in force,
//! changes nothing and is told. Connections that are open live on; new ones are shown the new one. It is
//! followed apart from the policy, so that a broken pair holds up no edit, and an edit no renewal.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::sign::SingleCertAndKey;

use crate::auth;
use crate::certificate::{self, Certificate, Half, Unfit, Validity};
use crate::clock::Timestamp;
use crate::metrics::Listener;
use crate::policy::load::{TlsFiles, tls_files};
use crate::policy::{Policy, Server, Tls};

/// The two listeners' certificates.
#[derive(Debug)]
pub struct Certificates {
    /// What clients are shown, if they speak TLS.
    pub public: Option<Arc<Shown>>,
    /// What operators are.
    pub admin: Option<Arc<Shown>>,
}

/// What one listener shows.
pub struct Shown {
    /// Whose.
    pub listener: Listener,
    /// For new connections.
    config: ArcSwap<ServerConfig>,
    state: Mutex<State>,
}

struct State {
    /// Where the files are.
    tls: Tls,
    /// What the files' bytes hash to whose certificate is shown.
    shown: [u8; 32],
    /// What they hashed to when they were last looked at; `None` if they could not be read.
    glimpsed: Option<[u8; 32]>,
    standing: Standing,
}

/// How a listener's certificate stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When the one that is shown means something.
    pub validity: Validity,
    /// Why the files as they are now are not shown, if they are not.
    pub refused: Option<String>,
}

/// What a look at the files came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Nothing that was not known.
    Same,
    /// Another certificate is shown.
    Swapped,
    /// The files are refused, and nothing changed.
    Refused(String),
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shown({:?})", self.listener)
    }
}

impl Certificates {
    /// Reads what a policy names.
    pub fn start(server: &Server) -> Result<Self, String> {
        let start = |listener: Listener| said_of(listener, server).map(|tls| Shown::start(listener, tls).map(Arc::new)).transpose();
        Ok(Self { public: start(Listener::Public)?, admin: start(Listener::Admin)? })
    }

    /// Those that there are.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Shown>> {
        self.public.iter().chain(&self.admin)
    }

    /// What an operator should know of them now.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let of = |shown: &Arc<Shown>| {
            let standing = shown.standing();
            let key = shown.key();
            let refused =
                standing.refused.map(|why| format!("the certificate files of `{key}` are refused, and the one before is shown: {why}"));
            let ends = standing.validity.warning(now).map(|ends| format!("the certificate of `{key}` {ends}"));
            refused.into_iter().chain(ends).collect::<Vec<_>>()
        };
        self.all().flat_map(of).collect()
    }
}

/// What `check` says of a policy's certificates that can be shown.
pub fn warnings(policy: &Policy, now: Timestamp) -> Vec<String> {
    Certificates::start(&policy.server).map_or_else(|why| vec![why], |certificates| certificates.warnings(now))
}

/// What the policy says of a listener's certificate.
const fn said_of(listener: Listener, server: &Server) -> Option<&Tls> {
    match listener {
        Listener::Public => server.tls.as_ref(),
        Listener::Admin => server.admin_tls.as_ref(),
    }
}

impl Shown {
    fn start(listener: Listener, tls: &Tls) -> Result<Self, String> {
        let files = tls_files(tls).map_err(|unfit| unfit.to_string())?;
        let certificate = certificate::read(&files.cert, &files.key).map_err(|unfit| named(tls, &unfit))?;
        let config = ArcSwap::from_pointee(config(&certificate)?);
        let standing = Standing { validity: certificate.validity, refused: None };
        let state = State { tls: tls.clone(), shown: fingerprint(&files), glimpsed: None, standing };
        Ok(Self { listener, config, state: Mutex::new(state) })
    }

    /// The policy's key for it.
    pub const fn key(&self) -> &'static str {
        match self.listener {
            Listener::Public => "server.tls",
            Listener::Admin => "server.admin_tls",
        }
    }

    /// What a new connection is made with.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.state().standing.clone()
    }

    /// Looks at the files that the policy names now, and shows what they hold if that is another certificate
    /// and they stand still; if `anyway`, as they are.
    pub fn look(&self, server: &Server, now: Timestamp, anyway: bool) -> Looked {
        let mut state = self.state();
        if let Some(tls) = said_of(self.listener, server) {
            state.tls = tls.clone();
        }
        let files = tls_files(&state.tls);
        let glimpsed = files.as_ref().ok().map(fingerprint);
        let stands_still = std::mem::replace(&mut state.glimpsed, glimpsed) == glimpsed;
        if !anyway && !stands_still {
            return Looked::Same;
        }
        if glimpsed == Some(state.shown) {
            state.standing.refused = None;
            return Looked::Same;
        }
        let files = files.map_err(|unfit| unfit.to_string());
        let taken = files.and_then(|files| certificate::read(&files.cert, &files.key).map_err(|unfit| named(&state.tls, &unfit)));
        let taken = taken.and_then(|certificate| {
            if state.standing.validity.holds_at(now) && !certificate.validity.holds_at(now) {
                let why = certificate.validity.warning(now).unwrap_or_default();
                return Err(format!("the certificate {why}: write one that is valid now"));
            }
            Ok((config(&certificate)?, certificate.validity))
        });
        match (taken, glimpsed) {
            (Ok((config, validity)), Some(glimpsed)) => {
                self.config.store(Arc::new(config));
                (state.shown, state.standing) = (glimpsed, Standing { validity, refused: None });
                Looked::Swapped
            }
            (Ok(_), None) => Looked::Same,
            (Err(why), _) => {
                let known = state.standing.refused.replace(why.clone());
                if known.as_ref() == Some(&why) && !anyway { Looked::Same } else { Looked::Refused(why) }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wrong with the content of a file, and which file that is.
fn named(tls: &Tls, unfit: &Unfit) -> String {
    let file = if unfit.half == Half::Certificate { &tls.cert } else { &tls.key };
    format!("{}: {unfit}", file.display())
}

fn fingerprint(files: &TlsFiles) -> [u8; 32] {
    auth::hash(&[auth::hash(&files.cert), auth::hash(&files.key)].concat())
}

/// TLS 1.3 and 1.2, HTTP/2 and HTTP/1.1, and nothing before the handshake is over: what could be sent twice
/// could be paid twice.
fn config(certificate: &Certificate) -> Result<ServerConfig, String> {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|why| why.to_string())?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate.shown.clone())));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = Ticketer::new().map_err(|why| why.to_string())?;
    Ok(config)
}
