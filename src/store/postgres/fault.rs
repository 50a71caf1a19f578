//! What a failure of PostgreSQL means to a caller: try later, or look at what is stored.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::store::{ApplyError, CorrectionError, OpenError, StoreError};

/// Why a statement did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The server or the way to it failed.
    #[error("{}", whole(.0))]
    Sql(#[from] Error),
    /// A value in a row is not what we would have written there.
    #[error("{value:?} is not a {kind}")]
    BadValue {
        /// What was found.
        value: String,
        /// What was expected.
        kind: &'static str,
    },
    /// There was no time left.
    #[error("it did not answer in time")]
    Late,
    /// Nobody could be connected to.
    #[error("{0}")]
    Unreachable(String),
}

/// An error with its causes: the crate's own message stops at `db error`.
fn whole(error: &Error) -> String {
    if let Some(told) = error.as_db_error() {
        return format!("{} ({})", told.message(), told.code().code());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

impl Fault {
    fn state(&self) -> Option<&SqlState> {
        match self {
            Self::Sql(error) => error.code(),
            Self::BadValue { .. } | Self::Late | Self::Unreachable(_) => None,
        }
    }

    /// Whether the server said so: it did not do the statement, nor will what came behind it in a transaction count.
    pub fn was_told(&self) -> bool {
        matches!(self, Self::Sql(error) if error.as_db_error().is_some())
    }

    /// Whether two transactions stood in each other's way and this one was ended: nothing of it was written.
    pub fn is_conflict(&self) -> bool {
        self.state().is_some_and(|state| state.code().starts_with("40"))
    }

    /// Whether a row of that key is already there.
    pub fn is_duplicate(&self) -> bool {
        self.state() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    /// Whether the connection is of no use any more, or never was one: the server may be back soon.
    pub fn is_disconnected(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Sql(error) => match error.as_db_error() {
                // Class 57P: the operator intervened, the server stops or starts.
                Some(told) => {
                    told.code().code().starts_with("57P")
                        || [SqlState::TOO_MANY_CONNECTIONS, SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT].contains(told.code())
                }
                None => error.is_closed() || std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>()),
            },
            Self::BadValue { .. } | Self::Late => false,
        }
    }

    /// Whether a COMMIT that ended like this wrote nothing, for certain.
    pub fn is_refusal(&self) -> bool {
        self.state().is_some_and(|state| state.code().starts_with("40") || state.code().starts_with("23"))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        let damaged = match &fault {
            Fault::BadValue { .. } => true,
            // Data that does not fit, broken constraints, missing tables, corrupted pages.
            Fault::Sql(_) => fault.state().is_some_and(|state| ["22", "23", "42", "XX"].contains(&&state.code()[..2])),
            Fault::Late | Fault::Unreachable(_) => false,
        };
        if damaged { Self::Damaged(fault.to_string()) } else { Self::Unavailable(fault.to_string()) }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        Self::Store(fault.into())
    }
}

impl From<Fault> for ApplyError {
    fn from(fault: Fault) -> Self {
        Self::Store(fault.into())
    }
}

impl From<Fault> for CorrectionError {
    fn from(fault: Fault) -> Self {
        Self::Store(fault.into())
    }
}
