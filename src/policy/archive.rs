//! `[archive]`: where finished clips are kept, and what opens that place.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

/// `[archive]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Where finished clips are copied: `None` streams from the provider only.
    pub place: Option<ArchivePlace>,
    /// How long they are kept.
    pub keep: Duration,
    /// How long a clip that cannot be copied holds up its job.
    pub give_up: Duration,
}

/// Where finished clips are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchivePlace {
    /// `file:DIR`
    Folder(PathBuf),
    /// `s3://…`
    Bucket(Bucket),
}

/// A bucket of an object store that speaks S3, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// What it is called.
    pub name: String,
    /// What the names in it begin with: nothing, or folders.
    pub prefix: String,
    /// Where the store is, if not at AWS.
    pub endpoint: Option<String>,
    /// As it is signed for.
    pub region: String,
    /// Whose.
    pub access_key: Secret,
    /// What signs.
    pub secret_key: Secret,
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.name, self.prefix)
    }
}
