//! `[archive]`: where finished clips are kept, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::forms::Placed;

/// Where finished clips are kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// `"file:DIR"` copies finished clips into that folder, `"s3://bucket/prefix"` into that bucket; `"off"` streams them from the provider. `"az://…"` and `"gs://…"` are read but not in force yet. Default `"off"`.
    pub url: Option<Placed<String>>,
    /// Where a bucket's store is, if it is not AWS: `"https://minio.example:9000"`. The bucket's name then stands in the path.
    pub endpoint: Option<Placed<String>>,
    /// The region that requests to a bucket are signed for. Default `"us-east-1"`.
    pub region: Option<Placed<String>>,
    /// The id of the key that opens a bucket: `"env:NAME"` or `"file:PATH"`.
    pub access_key: Option<Placed<String>>,
    /// The secret of that key: `"env:NAME"` or `"file:PATH"`.
    pub secret_key: Option<Placed<String>>,
    /// How long clips are kept. Default `"30d"`.
    pub keep: Option<Placed<String>>,
    /// How long a clip that cannot be copied holds up its job, which is then completed without a copy. Default `"10m"`.
    pub give_up: Option<Placed<String>>,
}
