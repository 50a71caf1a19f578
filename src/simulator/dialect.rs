//! Whose protocol is spoken: words only.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose videos protocol is spoken; the first segment of the path tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI's, under `/openai/v1`.
    Openai,
    /// Azure's, under `/azure/openai/v1`.
    Azure,
    /// CometAPI's, under `/cometapi/v1`.
    Cometapi,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Openai => "openai",
            Self::Azure => "azure",
            Self::Cometapi => "cometapi",
        })
    }
}

/// The shapes in which CometAPI answers, one per family of models behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// OpenAI's object; bytes from `/content`.
    #[default]
    A,
    /// An envelope; the link to the clip stands in `fail_reason`.
    B,
    /// `succeeded`, and the link in an `output` list.
    C,
    /// `completed`, and the link in `video_url`.
    D,
}

impl Shape {
    /// The shape that a model's name asks for: `-b`, `-c` or `-d` at its end.
    pub fn asked_for_by(model: &str) -> Self {
        match model.rsplit_once('-') {
            Some((_, "b")) => Self::B,
            Some((_, "c")) => Self::C,
            Some((_, "d")) => Self::D,
            _ => Self::A,
        }
    }
}
