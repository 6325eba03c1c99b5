//! The `mcm` program: parse the command line, run, exit with a documented code.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcm::cli::main()
}
