//! The gateway through its front door: one process, real sockets, a provider with a bill of its own.
//!
//! One binary, because linking the gateway once is what takes the time. Each module is a page of what
//! the gateway promises; [`world`] is where it all takes place and what must hold at the end of every
//! test, [`client`] is how anybody in it talks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod books;
mod bucket;
mod campaign;
mod client;
#[path = "../cluster/mod.rs"]
mod cluster;
mod endpoint;
mod process;
mod things;
mod world;

mod creating;
mod extras;
mod fitting;
mod reading;
mod resending;
mod keys;
mod keyed_routes;
mod outcomes;
mod content;
mod alerts;
mod archiving;
mod archiving_afar;
mod budgets;
mod caps;
mod payers;
mod callbacks;
mod callback_tokens;
mod notices;
mod limits;
mod queueing;
mod in_line;
mod explaining;
mod failover;
mod health;
mod rotating;
mod running_empty;
mod migrating;
mod rules;
mod guarding;
mod clocks;
mod polling;
mod storm;
mod unreachable;
mod floods;
mod unknowns;
mod burdens;
mod bad_input;
mod reloading;
mod moving;
mod tls;
mod http_corpus;
mod h2;
mod admin;
mod operating;
mod halting;

mod crashing;
mod killing;
mod database_killed;
mod power;
mod starving;
mod draining;
mod reloading_under_load;
mod streaming;
mod disk;
mod emergency;
mod restoring;
mod replicas;
mod probing;
mod commands;
