//! JSON into a form: strict where a lax reader would let two readers disagree.
//!
//! Knows no field by name. A key given twice, a lone surrogate, and anything after the value are
//! refused. The tree has at most [`VALUES_MAX`] values and [`DEPTH_MAX`] levels, so a body cannot
//! unfold into many times its own size.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::error::Fault;
use crate::wire::form::{Field, Form, NAME_BYTES_MAX};

/// The most values that one body may hold, nested ones included.
const VALUES_MAX: u32 = 512;

/// The most levels that they may be nested.
const DEPTH_MAX: u8 = 8;

/// Reads a body that has to be one JSON object.
pub(super) fn read(body: &[u8]) -> Result<Form, Fault> {
    match value(body)? {
        Field::Object(mut form) => {
            if form.decimals().next().is_some() {
                write_out(&mut form, body);
            }
            Ok(form)
        }
        other => {
            let message = format!("The body has to be a JSON object, but it is {}.", other.kind());
            Err(Fault { code: Some("invalid_type"), ..Fault::unreadable(message) })
        }
    }
}

/// Gives the body's own numbers back the digits that they have there: what is passed on may not be what a float makes
/// of it.
fn write_out(form: &mut Form, body: &[u8]) {
    // It was read already, so it can be.
    let written: BTreeMap<String, &RawValue> = serde_json::from_slice(body).unwrap_or_default();
    for (name, number) in form.decimals() {
        if let Some(written) = written.get(name) {
            written.get().clone_into(number);
        }
    }
}

/// Reads one JSON value and nothing after it.
pub(super) fn value(text: &[u8]) -> Result<Field, Fault> {
    let bounds = Bounds { left: Cell::new(VALUES_MAX), twice: RefCell::new(None) };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = Tree { bounds: &bounds, depth: 0 }.deserialize(&mut reader).and_then(|field| reader.end().map(|()| field));

    read.map_err(|error| match bounds.twice.take() {
        Some(key) => Fault::twice(&key),
        None => Fault::unreadable(format!("The JSON cannot be read: {error}.")),
    })
}

/// What one document has left, and the key that spoiled it.
struct Bounds {
    left: Cell<u32>,
    twice: RefCell<Option<String>>,
}

/// Reads one value of a document.
#[derive(Clone, Copy)]
struct Tree<'a> {
    bounds: &'a Bounds,
    depth: u8,
}

impl Tree<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!("it is nested more than {DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        let Some(left) = self.bounds.left.get().checked_sub(1) else {
            return Err(D::Error::custom(format_args!("it holds more than {VALUES_MAX} values")));
        };
        self.bounds.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Field, E> {
        Ok(Field::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Field, E> {
        Ok(Field::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Field, E> {
        Ok(i64::try_from(value).map_or_else(|_| Field::Decimal(value.to_string()), Field::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Field, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Field::Null, |number| Field::Decimal(number.to_string())))
    }

    fn visit_str<E>(self, value: &str) -> Result<Field, E> {
        Ok(Field::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field, A::Error> {
        let inside = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            list.push(item);
        }
        Ok(Field::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Field, A::Error> {
        let inside = self.deeper()?;
        let mut form = Form::default();
        while let Some(key) = members.next_key::<String>()? {
            if key.len() > NAME_BYTES_MAX {
                return Err(A::Error::custom(format_args!("a key is longer than {NAME_BYTES_MAX} bytes")));
            }
            let field = members.next_value_seed(inside)?;
            if !form.add(key.clone(), field) {
                *self.bounds.twice.borrow_mut() = Some(key);
                return Err(A::Error::custom("a key is given twice"));
            }
        }
        Ok(Field::Object(form))
    }
}
