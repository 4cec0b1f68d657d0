//! Writes inputs to begin with for a fuzz target into a directory: `seeds TARGET DIRECTORY`.

use std::env;
use std::path::Path;

use anyhow::{Context, Result};
use mtu_trace_fuzz::seeds;

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1);
    let target = arguments.next().context("which target?")?;
    let directory = arguments.next().context("into which directory?")?;
    seeds::write(&target.to_string_lossy(), Path::new(&directory))
}
