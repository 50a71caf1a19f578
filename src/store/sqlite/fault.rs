//! What a failure of SQLite means to a caller: try later, or look at the disk; or that there must be no later.

use rusqlite::{Error, ErrorCode, ffi};
use tracing::error;

use crate::store::{ApplyError, CorrectionError, OpenError, StoreError};

/// A value in a row is not what we would have written there.
#[derive(Debug, thiserror::Error)]
#[error("{value:?} is not a {kind}")]
pub(super) struct BadValue {
    /// What was found.
    pub value: String,
    /// What was expected.
    pub kind: &'static str,
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let damaged = match &error {
            Error::SqliteFailure(failure, _) => matches!(
                failure.code,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch
            ),
            Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..) | Error::InvalidColumnType(..) => true,
            _ => false,
        };
        if damaged { Self::Damaged(error.to_string()) } else { Self::Unavailable(error.to_string()) }
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<Error> for ApplyError {
    fn from(error: Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<Error> for CorrectionError {
    fn from(error: Error) -> Self {
        Self::Store(error.into())
    }
}

/// Whether a row of that key is already there.
pub(super) fn is_duplicate(error: &Error) -> bool {
    extended_code(error) == Some(ffi::SQLITE_CONSTRAINT_UNIQUE)
}

/// Ends the process if a sync failed: the system may have dropped what it could not write, and a second
/// try that succeeds proves nothing about the first. Only a start that reads it anew knows what is there.
pub(super) fn end_if_unsynced(error: &Error) {
    if matches!(extended_code(error), Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)) {
        error!(%error, "the disk did not keep what was written: the gateway ends here and looks at its next start; check the disk");
        std::process::exit(1);
    }
}

fn extended_code(error: &Error) -> Option<i32> {
    match error {
        Error::SqliteFailure(failure, _) => Some(failure.extended_code),
        _ => None,
    }
}
