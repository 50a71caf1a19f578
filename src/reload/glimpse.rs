//! A glimpse of the file: enough to tell whether it is still the same, for as little as possible.
//!
//! A file of a hundred thousand tenants is not read four times a second: one that carries the same stamps as at
//! the last look can be taken to be the same. Knows not whether they are old enough for that.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::Path;
use std::time::SystemTime;

use crate::auth;
use crate::policy::load::FILE_BYTES_MAX;

/// The file as it was looked at. Two that are equal are of the same file, untouched in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glimpse {
    stamps: Stamps,
    /// What its bytes hash to.
    pub hash: [u8; 32],
}

/// What a file system knows of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamps {
    bytes: u64,
    written: Option<SystemTime>,
    /// Device, number and time of the last change of any kind, which nobody can set back.
    identity: Option<(u64, u64, i64, i64)>,
}

impl Glimpse {
    /// Looks at the file, if it can be read; what `last` says of its content is believed if the stamps are the same.
    pub fn of(path: &Path, last: Option<&Self>) -> Option<Self> {
        let stamps = Stamps::of(&std::fs::metadata(path).ok()?);
        if let Some(last) = last.filter(|last| last.stamps == stamps && stamps.identity.is_some()) {
            return Some(last.clone());
        }
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
        Some(Self { stamps, hash: auth::hash(&bytes) })
    }
}

impl Stamps {
    fn of(file: &Metadata) -> Self {
        Self { bytes: file.len(), written: file.modified().ok(), identity: identity(file) }
    }
}

#[cfg(unix)]
fn identity(file: &Metadata) -> Option<(u64, u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt as _;

    Some((file.dev(), file.ino(), file.ctime(), file.ctime_nsec()))
}

/// Without it nothing is believed.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64, i64, i64)> {
    None
}

#[cfg(test)]
mod tests {
    use super::Glimpse;

    #[test]
    fn a_file_is_read_unless_its_stamps_are_those_of_the_last_look() {
        let folder = std::env::temp_dir().join(format!("glimpse-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (file, other) = (folder.join("gateway.toml"), folder.join("other.toml"));
        std::fs::write(&file, "aaaa").unwrap();
        let first = Glimpse::of(&file, None).unwrap();
        let believed = Glimpse { hash: [7; 32], ..first.clone() };
        assert_eq!(Glimpse::of(&file, Some(&believed)), Some(believed.clone()));
        assert_eq!(Glimpse::of(&file, None), Some(first.clone()));

        // Another file with the same bytes is another glimpse, and one with others is read.
        std::fs::write(&other, "bbbb").unwrap();
        std::fs::rename(&other, &file).unwrap();
        let second = Glimpse::of(&file, Some(&believed)).unwrap();
        assert!(second.hash != believed.hash && second.hash != first.hash);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(Glimpse::of(&file, Some(&second)), None);
    }
}
