//! The emergency journal: what upstreams call jobs of ours, when the books did not take it in.
//!
//! An upstream's id is worth what its clip cost, and for a moment this process is the only one that knows
//! it. So where the books fail between a paid reply and its being written down, a line goes to a file
//! beside them and is synced; it is taken over into the books when they work again, and only then out of
//! the file. The invariant: a line that was answered for is on disk until somebody says that it is applied.
//! Knows files and nothing of the books.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::error;

use crate::clock::Timestamp;
use crate::id::{AttemptId, JobId, RouteName};

/// More lines than this are refused: they would be jobs of a gateway that goes on without books.
const ENTRIES_MAX: usize = 100_000;

/// What an upstream calls an attempt of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Of which job.
    pub job: JobId,
    /// Whose id it is.
    pub route: RouteName,
    /// The id.
    pub upstream_id: String,
    /// When it was learnt.
    pub at: Timestamp,
}

/// An entry as a line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    attempt: String,
    job: String,
    route: String,
    upstream_id: String,
    at_ms: i64,
}

/// The journal. Its calls wait for the disk.
#[derive(Debug)]
pub struct Emergency {
    path: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: Vec<Entry>,
    /// Lines that are not ours to read, kept as they are.
    unread: Vec<String>,
}

impl Emergency {
    /// The journal at `path`, with what an earlier process left in it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut kept = Kept::default();
        for line in text.split_inclusive('\n') {
            match (entry(line), line.ends_with('\n')) {
                (Some(entry), _) => kept.entries.push(entry),
                // Nobody was answered for a line that is torn: its process died in the middle of it.
                (None, false) => {}
                (None, true) => {
                    error!(file = %path.display(), line, "a line of the emergency journal cannot be read; it is left there");
                    kept.unread.push(line.to_owned());
                }
            }
        }
        Ok(Self { path: path.to_owned(), kept: Mutex::new(kept) })
    }

    /// What waits to be taken over into the books.
    pub fn entries(&self) -> Vec<Entry> {
        self.kept().entries.clone()
    }

    /// Writes one down. It is on disk once this answers.
    pub fn write(&self, entry: Entry) -> io::Result<()> {
        let mut kept = self.kept();
        if kept.entries.len() >= ENTRIES_MAX {
            return Err(io::Error::other("the emergency journal is full"));
        }
        let is_new = kept.entries.is_empty() && kept.unread.is_empty();
        let mut file = private().append(true).create(true).open(&self.path)?;
        let before = file.metadata()?.len();
        if let Err(error) = file.write_all(line(&entry).as_bytes()).and_then(|()| file.sync_data()) {
            // Half a line would spoil the next one.
            let _ = file.set_len(before);
            return Err(error);
        }
        if is_new {
            sync_folder_of(&self.path)?;
        }
        kept.entries.push(entry);
        Ok(())
    }

    /// These are in the books: takes them out of the file, which is replaced as a whole.
    pub fn applied(&self, attempts: &[AttemptId]) -> io::Result<()> {
        let mut kept = self.kept();
        let left: Vec<Entry> = kept.entries.iter().filter(|entry| !attempts.contains(&entry.attempt)).cloned().collect();
        if left.len() == kept.entries.len() {
            return Ok(());
        }
        if left.is_empty() && kept.unread.is_empty() {
            fs::remove_file(&self.path)?;
        } else {
            let text: String = kept.unread.iter().cloned().chain(left.iter().map(line)).collect();
            let beside = self.path.with_extension("jsonl.new");
            let mut file = private().write(true).create(true).truncate(true).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
        }
        kept.entries = left;
        sync_folder_of(&self.path)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(entry: &Entry) -> String {
    let Entry { attempt, job, route, upstream_id, at } = entry;
    let line = Line {
        attempt: attempt.to_string(),
        job: job.to_string(),
        route: route.to_string(),
        upstream_id: upstream_id.clone(),
        at_ms: at.as_ms(),
    };
    // Texts and a number: there is nothing in it that JSON cannot say.
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

fn entry(line: &str) -> Option<Entry> {
    let Line { attempt, job, route, upstream_id, at_ms } = serde_json::from_str(line).ok()?;
    let (attempt, job) = (attempt.parse().ok()?, job.parse().ok()?);
    Some(Entry { attempt, job, route: RouteName::new(route), upstream_id, at: Timestamp::from_ms(at_ms) })
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// A name that appeared or went is durable once its folder is.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Emergency, Entry};
    use crate::clock::Timestamp;
    use crate::id::{AttemptId, JobId, RouteName};

    fn entry(upstream_id: &str) -> Entry {
        let (attempt, job) = (AttemptId::mint(), JobId::mint());
        Entry { attempt, job, route: RouteName::new("north"), upstream_id: upstream_id.to_owned(), at: Timestamp::from_secs(1) }
    }

    #[test]
    fn what_is_written_is_there_until_it_is_applied() {
        let folder = std::env::temp_dir().join(format!("filmgate-emergency-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("books.emergency.jsonl");
        let open = || Emergency::open(&path).unwrap();
        let (first, second) = (entry("up-1"), entry("up \"2\"\n"));
        let journal = open();
        assert_eq!(journal.entries(), []);
        assert!(!path.exists(), "no file without an emergency");
        journal.write(first.clone()).unwrap();
        journal.write(second.clone()).unwrap();
        assert_eq!(open().entries(), [first.clone(), second.clone()]);

        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("not ours\n{text}{{\"attempt\":\"att_")).unwrap();
        let journal = open();
        assert_eq!(journal.entries(), [first.clone(), second.clone()], "a torn line is nobody's");
        journal.applied(&[first.attempt]).unwrap();
        journal.applied(&[first.attempt]).unwrap();
        assert_eq!(open().entries(), std::slice::from_ref(&second));
        assert!(fs::read_to_string(&path).unwrap().starts_with("not ours\n"), "what cannot be read is not thrown away");

        fs::write(&path, super::line(&second)).unwrap();
        open().applied(&[second.attempt]).unwrap();
        assert!(!path.exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_leaves_nothing() {
        let nowhere = std::env::temp_dir().join("filmgate-no-such-folder").join("books.emergency.jsonl");
        let journal = Emergency::open(&nowhere).unwrap();
        assert!(journal.write(entry("up-1")).is_err());
        assert_eq!(journal.entries(), []);
    }
}
