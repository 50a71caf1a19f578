//! The simulator: a provider of our own, with a bill.
