//! `replay`: shows a capture as `live` does.

use anyhow::Result;

use crate::cli::{self, ColorChoice};

/// Runs the command; gives the exit status.
pub fn run(_options: &cli::Replay, _color: ColorChoice) -> Result<u8> {
    anyhow::bail!("not yet")
}
