//! The books as a test sees them, for looking, and for one test to tamper with: a file of SQLite, or a schema of its own in a PostgreSQL server
//! that all tests of this binary share, if `FILMGATE_TEST_STORE` says `postgres`. The tables are the same, so are
//! the questions; answers are texts, and nothing is an empty one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::cluster::Emptied;
use crate::cluster::{Cluster, query};

/// Where the books of one gateway are.
pub enum Books {
    Sqlite(PathBuf),
    Postgres(Emptied),
}

impl Books {
    /// New ones: in this file, unless all tests are to be on PostgreSQL.
    pub fn new(file: PathBuf) -> Self {
        if on_postgres() { Self::Postgres(kept()) } else { Self::Sqlite(file) }
    }

    /// The part of a policy that says where they are, and that what they cannot be told is kept in this folder.
    pub fn policy(&self, folder: &Path) -> String {
        match self {
            Self::Sqlite(file) => format!("[store]\nurl = \"sqlite:{}\"\n", file.display()),
            Self::Postgres(server) => {
                format!("[store]\nurl = \"{}\"\njournal = \"{}/emergency.jsonl\"\n", server.books.address, folder.display())
            }
        }
    }

    /// The second that it is now, as a `SELECT` writes it.
    pub const fn now(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "strftime('%s', 'now')",
            Self::Postgres(_) => "extract(epoch FROM now())",
        }
    }

    /// What `SELECT` answers.
    pub fn rows(&self, select: &str) -> Vec<Vec<String>> {
        match self {
            Self::Sqlite(file) => {
                let books = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
                rows_of(&books, select)
            }
            Self::Postgres(server) => query(&server.books.address, select),
        }
    }

    /// Changes one row behind the gateway's back.
    pub fn tamper(&self, update: &str) {
        match self {
            Self::Sqlite(file) => assert_eq!(Connection::open(file).unwrap().execute(update, ()).unwrap(), 1, "{update}"),
            Self::Postgres(server) => {
                assert_eq!(query(&server.books.address, &format!("{update} RETURNING 1")).len(), 1, "{update}");
            }
        }
    }

    /// What `SELECT` answers in its one number.
    pub fn number(&self, select: &str) -> i64 {
        self.rows(select)[0][0].parse().unwrap_or_else(|why| panic!("{select}: {why}"))
    }
}

/// The rows that a database file answers, as text; nothing is an empty text.
pub fn rows_of(books: &Connection, select: &str) -> Vec<Vec<String>> {
    let mut statement = books.prepare(select).unwrap_or_else(|why| panic!("{select}: {why}"));
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|column| Ok(text(row.get_ref(column)?))).collect()).unwrap();
    rows.map(|row| row.unwrap_or_else(|why| panic!("{select}: {why}"))).collect()
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Whether every world keeps its books in PostgreSQL.
#[expect(clippy::disallowed_methods, reason = "what is tested is nobody's setting")]
pub fn on_postgres() -> bool {
    std::env::var("FILMGATE_TEST_STORE").is_ok_and(|store| store == "postgres")
}

/// New books on the server that tests share, which is kept until the last of them has ended.
fn kept() -> Emptied {
    static SERVER: OnceLock<Arc<Cluster>> = OnceLock::new();
    let books = Emptied::new();
    SERVER.get_or_init(|| Arc::clone(&books.cluster));
    books
}
