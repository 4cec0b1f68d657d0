//! `cargo xtask demo`: the fault that started it all, built, traced and explained in half a minute.

use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use lab::command;

use crate::run::{self, Profile};
use crate::setup;

/// Builds `mtu-trace` and the fault, and shows the screens over it in this terminal.
pub fn live() -> Result<()> {
    let binary = build()?;
    println!("== the screens over a download that hangs; q ends them");
    let status = lab::show::live(&binary).context("the demo did not finish")?;
    ensure!(status.success(), "mtu-trace live ended with {status}");
    Ok(())
}

/// Builds `mtu-trace` and the fault, and prints the report of the one on the other.
pub fn report() -> Result<()> {
    let binary = build()?;
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

/// Draws the screens over the fault.
pub fn pictures() -> Result<()> {
    let binary = build()?;
    let took = lab::show::pictures(&binary, &run::repository().join("docs/pictures"))?;
    println!(
        "== from the start of the download to the verdict on the screen: {:.2} s",
        took.as_secs_f64()
    );
    Ok(())
}

fn build() -> Result<PathBuf> {
    command::require_root("the demo builds network namespaces and loads kernel programs")?;
    setup::run()?;
    let binary = run::build(Profile::Debug, "mtu-trace")?;
    lab::sweep().context("cannot remove what an earlier run left behind")?;
    Ok(binary)
}
