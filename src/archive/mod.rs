//! The archive: finished clips and their stills, kept beyond the provider's own expiry.
//!
//! Knows places, names and files; knows no route, no money and no state of a job. The invariant: a file
//! that is found under its name is whole, and was checked. There is no table of what is kept, so there
//! is nothing that could disagree with the files: copying again, removing again and looking again are
//! always safe, on any number of gateways.

mod check;
mod copies;
mod disk;
mod label;

use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures_util::Stream;
use jiff::civil::Date;

use crate::clock::Timestamp;
use crate::id::JobId;
use crate::policy::{self, ArchivePlace};
use crate::provider::Variant;

pub use check::{Check, Damage, FILE_BYTES_MAX};
pub use copies::Copies;
pub use label::{Form, Label};

use disk::{Disk, Draft, Open};

/// The archive did not do what was asked. It may do so later.
#[derive(Debug, thiserror::Error)]
#[error("the archive at {place} is out of order: {why}")]
pub struct OutOfOrder {
    place: String,
    why: io::Error,
}

/// The archive of this gateway, wherever the policy in force has it.
#[derive(Debug, Default)]
pub struct Archive {
    /// The copies under way.
    pub copies: Copies,
}

/// Whose files.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The job.
    pub job: JobId,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Where files are kept.
#[derive(Clone, Debug)]
pub struct Place {
    name: String,
    disk: Disk,
}

/// A file that is kept, as a listing has it.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Its name.
    pub label: Label,
    /// Since when it is there.
    pub since: Timestamp,
}

/// A file that is kept, open for reading.
#[derive(Debug)]
pub struct File {
    /// In what format.
    pub form: &'static Form,
    /// How long, bytes.
    pub length: u64,
    open: Open,
}

/// A file on its way in.
#[derive(Debug)]
pub struct Incoming<'a> {
    place: &'a Place,
    label: Label,
    draft: Draft,
}

impl Archive {
    /// The place that the policy names; `None` if clips are not kept.
    pub fn place(&self, policy: &policy::Archive) -> Option<Place> {
        match policy.place.as_ref()? {
            ArchivePlace::Folder(path) => Some(Place { name: path.display().to_string(), disk: Disk::new(path) }),
            ArchivePlace::Bucket(_) => None,
        }
    }
}

impl Owner {
    fn label(self, form: &'static Form) -> Label {
        Label { day: self.created_at.utc_date(), job: self.job, form }
    }
}

impl Place {
    /// Opens a job's file, if it is kept.
    pub async fn open(&self, owner: Owner, variant: Variant) -> Result<Option<File>, OutOfOrder> {
        for form in Form::all_of(variant) {
            let open = self.disk.open(owner.label(form)).await;
            if let Some(open) = open.map_err(|why| self.out_of_order(why))? {
                return Ok(Some(File { form, length: open.length, open }));
            }
        }
        Ok(None)
    }

    /// Begins to keep a file. Nobody can see it until it is [kept](Incoming::keep).
    pub async fn begin(&self, owner: Owner, form: &'static Form) -> Result<Incoming<'_>, OutOfOrder> {
        let draft = self.disk.draft().await.map_err(|why| self.out_of_order(why))?;
        Ok(Incoming { place: self, label: owner.label(form), draft })
    }

    /// Removes all files of a job. How many there were.
    pub async fn remove_all(&self, owner: Owner) -> Result<u64, OutOfOrder> {
        let mut removed = 0;
        for form in Form::all() {
            removed += u64::from(self.remove(owner.label(form)).await?);
        }
        Ok(removed)
    }

    /// Removes one file; whether it was there.
    pub async fn remove(&self, label: Label) -> Result<bool, OutOfOrder> {
        self.disk.remove(label).await.map_err(|why| self.out_of_order(why))
    }

    /// The days of which there may be files, oldest first.
    pub async fn days(&self) -> Result<Vec<Date>, OutOfOrder> {
        self.disk.days().await.map_err(|why| self.out_of_order(why))
    }

    /// The files of jobs that were made on that day.
    pub async fn on(&self, day: Date) -> Result<Vec<Kept>, OutOfOrder> {
        self.disk.on(day).await.map_err(|why| self.out_of_order(why))
    }

    /// Tidies up a day that is long over.
    pub async fn close(&self, day: Date) {
        self.disk.close(day).await;
    }

    /// Removes what was begun before `before` and never kept. How many files that were.
    pub async fn clear_drafts(&self, before: Timestamp) -> Result<u64, OutOfOrder> {
        self.disk.clear_drafts(before).await.map_err(|why| self.out_of_order(why))
    }

    fn out_of_order(&self, why: io::Error) -> OutOfOrder {
        OutOfOrder { place: self.name.clone(), why }
    }
}

impl Incoming<'_> {
    /// Adds to its end.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), OutOfOrder> {
        self.draft.write(bytes).await.map_err(|why| self.place.out_of_order(why))
    }

    /// It is whole: gives it its name, and answers once it is there to stay.
    pub async fn keep(self) -> Result<(), OutOfOrder> {
        self.place.disk.keep(self.draft, self.label).await.map_err(|why| self.place.out_of_order(why))
    }
}

impl File {
    /// The bytes of a range, piece by piece as they are taken.
    pub fn read(self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send {
        futures_util::stream::try_unfold((self.open, range.start), move |(open, at)| async move {
            if at >= range.end {
                return Ok(None);
            }
            let piece = open.piece(at, range.end).await?;
            let next = at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            Ok(Some((piece, (open, next))))
        })
    }
}
