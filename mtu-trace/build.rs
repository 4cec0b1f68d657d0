//! Builds the kernel programs for the BPF target and leaves them in `OUT_DIR`, where the library
//! embeds them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use aya_build::{Package, Toolchain};

#[path = "../xtask/src/bpf_toolchain.rs"]
mod bpf_toolchain;

use bpf_toolchain::{Compiler, LINKED, SYSTEM_BIN};

/// The crates that use unstable features. Only these may do so on a stable compiler, which is also
/// what keeps `aya-build` from asking that compiler to build `core` from sources it does not have.
const UNSTABLE_CRATES: &str = "aya_ebpf,mtu_trace_ebpf";

fn main() {
    if let Err(error) = build() {
        // This alone makes cargo fail. A failing status would have it print all this script's output
        // too, and the one line that matters would be lost in it.
        println!("cargo::error={error:#}");
    }
}

fn build() -> Result<()> {
    // What the programs are made of beside their own directory, which aya-build names.
    for path in ["../mtu-trace-common", "../Cargo.toml", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let Some(linker) = bpf_toolchain::bpf_linker() else {
        bail!("the BPF toolchain is missing (no bpf-linker): run `cargo xtask setup`");
    };
    let Some(compiler) = Compiler::find() else {
        bail!(
            "the BPF toolchain is missing (no compiler with `core` for {}): run `cargo xtask setup`",
            bpf_toolchain::TARGET
        );
    };
    prepare_environment(linker, compiler)?;

    let root = env::var("CARGO_MANIFEST_DIR").context("cargo did not say where the package is")?;
    let package = Package {
        name: "mtu-trace-ebpf",
        root_dir: &format!("{root}/../mtu-trace-ebpf"),
        ..Package::default()
    };
    let toolchain = match compiler {
        // Without rustup, aya-build ignores this and takes cargo and rustc from `PATH`.
        Compiler::Linked | Compiler::System => Toolchain::Custom(LINKED),
        Compiler::Nightly => Toolchain::Nightly,
    };
    aya_build::build_ebpf([package], toolchain).context("the kernel programs do not build")
}

/// Sets what aya-build reads from this process and hands on to the compiler: nothing of it may reach
/// the build of the userspace program.
fn prepare_environment(linker: PathBuf, compiler: Compiler) -> Result<()> {
    let mut path: Vec<PathBuf> = Vec::new();
    if compiler == Compiler::System {
        path.push(PathBuf::from(SYSTEM_BIN));
    }
    // rustc looks for the linker by name, and aya-build for rustup.
    for program in [Some(linker), bpf_toolchain::rustup()] {
        path.extend(
            program
                .as_deref()
                .and_then(Path::parent)
                .map(Path::to_owned),
        );
    }
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let path = env::join_paths(path).context("PATH has an entry that cannot be kept")?;
    // SAFETY: this program has started no other thread.
    unsafe {
        env::set_var("PATH", path);
        env::set_var("RUSTC_BOOTSTRAP", UNSTABLE_CRATES);
        // Compiled in pieces, the programs call each other with registers that the verifier finds unset.
        env::set_var("CARGO_INCREMENTAL", "0");
        // aya-build makes a warning of every line of progress. Those of the compiler still come.
        env::set_var("CARGO_TERM_QUIET", "true");
    }
    Ok(())
}
