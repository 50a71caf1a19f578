//! How a job is spoken of: each dialect's objects, made from the record and the time. Pure.

mod cometapi;
mod openai;

use serde_json::Value;

use super::dialect::Dialect;
use super::job::{Job, Stage};
use crate::clock::Timestamp;

/// A job at one moment, ready to be put into words.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The job.
    pub job: &'a Job,
    /// How it stands.
    pub stage: Stage,
    /// Scheme and authority for links, as the client called us.
    pub origin: &'a str,
}

impl<'a> View<'a> {
    /// The job as it stands at `now`.
    pub fn new(job: &'a Job, now: Timestamp, origin: &'a str) -> Self {
        Self { job, stage: job.stage(now), origin }
    }

    /// The answer to the order.
    pub fn accepted(&self) -> Value {
        match self.job.dialect {
            Dialect::Openai | Dialect::Azure => openai::video(self),
            Dialect::Cometapi => cometapi::accepted(self),
        }
    }

    /// The answer to a retrieval, and an item of a list.
    pub fn retrieved(&self) -> Value {
        match self.job.dialect {
            Dialect::Openai | Dialect::Azure => openai::video(self),
            Dialect::Cometapi => cometapi::retrieved(self),
        }
    }
}
