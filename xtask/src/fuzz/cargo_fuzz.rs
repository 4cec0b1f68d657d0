//! `cargo fuzz`, which builds the targets so that libFuzzer sees what they do.

use anyhow::{Context, Result};

use crate::run;

/// The version that is installed where there is none; another one that is there already is kept.
const VERSION: &str = "0.13.2";

/// Installs it unless it is there.
pub fn set_up() -> Result<()> {
    if let Ok(version) = run::output(&mut run::cargo(&["fuzz", "--version"])) {
        println!("setup: {} ok", version.trim());
        return Ok(());
    }
    println!("setup: building cargo-fuzz {VERSION} (a minute)");
    let install = ["install", "--quiet", "--locked", "cargo-fuzz", "--version"];
    run::status(run::cargo(&install).arg(VERSION)).with_context(|| {
        format!("cargo-fuzz does not build: put version {VERSION} or newer in PATH")
    })
}
