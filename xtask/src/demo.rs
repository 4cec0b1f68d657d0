//! `cargo xtask demo`: the fault that started it all, built, traced and explained in half a minute.

use std::io;

use anyhow::{Context, Result, ensure};

use crate::{run, setup};

/// Builds `mtu-trace` and the fault, and shows the one finding the other.
pub fn run() -> Result<()> {
    run::require_root("the demo builds network namespaces and loads kernel programs")?;
    setup::run()?;
    run::step(&mut run::cargo(&[
        "build",
        "--locked",
        "--package",
        "mtu-trace",
    ]))?;
    let binary = run::mtu_trace_binary("debug")?;
    lab::sweep().context("cannot remove what an earlier run left behind")?;

    println!("== Docker-in-Docker in network namespaces, and a download that hangs");
    let found =
        lab::demo::run(&binary, &mut io::stdout().lock()).context("the demo did not finish")?;
    ensure!(
        found,
        "the report above has no mtu-black-hole, though the fault is there: \
         `mtu-trace doctor` ({}) tells which hooks this kernel refuses",
        binary.display()
    );
    Ok(())
}
