//! `cargo xtask test`: everything a change must pass, in the order in which it fails soonest.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use lab::command;
use lab::skips::LEDGER;
use lab::suites::Extent;

use crate::run::{self, Profile, USERSPACE};
use crate::{setup, suites};

/// Scenarios wait more than they compute. But every tracer attaches to every lab's devices, one
/// after the other under a lock of the whole kernel, so many at once only wait for each other.
const SCENARIOS_AT_ONCE: &str = "4";

/// How long the release build may take after the tests: it has had all their time.
const RELEASE_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How much is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All but the scenarios in network namespaces; this needs no root.
    Fast,
    /// Everything, of what takes long as much as this.
    Whole(Extent),
}

/// Runs all checks of `scope`; `arguments` go to `cargo test`.
pub fn run(scope: Scope, arguments: &[OsString]) -> Result<()> {
    if scope != Scope::Fast {
        command::require_root(
            "the tests build network namespaces (--fast leaves those tests out)",
        )?;
    }
    let start = Instant::now();
    setup::run()?;
    let ledger = run::target_directory()?.join("skipped");
    // What an earlier run skipped is none of this one's.
    fs::write(&ledger, "").with_context(|| format!("cannot write {}", ledger.display()))?;
    let outcome = checks(scope, arguments, &ledger);
    let skipped = skipped(&ledger)?;
    let seconds = start.elapsed().as_secs();
    let how = if outcome.is_ok() {
        "all passed in"
    } else {
        "failed after"
    };
    println!("== {how} {seconds} s; skipped: {skipped}");
    outcome
}

/// Shows what was not tested, each once, and counts it.
fn skipped(ledger: &Path) -> Result<usize> {
    let text =
        fs::read_to_string(ledger).with_context(|| format!("cannot read {}", ledger.display()))?;
    let entries: BTreeSet<&str> = text.lines().collect();
    for entry in &entries {
        println!("== SKIPPED: {entry}");
    }
    Ok(entries.len())
}

/// What fails soonest comes first.
fn checks(scope: Scope, arguments: &[OsString], ledger: &Path) -> Result<()> {
    lint()?;
    // All that is tested, and the tests: at once, so that nothing is built twice.
    run::step(&mut cargo(&[&["test", "--no-run"], &USERSPACE]))?;
    let Scope::Whole(extent) = scope else {
        return tests(&["--exclude", "mtu-trace-tests"], arguments, ledger);
    };
    sweep()?;
    // Of what the tests leave: they wait for the kernel's timeouts.
    let release = run::build_beside(Profile::Release, "mtu-trace")?;
    let outcome = tests(&[], arguments, ledger).and_then(|()| {
        let built = release.finish(RELEASE_LIMIT)?;
        ensure!(
            built.status.success(),
            "the release build failed:\n{}",
            built.stderr
        );
        suites::test(extent, ledger)
    });
    // Also after a failure, whose error is the one to show.
    outcome.and(sweep())
}

/// The format, and lints of everything.
fn lint() -> Result<()> {
    run::step(&mut cargo(&[&["fmt", "--all", "--check"]]))?;
    let deny: &[&str] = &["--", "-D", "warnings"];
    run::step(&mut cargo(&[
        &["clippy", "--all-targets"],
        &USERSPACE,
        deny,
    ]))?;
    // On its own: its manifest must stand without the features that user space adds to its crates.
    let kernel: &[&str] = &["clippy", "--locked", "--package", "mtu-trace-ebpf"];
    run::step(&mut cargo(&[kernel, deny]))
}

/// The tests of all crates but those that are `left_out`.
fn tests(left_out: &[&str], arguments: &[OsString], ledger: &Path) -> Result<()> {
    let threads = env::var_os("RUST_TEST_THREADS").unwrap_or_else(|| SCENARIOS_AT_ONCE.into());
    run::step(
        // Once it has come this far, a run should name everything that fails.
        cargo(&[&["test", "--no-fail-fast"], &USERSPACE, left_out])
            .args(arguments)
            .env("MTU_TRACE_BIN", run::binary(Profile::Debug, "mtu-trace")?)
            .env(LEDGER, ledger)
            .env("RUST_TEST_THREADS", threads),
    )
}

fn cargo(parts: &[&[&str]]) -> Command {
    run::cargo(&parts.concat())
}

fn sweep() -> Result<()> {
    lab::sweep().context("cannot remove what crashed tests left behind")
}
