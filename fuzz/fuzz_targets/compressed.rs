//! Compressed captures: they are unpacked, or an error says why not, in bounded memory.
#![no_main]

use std::io::{Cursor, Read as _};

use libfuzzer_sys::fuzz_target;
use mtu_trace::testing::capture;
use mtu_trace_fuzz::heap;

#[global_allocator]
static HEAP: heap::Bounded = heap::Bounded;

/// What may be in use at a time, bytes: the window of zstd, of which more than 100 MiB are refused,
/// while it grows.
const MOST_BYTES: usize = 256 << 20;
/// What is unpacked at most, bytes: a few can stand for any number.
const UNPACKED_BYTES: u64 = 1 << 20;

fuzz_target!(|file: &[u8]| {
    heap::within(MOST_BYTES, || {
        let mut chunk = [0; 4096];
        let input = capture::unpacked(Cursor::new(file.to_vec()));
        let mut input = input.expect("memory can be read").take(UNPACKED_BYTES);
        while input.read(&mut chunk).is_ok_and(|read| read > 0) {}
    });
});
