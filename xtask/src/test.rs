//! `cargo xtask test`: everything a change must pass, in the order in which it fails soonest.

use std::env;
use std::ffi::OsString;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::run::{self, Profile};
use crate::{dind, setup, vm};

/// Every crate but the kernel programs, which mtu-trace's build script builds for their own target,
/// and the fuzz targets.
const USERSPACE: [&str; 6] = [
    "--locked",
    "--workspace",
    "--exclude",
    "mtu-trace-ebpf",
    "--exclude",
    "mtu-trace-fuzz",
];

/// The fuzz targets, without the library that needs a compiler for C++.
const FUZZ: [&str; 4] = [
    "--locked",
    "--package",
    "mtu-trace-fuzz",
    "--no-default-features",
];

/// Scenarios wait more than they compute. But every tracer attaches to every lab's devices, one
/// after the other under a lock of the whole kernel, so many at once only wait for each other.
const SCENARIOS_AT_ONCE: &str = "4";

/// Runs all checks, or without the scenarios when `fast`, or all of them on all kernels when `full`; `arguments`
/// go to `cargo test`.
pub fn run(fast: bool, full: bool, arguments: &[OsString]) -> Result<()> {
    if !fast {
        run::require_root("the tests build network namespaces (--fast leaves those tests out)")?;
    }
    let start = Instant::now();
    setup::run()?;
    let outcome = if fast {
        checks(fast, arguments)
    } else {
        sweep()?;
        let outcome = checks(fast, arguments)
            .and_then(|()| dind::test())
            .and_then(|()| vm::test(full));
        // Also after a failure, whose error is the one to show.
        outcome.and(sweep())
    };
    let seconds = start.elapsed().as_secs();
    match &outcome {
        Ok(()) => println!("== all passed in {seconds} s"),
        Err(_) => println!("== failed after {seconds} s"),
    }
    outcome
}

fn checks(fast: bool, arguments: &[OsString]) -> Result<()> {
    let cargo = |parts: &[&[&str]]| run::cargo(&parts.concat());
    run::step(&mut cargo(&[&["fmt", "--all", "--check"]]))?;
    let deny: &[&str] = &["--", "-D", "warnings"];
    run::step(&mut cargo(&[
        &["clippy", "--all-targets"],
        &USERSPACE,
        deny,
    ]))?;
    // On its own: its manifest must stand without the features that user space adds to its crates.
    run::step(&mut cargo(&[
        &["clippy", "--locked", "--package", "mtu-trace-ebpf"],
        deny,
    ]))?;
    run::step(&mut cargo(&[&["clippy", "--all-targets"], &FUZZ, deny]))?;
    run::step(&mut cargo(&[&["build"], &USERSPACE]))?;

    let threads = env::var_os("RUST_TEST_THREADS").unwrap_or_else(|| SCENARIOS_AT_ONCE.into());
    let scenarios: &[&str] = if fast {
        &["--exclude", "mtu-trace-tests"]
    } else {
        &[]
    };
    run::step(&mut cargo(&[&["test", "--lib"], &FUZZ]))?;
    run::step(
        // Once it has come this far, a run should name everything that fails.
        cargo(&[&["test", "--no-fail-fast"], &USERSPACE, scenarios])
            .args(arguments)
            .env("MTU_TRACE_BIN", run::mtu_trace_binary(Profile::Debug)?)
            .env("RUST_TEST_THREADS", threads),
    )
}

fn sweep() -> Result<()> {
    lab::sweep().context("cannot remove what crashed tests left behind")
}
