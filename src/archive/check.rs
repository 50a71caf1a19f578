//! Whether the bytes that came are the whole file: pure, and fed as they come.
//!
//! A reply's length proves little: a provider that stores half a clip serves that half under a length
//! that agrees with it. An MP4 file says by itself how long it is, box by box, so its boxes are walked:
//! `ftyp` first, a `moov` and an `mdat` somewhere, and the last one ending where the file does. Pictures are known to be
//! whole by their ends. A WebM clip is taken at the length that was promised.

use super::label::Form;

/// The largest file that is kept, bytes.
pub const FILE_BYTES_MAX: u64 = 4 << 30;
/// The longest head of a box: length, name, and the length again if it is a large one.
const HEAD_BYTES: usize = 16;
/// As many of the first and last bytes are looked at again.
const ENDS_BYTES: usize = 12;

/// Why a file is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Fewer or more bytes than the reply's head promised.
    #[error("{got} bytes came and {promised} were promised")]
    Length {
        /// What came.
        got: u64,
        /// What was promised.
        promised: u64,
    },
    /// The file breaks off.
    #[error("it breaks off: its boxes need {needed} bytes more")]
    Short {
        /// What is missing.
        needed: u64,
    },
    /// A box has a length that no box has.
    #[error("at byte {at} is no MP4 box")]
    NoBox {
        /// Where.
        at: u64,
    },
    /// A box is missing without which it cannot be played.
    #[error("it has no {0} box")]
    Without(&'static str),
    /// A picture ends where none does.
    #[error("it breaks off: it does not end like a picture")]
    NoEnd,
    /// More than is kept of anything.
    #[error("it is longer than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// There is nothing.
    #[error("it is empty")]
    Empty,
}

/// Watches a file go by.
#[derive(Debug)]
pub struct Check {
    media_type: &'static str,
    seen: u64,
    boxes: Boxes,
    /// The first bytes, which have the length of a WebP picture.
    first: Vec<u8>,
    /// The last bytes.
    last: Vec<u8>,
}

impl Check {
    /// For a file of that format.
    pub fn new(form: &Form) -> Self {
        Self { media_type: form.media_type, seen: 0, boxes: Boxes::default(), first: Vec::new(), last: Vec::new() }
    }

    /// The next bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        if self.media_type == "video/mp4" {
            self.boxes.feed(bytes)?;
        }
        self.first.extend(bytes.iter().take(ENDS_BYTES - self.first.len()));
        self.last.extend(&bytes[bytes.len().saturating_sub(ENDS_BYTES)..]);
        self.last.drain(..self.last.len().saturating_sub(ENDS_BYTES));
        self.seen = self.seen.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.seen > FILE_BYTES_MAX { Err(Damage::TooLong) } else { Ok(()) }
    }

    /// There are no more bytes, and the reply's head promised so many, if it promised any. How many there were.
    pub fn end(self, promised: Option<u64>) -> Result<u64, Damage> {
        let got = self.seen;
        if got == 0 {
            return Err(Damage::Empty);
        }
        if let Some(promised) = promised.filter(|promised| *promised != got) {
            return Err(Damage::Length { got, promised });
        }
        let ends_well = match self.media_type {
            "video/mp4" => return self.boxes.end().map(|()| got),
            "image/jpeg" => self.last.ends_with(b"\xff\xd9"),
            "image/png" => self.last.ends_with(b"IEND\xae\x42\x60\x82"),
            "image/webp" => {
                // What a RIFF file says of its length leaves out the eight bytes that say it.
                let told = self.first.get(4..8).and_then(|told| told.first_chunk::<4>());
                told.is_some_and(|told| u64::from(u32::from_le_bytes(*told)) + 8 == got)
            }
            _ => true,
        };
        if ends_well { Ok(got) } else { Err(Damage::NoEnd) }
    }
}

/// Walks the outermost boxes of an MP4 file and holds nothing of what is in them.
#[derive(Debug, Default)]
struct Boxes {
    /// Where the next byte is in the file.
    at: u64,
    /// Bytes of the current box that are still to come.
    left: u64,
    /// The head of the next box, as far as it has come.
    head: Vec<u8>,
    /// A box without a length reaches to the end of the file.
    to_the_end: bool,
    has_index: bool,
    has_media: bool,
}

