//! The JSON Schema of `gateway.toml`, for editors: the tables of `file` and their doc comments, and how their
//! values are written.
//!
//! `compile` is the authority. What is said here besides the types is what a schema *can* say of what `compile` refuses: how
//! a duration, a name or an address looks, and which keys go together. `tests/schema.py` holds both to each other.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::file::Gateway;
use crate::provider;

const DURATION: &str = "^[0-9]+(ms|s|m|h|d)$";
const SOCKET: &str = "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$";
const ADDRESS: &str = "^https?://[^/?#@ ]+[^?#@ ]*$";
const HOOK: &str = "^https?://[^/?#@ ]+[^#@ ]*$";
const WORD: &str = "^[a-z0-9_-]{1,64}$";
const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";
const MODEL: &str = "^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$";
const SIZE: &str = "^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$";

/// Texts, by table and key; of a list, each of its entries.
const TEXTS: &[(&str, &[&str], &str)] = &[
    ("Server", &["drain"], DURATION),
    ("Server", &["listen", "admin"], SOCKET),
    ("Server", &["public_url"], ADDRESS),
    ("Store", &["url"], "^(sqlite:|postgres://|postgresql://|env:|file:)."),
    ("Archive", &["keep", "give_up"], DURATION),
    ("Archive", &["url"], "^(off$|file:.|s3://.|az://.|gs://.)"),
    ("Archive", &["endpoint"], ADDRESS),
    ("Defaults", &["answer_after"], DURATION),
    ("Defaults", &["model"], MODEL),
    ("Route", &["base_url", "callback_url"], ADDRESS),
    ("Route", &["region"], WORD),
    ("Route", &["submit_timeout"], DURATION),
    ("Entra", &["authority"], ADDRESS),
    ("Poll", &["early", "late"], DURATION),
    ("Unknown", &["grace", "give_up", "tell_after"], DURATION),
    ("Lost", &["give_up"], DURATION),
    ("Model", &["sizes"], SIZE),
    ("When", &["size"], SIZE),
    ("When", &["residency"], WORD),
    ("Rule", &["residency"], WORD),
    ("Tenant", &["residency"], WORD),
    ("Tenant", &["keys"], "^sha256:[0-9a-fA-F]{64}$"),
    ("Webhook", &["url"], HOOK),
    ("Guard", &["deny"], "."),
    ("Moderation", &["base_url"], ADDRESS),
    ("Moderation", &["timeout"], DURATION),
    ("Moderation", &["region"], WORD),
    ("Telemetry", &["otlp"], ADDRESS),
];

/// Numbers, by table and key, from and to; of a list, each of its entries.
const NUMBERS: &[(&str, &str, u32, u32)] = &[
    ("Route", "tier", 1, 5),
    ("Route", "speed", 1, 100_000),
    ("Poll", "rate", 6, 1_000_000),
    ("Guard", "prompt_max_chars", 1, 32_000),
    ("Alerts", "retry_rate", 0, 1),
    ("Alerts", "sunset_days", 0, 3_650),
];

/// The schema, in the dialect that TOML editors understand (draft 7).
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Gateway>().to_value();
    for (table, keys, pattern) in TEXTS {
        for key in *keys {
            add(&mut schema, table, key, json!({ "pattern": pattern, "items": { "pattern": pattern } }));
        }
    }
    for (table, key, least, most) in NUMBERS {
        add(&mut schema, table, key, json!({ "minimum": least, "maximum": most }));
    }
    let providers: Vec<&str> = provider::PROVIDERS.iter().map(|provider| provider.name()).collect();
    add(&mut schema, "Route", "provider", json!({ "enum": providers }));
    add(&mut schema, "Route", "models", json!({ "propertyNames": { "pattern": MODEL } }));
    add(&mut schema, "Guard", "deny", json!({ "maxItems": 1_000 }));
    add(&mut schema, "Model", "seconds", json!({ "minItems": 1 }));
    for key in ["routes", "tenants"] {
        merge(&mut schema["properties"][key], json!({ "propertyNames": { "pattern": NAME } }));
    }
    merge(&mut schema["properties"]["routes"], json!({ "minProperties": 1 }));
    merge(&mut schema, json!({ "required": ["routes"] }));
    merge(&mut schema["definitions"]["Route"], json!({ "allOf": together() }));
    merge(&mut schema["definitions"]["Charge"], json!({ "minProperties": 1, "maxProperties": 1 }));
    schema
}

/// Which keys of a route go together.
fn together() -> Value {
    let only =
        |key: &str, provider: &str| json!({ "if": { "required": [key] }, "then": { "properties": { "provider": { "const": provider } } } });
    let unless = |providers: &[&str], then: Value| json!({ "if": { "properties": { "provider": { "enum": providers } } }, "else": then });
    json!([
        only("tier", "openai"),
        only("entra", "azure"),
        only("speed", "simulator"),
        { "not": { "required": ["api_key", "entra"] } },
        unless(&["simulator"], json!({ "required": ["models"], "properties": { "models": { "minProperties": 1 } } })),
        unless(&["simulator", "openai_compatible"], json!({ "anyOf": [{ "required": ["api_key"] }, { "required": ["entra"] }] })),
    ])
}

/// Adds to what is said of a key.
fn add(schema: &mut Value, table: &str, key: &str, more: Value) {
    merge(&mut schema["definitions"][table]["properties"][key], more);
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            more.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value))
        }
        (into, more) => *into = more,
    }
}

#[cfg(test)]
mod tests {
    use super::{NUMBERS, TEXTS, schema};

    #[test]
    fn everything_that_is_said_is_said_of_a_key_that_there_is() {
        let schema = schema();
        let texts = TEXTS.iter().flat_map(|(table, keys, _)| keys.iter().map(move |key| (*table, *key)));
        for (table, key) in texts.chain(NUMBERS.iter().map(|(table, key, _, _)| (*table, *key))) {
            let said = &schema["definitions"][table]["properties"][key];
            assert!(said["description"].is_string(), "{table}.{key}: {said}");
        }
    }
}
