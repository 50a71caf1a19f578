//! MP4: the boxes around the frames, index first so that playing can start before the end.
//!
//! Knows nothing of what a frame contains. Numbers are those of ISO/IEC 14496-12 and -15.

use super::h264::ParameterSets;
use crate::video::Size;

/// Ticks in a second, of every clock in the file.
const TIMESCALE: u32 = 1_000;

/// One track of equally long frames, of which only the first can be started at.
#[derive(Debug)]
pub struct Track<'a> {
    /// Frame size.
    pub size: Size,
    /// What a decoder must have first.
    pub sets: &'a ParameterSets,
    /// The frames, a NAL unit each.
    pub frames: &'a [Vec<u8>],
    /// How long a frame is shown.
    pub frame_ms: u32,
    /// A remark on the file.
    pub comment: &'a str,
}

/// The file.
pub fn file(track: &Track<'_>) -> Vec<u8> {
    let mut file = boxed(b"ftyp", &[b"isom", &be(512), b"isom", b"iso2", b"avc1", b"mp41"]);
    // The index names where the frames start, which depends on its own length, not on its values.
    let start = file.len() + moov(track, 0).len() + 8;
    file.extend(moov(track, u32::try_from(start).unwrap_or(u32::MAX)));
    let samples: Vec<u8> = track.frames.iter().flat_map(|frame| [&be_len(frame)[..], frame].concat()).collect();
    file.extend(boxed(b"mdat", &[&samples]));
    file
}

/// The head of a box of free space that is `length` bytes long with it.
pub fn free_head(length: u64) -> Vec<u8> {
    match u32::try_from(length) {
        Ok(length) => [&be(length)[..], b"free"].concat(),
        Err(_) => [&be(1)[..], b"free", &length.to_be_bytes()].concat(),
    }
}

fn moov(track: &Track<'_>, first_frame_at: u32) -> Vec<u8> {
    let duration = be(count(track.frames.len()) * track.frame_ms);
    let mvhd = boxed(b"mvhd", &[&be(0), &[0; 8], &be(TIMESCALE), &duration, &be(0x1_0000), &[1, 0], &[0; 10], &matrix(), &[0; 24], &be(2)]);
    let (width, height) = (u32::from(track.size.width) << 16, u32::from(track.size.height) << 16);
    // Flags 3: enabled and part of the movie.
    let tkhd = boxed(b"tkhd", &[&be(3), &[0; 8], &be(1), &be(0), &duration, &[0; 16], &matrix(), &be(width), &be(height)]);
    let mdhd = boxed(b"mdhd", &[&be(0), &[0; 8], &be(TIMESCALE), &duration, &[0x55, 0xc4, 0, 0]]); // language: undetermined
    let hdlr = boxed(b"hdlr", &[&be(0), &be(0), b"vide", &[0; 12], b"video\0"]);
    let vmhd = boxed(b"vmhd", &[&be(1), &[0; 8]]);
    let url = boxed(b"url ", &[&be(1)]); // in this very file
    let dinf = boxed(b"dinf", &[&boxed(b"dref", &[&be(0), &be(1), &url])]);
    let minf = boxed(b"minf", &[&vmhd, &dinf, &stbl(track, first_frame_at)]);
    let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &minf]);
    let trak = boxed(b"trak", &[&tkhd, &mdia]);
    boxed(b"moov", &[&mvhd, &trak, &udta(track.comment)])
}

/// Where each frame is, how long it is and how long it lasts.
fn stbl(track: &Track<'_>, first_frame_at: u32) -> Vec<u8> {
    let frames = count(track.frames.len());
    let stsd = boxed(b"stsd", &[&be(0), &be(1), &avc1(track)]);
    let stts = boxed(b"stts", &[&be(0), &be(1), &be(frames), &be(track.frame_ms)]);
    let stss = boxed(b"stss", &[&be(0), &be(1), &be(1)]);
    let stsc = boxed(b"stsc", &[&be(0), &be(1), &be(1), &be(frames), &be(1)]);
    let sizes: Vec<u8> = track.frames.iter().flat_map(|frame| be(count(frame.len()) + 4)).collect();
    let stsz = boxed(b"stsz", &[&be(0), &be(0), &be(frames), &sizes]);
    let stco = boxed(b"stco", &[&be(0), &be(1), &be(first_frame_at)]);
    boxed(b"stbl", &[&stsd, &stts, &stss, &stsc, &stsz, &stco])
}

fn avc1(track: &Track<'_>) -> Vec<u8> {
    let ParameterSets { sequence, picture } = track.sets;
    let profile = sequence.get(1..4).unwrap_or_default();
    // 0xff: frames have lengths of four bytes before them; 0xe1: one sequence parameter set.
    let sets = [&be_len16(sequence)[..], sequence, &[1], &be_len16(picture), picture].concat();
    let avcc = boxed(b"avcC", &[&[1], profile, &[0xff, 0xe1], &sets]);
    let (width, height) = (track.size.width.to_be_bytes(), track.size.height.to_be_bytes());
    let resolution = [be(72 << 16), be(72 << 16)].concat();
    let tail: &[u8] = &[0, 24, 0xff, 0xff]; // colour depth; no colour table
    boxed(b"avc1", &[&[0; 6], &[0, 1], &[0; 16], &width, &height, &resolution, &be(0), &[0, 1], &[0; 32], tail, &avcc])
}

/// A comment, as players and `ffprobe` show it.
fn udta(comment: &str) -> Vec<u8> {
    let text = comment.as_bytes();
    boxed(b"udta", &[&boxed(b"\xa9cmt", &[&be_len16(text), &[0x55, 0xc4], text])])
}

/// A box: its length, its name and what it holds.
fn boxed(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&be(count(body.len()) + 8)[..], name, &body].concat()
}

/// Neither turned nor scaled.
fn matrix() -> Vec<u8> {
    [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000].into_iter().flat_map(be).collect()
}

fn be(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn be_len(bytes: &[u8]) -> [u8; 4] {
    be(count(bytes.len()))
}

fn be_len16(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()
}

/// Clips are at most minutes long: no count in them comes near the end of the range.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
