//! How large a picture is, read from the first bytes of its file. Pure; decodes nothing.

use crate::video::{MediaType, Size};

/// What the file is and its frame size, if it is a JPEG, PNG or WebP that says so.
pub fn dimensions(file: &[u8]) -> Option<(MediaType, Size)> {
    if file.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some((MediaType::Png, size(be(file, 16, 4)?, be(file, 20, 4)?)?));
    }
    if file.starts_with(b"\xff\xd8\xff") {
        return Some((MediaType::Jpeg, jpeg(file)?));
    }
    if file.starts_with(b"RIFF") && file.get(8..12)? == b"WEBP" {
        return Some((MediaType::Webp, webp(file)?));
    }
    None
}

/// Walks the segments to the start of the frame, which holds the size.
fn jpeg(file: &[u8]) -> Option<Size> {
    let mut at = 2;
    loop {
        let marker = be(file, at, 2)?;
        match marker {
            0xffc4 | 0xffc8 | 0xffcc => {}
            0xffc0..=0xffcf => return size(be(file, at + 7, 2)?, be(file, at + 5, 2)?),
            0xffff => {
                at += 1;
                continue;
            }
            0xff01..=0xfffe => {}
            _ => return None,
        }
        at += 2 + usize::try_from(be(file, at + 2, 2)?).ok()?.max(2);
    }
}

fn webp(file: &[u8]) -> Option<Size> {
    match file.get(12..16)? {
        b"VP8X" => size(le(file, 24, 3)? + 1, le(file, 27, 3)? + 1),
        b"VP8L" => {
            let bits = le(file, 21, 4)?;
            size((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1)
        }
        b"VP8 " => size(le(file, 26, 2)? & 0x3fff, le(file, 28, 2)? & 0x3fff),
        _ => None,
    }
}

fn size(width: u64, height: u64) -> Option<Size> {
    Some(Size::new(u16::try_from(width).ok()?, u16::try_from(height).ok()?))
}

/// The `length` bytes at `at` as a number, the first byte highest.
fn be(file: &[u8], at: usize, length: usize) -> Option<u64> {
    Some(file.get(at..at.checked_add(length)?)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Likewise, the first byte lowest.
fn le(file: &[u8], at: usize, length: usize) -> Option<u64> {
    Some(file.get(at..at.checked_add(length)?)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
