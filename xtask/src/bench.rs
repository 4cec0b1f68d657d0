//! `cargo xtask bench`: figures instead of verdicts, of an optimized build.

use anyhow::{Context, Result};
use clap::ValueEnum;
use lab::command;

use crate::run::{self, Profile};
use crate::setup;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// How many events a second are written, read and diagnosed, and what memory a large file takes.
    Capture,
    /// How soon a full node is known, how soon new containers are followed, and what leaks.
    Topology,
    /// What a trace takes of the machine that runs for a day, and whether it is still right at the end.
    Soak,
    /// How long a screen takes under load, how soon a key shows, how soon any moment of a large capture
    /// is there, and what the screens cost when nothing happens.
    Tui,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Topology => "topology",
            Self::Soak => "soak",
            Self::Tui => "tui",
        }
    }
}

/// Builds with optimizations and measures `subject`; `parts` names what to measure of it, all if
/// empty.
pub fn run(subject: Subject, parts: &[String]) -> Result<()> {
    command::require_root("the benchmark builds network namespaces and loads kernel programs")?;
    setup::run()?;
    let binary = run::build(Profile::Release, "mtu-trace")?;
    sweep()?;
    let mut bench = run::cargo(&["bench", "--locked", "--package", "mtu-trace-tests"]);
    bench.args(["--bench", subject.name(), "--"]).args(parts);
    bench.env("MTU_TRACE_BIN", binary);
    let outcome = run::step(&mut bench);
    outcome.and(sweep())
}

fn sweep() -> Result<()> {
    lab::sweep().context("cannot remove what an earlier run left behind")
}
