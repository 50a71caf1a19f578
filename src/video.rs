//! What a client can wish for: the words of the request, checked once at the door.
//!
//! Knows nothing of JSON, routes or prices. Past `wire`, a value of one of these types is the proof
//! that its text was acceptable; whether anybody *offers* it is the plan's business.

mod extras;

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::id::{CharacterId, JobId, ModelName};

pub use extras::{EXTRA_CHARS_MAX, EXTRAS_MAX, Extra, Extras};

/// The longest prompt the protocol allows, in characters.
pub const PROMPT_CHARS_MAX: usize = 32_000;

/// The longest name of an end user, in characters.
pub const END_USER_CHARS_MAX: usize = 256;

/// Length of a clip in whole seconds, 1 to 3,600.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(u32);

impl Seconds {
    /// The length the protocol assumes when none is given.
    pub const DEFAULT: Self = Self(4);

    /// `seconds` as a length, or `None` outside 1 to 3,600.
    pub const fn new(seconds: u32) -> Option<Self> {
        if seconds >= 1 && seconds <= 3_600 { Some(Self(seconds)) } else { None }
    }

    /// The number of seconds.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The text is not a length, a size or a size class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not acceptable here")]
pub struct BadText;

/// ASCII digits only, without sign, point or leading zero.
impl FromStr for Seconds {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        digits(text).and_then(Self::new).ok_or(BadText)
    }
}

/// A frame size in pixels, written `720x1280` (width, then height).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u16,
    /// Pixels from top to bottom.
    pub height: u16,
}

impl Size {
    /// The size the protocol assumes when none is given: portrait.
    pub const DEFAULT: Self = Self { width: 720, height: 1280 };

    /// A frame of that many pixels.
    pub const fn new(width: u16, height: u16) -> Self {
        Self { width, height }
    }

    /// The class that prices go by: the shorter side.
    pub fn class(self) -> SizeClass {
        SizeClass(self.width.min(self.height))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        let (width, height) = text.split_once('x').ok_or(BadText)?;
        let side = |text| digits(text).and_then(|n| u16::try_from(n).ok()).filter(|n| (16..=8192).contains(n));
        Ok(Self { width: side(width).ok_or(BadText)?, height: side(height).ok_or(BadText)? })
    }
}

/// A class of sizes with one price: `720p` is every size whose shorter side is 720.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SizeClass(u16);

impl SizeClass {
    /// The portrait and the landscape size that vendors sell under this class.
    pub fn usual_sizes(self) -> [Size; 2] {
        let long = match self.0 {
            1024 => 1792,
            480 => 854,
            short => u16::try_from(u32::from(short) * 16 / 9).unwrap_or(u16::MAX),
        };
        [Size::new(self.0, long), Size::new(long, self.0)]
    }
}

impl fmt::Display for SizeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}p", self.0)
    }
}

impl FromStr for SizeClass {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        let short = text.strip_suffix('p').and_then(digits).ok_or(BadText)?;
        u16::try_from(short).map(Self).map_err(|_| BadText)
    }
}

/// A plain decimal number: ASCII digits, no leading zero, at most six of them.
fn digits(text: &str) -> Option<u32> {
    let plain = (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

/// What kind of file bytes are, told from their first bytes and never from what a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/webp`
    Webp,
    /// `video/mp4`
    Mp4,
}

impl MediaType {
    /// The media type as headers write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Mp4 => "video/mp4",
        }
    }

    /// The type that a media type's name means.
    pub fn named(text: &str) -> Option<Self> {
        [Self::Jpeg, Self::Png, Self::Webp, Self::Mp4].into_iter().find(|media_type| media_type.as_str() == text)
    }

    /// A file name that tells the type, for upstreams that look at names.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Jpeg => "upload.jpg",
            Self::Png => "upload.png",
            Self::Webp => "upload.webp",
            Self::Mp4 => "upload.mp4",
        }
    }
}

/// An uploaded file whose type has been established.
#[derive(Clone, PartialEq, Eq)]
pub struct Upload {
    /// What the bytes are.
    pub media_type: MediaType,
    /// The file itself.
    pub bytes: Bytes,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({}, {} bytes)", self.media_type.as_str(), self.bytes.len())
    }
}

/// The picture a clip starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// Sent along by the client.
    Upload(Upload),
    /// An `https:` or `data:` URL that the provider fetches.
    ImageUrl(String),
    /// A file that the provider already has.
    FileId(String),
}

/// The clip that another one is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One of this tenant's own jobs.
    Job(JobId),
    /// Sent along by the client.
    Upload(Upload),
}

/// How a clip comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From a prompt alone.
    Create,
    /// `POST /videos/{id}/remix`
    Remix(JobId),
    /// `POST /videos/edits`
    Edit(Source),
    /// `POST /videos/extensions`
    Extend(Source),
}

impl Origin {
    /// The operation's name, as metrics and columns write it.
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Remix(_) => "remix",
            Self::Edit(_) => "edit",
            Self::Extend(_) => "extend",
        }
    }

    /// The tenant's own job that this clip is made from, if it is made from one.
    pub const fn source_job(&self) -> Option<JobId> {
        match self {
            Self::Remix(id) | Self::Edit(Source::Job(id)) | Self::Extend(Source::Job(id)) => Some(*id),
            Self::Create | Self::Edit(Source::Upload(_)) | Self::Extend(Source::Upload(_)) => None,
        }
    }
}

/// A client's wish for a clip, as parsed: what was not said is `None` and is filled in by the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// How the clip comes about.
    pub origin: Origin,
    /// What it shall show: 1 to 32,000 characters.
    pub prompt: String,
    /// The public model name.
    pub model: Option<ModelName>,
    /// Its length.
    pub seconds: Option<Seconds>,
    /// Its frame size.
    pub size: Option<Size>,
    /// The picture it starts from.
    pub reference: Option<Reference>,
    /// Characters that appear in it, at most two.
    pub characters: Vec<CharacterId>,
    /// The client's own word for who asked (`user`), for rules and reports.
    pub end_user: Option<String>,
    /// What it says beyond the protocol.
    pub extras: Extras,
}

#[cfg(test)]
mod tests {
    use super::{Seconds, Size, SizeClass};

    #[test]
    fn lengths_and_sizes_are_read_strictly() {
        for text in ["4.0", "-4", "٤", "", "0", "04", "4 ", "99999999"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
        for text in ["1x1", "1280X720", "720", "720x", "x720", "720x1280x3", "0720x1280"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert_eq!("1280x720".parse(), Ok(Size::new(1280, 720)));
    }

    #[test]
    fn the_shorter_side_is_the_class() {
        for (size, class) in [("720x1280", "720p"), ("1792x1024", "1024p"), ("1920x1080", "1080p")] {
            let size: Size = size.parse().unwrap();
            assert_eq!(size.class().to_string(), class);
            assert!(class.parse::<SizeClass>().unwrap().usual_sizes().contains(&size), "{class}");
        }
    }
}
