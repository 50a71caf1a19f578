//! `[guard]`: refusals ahead of any provider, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::forms::{Placed, Whole};

/// Refusals ahead of any provider.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// The longest prompt, characters. Default `32000`, the most the protocol allows.
    pub prompt_max_chars: Option<Placed<Whole>>,
    /// Regular expressions; a prompt that matches one is refused.
    pub deny: Vec<Placed<String>>,
    /// Who is asked about what passes; nobody by default.
    pub moderation: Option<Placed<Moderation>>,
}

/// A moderation service that speaks OpenAI's `POST /moderations`, asked about every new wish before it is sent.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moderation {
    /// Where it is, such as `https://api.openai.com/v1`.
    #[schemars(required)]
    pub base_url: Option<Placed<String>>,
    /// Its key: `"env:NAME"` or `"file:PATH"`; without one nothing is shown.
    pub api_key: Option<Placed<String>>,
    /// What becomes of a wish when the service does not answer.
    #[schemars(required)]
    pub on_error: Option<OnError>,
    /// How long an answer is waited for. Default `"3s"`.
    pub timeout: Option<Placed<String>>,
    /// What it calls its model. Default `"omni-moderation-latest"`.
    pub model: Option<Placed<String>>,
    /// Where it processes. A tenant with a residency is asked about only if this is the same.
    pub region: Option<Placed<String>>,
    /// Whether it is shown the picture that a clip starts from, beside the prompt. Default `true`.
    pub pictures: Option<bool>,
}

/// What becomes of a wish when moderation cannot be had.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It is refused: nothing passes unseen.
    Refuse,
    /// It passes: clips are made as if there were no moderation.
    Allow,
}
