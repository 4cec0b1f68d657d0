//! The ledger of what was not tested, and why: a skipped test is neither passed nor forgotten.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// The variable that names the file of the ledger; without it a skip is only printed.
pub const LEDGER: &str = "MTU_TRACE_SKIPS";

/// Says that `what` is not tested here, and adds a line of it to the ledger.
///
/// # Panics
///
/// The ledger cannot be written: a skip that is not counted must not pass.
pub fn skip(what: &str, why: &str) {
    println!("== NOT TESTED: {what}: {why}");
    if let Some(ledger) = env::var_os(LEDGER) {
        let outcome = append(Path::new(&ledger), &format!("{what}: {why}"));
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}

/// Adds one line; whatever else it has becomes a space.
fn append(ledger: &Path, entry: &str) -> Result<()> {
    let entry = entry.split_whitespace().collect::<Vec<_>>().join(" ");
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(ledger)
        .and_then(|mut file| file.write_all(format!("{entry}\n").as_bytes()))
        .with_context(|| format!("cannot write {}", ledger.display()))
}
