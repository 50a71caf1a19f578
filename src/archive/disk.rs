//! The archive in a folder of this machine.
//!
//! A file gets its name only once it is whole and on disk: it is written under another one, flushed,
//! renamed, and the folder is flushed too. What a crash leaves behind is in [`DRAFTS`], where nothing is
//! ever served from.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures_util::Stream;
use jiff::civil::Date;
use uuid::Uuid;

use super::Kept;
use super::label::{Label, day_of, folder};
use crate::clock::Timestamp;

/// Where files are before they are whole.
const DRAFTS: &str = ".partial";
/// The largest piece that is read at once, bytes.
const PIECE_BYTES: usize = 64 << 10;

/// The folder.
#[derive(Clone, Debug)]
pub struct Disk {
    root: Arc<Path>,
}

/// A file that is there: it can be read to its end even if it is removed meanwhile.
#[derive(Clone, Debug)]
pub struct Open {
    file: Arc<File>,
    /// Its length, bytes.
    pub length: u64,
}

/// A file that is being written. It is gone when dropped, unless it was kept.
#[derive(Debug)]
pub struct Draft {
    file: Arc<File>,
    path: PathBuf,
}

impl Disk {
    /// The archive in that folder, which is made when something is put there.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// Opens a file, if it is there.
    pub async fn open(&self, label: Label) -> io::Result<Option<Open>> {
        let path = self.path(label);
        blocking(move || {
            let Some(file) = if_there(File::open(path))? else { return Ok(None) };
            let length = file.metadata()?.len();
            Ok(Some(Open { file: Arc::new(file), length }))
        })
        .await
    }

    /// Begins a file.
    pub async fn draft(&self) -> io::Result<Draft> {
        let folder = self.root.join(DRAFTS);
        blocking(move || {
            make_folder(&folder)?;
            let path = folder.join(Uuid::new_v4().simple().to_string());
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            Ok(Draft { file: Arc::new(file), path })
        })
        .await
    }

    /// Gives a file that is whole its name. A file of that name is replaced: it is the same one.
    pub async fn keep(&self, draft: Draft, label: Label) -> io::Result<()> {
        let path = self.path(label);
        let root = self.root.clone();
        blocking(move || {
            draft.file.sync_all()?;
            let day = path.parent().unwrap_or(&root);
            let is_new = !day.exists();
            make_folder(day)?;
            std::fs::rename(&draft.path, &path)?;
            // With the day, the month and the year may be new: their names are in the folder above.
            let above = if is_new { usize::MAX } else { 1 };
            for folder in day.ancestors().take_while(|folder| folder.starts_with(&root)).take(above) {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        })
        .await
    }

    /// Removes a file; whether it was there.
    pub async fn remove(&self, label: Label) -> io::Result<bool> {
        let path = self.path(label);
        blocking(move || Ok(if_there(std::fs::remove_file(path))?.is_some())).await
    }

    /// The days of which there may be files, oldest first.
    pub async fn days(&self) -> io::Result<Vec<Date>> {
        let root = self.root.clone();
        blocking(move || {
            let mut days = Vec::new();
            for year in names(&root)? {
                for month in names(&root.join(&year))? {
                    let here = names(&root.join(&year).join(&month))?;
                    days.extend(here.iter().filter_map(|day| day_of(&format!("{year}/{month}/{day}"))));
                }
            }
            days.sort_unstable();
            Ok(days)
        })
        .await
    }

    /// The files of a day.
    pub async fn on(&self, day: Date) -> io::Result<Vec<Kept>> {
        let path = self.root.join(folder(day));
        blocking(move || {
            let mut kept = Vec::new();
            for name in names(&path)? {
                let Some(label) = Label::read(day, &name) else { continue };
                // It may have been removed since it was listed.
                let Some(meta) = if_there(std::fs::metadata(path.join(&name)))? else { continue };
                kept.push(Kept { label, since: moment(meta.modified()?) });
            }
            Ok(kept)
        })
        .await
    }

    /// Removes the folder of a day that is over, if it is empty.
    pub async fn close(&self, day: Date) {
        let path = self.root.join(folder(day));
        // It is not empty, or not there: both are fine.
        let _ = blocking(move || std::fs::remove_dir(path)).await;
    }

    /// Removes what was begun before `before` and never became whole: whoever wrote it is dead.
    pub async fn clear_drafts(&self, before: Timestamp) -> io::Result<u64> {
        let folder = self.root.join(DRAFTS);
        blocking(move || {
            let mut cleared = 0;
            for name in names(&folder)? {
                let path = folder.join(name);
                let Some(meta) = if_there(std::fs::metadata(&path))? else { continue };
                if meta.is_file() && moment(meta.modified()?) < before && if_there(std::fs::remove_file(path))?.is_some() {
                    cleared += 1;
                }
            }
            Ok(cleared)
        })
        .await
    }

    fn path(&self, label: Label) -> PathBuf {
        self.root.join(label.to_string())
    }
}

impl Open {
    /// The bytes of a range, piece by piece as they are taken.
    pub fn read(self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send {
        futures_util::stream::try_unfold((self, range.start), move |(open, at)| async move {
            if at >= range.end {
                return Ok(None);
            }
            let piece = open.piece(at, range.end).await?;
            let next = at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            Ok(Some((piece, (open, next))))
        })
    }

    /// The next bytes from `at` on, at most up to `end`.
    async fn piece(&self, at: u64, end: u64) -> io::Result<Bytes> {
        let file = self.file.clone();
        let length = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(PIECE_BYTES);
        blocking(move || {
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, at)?;
            Ok(piece.into())
        })
        .await
    }
}

impl Draft {
    /// Adds to its end.
    pub async fn write(&self, bytes: Bytes) -> io::Result<()> {
        let file = self.file.clone();
        blocking(move || (&*file).write_all(&bytes)).await
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it was kept there is nothing of this name; otherwise the next clearing takes what stays.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The names in a folder; none if there is no such folder.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let listing = match std::fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    listing.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn if_there<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn moment(time: std::time::SystemTime) -> Timestamp {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Does what may block on a thread that may be blocked.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}
