//! Captures that anyone may have written: they are read, analysed, reported and kept again, in
//! bounded memory and without a panic.
#![no_main]

use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target, fuzzer_mutate};
use mtu_trace::testing::Reader;
use mtu_trace_fuzz::run::Run;
use mtu_trace_fuzz::{capture, grown, heap};

#[global_allocator]
static HEAP: heap::Bounded = heap::Bounded;

/// What any capture may take, bytes: the reader's buffer, and what is kept of what is read.
const ANY_BYTES: usize = 2 << 20;
/// What it may take for each of its own bytes.
const FOR_EACH_BYTE: usize = 256;

fuzz_target!(|file: &[u8]| {
    heap::within(ANY_BYTES + FOR_EACH_BYTE * file.len(), || read(file));
});

fn read(file: &[u8]) {
    let mut reader = match Reader::new(file) {
        Ok(reader) => reader,
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error}");
            return;
        }
    };
    let mut run = Run::new(reader.header());
    while let Some(event) = reader.next_event() {
        run.take(&event);
    }
    run.end(reader.condition().notes());
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut rng = fastrand::Rng::with_seed(seed.into());
    match capture::mutated(&data[..size], &mut rng, &mut grown(fuzzer_mutate)) {
        Some(file) if file.len() <= max_size => {
            data[..file.len()].copy_from_slice(&file);
            file.len()
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});

fuzz_crossover!(|data1: &[u8], data2: &[u8], out: &mut [u8], seed: u32| {
    let file = capture::crossed(data1, data2, &mut fastrand::Rng::with_seed(seed.into()));
    let length = file.len().min(out.len());
    out[..length].copy_from_slice(&file[..length]);
    length
});
