//! Options of the commands that show screens.

use std::path::PathBuf;

use clap::{Args, FromArgMatches as _, ValueHint};

use crate::cli::{Keep, Tracing};
use crate::core::select::Selection;

/// How screens are drawn.
#[derive(Clone, Debug, Args)]
pub struct Drawing {
    /// Draw with ASCII alone, whatever the locale says of the terminal
    #[arg(long)]
    pub ascii: bool,
}

/// `live`.
#[derive(Clone, Debug, Args)]
pub struct LiveOptions {
    /// How to draw.
    #[command(flatten)]
    pub drawing: Drawing,
    /// What to keep.
    #[command(flatten)]
    pub keep: Keep,
    /// How to trace.
    #[command(flatten)]
    pub tracing: Tracing,
    /// What to show.
    #[command(flatten)]
    pub selection: Selection,
}

impl Default for LiveOptions {
    /// What the options are when none is given.
    fn default() -> Self {
        let matches = Self::augment_args(clap::Command::new("live")).get_matches_from(["live"]);
        // No option must be given, so this cannot fail.
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// `replay`.
#[derive(Debug, Args)]
pub struct ReplayOptions {
    /// The capture, also compressed with gzip or zstd
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// How to draw.
    #[command(flatten)]
    pub drawing: Drawing,
    /// What to show.
    #[command(flatten)]
    pub selection: Selection,
}
