//! `POST /videos/characters`: a name and a clip of whoever shall appear again.
//!
//! Knows no job and no price; making a character costs nothing.

use crate::video::Upload;
use crate::wire::error::Fault;
use crate::wire::form::{Field, Form};
use crate::wire::media;

/// The longest name, characters.
const NAME_CHARS_MAX: usize = 80;

/// A character to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCharacter {
    /// What its maker calls it: 1 to 80 characters.
    pub name: String,
    /// The clip that shows it.
    pub video: Upload,
}

/// Reads `POST /videos/characters`.
pub fn character(mut form: Form) -> Result<NewCharacter, Fault> {
    let name = form.take("name").ok_or_else(|| Fault::missing("name"))?.text("name")?;
    let chars = name.chars().count();
    if chars > NAME_CHARS_MAX {
        return Err(Fault::too_long("name", chars, NAME_CHARS_MAX));
    }
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(Fault::invalid(
            "name",
            "invalid_value",
            "Invalid 'name': a name is 1 to 80 characters, not all spaces, no control characters.",
        ));
    }

    let video = match form.take("video").ok_or_else(|| Fault::missing("video"))? {
        Field::File(bytes) => media::mp4("video", bytes)?,
        other => return Err(Fault::wrong_type("video", "a file", other.kind())),
    };
    form.finish(None)?;
    Ok(NewCharacter { name, video })
}
