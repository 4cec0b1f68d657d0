//! `cargo xtask fuzz`: inputs that nobody thought of, for as long as there is time.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use lab::command;

use crate::run::{self, Profile, USERSPACE};
use crate::setup;

/// What can be fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Captures: read, analysed, reported and kept again.
    Reader,
    /// Records of the kernel programs: decoded, and the same.
    Records,
    /// Compressed captures: unpacked.
    Compressed,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Records => "records",
            Self::Compressed => "compressed",
        }
    }

    /// The longest input, bytes.
    fn most_bytes(self) -> usize {
        match self {
            // The network of a small host, and some fifty events.
            Self::Reader => 24 << 10,
            // Some twenty records.
            Self::Records => 8 << 10,
            // What a golden capture has.
            Self::Compressed => 4 << 10,
        }
    }
}

/// The version of cargo-fuzz, which builds the targets so that libFuzzer sees what they do. It is
/// installed where there is none; another one that is there already is kept.
const VERSION: &str = "0.13.2";
/// After this time an input is taken to hang, s.
const TIMEOUT_S: u32 = 10;
/// Most memory of the whole process, corpus and all, MiB.
const MOST_MEMORY_MIB: u32 = 2048;

/// Fuzzes `target`, or each in turn, for `seconds` each; `arguments` go to libFuzzer.
pub fn run(target: Option<Target>, seconds: i32, arguments: &[OsString]) -> Result<()> {
    setup::run()?;
    setup::cpp()?;
    set_up()?;
    let targets = match &target {
        Some(target) => std::slice::from_ref(target),
        None => Target::value_variants(),
    };
    for &target in targets {
        fuzz(target, seconds, arguments)?;
    }
    Ok(())
}

fn fuzz(target: Target, seconds: i32, arguments: &[OsString]) -> Result<()> {
    seed(target).context("cannot make the inputs to begin with")?;
    // No sanitizer: they look for what only `unsafe` code can do, and need a nightly compiler.
    let mut command = run::cargo(&["fuzz", "run", "--sanitizer", "none", target.name(), "--"]);
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={}", target.most_bytes()),
        format!("-timeout={TIMEOUT_S}"),
        format!("-rss_limit_mb={MOST_MEMORY_MIB}"),
        "-print_final_stats=1".to_owned(),
    ]);
    run::step(command.args(arguments)).with_context(|| {
        let target = target.name();
        format!("an input is in fuzz/artifacts/{target}, unless the target did not even build")
    })
}

/// Installs cargo-fuzz unless it is there.
fn set_up() -> Result<()> {
    if let Ok(version) = command::output(&mut run::cargo(&["fuzz", "--version"])) {
        println!("setup: {} ok", version.trim());
        return Ok(());
    }
    println!("setup: building cargo-fuzz {VERSION} (a minute)");
    let install = ["install", "--quiet", "--locked", "cargo-fuzz", "--version"];
    command::status(run::cargo(&install).arg(VERSION)).with_context(|| {
        format!("cargo-fuzz does not build: put version {VERSION} or newer in PATH")
    })
}

/// Writes the inputs to begin with into the corpus of `target`.
fn seed(target: Target) -> Result<()> {
    let directory = run::repository().join("fuzz/corpus").join(target.name());
    let build = ["build", "--quiet", "--example", "seeds"];
    run::step(&mut run::cargo(&[&build, &USERSPACE[..]].concat()))?;
    let mut seeds = Command::new(run::binary(Profile::Debug, "examples/seeds")?);
    run::step(seeds.arg(target.name()).arg(directory))
}
