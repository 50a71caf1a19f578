//! Clips: a job's video, thumbnail and spritesheet, made from nothing but its record. Pure.
//!
//! A clip is one flat colour, which its id chooses, and a row of beads that grows by one every
//! half second. Everything is exact: frame size, length, and the watermark that names whose it is.

mod bits;
mod colour;
mod h264;
mod jpeg;
mod mp4;
mod webp;

use bytes::Bytes;

use super::content::File;
use super::job::{Job, seed_of};
use colour::{Rgb, Ycc};

/// How long a frame of a clip is shown.
const FRAME_MS: u32 = 500;
/// The colour of beads: white.
const BEAD: Ycc = Ycc { luma: 235, cb: 128, cr: 128 };
/// A spritesheet's tile in units of a JPEG, along its longer and its shorter side.
const TILE_UNITS: (u16, u16) = (10, 6);

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

/// The file; the clip is padded to `bytes_min`.
pub fn file(job: &Job, variant: Variant, bytes_min: u64) -> File {
    let colour = Rgb::chosen_by(seed_of(&job.id));
    match variant {
        Variant::Video => padded(video(job, colour), bytes_min),
        Variant::Thumbnail => File { head: webp::flat(job.size(), colour).into(), padding: 0, media_type: "image/webp" },
        Variant::Spritesheet => File { head: spritesheet(job, colour).into(), padding: 0, media_type: "image/jpeg" },
    }
}

fn video(job: &Job, colour: Rgb) -> Vec<u8> {
    let size = job.size();
    let count = job.seconds.saturating_mul(1_000) / FRAME_MS;
    let mut frames = vec![h264::flat_frame(size, colour.for_video())];
    frames.extend((1..count).map(|number| h264::bead_frame(size, number, h264::place(size, number, count), BEAD)));
    let sets = h264::parameter_sets(size);
    mp4::file(&mp4::Track { size, sets: &sets, frames: &frames, frame_ms: FRAME_MS, comment: &job.watermark() })
}

/// The clip with free space at its end; only the head of that space is held.
fn padded(clip: Vec<u8>, bytes_min: u64) -> File {
    let natural = u64::try_from(clip.len()).unwrap_or(u64::MAX);
    let mut head = clip;
    let mut padding = 0;
    if natural < bytes_min {
        // A box of free space cannot be shorter than its own head.
        let length = (bytes_min - natural).max(16);
        let free = mp4::free_head(length);
        padding = length - u64::try_from(free.len()).unwrap_or(length);
        head.extend(free);
    }
    File { head: Bytes::from(head), padding, media_type: "video/mp4" }
}

/// One tile per second, a little brighter each.
fn spritesheet(job: &Job, colour: Rgb) -> Vec<u8> {
    let base = colour.for_jpeg();
    let tiles: Vec<Ycc> = (0..job.seconds)
        .map(|second| Ycc { luma: base.luma.saturating_add(u8::try_from(second * 40 / job.seconds.max(1)).unwrap_or(0)), ..base })
        .collect();
    let (long, short) = TILE_UNITS;
    let (wide, high) = if job.width > job.height { (long, short) } else { (short, long) };
    jpeg::tiles(&tiles, wide, high)
}
