//! The suites that are programs of their own: builds them and what they test, and starts them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use lab::command;
use lab::skips::LEDGER;
use lab::suites::Extent;

use crate::run::{self, Profile};
use crate::setup;

/// Starts the suite with real engines, with its own `arguments`.
pub fn dind(arguments: &[OsString]) -> Result<()> {
    command::require_root("it starts engines, makes network namespaces and loads kernel programs")?;
    setup::run()?;
    let mut suite = Command::new(run::build(Profile::Debug, "dind")?);
    if env::var_os("MTU_TRACE_BIN").is_none() {
        suite.env("MTU_TRACE_BIN", run::build(Profile::Debug, "mtu-trace")?);
    }
    run::step(suite.args(arguments))
}

/// Starts the suite in virtual machines, with its own `arguments`.
pub fn vm(arguments: &[OsString]) -> Result<()> {
    setup::run()?;
    let suite = run::build(Profile::Debug, "vm")?;
    let mtu_trace = run::build(Profile::Release, "mtu-trace")?;
    run::step(vm_command(&suite, &mtu_trace)?.args(arguments))
}

/// Starts the kernel's own selftests, with their own `arguments`.
pub fn kselftest(arguments: &[OsString]) -> Result<()> {
    command::require_root("it makes network namespaces and loads kernel programs")?;
    setup::run()?;
    let mut suite = Command::new(run::build(Profile::Debug, "kselftest")?);
    if env::var_os("MTU_TRACE_BIN").is_none() {
        suite.env("MTU_TRACE_BIN", run::build(Profile::Release, "mtu-trace")?);
    }
    run::step(suite.args(arguments))
}

/// Runs them as parts of `cargo xtask test`, which has built them; each also if one before it fails.
/// Not side by side: containers that build for a second have to be named meanwhile, and beside two
/// virtual machines on two processors one of ten was not.
pub fn test(extent: Extent, ledger: &Path) -> Result<()> {
    let within = match extent {
        Extent::Few => "few",
        Extent::All => "all",
    };
    let built = |name| run::binary(Profile::Debug, name);
    let release = run::binary(Profile::Release, "mtu-trace")?;
    let mut vm = vm_command(&built("vm")?, &release)?;
    let mut dind = Command::new(built("dind")?);
    dind.env("MTU_TRACE_BIN", built("mtu-trace")?);
    let mut kselftest = Command::new(built("kselftest")?);
    kselftest.env("MTU_TRACE_BIN", &release);
    for suite in [&mut vm, &mut dind, &mut kselftest] {
        suite.args(["--within", within]).env(LEDGER, ledger);
    }
    let engines = run::step(&mut dind);
    let machines = run::step(&mut vm);
    let outcome = engines.and(machines);
    match extent {
        // None of them has a word to add to what the scenarios say, and each takes its time.
        Extent::Few => outcome,
        Extent::All => outcome.and(run::step(&mut kselftest)),
    }
}

/// The suite in virtual machines, for the release build that users get.
fn vm_command(suite: &Path, mtu_trace: &Path) -> Result<Command> {
    let matrix: PathBuf = run::build_matrix()?;
    let mut command = Command::new(suite);
    command
        .env("MTU_TRACE_BIN", mtu_trace)
        .env("MTU_TRACE_MATRIX_BIN", matrix);
    Ok(command)
}