impl Boxes {
    fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Damage> {
        while !bytes.is_empty() && !self.to_the_end {
            let inside = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            if inside > 0 {
                self.pass(inside);
                bytes = &bytes[inside..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            self.at += 1;
            self.begin_box()?;
        }
        Ok(())
    }

    fn pass(&mut self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.at = self.at.saturating_add(count);
        self.left = self.left.saturating_sub(count);
    }

    /// Begins the next box, once enough of its head is there.
    fn begin_box(&mut self) -> Result<(), Damage> {
        let begin = self.at - u64::try_from(self.head.len()).unwrap_or(0);
        let no_box = Damage::NoBox { at: begin };
        let (Some(short), Some(name)) = (self.head.first_chunk::<4>(), self.head.get(4..8)) else { return Ok(()) };
        let length = match u32::from_be_bytes(*short) {
            0 => None,
            1 => match self.head.get(8..HEAD_BYTES).and_then(|long| long.first_chunk::<8>()) {
                Some(long) => Some(u64::from_be_bytes(*long)),
                None => return Ok(()),
            },
            length => Some(length.into()),
        };
        let head_length = u64::try_from(self.head.len()).unwrap_or(0);
        if !name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ' || *byte == 0xa9) || (begin == 0 && name != b"ftyp") {
            return Err(no_box);
        }
        self.has_index |= name == b"moov";
        self.has_media |= name == b"mdat";
        self.left = match length {
            Some(length) if (head_length..=FILE_BYTES_MAX).contains(&length) => length - head_length,
            Some(_) => return Err(no_box),
            None => {
                self.to_the_end = true;
                0
            }
        };
        self.head.clear();
        Ok(())
    }

    fn end(self) -> Result<(), Damage> {
        match self {
            Self { left: needed @ 1.., .. } => Err(Damage::Short { needed }),
            Self { head, .. } if !head.is_empty() => {
                Err(Damage::Short { needed: 8_u64.saturating_sub(u64::try_from(head.len()).unwrap_or(0)).max(1) })
            }
            Self { has_index: false, .. } => Err(Damage::Without("moov")),
            Self { has_media: false, .. } => Err(Damage::Without("mdat")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Check, Damage};
    use crate::archive::label::Form;
    use crate::provider::Variant;

    fn mp4(boxes: &[(&[u8; 4], usize)]) -> Vec<u8> {
        let boxed =
            |(name, length): &(&[u8; 4], usize)| [&u32::try_from(length + 8).unwrap().to_be_bytes()[..], *name, &vec![7; *length]].concat();
        boxes.iter().flat_map(boxed).collect()
    }

    fn clip() -> Vec<u8> {
        mp4(&[(b"ftyp", 16), (b"moov", 300), (b"mdat", 5_000), (b"free", 0)])
    }

    /// The verdict on a file that comes in pieces of that size.
    fn verdict(file: &[u8], promised: Option<u64>, piece: usize) -> Result<u64, Damage> {
        let mut check = Check::new(Form::of(Variant::Video, b"\0\0\0\x18ftypmp42").unwrap());
        for piece in file.chunks(piece) {
            check.feed(piece)?;
        }
        check.end(promised)
    }

    #[test]
    fn a_whole_clip_passes_however_it_comes() {
        let length = clip().len() as u64;
        for piece in [1, 7, 8, 16, 4_096, 1 << 20] {
            assert_eq!(verdict(&clip(), Some(length), piece), Ok(length));
            assert_eq!(verdict(&clip(), None, piece), Ok(length));
        }
        let open_end = [&clip()[..], b"\0\0\0\0mdat", &[7; 99]].concat();
        assert_eq!(verdict(&open_end, None, 5), Ok(open_end.len() as u64), "the last box may reach to the end");
        let large = [&mp4(&[(b"ftyp", 4), (b"moov", 4)])[..], b"\0\0\0\x01mdat", &24_u64.to_be_bytes(), &[7; 8]].concat();
        assert_eq!(verdict(&large, None, 3), Ok(large.len() as u64), "a length may have 64 bits");
    }

    #[test]
    fn what_is_not_a_whole_clip_does_not() {
        let clip = clip();
        let length = clip.len() as u64;
        assert_eq!(verdict(&clip, Some(length + 1), 64), Err(Damage::Length { got: length, promised: length + 1 }));
        assert_eq!(verdict(&mp4(&[(b"ftyp", 16), (b"mdat", 50)]), None, 64), Err(Damage::Without("moov")));
        assert_eq!(verdict(&clip[..24 + 308], None, 64), Err(Damage::Without("mdat")), "cut behind its index");
        assert_eq!(verdict(b"", None, 64), Err(Damage::Empty));
        assert_eq!(verdict(&mp4(&[(b"moov", 16), (b"ftyp", 50)]), None, 64), Err(Damage::NoBox { at: 0 }));
        let page = [&mp4(&[(b"ftyp", 16), (b"moov", 50)])[..], b"<html>this is no box</html>"].concat();
        assert!(matches!(verdict(&page, None, 64), Err(Damage::Short { .. })), "four letters are a length too, of a gigabyte");
        let tiny = [&mp4(&[(b"ftyp", 16), (b"moov", 50)])[..], b"\0\0\0\x07free"].concat();
        assert_eq!(verdict(&tiny, None, 64), Err(Damage::NoBox { at: 82 }), "a box is at least as long as its head");
    }

    #[test]
    fn half_a_picture_is_not_a_picture() {
        let webp = [b"RIFF", &12_u32.to_le_bytes()[..], b"WEBPVP8L", &[7; 4]].concat();
        for (variant, picture) in [
            (Variant::Thumbnail, webp),
            (Variant::Spritesheet, b"\xff\xd8\xff\xe0 a picture \xff\xd9".to_vec()),
            (Variant::Thumbnail, b"\x89PNG\r\n\x1a\n a picture \0\0\0\0IEND\xae\x42\x60\x82".to_vec()),
        ] {
            for cut in 0..picture.len() - Form::HEAD_BYTES {
                let mut check = Check::new(Form::of(variant, &picture).unwrap());
                picture[..picture.len() - cut].chunks(5).for_each(|piece| check.feed(piece).unwrap());
                assert_eq!(check.end(None).is_ok(), cut == 0, "{cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_beginning_of_a_clip_is_a_clip(cut in 1_usize..5_348, piece in 1_usize..600) {
            let clip = clip();
            let short = &clip[..clip.len() - cut.min(clip.len())];
            // Cut exactly between two boxes, with the index before it, it is whole by its own account.
            let between = short.len() == clip.len() - 8;
            prop_assert_eq!(verdict(short, None, piece).is_ok(), between);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..40) {
            let _ = verdict(&[b"\0\0\0\x10ftypmp42\0\0\0\0", &bytes[..]].concat(), None, piece);
        }
    }
}
