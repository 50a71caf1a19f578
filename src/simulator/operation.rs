//! What can be asked of a provider, and which dialect offers it. Pure.

use http::Method;

use super::dialect::Dialect;

/// What can be asked of a provider. Those with a text carry the id from the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `POST /videos`
    Create,
    /// `GET /videos/{id}`
    Retrieve(String),
    /// `GET /videos`
    List,
    /// `DELETE /videos/{id}`
    Delete(String),
    /// `GET /videos/{id}/content`
    Content(String),
    /// `POST /videos/{id}/remix`
    Remix(String),
    /// `POST /videos/edits`
    Edit,
    /// `POST /videos/extensions`
    Extend,
    /// `POST /videos/characters`
    MakeCharacter,
    /// `GET /videos/characters/{id}`
    Character(String),
    /// `GET /models`
    Models,
}

impl Operation {
    /// What the path, without the dialect's prefix, asks for in this dialect.
    pub fn of(dialect: Dialect, method: &Method, path: &[&str]) -> Option<Self> {
        let operation = match (method.as_str(), path) {
            ("POST", ["videos"]) => Self::Create,
            ("GET", ["videos"]) => Self::List,
            ("POST", ["videos", "edits"]) => Self::Edit,
            ("POST", ["videos", "extensions"]) => Self::Extend,
            ("POST", ["videos", "characters"]) => Self::MakeCharacter,
            (_, ["videos", "edits" | "extensions" | "characters"]) => return None,
            ("GET", ["videos", "characters", id]) => Self::Character((*id).to_owned()),
            ("GET", ["videos", id]) => Self::Retrieve((*id).to_owned()),
            ("DELETE", ["videos", id]) => Self::Delete((*id).to_owned()),
            ("GET", ["videos", id, "content"]) => Self::Content((*id).to_owned()),
            ("POST", ["videos", id, "remix"]) => Self::Remix((*id).to_owned()),
            ("GET", ["models"]) => Self::Models,
            _ => return None,
        };
        operation.offered_by(dialect).then_some(operation)
    }

    fn offered_by(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::Openai => true,
            Dialect::Azure => !matches!(self, Self::Edit | Self::Extend | Self::MakeCharacter | Self::Character(_)),
            Dialect::Cometapi => matches!(self, Self::Create | Self::Retrieve(_) | Self::Content(_) | Self::Models),
        }
    }

    /// What statistics call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Retrieve(_) => "retrieve",
            Self::List => "list",
            Self::Delete(_) => "delete",
            Self::Content(_) => "content",
            Self::Remix(_) => "remix",
            Self::Edit => "edit",
            Self::Extend => "extend",
            Self::MakeCharacter => "make_character",
            Self::Character(_) => "character",
            Self::Models => "models",
        }
    }
}
