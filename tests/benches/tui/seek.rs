//! How soon any moment of a large capture is there.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::time::Instant;

use anyhow::Result;
use lab::scratch::Scratch;
use mtu_trace::capture::Encoder;
use mtu_trace::replay::Replay;
use mtu_trace::select::Scope;

use crate::generated::Generated;
use crate::told;

/// Size of the capture, bytes.
const BYTES: u64 = 1 << 30;
/// Moments that are gone to.
const SEEKS: u64 = 200;

/// Writes the capture, indexes it, and goes to and fro in it.
pub fn measure(source: &Generated) -> Result<()> {
    let scratch = Scratch::new()?;
    let path = scratch.path().join("large.pcapng");
    let mut file = BufWriter::new(File::create(&path)?);
    let mut encoder = Encoder::new(source.header.clone());
    let mut block = encoder.opening()?;
    let (mut written, mut count) = (0, 0u64);
    let mut events = source.events();
    while written < BYTES {
        if let Some(event) = events.next() {
            encoder.event(&event, &mut block)?;
            count += 1;
        }
        file.write_all(&block)?;
        written += block.len() as u64;
        block.clear();
    }
    file.flush()?;

    let start = Instant::now();
    let mut replay = Replay::open(&path, Scope::default())?;
    let opened = start.elapsed();
    replay.index();
    println!(
        "{} MiB, {count} events: on the screen after {:.1} ms, indexed after {:.1} s",
        written >> 20,
        opened.as_secs_f64() * 1000.0,
        start.elapsed().as_secs_f64()
    );
    let (first_ns, last_ns) = replay.span();
    let mut times = Vec::new();
    for nth in 0..SEEKS {
        // Spread over all of it, in no order (Knuth's multiplicative hash).
        let part = nth.wrapping_mul(0x9e37_79b1) % 1000;
        let at_ns = first_ns + (last_ns - first_ns) / 1000 * part;
        let start = Instant::now();
        replay.seek(at_ns);
        times.push(start.elapsed());
    }
    told("seek", times);
    Ok(())
}
