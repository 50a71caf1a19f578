//! The JSON Schema of `gateway.toml`, for editors: the tables of `file` and their doc comments.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::Gateway;

/// The schema, in the dialect that TOML editors understand (draft 7).
pub fn schema() -> Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<Gateway>().to_value()
}
