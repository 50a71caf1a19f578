//! The database file: that it is ours, that it is whole, and that nobody else is at it.
//!
//! Beside `gateway.db` lies `gateway.db.lock`. It is locked while a gateway runs, and it remembers
//! which database was here, how far its ledger had come and whether it was closed in order. So an empty
//! ledger is only ever begun where there has been none: a file that is missing, replaced or without its
//! write-ahead log is an error with a remedy, not a fresh start. An older copy is taken for a backup that
//! was restored, and marked as one: what was bought since has to be looked for before more is.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::migrate::migrate;
use super::reconcile;
use crate::crash;
use crate::store::StoreError;

/// `Fgat`, in SQLite's header: this database is a gateway's.
const APPLICATION_ID: i32 = 0x4667_6174;
/// The oldest SQLite without known ways to damage a write-ahead log.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// How long to wait for somebody else's look at the file, such as a backup's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Larger files are not read through at every start.
const CHECKED_BYTES_MAX: u64 = 256 << 20;
/// How many read-only connections there are.
const READERS: usize = 2;
/// How many prepared statements a connection keeps: more than there are.
const STATEMENTS_MAX: usize = 128;

/// An open database: its connections, and what has to outlive them.
pub(super) struct Opened {
    /// The only connection that writes.
    pub writer: Connection,
    /// Those that read.
    pub readers: Vec<Connection>,
    /// 32 random bytes, this database's own.
    pub signing_key: [u8; 32],
    /// To be dropped after the connections; nothing is held by those who only look.
    pub held: Option<Held>,
}

/// The right to be at the file. Its connection outlives the others, so that the log is folded in only
/// after the lock file has been told that all is done.
pub(super) struct Held {
    // Fields are dropped in this order.
    last: Mutex<Connection>,
    lock: Lock,
}

impl Drop for Held {
    fn drop(&mut self) {
        let last = self.last.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.lock.lines = lines(last).unwrap_or(self.lock.lines);
        if let Err(error) = self.lock.mark(false) {
            tracing::warn!(%error, "the database was closed, but its lock file could not be told so");
        }
    }
}

/// Opens the database at `path`, or begins one where there has been none.
///
/// `restored` says that it is a backup, whatever lies beside it.
pub(super) fn open(path: &Path, restored: bool) -> Result<Opened, StoreError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        let version = rusqlite::version();
        return Err(StoreError::Unavailable(format!("SQLite {version} is too old; build with its own copy, 3.51.3 or later")));
    }
    // The log and the lock lie beside the file itself, under whatever name it is reached.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut lock = Lock::take(path)?;
    match fs::metadata(path) {
        Ok(_) if restored => lock.forget(),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => begin(path, &lock)?,
        Err(error) => return Err(unavailable(path, error)),
    }
    connect_all(path, lock).map_err(|error| within(path, error))
}

/// Opens the database at `path` with connections that cannot write, whoever else is at it.
pub(super) fn open_to_read(path: &Path) -> Result<Opened, StoreError> {
    let open = || {
        let reader = || connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let writer = reader()?;
        check(&writer, path)?;
        let signing_key = meta(&writer, "signing_key")?;
        Ok(Opened { writer, readers: vec![reader()?], signing_key, held: None })
    };
    open().map_err(|error| within(path, error))
}

fn connect_all(path: &Path, mut lock: Lock) -> Result<Opened, StoreError> {
    let wal_is_there = beside(path, "-wal").exists();
    let mut writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    if writer.is_readonly("main")? {
        return Err(StoreError::Unavailable("the file cannot be written; give this user the right to".to_owned()));
    }
    check(&writer, path)?;
    writer.pragma_update(None, "journal_mode", "WAL")?;
    migrate(&mut writer)?;

    let identity: String = meta(&writer, "identity")?;
    let signing_key: [u8; 32] = meta(&writer, "signing_key")?;
    if let Some(known) = &lock.identity
        && *known != identity
    {
        return Err(StoreError::Damaged(format!(
            "it is not the database that was here before; put that one back, or remove {} to go on with this one",
            lock.path.display()
        )));
    }
    if lock.was_open && !wal_is_there {
        return Err(StoreError::Damaged(format!(
            "its write-ahead log (-wal) is missing, and with it the latest money; put it back; if this is a backup that was restored, start once with --reconcile-only, or remove {}",
            lock.path.display()
        )));
    }
    let starts: i64 = meta(&writer, "starts").unwrap_or(0);
    let lines = lines(&writer)?;
    let is_older = starts < lock.starts || lines < lock.lines;
    // Without a lock file that knows it, it comes from elsewhere: nobody can tell what it lacks.
    if is_older || lock.is_of_a_backup || (lock.identity.is_none() && starts > 0) {
        let since = reconcile::mark(&writer)?;
        tracing::error!(
            database = %path.display(), since_ms = since.as_ms(),
            "the database is an older copy, or was brought here without its lock file: what was bought since is looked for, and nothing is bought until `filmgate reconcile --done`"
        );
    }
    if lock.identity.is_none() {
        // Before the first count of starts: killed between the two, a database begun here would pass for one
        // that was brought here.
        (lock.identity, lock.starts, lock.lines) = (Some(identity), starts, lines);
        lock.mark(false)?;
    }
    crash::point("before_start");
    // A first write makes the log before the lock file says that there has to be one.
    writer.execute("INSERT INTO meta VALUES ('starts', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1", [])?;
    (lock.starts, lock.lines) = (starts + 1, lines);
    crash::point("after_start");

    let mut readers = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        readers.push(connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?);
    }
    let last = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let held = Held { last: Mutex::new(last), lock };
    held.lock.mark(true)?;
    Ok(Opened { writer, readers, signing_key, held: Some(held) })
}

