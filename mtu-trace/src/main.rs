//! The `mtu-trace` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    mtu_trace::run()
}
