//! One tree of fields, whatever encoding a request came in.
//!
//! Knows encodings and JSON types, and no field by name. Every field is *taken* by whoever knows it;
//! what is left at the end was known to nobody and is refused by [`Form::finish`], so an operation's
//! reader is also the list of what it accepts.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use crate::wire::error::{Fault, FaultKind, shown};
use crate::wire::{json, multipart};

/// The longest name a field may have, bytes.
pub(super) const NAME_BYTES_MAX: usize = 256;

/// The fields of a request body that nobody has taken yet.
#[derive(Clone, Default, PartialEq)]
pub struct Form {
    fields: BTreeMap<String, Field>,
}

/// What a field holds. Multipart knows texts and files only; JSON knows everything but files.
#[derive(Clone, PartialEq)]
pub(super) enum Field {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is no 64-bit integer, as JSON writes it.
    Decimal(String),
    Text(String),
    File(Bytes),
    List(Vec<Self>),
    Object(Form),
}

/// Reads a request body into a form: JSON or multipart as `content_type` says, JSON if it starts like it.
pub async fn read_form(content_type: Option<&str>, body: Bytes) -> Result<Form, Fault> {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "multipart/form-data" {
        return multipart::read(content_type.unwrap_or_default(), body).await;
    }

    let start = body.trim_ascii_start();
    let claims_json = essence == "application/json" || essence.ends_with("+json");
    if start.is_empty() {
        return Ok(Form::default());
    }
    if claims_json || start.starts_with(b"{") {
        return json::read(&body);
    }
    Err(Fault {
        kind: FaultKind::UnsupportedMedia,
        param: None,
        code: None,
        message:
            "The body is neither JSON nor multipart. Send 'content-type: application/json' with a JSON object, or multipart/form-data."
                .to_owned(),
    })
}

impl Form {
    /// Takes a field out; `null` is nothing.
    pub(super) fn take(&mut self, name: &str) -> Option<Field> {
        self.fields.remove(name).filter(|field| *field != Field::Null)
    }

    /// Takes out the one field that goes by any of `names`, with the name it goes by.
    pub(super) fn take_any(&mut self, names: &[&'static str]) -> Result<Option<(&'static str, Field)>, Fault> {
        let mut taken: Option<(&'static str, Field)> = None;
        for &name in names {
            let Some(field) = self.take(name) else { continue };
            if let Some((first, _)) = taken {
                let message = format!("'{first}' and '{name}' are two names of one parameter. Send one of them.");
                return Err(Fault::invalid(name, "invalid_value", message));
            }
            taken = Some((name, field));
        }
        Ok(taken)
    }

    /// Refuses whatever nobody has taken; `under` is the field this form is the value of.
    pub(super) fn finish(self, under: Option<&str>) -> Result<(), Fault> {
        let Some((name, _)) = self.fields.first_key_value() else { return Ok(()) };
        let param = under.map_or_else(|| name.clone(), |under| format!("{under}.{name}"));
        let hint = match param.as_str() {
            "aspect_ratio" | "resolution" | "width" | "height" => " Say the frame size with 'size', such as '1280x720'.",
            "image_url" | "first_frame" | "input_image" => " Give a first frame with 'input_reference'.",
            "video_id" | "remix_video_id" => " Name the clip in the path of a remix, or with 'video' on edits and extensions.",
            _ => "",
        };
        Err(Fault::invalid(&param, "unknown_parameter", format!("Unknown parameter: '{}'.{hint}", shown(&param))))
    }

    /// Adds a field, and says whether its name was new.
    #[must_use]
    pub(super) fn add(&mut self, name: String, field: Field) -> bool {
        self.fields.insert(name, field).is_none()
    }

    /// The field of that name, `Null` if it is new.
    pub(super) fn entry(&mut self, name: &str) -> &mut Field {
        self.fields.entry(name.to_owned()).or_insert(Field::Null)
    }

    /// The numbers that are no 64-bit integers, by name.
    pub(super) fn decimals(&mut self) -> impl Iterator<Item = (&str, &mut String)> {
        self.fields.iter_mut().filter_map(|(name, field)| match field {
            Field::Decimal(number) => Some((name.as_str(), number)),
            _ => None,
        })
    }

    /// The field of that name, left where it is.
    pub(super) fn peek(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }
}

/// Names only: what the fields hold may be private.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.fields.keys()).finish()
    }
}

impl Field {
    /// What it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Decimal(_) => "a decimal number",
            Self::Text(_) => "a string",
            Self::File(_) => "a file",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// Its text, if it is one.
    pub(super) fn text(self, param: &str) -> Result<String, Fault> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(Fault::wrong_type(param, "a string", other.kind())),
        }
    }

    /// Its text, if it is a text or an integer: what multipart cannot tell apart.
    pub(super) fn text_or_integer(self, param: &str) -> Result<String, Fault> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Integer(number) => Ok(number.to_string()),
            other => Err(Fault::wrong_type(param, "a string", other.kind())),
        }
    }

    /// The same field, or the object or list whose JSON text it is.
    pub(super) fn unfold(self, param: &str) -> Result<Self, Fault> {
        match self {
            Self::Text(text) if text.trim_start().starts_with(['{', '[']) => {
                json::value(text.as_bytes()).map_err(|fault| Fault { param: Some(param.to_owned()), ..fault })
            }
            other => Ok(other),
        }
    }

    /// The same field, or the only item of a list of one: `f[]` for a field that there is one of.
    pub(super) fn only(self) -> Self {
        match self {
            Self::List(mut items) if items.len() == 1 => items.pop().unwrap_or(Self::Null),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests;
