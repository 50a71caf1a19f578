//! A gateway for asynchronous video generation.
//!
//! Two functions hold the whole story: `api::create`, what happens to a request, and
//! `jobs::advance`, what happens to a job afterwards. Read them first; every line in them is a part
//! with a file of its own.
//!
//! The modules below are listed from the street down to the cellar. A module may use what stands
//! below it and nothing above it; `tests/tidy.rs` holds us to that.

// Rules: decisions without side effects.
mod price;
mod plan;
mod wire;
mod policy;
mod provider;
mod job;
mod budget;

// Words.
mod video;
mod money;
mod id;
mod clock;
mod secret;

// Being built.
mod admin;
mod metrics;
mod standing;
mod store;
mod estimate;
pub mod simulator;
