//! How soon any moment of a large capture is there.

use std::time::Instant;

use anyhow::Result;
use lab::scratch::Scratch;
use mtu_trace::testing::{Replay, Scope};

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
    let (written, count) = source.write(&path, source.events(), BYTES)?;

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
