//! Options of the commands that print what is made from the command line itself.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::Shell;

/// `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Write the pages of all commands to this directory, which is made if it is missing
    ///
    /// The files are mtu-trace.1, mtu-trace-record.1 and so on; those of an earlier version are
    /// overwritten. In a directory named man1 of the manual's path, such as
    /// /usr/local/share/man/man1, `man mtu-trace-record` finds them.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output_dir: Option<PathBuf>,
}
