//! The `mtu-trace` command.

use std::process::ExitCode;

use clap::Parser as _;
use mtu_trace::cli::Cli;
use mtu_trace::commands;

fn main() -> ExitCode {
    // A reader that closes the pipe early has what it wants: no message, and no panic on write.
    commands::run(Cli::parse())
}
