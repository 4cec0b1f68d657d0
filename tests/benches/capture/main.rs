//! Measures how many events a second a capture takes in and gives back, and what memory a large one
//! needs.
//!
//! `cargo xtask bench capture` runs it. Arguments name the parts to run; without any, all are. All is
//! done on one core, and files are in the page cache.

#[expect(dead_code, reason = "the benchmark of the screens uses more of it")]
mod generated;
mod memory;

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::scratch::Scratch;
use mtu_trace::testing::{Analysis, Encoder, Event, Input, Reader, capture};

use self::generated::{Generated, wanted};

/// Events of which the speeds are taken.
const EVENTS: usize = 1_000_000;
/// How often; the middle one counts.
const RUNS: usize = 3;
/// Size of the large file, bytes.
const LARGE_BYTES: u64 = 1 << 30;
/// Size of a file with many connections, bytes: enough for as many troubled ones as are kept.
const CROWDED_BYTES: u64 = 256 << 20;
/// How many, more than are kept.
const CONNECTIONS: u32 = 100_000;

fn main() -> Result<()> {
    let source = Generated::open()?;
    let scratch = Scratch::new()?;
    let path = scratch.path().join("capture.pcapng");
    if wanted("write") || wanted("read") || wanted("diagnose") {
        write(&source, &path)?;
    }
    if wanted("read") {
        speed("read", &path, |_| Ok(()))?;
    }
    if wanted("diagnose") {
        speed("read and diagnosed", &path, |reader| {
            let mut analysis = Analysis::default();
            while let Some(event) = reader.next_event() {
                analysis.apply(&event);
            }
            black_box(analysis.findings());
            Ok(())
        })?;
    }
    if wanted("memory") {
        memory::measure(&source, LARGE_BYTES, 0)?;
        memory::measure(&source, CROWDED_BYTES, CONNECTIONS)?;
    }
    Ok(())
}

/// Writes the events; what it takes to make them up is not counted.
fn write(source: &Generated, path: &Path) -> Result<()> {
    const BATCH: usize = 10_000;
    let mut encoder = Encoder::new(source.header.clone());
    let mut file = BufWriter::new(File::create(path)?);
    let mut block = encoder.opening()?;
    let mut events = source.events();
    let mut took = Duration::ZERO;
    for _ in 0..EVENTS / BATCH {
        let batch: Vec<Event> = events.by_ref().take(BATCH).collect();
        let start = Instant::now();
        for event in &batch {
            encoder.event(event, &mut block)?;
            file.write_all(&block)?;
            block.clear();
        }
        took += start.elapsed();
    }
    file.flush()?;
    told("written", took, path)
}

fn speed(what: &str, path: &Path, whole: impl Fn(&mut Reader<Input>) -> Result<()>) -> Result<()> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        let mut reader = Reader::new(capture::open(path)?).context("the capture is not read")?;
        whole(&mut reader)?;
        while let Some(event) = reader.next_event() {
            black_box(event);
        }
        runs.push(start.elapsed());
    }
    runs.sort_unstable();
    told(what, runs[RUNS / 2], path)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn told(what: &str, took: Duration, path: &Path) -> Result<()> {
    let seconds = took.as_secs_f64();
    println!(
        "{what:20} {:>10.0} events/s {:>7.0} MiB/s",
        EVENTS as f64 / seconds,
        fs::metadata(path)?.len() as f64 / seconds / f64::from(1 << 20),
    );
    Ok(())
}
