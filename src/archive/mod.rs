//! The archive: finished clips and their stills, kept beyond the provider's own expiry.
//!
//! Knows places, names and files; knows no route, no money and no state of a job. The invariant: a file
//! that is found under its name is whole, and was checked. There is no table of what is kept, so there
//! is nothing that could disagree with the files: copying again, removing again and looking again are
//! always safe, on any number of gateways.

mod bucket;
mod check;
mod copies;
mod disk;
mod label;
mod web;

use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::civil::Date;

use crate::clock::Timestamp;
use crate::id::JobId;
use crate::policy::{self, ArchivePlace};
use crate::provider::Variant;

pub use check::{Check, Damage, FILE_BYTES_MAX};
pub use copies::Copies;
pub use label::{Form, Label};

use bucket::Bucket;
use disk::Disk;

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
    /// The bucket that was asked for last, with its connections.
    bucket: Mutex<Option<(policy::Bucket, Bucket)>>,
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
    shelf: Shelf,
}

/// What kind of place.
#[derive(Clone, Debug)]
enum Shelf {
    Disk(Disk),
    Bucket(Bucket),
}

#[derive(Debug)]
enum Open {
    Disk(disk::Open),
    Bucket(bucket::Open),
}

#[derive(Debug)]
enum Draft {
    Disk(disk::Draft),
    Bucket(bucket::Draft),
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
        Some(match policy.place.as_ref()? {
            ArchivePlace::Folder(path) => Place { name: path.display().to_string(), shelf: Shelf::Disk(Disk::new(path)) },
            ArchivePlace::Bucket(named) => Place { name: named.to_string(), shelf: Shelf::Bucket(self.bucket(named)) },
        })
    }

    fn bucket(&self, named: &policy::Bucket) -> Bucket {
        let mut latest = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bucket)) = latest.as_ref().filter(|(name, _)| name == named) {
            return bucket.clone();
        }
        let bucket = Bucket::new(named);
        *latest = Some((named.clone(), bucket.clone()));
        bucket
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
            let label = owner.label(form);
            let open = match &self.shelf {
                Shelf::Disk(disk) => disk.open(label).await.map(|open| open.map(|open| (open.length, Open::Disk(open)))),
                Shelf::Bucket(bucket) => bucket.open(label).await.map(|open| open.map(|open| (open.length, Open::Bucket(open)))),
            };
            if let Some((length, open)) = open.map_err(|why| self.out_of_order(why))? {
                return Ok(Some(File { form, length, open }));
            }
        }
        Ok(None)
    }

    /// Begins to keep a file. Nobody can see it until it is [kept](Incoming::keep).
    pub async fn begin(&self, owner: Owner, form: &'static Form) -> Result<Incoming<'_>, OutOfOrder> {
        let label = owner.label(form);
        let draft = match &self.shelf {
            Shelf::Disk(disk) => disk.draft().await.map(Draft::Disk),
            Shelf::Bucket(bucket) => bucket.draft(label).map(Draft::Bucket),
        };
        Ok(Incoming { place: self, label, draft: draft.map_err(|why| self.out_of_order(why))? })
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
        let done = match &self.shelf {
            Shelf::Disk(disk) => disk.remove(label).await,
            Shelf::Bucket(bucket) => bucket.remove(label).await,
        };
        done.map_err(|why| self.out_of_order(why))
    }

    /// The days of which there may be files, oldest first.
    pub async fn days(&self) -> Result<Vec<Date>, OutOfOrder> {
        let done = match &self.shelf {
            Shelf::Disk(disk) => disk.days().await,
            Shelf::Bucket(bucket) => bucket.days().await,
        };
        done.map_err(|why| self.out_of_order(why))
    }

    /// The files of jobs that were made on that day.
    pub async fn on(&self, day: Date) -> Result<Vec<Kept>, OutOfOrder> {
        let done = match &self.shelf {
            Shelf::Disk(disk) => disk.on(day).await,
            Shelf::Bucket(bucket) => bucket.on(day).await,
        };
        done.map_err(|why| self.out_of_order(why))
    }

    /// Tidies up a day that is long over.
    pub async fn close(&self, day: Date) {
        // A bucket has no folders.
        if let Shelf::Disk(disk) = &self.shelf {
            disk.close(day).await;
        }
    }

    /// Removes what was begun before `before` and never kept. How many files that were.
    pub async fn clear_drafts(&self, before: Timestamp) -> Result<u64, OutOfOrder> {
        match &self.shelf {
            Shelf::Disk(disk) => disk.clear_drafts(before).await.map_err(|why| self.out_of_order(why)),
            // Its lifecycle rule does.
            Shelf::Bucket(_) => Ok(0),
        }
    }

    fn out_of_order(&self, why: io::Error) -> OutOfOrder {
        OutOfOrder { place: self.name.clone(), why }
    }
}

impl Incoming<'_> {
    /// Adds to its end.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), OutOfOrder> {
        let written = match &mut self.draft {
            Draft::Disk(draft) => draft.write(bytes).await,
            Draft::Bucket(draft) => draft.write(bytes).await,
        };
        written.map_err(|why| self.place.out_of_order(why))
    }

    /// It is whole: gives it its name, and answers once it is there to stay.
    pub async fn keep(self) -> Result<(), OutOfOrder> {
        let kept = match (self.draft, &self.place.shelf) {
            (Draft::Disk(draft), Shelf::Disk(disk)) => disk.keep(draft, self.label).await,
            (Draft::Bucket(draft), _) => draft.keep().await,
            (Draft::Disk(_), Shelf::Bucket(_)) => Err(io::Error::other("a draft of another place")),
        };
        kept.map_err(|why| self.place.out_of_order(why))
    }
}

impl File {
    /// The bytes of a range, piece by piece as they are taken.
    pub fn read(self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        match self.open {
            Open::Disk(open) => open.read(range).boxed(),
            Open::Bucket(open) => open.read(range),
        }
    }
}
