//! The compiler of the kernel programs, known to rustup where Rust comes from rustup.

use std::process::Command;

use anyhow::{Context, Result, bail};
use lab::command;

use crate::bpf_toolchain::{self, Compiler, LINKED, TARGET};

/// The prefix that rustup takes for the distribution's compiler.
const SYSTEM_PREFIX: &str = "/usr";

/// Gives rustup the distribution's compiler if there is one, and fails if there is none at all.
pub fn set_up() -> Result<()> {
    let mut found = Compiler::find();
    if let Some(rustup) = bpf_toolchain::rustup()
        && found != Some(Compiler::Linked)
        && bpf_toolchain::system_has_core()
    {
        let mut link = Command::new(rustup);
        link.args(["toolchain", "link", LINKED, SYSTEM_PREFIX]);
        command::output(&mut link).context("cannot give rustup the distribution's compiler")?;
        println!("setup: linked {SYSTEM_PREFIX} as rustup's toolchain {LINKED}");
        found = Compiler::find();
    }
    match found {
        Some(Compiler::Linked) => println!("setup: BPF compiler ok (toolchain {LINKED})"),
        Some(Compiler::System) => println!("setup: BPF compiler ok (in {SYSTEM_PREFIX})"),
        Some(Compiler::Nightly) => println!("setup: BPF compiler ok (nightly with rust-src)"),
        None if bpf_toolchain::rustup().is_some() => bail!(
            "no compiler for {TARGET}: run `rustup toolchain install nightly --component rust-src`, \
             then `cargo xtask setup` again"
        ),
        None => bail!(
            "no compiler for {TARGET}: install rustup with a nightly toolchain and its rust-src, \
             then run `cargo xtask setup` again"
        ),
    }
    Ok(())
}
