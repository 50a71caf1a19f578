//! The simulator as its clients meet it: over a socket.

mod clips;
mod faults;
mod ordering;
mod refusing;
mod talk;
