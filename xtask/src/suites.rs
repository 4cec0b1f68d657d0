//! The suites that are programs of their own: builds them and what they test, and starts them.

use std::env;
use std::ffi::OsString;
use std::path::Path;
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
    run::step(dind_command()?.args(arguments))
}

/// Starts the suite in virtual machines, with its own `arguments`.
pub fn vm(arguments: &[OsString]) -> Result<()> {
    setup::run()?;
    run::step(vm_command()?.args(arguments))
}

/// Both as parts of `cargo xtask test`, which writes what they skip into `ledger`.
pub fn test(extent: Extent, ledger: &Path) -> Result<()> {
    let within = match extent {
        Extent::Few => "few",
        Extent::All => "all",
    };
    for mut suite in [dind_command()?, vm_command()?] {
        run::step(suite.args(["--within", within]).env(LEDGER, ledger))?;
    }
    Ok(())
}

/// For the program that `MTU_TRACE_BIN` names, else for the debug build.
fn dind_command() -> Result<Command> {
    let mut suite = Command::new(run::build(Profile::Debug, "dind")?);
    if env::var_os("MTU_TRACE_BIN").is_none() {
        suite.env("MTU_TRACE_BIN", run::build(Profile::Debug, "mtu-trace")?);
    }
    Ok(suite)
}

/// For the release build that users get.
fn vm_command() -> Result<Command> {
    let mut suite = Command::new(run::build(Profile::Debug, "vm")?);
    suite
        .env("MTU_TRACE_BIN", run::build(Profile::Release, "mtu-trace")?)
        .env("MTU_TRACE_MATRIX_BIN", run::build_matrix()?);
    Ok(suite)
}
