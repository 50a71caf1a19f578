//! The one codec of the OpenAI videos family: every dialect of it is a [`Profile`] of quirks.

use crate::provider::{
    Accepted, AskError, Call, Download, Endpoint, Handle, Listing, Progress, Proof, Provider, Submission, SubmitError, Unsupported, Variant,
};
use crate::video::Upload;

/// How one upstream's dialect departs from OpenAI's own.
#[derive(Debug)]
pub(super) struct Profile {
    /// The dialect's name in the policy.
    pub name: &'static str,
    /// `base_url` when the policy gives none.
    pub default_base_url: Option<&'static str>,
}

impl Provider for Profile {
    fn name(&self) -> &'static str {
        self.name
    }

    fn default_base_url(&self) -> Option<&'static str> {
        self.default_base_url
    }

    fn submit(&self, _: &Endpoint, _: &Proof<'_>, _: &Submission<'_>) -> Result<Call<Result<Accepted, SubmitError>>, Unsupported> {
        todo!()
    }

    fn progress(&self, _: &Endpoint, _: &Proof<'_>, _: Handle<'_>) -> Call<Result<Progress, AskError>> {
        todo!()
    }

    fn list(&self, _: &Endpoint, _: &Proof<'_>, _: Option<&str>) -> Option<Call<Result<Listing, AskError>>> {
        todo!()
    }

    fn delete(&self, _: &Endpoint, _: &Proof<'_>, _: Handle<'_>) -> Option<Call<Result<(), AskError>>> {
        todo!()
    }

    fn content(&self, _: &Endpoint, _: &Proof<'_>, _: Handle<'_>, _: Variant, _: Option<&str>) -> Result<Download, Unsupported> {
        todo!()
    }

    fn create_character(&self, _: &Endpoint, _: &Proof<'_>, _: &str, _: &Upload) -> Result<Call<Result<String, SubmitError>>, Unsupported> {
        todo!()
    }

    fn ping(&self, _: &Endpoint, _: &Proof<'_>) -> Call<Result<(), AskError>> {
        todo!()
    }
}
