//! What a kept file is called: the day its job was made, the job's public id, the variant and the format.
//!
//! Pure. The name is all there is: no table says what is kept, a file is kept if it is there. Nothing
//! that a client or a provider says gets into a name.

use std::fmt;

use jiff::civil::Date;

use crate::id::JobId;
use crate::provider::Variant;

/// A format that a file can be kept in.
#[derive(Debug, PartialEq, Eq)]
pub struct Form {
    /// Which of a job's files.
    pub variant: Variant,
    /// What follows the job's id.
    suffix: &'static str,
    /// As clients are told.
    pub media_type: &'static str,
}

const fn form(variant: Variant, suffix: &'static str, media_type: &'static str) -> Form {
    Form { variant, suffix, media_type }
}

/// Every format, the usual one of each variant first.
const FORMS: [Form; 8] = [
    form(Variant::Video, ".mp4", "video/mp4"),
    form(Variant::Video, ".webm", "video/webm"),
    form(Variant::Thumbnail, ".thumbnail.webp", "image/webp"),
    form(Variant::Thumbnail, ".thumbnail.jpg", "image/jpeg"),
    form(Variant::Thumbnail, ".thumbnail.png", "image/png"),
    form(Variant::Spritesheet, ".spritesheet.jpg", "image/jpeg"),
    form(Variant::Spritesheet, ".spritesheet.webp", "image/webp"),
    form(Variant::Spritesheet, ".spritesheet.png", "image/png"),
];

impl Form {
    /// How many first bytes [`Form::of`] needs.
    pub const HEAD_BYTES: usize = 12;

    /// The format of a file, by its first bytes; `None` if it is none that such a file may have. What a
    /// provider says of the bytes is not asked: an error page can have any media type.
    pub fn of(variant: Variant, head: &[u8]) -> Option<&'static Self> {
        let is = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
        let media_type = if is(4, b"ftyp") {
            "video/mp4"
        } else if is(0, b"\x1a\x45\xdf\xa3") {
            "video/webm"
        } else if is(0, b"RIFF") && is(8, b"WEBP") {
            "image/webp"
        } else if is(0, b"\xff\xd8\xff") {
            "image/jpeg"
        } else if is(0, b"\x89PNG\r\n\x1a\n") {
            "image/png"
        } else {
            return None;
        };
        FORMS.iter().find(|form| form.variant == variant && form.media_type == media_type)
    }

    /// The formats that a variant may be kept in.
    pub fn all_of(variant: Variant) -> impl Iterator<Item = &'static Self> {
        FORMS.iter().filter(move |form| form.variant == variant)
    }

    /// Every format.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        FORMS.iter()
    }
}

/// The name of one kept file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The day its job was made, in UTC.
    pub day: Date,
    /// Whose file.
    pub job: JobId,
    /// Which of its files, and in what format.
    pub form: &'static Form,
}

impl Label {
    /// The last part of the name, without the day.
    pub fn file_name(&self) -> String {
        format!("{}{}", self.job, self.form.suffix)
    }

    /// Reads a name of ours; anything else is somebody else's file.
    pub fn read(day: Date, file_name: &str) -> Option<Self> {
        let (id, suffix) = file_name.split_at(file_name.find('.')?);
        let form = FORMS.iter().find(|form| form.suffix == suffix)?;
        Some(Self { day, job: id.parse().ok()?, form })
    }
}

/// `2026/11/25/video_….mp4`
impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", folder(self.day), self.file_name())
    }
}

/// Where the files of a day are.
pub fn folder(day: Date) -> String {
    format!("{:04}/{:02}/{:02}", day.year(), day.month(), day.day())
}

/// Reads what [`folder`] writes, and nothing else.
pub fn day_of(folder: &str) -> Option<Date> {
    let mut numbers = folder.split('/').map(|part| part.parse::<i16>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    (self::folder(date) == folder).then_some(date)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::{Form, Label, day_of, folder};
    use crate::id::JobId;
    use crate::provider::Variant;

    #[test]
    fn a_name_reads_back_and_what_is_no_name_of_ours_does_not() {
        let (day, job) = (date(2026, 11, 5), JobId::mint());
        for form in Form::all() {
            let label = Label { day, job, form };
            assert_eq!(Label::read(day, &label.file_name()), Some(label));
            assert_eq!(label.to_string(), format!("2026/11/05/{}", label.file_name()));
        }
        for other in ["", "notes.txt", &format!("{job}"), &format!("{job}.mp4.part"), &format!("{job}.exe"), "video_1.mp4"] {
            assert_eq!(Label::read(day, other), None, "{other}");
        }
    }

    #[test]
    fn a_folder_is_a_day_or_nothing() {
        assert_eq!(day_of(&folder(date(2026, 1, 2))), Some(date(2026, 1, 2)));
        for other in ["2026/1/2", "2026/13/01", "2026/02/30", "2026/01", "a/b/c", "2026/01/02/03", ".partial", ""] {
            assert_eq!(day_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_format_is_told_by_the_bytes() {
        let told = |variant, head: &[u8]| Form::of(variant, head).map(|form| form.media_type);
        assert_eq!(told(Variant::Video, b"\0\0\0\x18ftypmp42"), Some("video/mp4"));
        assert_eq!(told(Variant::Thumbnail, b"RIFF\x28\0\0\0WEBP"), Some("image/webp"));
        assert_eq!(told(Variant::Spritesheet, b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        for (variant, page) in [
            (Variant::Video, &b"<!DOCTYPE html>"[..]),
            (Variant::Video, b"{\"error\": 1}"),
            (Variant::Video, b"RIFF\x28\0\0\0WEBP"),
            (Variant::Thumbnail, b"\0\0\0\x18ftypmp42"),
            (Variant::Video, b""),
        ] {
            assert_eq!(told(variant, page), None);
        }
    }
}
