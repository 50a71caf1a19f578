//! The `filmgate` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    filmgate::main()
}
