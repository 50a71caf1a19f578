//! Uploaded files: what they are and how big their picture is, told from their first bytes.
//!
//! Knows no codec: nothing is ever decoded, only headers are read, and every read is bounded by the
//! file's own length. What a client claims about a file plays no part.

use bytes::Bytes;

use crate::video::{MediaType, Size, Upload};
use crate::wire::error::{Fault, FaultKind};

/// The biggest picture that is taken, bytes.
pub(super) const IMAGE_BYTES_MAX: usize = 10 * 1024 * 1024;

/// A file as the picture it has to be; `param` is the field it came in.
pub(super) fn image(param: &str, bytes: Bytes) -> Result<Upload, Fault> {
    if bytes.len() > IMAGE_BYTES_MAX {
        return Err(Fault::too_large(param, IMAGE_BYTES_MAX));
    }
    match media_type(&bytes).filter(|&t| t != MediaType::Mp4).map(|media_type| Upload { media_type, bytes }) {
        Some(upload) if dimensions(&upload).is_some() => Ok(upload),
        _ => Err(Fault::invalid(
            param,
            "invalid_value",
            format!("The file in '{param}' is no JPEG, PNG or WebP picture. Send one of these."),
        )),
    }
}

/// A file as the MP4 it has to be; `param` is the field it came in.
pub(super) fn mp4(param: &str, bytes: Bytes) -> Result<Upload, Fault> {
    match media_type(&bytes) {
        Some(media_type @ MediaType::Mp4) => Ok(Upload { media_type, bytes }),
        _ => Err(Fault::invalid(param, "invalid_value", format!("The file in '{param}' is no MP4 video. Send one."))),
    }
}

/// Refuses a picture whose pixels are not exactly those of the clip that starts from it.
pub fn check_reference_size(upload: &Upload, size: Size) -> Result<(), Fault> {
    if dimensions(upload) == Some((u32::from(size.width), u32::from(size.height))) {
        return Ok(());
    }
    // The protocol's own sentence, and like there it names no field: clients match on it.
    let message = "Inpaint image must match the requested width and height".to_owned();
    Err(Fault { kind: FaultKind::Invalid, param: None, code: None, message })
}

/// Width and height in pixels as a picture's header declares them.
pub fn dimensions(upload: &Upload) -> Option<(u32, u32)> {
    let (width, height) = match upload.media_type {
        MediaType::Png => png(&upload.bytes),
        MediaType::Jpeg => jpeg(&upload.bytes),
        MediaType::Webp => webp(&upload.bytes),
        MediaType::Mp4 => None,
    }?;
    (width > 0 && height > 0).then_some((width, height))
}

fn media_type(bytes: &[u8]) -> Option<MediaType> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some(MediaType::Png)
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        Some(MediaType::Jpeg)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some(MediaType::Webp)
    } else if bytes.get(4..8) == Some(b"ftyp") {
        Some(MediaType::Mp4)
    } else {
        None
    }
}

/// The first chunk is `IHDR`, and begins with both sides.
fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    (bytes.get(12..16)? == b"IHDR").then_some(())?;
    Some((u32::from_be_bytes(array(bytes, 16)?), u32::from_be_bytes(array(bytes, 20)?)))
}

/// Walks the segments to the frame header; each step moves forward, so it ends with the file.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        let [mark, kind] = array(bytes, at)?;
        match (mark, kind) {
            // Fill bytes before a marker.
            (0xff, 0xff) => at += 1,
            // Markers that stand alone.
            (0xff, 0x01 | 0xd0..=0xd7) => at += 2,
            // Frame headers; the three left out are tables among the same numbers.
            (0xff, 0xc0..=0xcf) if !matches!(kind, 0xc4 | 0xc8 | 0xcc) => {
                let height = u16::from_be_bytes(array(bytes, at + 5)?);
                let width = u16::from_be_bytes(array(bytes, at + 7)?);
                return Some((u32::from(width), u32::from(height)));
            }
            // The picture itself begins, or ends, without a frame header.
            (0xff, 0xd8..=0xda) => return None,
            (0xff, _) => at += 2 + usize::from(u16::from_be_bytes(array(bytes, at + 2)?)),
            _ => return None,
        }
    }
}

/// Lossy, lossless and extended files each keep the sides in a place of their own.
fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    match bytes.get(12..16)? {
        b"VP8 " => {
            (bytes.get(23..26)? == b"\x9d\x01\x2a").then_some(())?;
            // The upper two bits are a scale for display.
            let side = |at| Some(u32::from(u16::from_le_bytes(array(bytes, at)?) & 0x3fff));
            Some((side(26)?, side(28)?))
        }
        b"VP8L" => {
            (bytes.get(20)? == &0x2f).then_some(())?;
            let bits = u32::from_le_bytes(array(bytes, 21)?);
            Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
        }
        b"VP8X" => {
            let side = |at| array(bytes, at).map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]) + 1);
            Some((side(24)?, side(27)?))
        }
        _ => None,
    }
}

/// `N` bytes from `at`, if the file has them.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests;
