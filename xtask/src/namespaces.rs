//! `cargo xtask clean-namespaces`: removes what crashed labs left behind.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result};
use lab::command;

/// Where `ip netns` keeps its names.
const NETNS_DIR: &str = "/run/netns";

/// Removes the namespaces of labs whose process has died, and names them.
pub fn clean() -> Result<()> {
    command::require_root("removing network namespaces needs it")?;
    let before = names()?;
    lab::sweep().context("cannot remove the namespaces of crashed labs")?;
    let after = names()?;
    let mut removed = before.difference(&after).peekable();
    if removed.peek().is_none() {
        println!("nothing to remove");
    }
    for name in removed {
        println!("removed {name}");
    }
    Ok(())
}

fn names() -> Result<BTreeSet<String>> {
    let entries = match fs::read_dir(NETNS_DIR) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.with_context(|| format!("cannot read {NETNS_DIR}"))?,
    };
    Ok(entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect())
}
