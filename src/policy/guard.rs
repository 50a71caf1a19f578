//! `[guard]`: what is refused ahead of any provider, and who is asked about the rest.

use std::time::Duration;

use crate::provider::Endpoint;

/// `[guard]`: refusals ahead of any provider.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The longest prompt, characters.
    pub prompt_chars_max: usize,
    /// Prompts that match one are refused.
    pub deny: regex::RegexSet,
    /// Who is asked about what passes, if anybody is.
    pub moderation: Option<Moderation>,
}

/// A moderation service that is asked about every new wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moderation {
    /// Where it is and how we prove who we are.
    pub endpoint: Endpoint,
    /// What it calls its model.
    pub model: String,
    /// What becomes of a wish that it says nothing of.
    pub on_error: OnError,
    /// How long it is waited for.
    pub timeout: Duration,
    /// Where it processes; tenants that are bound to another region are not asked about.
    pub region: Option<String>,
    /// Whether it is shown the picture that a clip starts from.
    pub pictures: bool,
}

/// What becomes of a wish that a moderation service says nothing of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It is refused.
    Refuse,
    /// It passes.
    Allow,
}
