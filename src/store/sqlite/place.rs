//! Whether the database's files are still the ones that are open: somebody may remove or replace them under a
//! gateway that runs, and what is written then is gone with its process.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rusqlite::{Connection, Error, ffi};

/// The file and its log, by what the file system calls them.
pub(super) struct Place {
    files: [(PathBuf, Option<Identity>); 2],
}

/// The device, and the file's number there.
type Identity = (u64, u64);

impl Place {
    /// Where a connection has its database; nothing is known of one in memory.
    pub fn of(conn: &Connection) -> Self {
        let path = conn.path().unwrap_or_default();
        Self { files: [path.to_owned(), format!("{path}-wal")].map(|path| (PathBuf::from(path), None)) }
    }

    /// An error if a file that was there is not, or is another one. Two looks at the file system: nothing beside a
    /// commit's sync.
    pub fn check(&mut self) -> Result<(), Error> {
        for (path, known) in &mut self.files {
            let found = fs::metadata(&*path).ok().map(|file| (file.dev(), file.ino()));
            if known.is_some() && *known != found {
                let why =
                    format!("{} was removed or replaced while it was open; put it back, or stop and restore a backup", path.display());
                return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY_DBMOVED), Some(why)));
            }
            *known = found;
        }
        Ok(())
    }
}
