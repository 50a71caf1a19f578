//! How many connections may be open: so many that those who are inside can still be served.
//!
//! A process that may open only so many files must not spend them all on clients who wait: the database,
//! the policy file and, above all, the connection that a paid request travels on need some.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections at a time, per listener, however many files there may be.
const CONNECTIONS_MAX: u64 = 20_000;
/// Files that are not connections: the database's, the policy's, threads' and what a scrape looks at.
const FILES: u64 = 64;

/// Lets this process open as many files as its limit can be raised to without anybody's leave.
pub fn open_as_many_files_as_allowed() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
}

/// Connections at a time, per listener: of the files that may be open, a third for clients, a third for
/// operators, and a third for what clients have us ask of providers.
pub fn seats() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let seats = (files.saturating_sub(FILES) / 3).clamp(4, CONNECTIONS_MAX);
    usize::try_from(seats).unwrap_or(usize::MAX)
}
