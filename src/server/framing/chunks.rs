//! A body in chunks: sizes, extensions, trailers, followed byte by byte, and data followed in one step.
//! Keeps nothing of any of them.

/// Where in a chunked body the bytes have got to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chunks {
    /// Before the first digit of a size.
    #[default]
    Start,
    /// Behind a digit of a size.
    Size(u64),
    /// In the spaces behind a size.
    Space(u64),
    /// In an extension.
    Extension(u64),
    /// Behind the CR of a size line.
    SizeCr(u64),
    /// In data, so many bytes before its end.
    Bytes(u64),
    /// Behind data.
    BytesEnd,
    /// Behind the CR that follows data.
    BytesCr,
    /// At the beginning of a trailer line.
    LineStart,
    /// In a trailer line.
    Line,
    /// Behind the CR of a trailer line.
    LineCr,
    /// Behind the CR of the last, empty line.
    LastCr,
    /// Behind it all.
    End,
}

const MALFORMED: &str = "The request's chunks cannot be read.";

impl Chunks {
    /// Whether the body is over.
    pub const fn is_at_end(self) -> bool {
        matches!(self, Self::End)
    }

    /// Takes bytes of the body, up to its end if that is among them; answers how many.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).filter(|_| !self.is_at_end()) {
            if let Self::Bytes(left) = self {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                *left -= taken as u64;
                at += taken;
                if *left == 0 {
                    *self = Self::BytesEnd;
                }
            } else {
                *self = self.after(*byte).ok_or(MALFORMED)?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// The place behind one byte that is not data.
    fn after(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Start, _) => Self::Size(hex(byte)?),
            (Self::Size(size), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => Self::Size(size.checked_mul(16)?.checked_add(hex(byte)?)?),
            (Self::Size(size) | Self::Space(size), b' ' | b'\t') => Self::Space(size),
            (Self::Size(size) | Self::Space(size), b';') => Self::Extension(size),
            (Self::Size(size) | Self::Space(size) | Self::Extension(size), b'\r') => Self::SizeCr(size),
            (Self::Extension(_), b'\n') => return None,
            (Self::Extension(size), _) => Self::Extension(size),
            (Self::SizeCr(0), b'\n') => Self::LineStart,
            (Self::SizeCr(size), b'\n') => Self::Bytes(size),
            (Self::BytesEnd, b'\r') => Self::BytesCr,
            (Self::BytesCr, b'\n') => Self::Start,
            (Self::LineStart, b'\r') => Self::LastCr,
            (Self::LineStart | Self::Line, b'\n') => return None,
            (Self::Line, b'\r') => Self::LineCr,
            (Self::LineStart | Self::Line, _) => Self::Line,
            (Self::LineCr, b'\n') => Self::LineStart,
            (Self::LastCr, b'\n') => Self::End,
            _ => return None,
        })
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}
