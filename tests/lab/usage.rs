//! What a process takes of the machine: threads, descriptors, memory.

use std::fs;

use anyhow::{Context, Result};

/// What a process takes at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Its threads.
    pub threads: usize,
    /// Its open file descriptors.
    pub descriptors: usize,
    /// Its resident memory, KiB.
    pub resident_kib: u64,
}

impl Usage {
    /// Reads it from `/proc`.
    ///
    /// # Errors
    ///
    /// There is no such process any more.
    pub fn of(pid: u32) -> Result<Self> {
        let entries = |directory: &str| {
            let path = format!("/proc/{pid}/{directory}");
            fs::read_dir(&path)
                .map(Iterator::count)
                .with_context(|| format!("reading {path}"))
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .with_context(|| format!("reading the status of {pid}"))?;
        let resident_kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|value| value.split_whitespace().next()?.parse().ok())
            .with_context(|| format!("{pid} has no VmRSS"))?;
        Ok(Self {
            threads: entries("task")?,
            descriptors: entries("fd")?,
            resident_kib,
        })
    }
}
