//! The `mtu-trace` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A reader that closes the pipe early has what it wants: no message, and no panic on write.
    mtu_trace::run()
}
