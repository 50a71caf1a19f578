//! Admin: what the operator sees.
pub mod page;
pub mod views;
