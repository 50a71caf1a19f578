//! The journal: every fact that must survive the process, one JSON line each.
//!
//! A line is written with one system call before the fact is told to anybody. Not synced to the
//! disk: it outlives the process being killed, not the machine losing power. A last line without
//! its end is the trace of being killed while writing; the fact was never told, and is dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::job::Job;

/// One fact.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A job was accepted.
    Accepted(Job),
    /// The job of this id was deleted by its owner.
    Deleted(String),
    /// A character was made.
    Character(Character),
}

/// A character that clips may show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Character {
    /// The id that the client knows it by.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// What its owner calls it.
    pub name: String,
    /// When it was made.
    pub created_at_ms: i64,
}

/// The file, open at its end.
#[derive(Debug)]
pub struct Journal {
    file: File,
    /// Where the last whole line ends.
    end: u64,
}

impl Journal {
    /// Opens the file, or makes it, and reads what it holds.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<Entry>)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut entries = Vec::new();
        let lines = text.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for (number, line) in lines.enumerate() {
            let entry = serde_json::from_slice(line).map_err(|error| {
                let place = format!("line {} of the simulator's journal {}", number + 1, path.display());
                io::Error::new(io::ErrorKind::InvalidData, format!("{place} is not an entry ({error}); move the file away to start anew"))
            })?;
            entries.push(entry);
        }
        let mut journal = Self { file, end: u64::try_from(whole).unwrap_or(u64::MAX) };
        journal.cut_back()?;
        Ok((journal, entries))
    }

    /// Writes a fact down, whole or not at all.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            // A full disk may have taken part of it, which must not become part of the next line.
            self.cut_back()?;
            return Err(error);
        }
        self.end = self.end.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Drops what stands after the last whole line.
    fn cut_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end)).map(drop)
    }
}
