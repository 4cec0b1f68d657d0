//! Finds the binary under test.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The `mtu-trace` binary: the one `MTU_TRACE_BIN` names, else the one built beside this program.
///
/// # Panics
///
/// There is none. A test without its subject must not pass.
#[must_use]
pub fn mtu_trace() -> PathBuf {
    if let Some(named) = std::env::var_os("MTU_TRACE_BIN") {
        let path = PathBuf::from(named);
        assert!(
            path.is_file(),
            "MTU_TRACE_BIN names {}, which is no file",
            path.display()
        );
        return path;
    }
    // A test runs as target/debug/deps/NAME-HASH, another program as target/debug/NAME.
    let own = std::env::current_exe().unwrap_or_default();
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("mtu-trace"))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!(
                "no mtu-trace beside {}: run `cargo build` first",
                own.display()
            )
        })
}

/// Where cargo puts what it builds, and suites what they fetch: two directories above this program.
///
/// # Errors
///
/// This program does not lie in such a place.
pub fn target_directory() -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program's own path")?;
    let target = own.ancestors().nth(2);
    Ok(target
        .with_context(|| format!("{} lies in no target directory", own.display()))?
        .to_owned())
}
