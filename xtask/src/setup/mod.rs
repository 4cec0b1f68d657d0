//! `cargo xtask setup`: finds or installs what building and testing need, in well under a second
//! when nothing is missing.
//!
//! Two routes lead to a compiler for the kernel programs. Debian packages one with a prebuilt `core`
//! for BPF, which needs no nightly; everywhere else it is rustup's nightly with the sources of `core`.

mod compiler;
mod debian;
mod linker;
mod tools;

use anyhow::{Result, ensure};

use crate::bpf_toolchain;

/// Does what is missing and says a line about each subject.
pub fn run() -> Result<()> {
    if debian::is_here() {
        debian::set_up()?;
    } else {
        tools::check()?;
    }
    compiler::set_up()?;
    linker::set_up()
}

/// Finds or installs a compiler for C++, which only libFuzzer needs.
pub fn cpp() -> Result<()> {
    let is_there = || bpf_toolchain::program("c++").is_some();
    if !is_there() && debian::is_here() {
        debian::provide("g++")?;
    }
    ensure!(
        is_there(),
        "libFuzzer is written in C++ and there is no `c++`: install a compiler for it, such as g++"
    );
    println!("setup: C++ compiler ok");
    Ok(())
}
