//! The single tables: `[server]`, `[store]`, `[defaults]`, `[alerts]`, `[telemetry]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{Tls, Webhook};
use crate::id::ModelName;
use crate::secret::Secret;

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// What clients are shown if they speak TLS; whether they do needs a restart.
    pub tls: Option<Tls>,
    /// What operators are shown, likewise.
    pub admin_tls: Option<Tls>,
    /// By which names operators may reach us, beside addresses and `localhost`.
    pub admin_hosts: Vec<String>,
    /// How clients reach us, for links; taken from their own `Host` if not set.
    pub public_url: Option<String>,
    /// Largest request body, bytes.
    pub body_bytes_max: usize,
    /// How long a stop waits for what is under way.
    pub drain: Duration,
    /// Whether nothing may be bought.
    pub halt: bool,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `sqlite:PATH`
    Sqlite(PathBuf),
    /// `postgres://…`
    Postgres(Secret),
}

/// `[defaults]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The model of a wish that names none.
    pub model: ModelName,
    /// How long a create waits for its outcome before it answers `queued`.
    pub answer_after: Duration,
}

/// `[alerts]`
#[derive(Clone, Debug, PartialEq)]
pub struct Alerts {
    /// Where alerts go.
    pub webhook: Option<Webhook>,
    /// The share of attempts that may be retries, in thousandths.
    pub retry_permille: u32,
    /// How many days before a sunset to warn.
    pub sunset_days: u32,
}

/// `[telemetry]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// Whether logs are JSON; text otherwise.
    pub log_json: bool,
}
