//! Values of `gateway.toml` that keep their place, or that may be written in more than one way.
//!
//! Nothing is judged here: a price with a float in it arrives as a float, so that `compile` can say
//! what is wrong with that. Written by hand because serde's own `untagged` loses places.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error as DeError, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::NamedKey;

/// A value and where it stands in the text, in bytes.
#[derive(Clone, Debug, Default)]
pub struct Placed<T> {
    /// The place.
    pub at: Range<usize>,
    /// The value.
    pub value: T,
}

/// A scalar as written: whether a number of it was meant is for `compile` to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// In quotes.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a point.
    Float(f64),
}

/// A whole number as written, which may be out of range: the range is for `compile` to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole(pub i64);

/// A price: one for all sizes, or one for each class.
#[derive(Clone, Debug)]
pub enum Price {
    /// Whatever the size.
    Flat(Written),
    /// By size class.
    BySize(BTreeMap<Placed<String>, Placed<Written>>),
}

/// The routes of a rule.
#[derive(Clone, Debug)]
pub enum RuleRoutes {
    /// In this order.
    List(Vec<Placed<String>>),
    /// With weights.
    Weights(BTreeMap<Placed<String>, Placed<i64>>),
}

/// A key: the line with its hash, or a table with that and more.
#[derive(Clone, Debug)]
pub enum Key {
    /// The line alone.
    Hash(String),
    /// With more.
    Named(Box<NamedKey>),
}

/// A value, or a list of them.
#[derive(Clone, Debug)]
pub enum OneOrMany<T> {
    /// Without brackets.
    One(T),
    /// In brackets.
    Many(Vec<Placed<T>>),
}

impl<T> Placed<OneOrMany<T>> {
    /// Each value and its place.
    pub fn each(&self) -> Vec<(&T, &Range<usize>)> {
        match &self.value {
            OneOrMany::One(value) => vec![(value, &self.at)],
            OneOrMany::Many(values) => values.iter().map(|v| (&v.value, &v.at)).collect(),
        }
    }
}

impl Borrow<str> for Placed<String> {
    fn borrow(&self) -> &str {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { at: spanned.span(), value: spanned.into_inner() })
    }
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A name is the same name wherever it stands.
impl<T: PartialEq> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Placed<T> {}

impl<T: PartialOrd> PartialOrd for Placed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for Placed<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl Visitor<'_> for Scalar {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: DeError>(self, text: &str) -> Result<Written, E> {
                Ok(Written::Text(text.to_owned()))
            }

            fn visit_i64<E: DeError>(self, number: i64) -> Result<Written, E> {
                Ok(Written::Integer(number))
            }

            fn visit_f64<E: DeError>(self, number: f64) -> Result<Written, E> {
                Ok(Written::Float(number))
            }
        }

        deserializer.deserialize_any(Scalar)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlatOrTable;

        impl<'de> Visitor<'de> for FlatOrTable {
            type Value = Price;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a table")
            }

            fn visit_str<E: DeError>(self, text: &str) -> Result<Price, E> {
                Ok(Price::Flat(Written::Text(text.to_owned())))
            }

            fn visit_i64<E: DeError>(self, number: i64) -> Result<Price, E> {
                Ok(Price::Flat(Written::Integer(number)))
            }

            fn visit_f64<E: DeError>(self, number: f64) -> Result<Price, E> {
                Ok(Price::Flat(Written::Float(number)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Price, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(Price::BySize)
            }
        }

        deserializer.deserialize_any(FlatOrTable)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LineOrTable;

        impl<'de> Visitor<'de> for LineOrTable {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a table")
            }

            fn visit_str<E: DeError>(self, text: &str) -> Result<Key, E> {
                Ok(Key::Hash(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Key, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(|key| Key::Named(Box::new(key)))
            }
        }

        deserializer.deserialize_any(LineOrTable)
    }
}

impl<'de> Deserialize<'de> for RuleRoutes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrTable;

        impl<'de> Visitor<'de> for ListOrTable {
            type Value = RuleRoutes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or a table")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<RuleRoutes, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(RuleRoutes::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RuleRoutes, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(RuleRoutes::Weights)
            }
        }

        deserializer.deserialize_any(ListOrTable)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueOrList<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ValueOrList<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list")
            }

            fn visit_str<E: DeError>(self, text: &str) -> Result<OneOrMany<T>, E> {
                T::deserialize(text.into_deserializer()).map(OneOrMany::One)
            }

            fn visit_i64<E: DeError>(self, number: i64) -> Result<OneOrMany<T>, E> {
                T::deserialize(number.into_deserializer()).map(OneOrMany::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<OneOrMany<T>, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(OneOrMany::Many)
            }
        }

        deserializer.deserialize_any(ValueOrList(PhantomData))
    }
}

impl JsonSchema for Written {
    fn schema_name() -> Cow<'static, str> {
        "Written".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"] })
    }
}

impl JsonSchema for Whole {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        u32::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        u32::json_schema(generator)
    }
}

/// How an amount of money should be written, for the schema; `compile` says it of what was written otherwise.
#[derive(Debug)]
pub enum Amount {}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?|unlimited)$" })
    }
}

impl JsonSchema for Price {
    fn schema_name() -> Cow<'static, str> {
        "Price".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let decimal = json_schema!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?$" });
        json_schema!({ "anyOf": [decimal, { "type": "object", "additionalProperties": decimal }] })
    }
}

impl JsonSchema for Key {
    fn schema_name() -> Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let named = generator.subschema_for::<NamedKey>();
        json_schema!({ "anyOf": [{ "type": "string" }, named] })
    }
}

impl JsonSchema for RuleRoutes {
    fn schema_name() -> Cow<'static, str> {
        "RuleRoutes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "array", "items": { "type": "string" } },
            { "type": "object", "additionalProperties": { "type": "integer", "minimum": 0 } },
        ] })
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}
