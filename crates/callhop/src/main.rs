//! The program `callhop`.

use std::process::ExitCode;

fn main() -> ExitCode {
    callhop::cli::main()
}
