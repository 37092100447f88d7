//! The `afterimage` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    vmm::command::main()
}
