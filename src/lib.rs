//! A gateway for asynchronous video generation.
//!
//! Two functions hold the whole story: `api::create`, what happens to a request, and
//! `jobs::advance`, what happens to a job afterwards. Read them first; every line in them is a part
//! with a file of its own.
//!
//! The modules below are listed from the street down to the cellar. A module may use what stands
//! below it and nothing above it; `tests/tidy.rs` holds us to that.

// The parts together, as plain data; then how we answer.
mod reply;
mod refusal;

// Parts that touch the world.
mod store;
mod upstream;
mod limits;
mod health;
mod metrics;

// Rules: decisions without side effects.
mod estimate;
mod eta;
mod auth;
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

// A provider of our own; uses the words and nothing else.
pub mod simulator;
