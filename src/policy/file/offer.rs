//! `[routes.*.models.*]`: what a route offers under a public name, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use toml::value::Datetime;

use super::forms::{Placed, Price};

/// What a route offers under one public model name.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What the route calls it: a model or a deployment. Default: the public name.
    #[serde(rename = "as")]
    pub upstream: Option<Placed<String>>,
    /// The lengths it makes.
    #[schemars(required)]
    pub seconds: Option<Placed<Vec<Placed<u32>>>>,
    /// The sizes it makes. Default: the portrait and the landscape size of each priced class, or of 720p.
    pub sizes: Option<Placed<Vec<Placed<String>>>>,
    /// US dollars per second: `"0.10"`, or by size class `{ "720p" = "0.30", "1024p" = "0.50" }`.
    #[schemars(required)]
    pub price: Option<Placed<Price>>,
    /// The last day it is offered, a date without quotes: `2026-09-24`.
    #[schemars(with = "Option<String>", extend("format" = "date"))]
    pub sunset: Option<Placed<Datetime>>,
    /// What to do about a length or size that it does not make. Default `"exact"`.
    pub fit: Option<Fit>,
    /// Parameters beyond the protocol that are passed on to it: `["seed", "negative_prompt"]`. Default: none; a request with others is refused.
    #[serde(default)]
    pub extras: Vec<Placed<String>>,
}

/// What to do about a length or size that a route does not make.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The route is not eligible.
    Exact,
    /// The nearest one; the shorter of two equally near.
    Nearest,
    /// The next longer or larger one.
    Up,
    /// The next shorter or smaller one.
    Down,
}
