//! Measures how many events a second a capture takes in and gives back, and what memory a large one
//! needs.
//!
//! `cargo xtask bench capture` runs it. Arguments name the parts to run; without any, all are.

mod generated;
mod memory;

use std::env;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use mtu_trace::capture::{Encoder, Reader};
use mtu_trace::diagnose::Analysis;
use mtu_trace::event::Event;

use self::generated::Generated;

/// Events of which the speeds are taken.
const EVENTS: usize = 1_000_000;
/// Size of the large file, bytes.
const LARGE_BYTES: u64 = 1 << 30;

fn main() -> Result<()> {
    // cargo itself adds `--bench`.
    let parts: Vec<String> = env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|it| it == part);
    let source = Generated::open()?;
    if wanted("speed") {
        speed(&source)?;
    }
    if wanted("memory") {
        memory::measure(&source, LARGE_BYTES)?;
    }
    Ok(())
}

fn speed(source: &Generated) -> Result<()> {
    let events: Vec<Event> = source.events().take(EVENTS).collect();
    let start = Instant::now();
    let mut encoder = Encoder::new(source.header.clone());
    let mut file = encoder.opening()?;
    for event in &events {
        encoder.event(event, &mut file)?;
    }
    told("written", start, file.len());

    let start = Instant::now();
    let mut analysis = Analysis::default();
    for event in &events {
        analysis.apply(event);
    }
    black_box(analysis.findings());
    told("diagnosed", start, file.len());
    drop(events);

    let start = Instant::now();
    let mut reader = Reader::new(file.as_slice()).context("the capture is not read")?;
    while let Some(event) = reader.next_event() {
        black_box(event);
    }
    told("read", start, file.len());

    let start = Instant::now();
    let mut reader = Reader::new(file.as_slice()).context("the capture is not read")?;
    let mut analysis = Analysis::default();
    while let Some(event) = reader.next_event() {
        analysis.apply(&event);
    }
    black_box(analysis.findings());
    told("read and diagnosed", start, file.len());
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn told(what: &str, since: Instant, bytes: usize) {
    let seconds = since.elapsed().as_secs_f64();
    println!(
        "{what:20} {:>10.0} events/s {:>7.0} MiB/s",
        EVENTS as f64 / seconds,
        bytes as f64 / seconds / f64::from(1 << 20),
    );
}
