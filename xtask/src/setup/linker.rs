//! `bpf-linker`, which turns LLVM bitcode into one BPF object with BTF.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::command;

use super::debian;
use crate::{bpf_toolchain, run};

/// The version that is installed where there is none; a newer one that is there already is kept.
const VERSION: &str = "0.13.0";

/// Installs the linker unless one that will do is there.
pub fn set_up() -> Result<()> {
    if let Some(version) = version() {
        if release(&version) >= release(VERSION) {
            println!("setup: bpf-linker {version} ok");
            return Ok(());
        }
        println!("setup: bpf-linker {version} is too old");
    }
    println!("setup: building bpf-linker {VERSION} (a minute or two)");
    // --force: what is there is too old or does not run, whatever cargo's records say of it.
    let mut install = run::cargo(&["install", "--quiet", "--locked", "--force"]);
    install.args(["bpf-linker", "--version", VERSION]);
    if Path::new(debian::LLVM_PREFIX)
        .join("include/llvm-c")
        .is_dir()
    {
        // The default is a newer LLVM. This one is as new as the compiler's, which is enough.
        install.env("LLVM_PREFIX", debian::LLVM_PREFIX).args([
            "--no-default-features",
            "--features",
            debian::LLVM_FEATURE,
        ]);
    }
    command::status(&mut install).with_context(|| {
        format!("bpf-linker does not build: put version {VERSION} or newer in PATH, then run `cargo xtask setup` again")
    })?;
    let installed = version();
    ensure!(
        installed.is_some(),
        "bpf-linker was installed but `bpf-linker --version` fails"
    );
    println!("setup: bpf-linker {VERSION} ok");
    Ok(())
}

/// Whether the build would find a linker that runs and is new enough.
pub fn is_ready() -> bool {
    version().is_some_and(|version| release(&version) >= release(VERSION))
}

/// The version of the linker that the build finds; `None` when there is none or it does not run, as
/// after the removal of the LLVM it was linked with.
fn version() -> Option<String> {
    let mut command = Command::new(bpf_toolchain::bpf_linker()?);
    let line = command::output(command.arg("--version")).ok()?;
    line.split_whitespace().nth(1).map(str::to_owned)
}

/// `1.2.3` as numbers that compare; what follows a number's digits is left out.
fn release(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map(|part| {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or(0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn releases_compare_as_numbers() {
        assert!(release("0.13.0") >= release("0.13.0"));
        assert!(release("0.13.1-dev") > release("0.13.0"));
        assert!(release("0.9.15") < release("0.13.0"));
        assert!(release("1.0.0") > release("0.13.0"));
    }
}
