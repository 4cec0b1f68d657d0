//! What memory `mtu-trace report` takes for a large file.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::binary::mtu_trace;
use lab::scratch::Scratch;

use crate::generated::Generated;

/// How often it is looked how much it takes; the kernel keeps the peak.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Writes a file of so many bytes, with so many connections that stay open, and has it reported.
pub fn measure(source: &Generated, bytes: u64, connections: u32) -> Result<()> {
    let scratch = Scratch::new()?;
    let path = scratch.path().join("large.pcapng");
    let (written, count) = source.write(&path, source.among(connections), bytes)?;

    let start = Instant::now();
    let mut child = Command::new(mtu_trace())
        .args(["report", "--format", "json"])
        .arg(&path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak(child.id()).unwrap_or(peak_kib);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        sleep(LOOK_EVERY);
    };
    ensure!(status.success(), "the report failed: {status}");
    println!(
        "{} MiB, {count} events, {connections} connections open: reported in {:.1} s, {} MiB of \
         memory at most",
        written >> 20,
        start.elapsed().as_secs_f64(),
        peak_kib >> 10,
    );
    Ok(())
}

/// The most memory a process has had so far, KiB.
fn peak(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.context("no peak")?.parse().context("no number")
}
