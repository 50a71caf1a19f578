//! Extras: fields beyond the protocol that a wish carries to providers who know them.
//!
//! Knows no provider and no policy; which names may be said at all, and to whom, is theirs. The
//! invariant: a value is one of JSON's scalars, bounded, and written the same way whenever it is
//! written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The longest text of one extra, in characters.
pub const EXTRA_CHARS_MAX: usize = 4_000;

/// The most extras that one offer may allow, and so the most that one wish can have.
pub const EXTRAS_MAX: usize = 32;

/// What a wish says beyond the protocol, by the name of the field.
pub type Extras = BTreeMap<String, Extra>;

/// The value of an extra.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    /// At most [`EXTRA_CHARS_MAX`] characters, without a NUL.
    Text(String),
    /// A number as JSON writes it: kept as text, so that it is sent again exactly as it was.
    Number(String),
    /// Yes or no.
    Flag(bool),
}

impl Extra {
    /// The value as a form's field writes it.
    pub fn plain(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
            Self::Flag(true) => "true",
            Self::Flag(false) => "false",
        }
    }

    /// What kind of value it is, in a word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Number(_) => "number",
            Self::Flag(_) => "flag",
        }
    }
}
