//! A gateway for asynchronous video generation.
//!
//! Two functions hold the whole story: `api::create`, what happens to a request, and
//! `jobs::advance`, what happens to a job afterwards. Read them first; every line in them is a part
//! with a file of its own.
//!
//! The modules below are listed from the street down to the cellar. A module may use what stands
//! below it and nothing above it; `tests/tidy.rs` holds us to that.

#[doc(hidden)]
pub mod bench;

// The process.
mod cli;
mod boot;
mod server;
mod routes;

// Edges: who talks to us.
mod admin;
mod api;
mod hooks;
mod ops;

// Flows: work that spans several parts.
mod operator;
mod jobs;
mod dispatch;
mod owing;

// The parts together, as plain data; then how we answer.
mod gateway;
mod reply;
mod refusal;

// Parts that touch the world.
mod reload;
mod certificates;
mod upstream;
mod archive;
mod limits;
mod sendings;
mod outbox;
mod doorbells;
mod hall;
mod health;
mod traffic;
mod reconciling;
mod accounts;
mod halting;
mod probes;
mod metrics;
mod standing;
mod emergency;
mod store;

// Rules: decisions without side effects.
mod estimate;
mod why;
mod link;
mod notice;
mod callback;
mod auth;
mod queue;
mod order;
mod plan;
mod price;
mod eta;
mod moderation;
mod wire;
mod budget;
mod policy;
mod provider;
mod job;
mod signature;
mod address;
mod certificate;

// A provider of our own; uses the words and nothing else.
pub mod simulator;

// Words.
mod video;
mod money;
mod id;
mod clock;
mod secret;

// For tests of faults; empty in a release build.
mod crash;

pub use boot::{Running, Settings, start};
pub use cli::main;
