//! A foreign JSON object, read member by member.
//!
//! A member of the wrong type is as good as absent: an upstream that writes one number as a text
//! must not cost us the id beside it. Numbers stay text, so that money is never seen as a float.
//! Members are opened one level at a time, so nesting costs no stack.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// One JSON object; of members with the same name the last counts.
#[derive(Debug)]
pub(in crate::provider) struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    /// The object that `json` is, if it is one.
    pub fn parse(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok().map(Self)
    }

    /// The object that `value` is, if it is one.
    pub fn of(value: &'a RawValue) -> Option<Self> {
        Self::parse(value.get().as_bytes())
    }

    /// Whether the member is there and not `null`.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value.get() != "null")
    }

    /// A member that is a text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(|value| text(value))
    }

    /// A member that is a number, exactly as it was written.
    pub fn number(&self, name: &str) -> Option<&'a str> {
        let written = self.0.get(name)?.get();
        written.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then_some(written)
    }

    /// A member that is a text or a number, as text.
    pub fn word(&self, name: &str) -> Option<String> {
        self.text(name).or_else(|| self.number(name).map(str::to_owned))
    }

    /// A member that is a truth value.
    pub fn flag(&self, name: &str) -> Option<bool> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }

    /// A member that is an object.
    pub fn object(&self, name: &str) -> Option<Self> {
        self.0.get(name).and_then(|value| Self::of(value))
    }

    /// A member that is a list.
    pub fn items(&self, name: &str) -> Option<Vec<&'a RawValue>> {
        let written: &'a RawValue = self.0.get(name)?;
        serde_json::from_str(written.get()).ok()
    }
}

/// The text that `value` is, if it is one.
pub(super) fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// The whole part of a number as written: `42` of `42.7`. `None` for exponents.
pub(super) fn whole(number: &str) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    whole.parse().ok()
}