/// Begins a database under another name and moves it here when it is whole: a crash in between leaves no half of one.
fn begin(path: &Path, lock: &Lock) -> Result<(), StoreError> {
    if lock.identity.is_some() || beside(path, "-wal").exists() {
        let lock = lock.path.display();
        let remedy = format!("it was here before and is missing; restore it, or remove {lock} and any -wal to begin with empty books");
        return Err(within(path, StoreError::Damaged(remedy)));
    }
    let new = beside(path, ".new");
    for leftover in [new.clone(), beside(&new, "-journal")] {
        if let Err(error) = fs::remove_file(&leftover)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(unavailable(&leftover, error));
        }
    }

    private().create_new(true).open(&new).map_err(|error| unavailable(&new, error))?;
    fill(&new).map_err(|error| within(&new, error))?;
    fs::rename(&new, path).map_err(|error| unavailable(path, error))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unavailable(folder, error))
}

fn fill(new: &Path) -> Result<(), StoreError> {
    let mut conn = connect(new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    migrate(&mut conn)?;
    let mut signing_key = [0; 32];
    getrandom::fill(&mut signing_key).map_err(|error| StoreError::Unavailable(format!("the system has no randomness: {error}")))?;
    conn.execute("INSERT INTO meta VALUES ('identity', ?1), ('signing_key', ?2)", (Uuid::new_v4().to_string(), signing_key.as_slice()))?;
    conn.close().map_err(|(_, error)| error.into())
}

/// Opens one connection, set up as every one of ours is.
fn connect(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update(None, "synchronous", crash::synchronous())?;
    conn.execute_batch(
        "PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -16384;",
    )?;
    Ok(conn)
}

/// Refuses what is not a gateway's database, or not a whole one.
fn check(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(StoreError::Damaged("it is not a gateway's database; name another file".to_owned()));
    }
    if fs::metadata(path).map_err(|error| unavailable(path, error))?.len() > CHECKED_BYTES_MAX {
        return Ok(());
    }
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Damaged(format!("{verdict}; restore a backup"))) }
}

/// How many lines the ledger has: they are numbered, added and never removed.
fn lines(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.query_row("SELECT coalesce(max(number), 0) FROM ledger", [], |row| row.get(0))?)
}

fn meta<T: rusqlite::types::FromSql>(conn: &Connection, name: &str) -> Result<T, StoreError> {
    conn.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => StoreError::Damaged(format!("it has no {name}; restore a backup")),
        error => error.into(),
    })
}

/// Locks a file; whoever has it may be just ending, or a program that it has started not have let it go yet.
fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..20 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
            done => return done,
        }
    }
    file.try_lock()
}

/// The lock file, locked: the right to be at the database, and what is remembered about it.
struct Lock {
    path: PathBuf,
    file: File,
    identity: Option<String>,
    was_open: bool,
    /// How often the database had been opened when it last was: an older copy of it has been less often.
    starts: i64,
    /// How many lines the ledger had, at least.
    lines: i64,
    /// Whether somebody says that a backup was put here.
    is_of_a_backup: bool,
}

impl Lock {
    fn take(database: &Path) -> Result<Self, StoreError> {
        let path = beside(database, ".lock");
        let failed = |error| unavailable(&path, error);
        let mut file = private().create(true).truncate(false).open(&path).map_err(failed)?;
        match lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let why = "another gateway is running on this database; stop that one, or name another file".to_owned();
                return Err(within(database, StoreError::Unavailable(why)));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }

        let mut text = String::new();
        (&mut file).take(128).read_to_string(&mut text).map_err(failed)?;
        let mut words = text.split_whitespace();
        let identity = words.next().filter(|word| Uuid::try_parse(word).is_ok()).map(str::to_owned);
        let was_open = words.next() == Some("open");
        let starts = words.next().and_then(|starts| starts.parse().ok()).unwrap_or(0);
        let lines = words.next().and_then(|lines| lines.parse().ok()).unwrap_or(0);
        Ok(Self { path, file, identity, was_open, starts, lines, is_of_a_backup: false })
    }

    /// Knows of nothing that was here before: a backup was put here.
    fn forget(&mut self) {
        (self.identity, self.was_open, self.starts, self.lines) = (None, false, 0, 0);
        self.is_of_a_backup = true;
    }

    /// Remembers whether the database is in use, so that a missing log can be told from a finished one.
    fn mark(&self, open: bool) -> Result<(), StoreError> {
        let identity = self.identity.as_deref().unwrap_or_default();
        // Every line is equally long: it is replaced in place.
        let state = if open { "open  " } else { "closed" };
        let text = format!("{identity} {state} {:019} {:019}\n", self.starts, self.lines);
        self.file.write_all_at(text.as_bytes(), 0).and_then(|()| self.file.sync_all()).map_err(|error| unavailable(&self.path, error))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn unavailable(path: &Path, error: io::Error) -> StoreError {
    within(path, StoreError::Unavailable(error.to_string()))
}

/// Says which file an error is about.
fn within(path: &Path, error: StoreError) -> StoreError {
    let path = path.display();
    match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(format!("{path}: {why}")),
        StoreError::Damaged(why) => StoreError::Damaged(format!("{path}: {why}")),
    }
}
