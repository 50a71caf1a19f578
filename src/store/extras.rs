//! Extras as a column: JSON, or nothing if there are none. Pure, and the same for every database.

use crate::video::Extras;

/// What the column holds.
pub(super) fn write(extras: &Extras) -> Option<String> {
    // Texts and booleans by names: there is nothing in them that JSON has no words for.
    if extras.is_empty() { None } else { serde_json::to_string(extras).ok() }
}

/// What a column says, or its text if that is not ours.
pub(super) fn read(column: Option<String>) -> Result<Extras, String> {
    column.map_or_else(|| Ok(Extras::new()), |text| serde_json::from_str(&text).map_err(|_| text))
}
