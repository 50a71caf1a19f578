//! The command line: what is typed, and what is printed. Nothing here opens a file or a socket.

pub mod estimate;
pub mod report;
mod table;
